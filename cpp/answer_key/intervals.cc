#include "answer_key/intervals.h"

#include <cstddef>

namespace stepscore {
namespace {

// False where the numbers are too near to tell.
bool compare(const Cut& a, const Cut& b, int& sign) {
  if (a.infinite != 0 || b.infinite != 0) {
    sign = a.infinite - b.infinite;
    return true;
  }
  if (!a.at.compare(b.at, sign)) return false;
  if (sign == 0) sign = a.after - b.after;
  return true;
}

}  // namespace

bool join(std::vector<Piece>& pieces) {
  std::vector<Piece> sorted;
  int sign = 0;
  for (const Piece& piece : pieces) {
    if (!compare(piece.from, piece.to, sign) || sign >= 0) return false;
    size_t place = sorted.size();
    for (; place > 0; --place) {
      if (!compare(sorted[place - 1].from, piece.from, sign)) return false;
      if (sign <= 0) break;
    }
    sorted.insert(sorted.begin() + static_cast<std::ptrdiff_t>(place), piece);
  }
  pieces.clear();
  for (const Piece& piece : sorted) {
    if (!pieces.empty()) {
      Cut& end = pieces.back().to;
      if (!compare(piece.from, end, sign)) return false;
      if (sign <= 0) {
        if (!compare(end, piece.to, sign)) return false;
        if (sign < 0) end = piece.to;
        continue;
      }
    }
    pieces.push_back(piece);
  }
  return true;
}

bool is_point(const Piece& piece) {
  const auto& [from, to] = piece;
  int sign = 1;
  return from.infinite == 0 && to.infinite == 0 && from.at.compare(to.at, sign) && sign == 0;
}

void append_interval(const Piece& piece, std::string& key) {
  const auto& [from, to] = piece;
  key += from.infinite != 0 || from.after ? '(' : '[';
  if (from.infinite == 0) from.at.append_to(key);
  key += from.infinite == 0 ? "," : "-inf,";
  if (to.infinite == 0) to.at.append_to(key);
  key += to.infinite != 0 ? "inf)" : to.after ? "]" : ")";
}

}  // namespace stepscore
