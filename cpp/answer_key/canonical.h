// The two canonical forms of an answer: by its value, and by its spelling.
#pragma once

#include <string>

#include "answer_key/tokens.h"

namespace stepscore {

// False where the answer is not understood; key is then void. Of a percentage `bare` is the key of
// the number before the sign, and else empty.
bool value_key(const Tokens& tokens, std::string& key, std::string& bare);

void append_spelling(const Token* begin, const Token* end, std::string& key);

}  // namespace stepscore
