// The value of a last sentence that concludes: "So there are 12 apples.", "the length is $5$.".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "answer_key/markup.h"

namespace stepscore {

// Where the last sentence says one result; empty elsewhere. `blocks` are the blocks of code.
std::string concluded_value(std::string_view text, const std::vector<Fence>& blocks);

}  // namespace stepscore
