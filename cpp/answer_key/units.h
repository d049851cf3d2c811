// Unit and currency words.
#pragma once

#include <string_view>

namespace stepscore {

// The one name for all spellings of a unit: "hours" and "hr" are "hour". Empty for other words. A
// closed list: a word like "million" changes the number.
std::string_view unit_name(std::string_view word);

}  // namespace stepscore
