// The two canonical forms of an answer: by its value, and by its spelling.
#pragma once

#include <string>

#include "answer_key/tokens.h"

namespace stepscore {

// False where the answer is not understood; key is then void.
bool value_key(const Tokens& tokens, std::string& key);

void append_spelling(const Tokens& tokens, std::string& key);

}  // namespace stepscore
