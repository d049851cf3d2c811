// What stands around the values of an answer: names, inequalities, separators of a list.
#pragma once

#include <string>

#include "answer_key/tokens.h"

namespace stepscore {

// Before "= 5" these say nothing: x, x_1, f(x), P(A), AB, |AB|, \angle ABC, [ABC], (x, y).
bool is_name(const Token* begin, const Token* end);

// x > 3 is (3,inf), and 0 < x <= 2 is (0,2]. False for anything else.
bool inequality_key(const Token* begin, const Token* end, std::string& key);

// Values without brackets, in any order: "1, 2", "1 and 2", "x = 1 or x = 2" are {1,2}. False for
// anything else, as for "1,2", whose comma could be a point, and where a number repeats.
bool list_key(const Token* begin, const Token* end, std::string& key);

}  // namespace stepscore
