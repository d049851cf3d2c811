// What is made of numbers: lists, sets, matrices, intervals and their unions.
#include <algorithm>

#include "answer_key/parser.h"

namespace stepscore {

using exact::Number;

namespace {

void sort_and_unite(std::vector<std::string>& parts) {
  std::ranges::sort(parts);
  parts.erase(std::unique(parts.begin(), parts.end()), parts.end());
}

void append_set(std::vector<std::string>& members, std::string& key) {
  sort_and_unite(members);
  key += '{';
  for (size_t i = 0; i < members.size(); ++i) {
    if (i > 0) key += ',';
    key += members[i];
  }
  key += '}';
}

}  // namespace

// "{1,234}" is a number in braces to TeX and a set to others.
bool Parser::is_list() const {
  if (!is(Kind::kOpen)) return false;
  if (at_->bracket == 'S') return true;
  if (!at_->lists) return at_->bracket != '{' && follows(Kind::kBegin, 1);
  if (at_->bracket != '{') return true;
  for (const Token* t = at_; t->kind != Kind::kClose; ++t) {
    if (t->kind == Kind::kComma && t[1].kind == Kind::kNumber && !t[1].space &&
        t[1].spelling.find('.') == std::string_view::npos && t[1].spelling.size() == 3) {
      return false;
    }
  }
  return true;
}

bool Parser::infinity(std::string& key) {
  const int sign = is(Kind::kMinus) || is(Kind::kPlus);
  if (!follows(Kind::kInfinity, sign)) return false;
  key += at_->kind == Kind::kMinus ? "-inf" : "inf";
  at_ += sign + 1;
  return true;
}

// Brackets and order are kept: (1,2) is a pair or an open interval, [1,2) is half open.
bool Parser::list(std::string& key) {
  const Deeper deeper(depth_);
  if (deeper.too_deep()) return false;
  const bool outside = commas_separate_;
  commas_separate_ = true;
  const bool lists = at_->lists;
  const size_t begin = key.size();
  key += at_->bracket;
  ++at_;
  int64_t items = 0;
  do {
    if (!item(key)) return false;
    key += ',';
    ++items;
  } while (take(Kind::kComma));
  if (!is(Kind::kClose)) return false;
  key.back() = at_->bracket == '(' ? ')' : ']';
  // No interval holds an infinity: [0,inf] is [0,inf).
  if (items == 2 && key.compare(begin + 1, 5, "-inf,") == 0) key[begin] = '(';
  if (items == 2 && key.ends_with(",inf]")) key.back() = ')';
  // A matrix may stand in one pair of brackets, (\begin{array}...); they say nothing.
  if (!lists) key = key.substr(0, begin) + key.substr(begin + 1, key.size() - begin - 2);
  commas_separate_ = outside;
  ++at_;
  return true;
}

// Adds to members, for sets that are united are one.
bool Parser::set(std::vector<std::string>& members) {
  const Deeper deeper(depth_);
  if (deeper.too_deep()) return false;
  if (take(Kind::kEmptySet)) return true;
  const bool outside = commas_separate_;
  commas_separate_ = true;
  const char bracket = at_->bracket;
  ++at_;
  if (!closes(bracket)) {
    do {
      if (!item(members.emplace_back())) return false;
    } while (take(Kind::kComma));
  }
  if (!closes(bracket)) return false;
  ++at_;
  commas_separate_ = outside;
  return true;
}

bool Parser::matrix(std::string& key) {
  const Deeper deeper(depth_);
  const std::string_view environment = at_->spelling;
  const bool is_array = environment == "array";
  if (deeper.too_deep() || (!is_array && environment != "pmatrix" && environment != "bmatrix" &&
                            environment != "matrix" && environment != "smallmatrix")) {
    return false;
  }
  ++at_;
  if (is_array) {
    if (!opens('{')) return false;
    at_ += 1;
    while (!done() && (is(Kind::kWord) || at_->spelling == "|")) ++at_;
    if (!closes('{')) return false;
    ++at_;
  }
  const bool outside = commas_separate_;
  commas_separate_ = true;
  key += "matrix[";
  int64_t columns = 0, column = 0;
  for (;;) {
    Number entry;
    if (!sum(entry)) return false;
    entry.append_to(key);
    ++column;
    if (take(Kind::kCell)) {
      key += ',';
      continue;
    }
    if (columns != 0 && columns != column) return false;
    columns = column;
    column = 0;
    if (take(Kind::kRow) && !is(Kind::kEnd)) {
      key += ';';
      continue;
    }
    break;
  }
  if (!is(Kind::kEnd) || at_->spelling != environment) return false;
  ++at_;
  key += ']';
  commas_separate_ = outside;
  return true;
}

bool Parser::item(std::string& key) {
  if (done()) return false;
  if (is_set()) {
    std::vector<std::string> members;
    if (!set(members)) return false;
    append_set(members, key);
    return true;
  }
  if (is_list()) return list(key);
  if (is(Kind::kBegin)) return matrix(key);
  if (infinity(key)) return true;
  Number value;
  if (!sum(value)) return false;
  value.append_to(key);
  return true;
}

// A number, or an infinity.
bool Parser::bound(Cut& out) {
  std::string infinite;
  if (!infinity(infinite)) return sum(out.at);
  out.infinite = infinite == "inf" ? 1 : -1;
  return true;
}

// An interval, or the points of a finite set.
bool Parser::pieces(std::vector<Piece>& out) {
  if (take(Kind::kEmptySet)) return true;
  if (!is_list()) return false;
  const bool outside = commas_separate_;
  commas_separate_ = true;
  const char opened = at_->bracket;
  const bool interval = opened == '(' || opened == '[';
  ++at_;
  if (interval) {
    Piece& piece = out.emplace_back();
    if (!bound(piece.from) || !take(Kind::kComma) || !bound(piece.to) || !is(Kind::kClose)) {
      return false;
    }
    piece.from.after = opened == '(';
    piece.to.after = at_->bracket == '[';
  } else if (!closes(opened)) {
    do {
      Piece& point = out.emplace_back();
      if (!sum(point.from.at)) return false;
      point.to.at = point.from.at;
      point.to.after = true;
    } while (take(Kind::kComma));
  }
  if (!interval && !closes(opened)) return false;
  ++at_;
  commas_separate_ = outside;
  return true;
}

// Finite sets, of whatever it may be.
bool Parser::union_of_sets(std::string& key) {
  std::vector<std::string> members;
  do {
    if (!is_set() || !set(members)) return false;
  } while (take(Kind::kUnion));
  append_set(members, key);
  return true;
}

// One list; finite sets; or intervals and finite sets of numbers, in any order.
bool Parser::union_of_items(std::string& key) {
  const Token* last = at_;
  bool intervals = false;
  for (;; last += 2) {
    if (last->kind == Kind::kOpen) {
      intervals = intervals || last->bracket == '(' || last->bracket == '[';
      last += last->match;
    }
    if (end_ - last < 3 || last[1].kind != Kind::kUnion) break;
  }
  if (!intervals) return union_of_sets(key);
  if (at_->match == last - at_) return list(key);
  std::vector<Piece> all;
  do {
    if (done() || !pieces(all)) return false;
  } while (take(Kind::kUnion));
  if (!join(all)) return false;
  std::vector<std::string> points;
  for (const Piece& piece : all) {
    if (is_point(piece)) {
      piece.from.at.append_to(points.emplace_back());
      continue;
    }
    if (!key.empty()) key += " U ";
    append_interval(piece, key);
  }
  if (points.empty()) return true;
  if (!key.empty()) key += " U ";
  append_set(points, key);
  return true;
}

}  // namespace stepscore
