// The values in \boxed{...}.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "answer_key/markup.h"

namespace stepscore {

// The values of the last statement in boxes outside of `skipped`, joined by commas; empty without.
std::string boxed_values(std::string_view text, const std::vector<Fence>& skipped);

}  // namespace stepscore
