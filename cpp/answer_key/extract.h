// Where a solution states its final answer.
#pragma once

#include <string_view>

namespace stepscore {

// White space, a final period, $...$, \(...\) and Markdown emphasis taken off the ends.
std::string_view trimmed(std::string_view answer);

// By the forms that solutions use to state it, see answer_key.py; data() is null where they do not.
std::string_view stated_answer(std::string_view solution);

}  // namespace stepscore
