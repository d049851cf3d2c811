// Where a solution states its final answer.
#pragma once

#include <string>
#include <string_view>

namespace stepscore {

// By the forms that solutions use to state it, see answer_key.py; empty where they do not.
std::string stated_answer(std::string_view solution);

// The solution itself as an answer.
std::string solution_alone(std::string_view solution);

}  // namespace stepscore
