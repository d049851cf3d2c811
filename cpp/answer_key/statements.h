// Where a text says what its answer is, in words: "The answer is ...", "Answer: ...", a heading.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "answer_key/markup.h"

namespace stepscore {

// The value of the last line outside of `skipped` that states one; empty where none does. `blocks`
// are all blocks of code.
std::string statement_value(std::string_view text, const std::vector<Fence>& skipped,
                            const std::vector<Fence>& blocks);

}  // namespace stepscore
