// Intervals and points on the number line, and their union.
#pragma once

#include <string>
#include <vector>

#include "answer_key/exact.h"

namespace stepscore {

// A place on the line just before a number, or just after it: [a, b) lies between the cuts before a
// and before b, the point a between the cuts before and after it.
struct Cut {
  int infinite = 0;  // -1 or 1: the cut lies there
  bool after = false;
  exact::Number at;
};

struct Piece {
  Cut from, to;
};

// Sorts the pieces, and joins those that overlap or touch. False where two numbers are too near to
// tell, and for an empty piece.
bool join(std::vector<Piece>& pieces);

bool is_point(const Piece& piece);

void append_interval(const Piece& piece, std::string& key);

}  // namespace stepscore
