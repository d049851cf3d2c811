#include "answer_key/relations.h"

#include <algorithm>
#include <vector>

#include "answer_key/parser.h"

namespace stepscore {
namespace {

bool is_upper(std::string_view word) {
  return std::all_of(word.begin(), word.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

bool is_letter(const Token& token) {
  return token.kind == Kind::kLetter || (token.kind == Kind::kWord && token.spelling.size() == 1);
}

// A, AB, ABC
bool is_points(const Token& token, size_t least) {
  return token.kind == Kind::kWord && token.spelling.size() >= least &&
         token.spelling.size() <= 4 && is_upper(token.spelling);
}

// Passes _1 and _{10}; false for what is neither, or nothing.
bool pass_index(const Token*& at, const Token* end) {
  if (at == end || at->kind != Kind::kIndex) return true;
  if (++at == end) return false;
  const bool braced = at->kind == Kind::kOpen && at->bracket == '{' && at->match == 2;
  const Token* inside = at + braced;
  if (inside->kind != Kind::kNumber && inside->kind != Kind::kWord) return false;
  at = inside + 1 + braced;
  return true;
}

// x, \theta, x_1, x_{10}
bool is_variable(const Token* begin, const Token* end) {
  if (begin == end || !is_letter(*begin)) return false;
  ++begin;
  return pass_index(begin, end) && begin == end;
}

// f(x), P(A), a_1(2, n); x(2) is rather a product.
bool is_function(const Token* begin, const Token* end) {
  constexpr std::string_view kFunctions = "fghpq";
  if (end - begin < 4 || begin->kind != Kind::kWord || begin->spelling.size() != 1 ||
      (kFunctions.find(begin->spelling[0]) == std::string_view::npos &&
       !is_upper(begin->spelling))) {
    return false;
  }
  ++begin;
  if (!pass_index(begin, end) || end - begin < 3 || begin->bracket != '(' ||
      begin->match != end - begin - 1) {
    return false;
  }
  return std::all_of(begin + 1, end - 1, [](const Token& t) {
    return is_letter(t) || t.kind == Kind::kNumber || t.kind == Kind::kComma;
  });
}

// (x, y), in the order of the alphabet: (y, x) = (1, 2) is not (x, y) = (1, 2).
bool is_point_name(const Token* begin, const Token* end) {
  if (end - begin < 5 || begin->bracket != '(' || begin->match != end - begin - 1) return false;
  for (const Token* t = begin + 1; t != end - 1; ++t) {
    const bool name = (t - begin) % 2 != 0;
    if (name ? t->kind != Kind::kWord || t->spelling.size() != 1 : t->kind != Kind::kComma) {
      return false;
    }
    if (name && t != begin + 1 && t[-2].spelling >= t->spelling) return false;
  }
  return true;
}

bool is_figure(const Token* begin, const Token* end) {
  if (end - begin == 1) return is_points(*begin, 2);
  if (end - begin == 3 && is_points(begin[1], 1)) {
    const bool length = begin->spelling == "|" && begin[2].spelling == "|";
    return length || (begin->bracket == '[' && begin[2].bracket == '[');
  }
  if (begin != end && begin->spelling == "m") ++begin;
  return end - begin == 2 && begin->spelling == "\\angle" && is_points(begin[1], 1);
}

bool is_word(const Token& token) {
  return token.kind == Kind::kWord && (token.spelling == "and" || token.spelling == "or");
}

// Two digits with a comma between them, and no space.
bool is_tight(const Token* comma, const Token* begin, const Token* end) {
  return comma != begin && comma + 1 != end && comma[-1].kind == Kind::kNumber &&
         comma[1].kind == Kind::kNumber && !comma[1].space;
}

bool groups_thousands(const Token* comma) {
  return comma[1].spelling.size() == 3 && comma[1].spelling.find('.') == std::string_view::npos;
}

struct Span {
  const Token *begin, *end;
};

// Items, where a comma stands for nothing else. 1,2 and 1,2, 3,4 could have points; 1,234 and
// 1,234, 5 have thousands.
bool split(const Token* begin, const Token* end, std::vector<Span>& items) {
  int64_t sure = 0, tight = 0, thousands = 0, semicolons = 0, commas = 0, loose = 0;
  for (const Token* t = begin; t != end; ++t) {
    if (t->kind == Kind::kOpen) t += t->match;
    semicolons += t->kind == Kind::kSemicolon;
    commas += t->kind == Kind::kComma;
    const bool close = t->kind == Kind::kComma && is_tight(t, begin, end);
    thousands += close && groups_thousands(t);
    tight += close && !groups_thousands(t);
    loose += t->kind == Kind::kComma && t + 1 != end && t[1].kind == Kind::kNumber && t[1].space;
    sure += t->kind == Kind::kSemicolon || (t->kind == Kind::kComma && !close) || is_word(*t);
  }
  if ((semicolons > 0 && commas > 0) || sure + tight == 0 ||
      (tight > 0 && (sure + tight < 2 || thousands > 0 || loose > 0))) {
    return false;
  }
  const Token* from = begin;
  for (const Token* t = begin;; ++t) {
    if (t != end && t->kind == Kind::kOpen) t += t->match;
    const bool comma =
        t != end && t->kind == Kind::kComma && !(is_tight(t, begin, end) && groups_thousands(t));
    if (t != end && !comma && t->kind != Kind::kSemicolon && !is_word(*t)) continue;
    // "1, and 2"
    const bool filler =
        t == from && t != end && is_word(*t) && t != begin && t[-1].kind == Kind::kComma;
    if (t == from && !filler) return false;
    if (!filler) items.push_back({from, t});
    if (t == end) return true;
    from = t + 1;
  }
}

const Token* equals_sign(const Span& item) {
  for (const Token* t = item.begin; t != item.end; ++t) {
    if (t->kind == Kind::kOpen) t += t->match;
    if (t->kind == Kind::kEquals) return t;
  }
  return nullptr;
}

bool is_bracketed(const Span& item) {
  return item.begin->kind == Kind::kOpen && item.begin->lists;
}

bool same_spelling(const Span& a, const Span& b) {
  return std::equal(a.begin, a.end, b.begin, b.end, [](const Token& x, const Token& y) {
    return x.kind == y.kind && x.spelling == y.spelling;
  });
}

// Takes the name off the first item, or the same name off all of them.
bool take_names(std::vector<Span>& items) {
  const Token* first = equals_sign(items[0]);
  if (first == nullptr) return true;
  const Span name{items[0].begin, first};
  if (!is_name(name.begin, name.end)) return false;
  size_t named = 0;
  for (Span& item : items) {
    const Token* sign = equals_sign(item);
    if (sign == nullptr) continue;
    if (!same_spelling(name, {item.begin, sign})) return false;
    item.begin = sign + 1;
    ++named;
  }
  return named == 1 || named == items.size();
}

}  // namespace

bool is_name(const Token* begin, const Token* end) {
  return is_variable(begin, end) || is_function(begin, end) || is_figure(begin, end) ||
         is_point_name(begin, end);
}

bool inequality_key(const Token* begin, const Token* end, std::string& key) {
  const Token* signs[2] = {};
  int count = 0;
  for (const Token* t = begin; t != end; ++t) {
    if (t->kind == Kind::kOpen) t += t->match;
    if (t->kind != Kind::kRelation) continue;
    if (count == 2) return false;
    signs[count++] = t;
  }
  if (count == 0) return false;
  const auto less = [](const Token* sign) {
    return sign->spelling == "<" || sign->spelling == "\\le";
  };
  const auto strict = [](const Token* sign) { return sign->spelling.size() == 1; };
  std::vector<Piece> all(1);
  Piece& piece = all[0];
  piece.from.infinite = -1;
  piece.to.infinite = 1;
  // `from` and `to` the value; the name stands on the other side of the sign.
  const auto bound = [&](const Token* from, const Token* to, const Token* sign, bool below) {
    Cut& cut = below ? piece.from : piece.to;
    cut.infinite = 0;
    cut.after = below == strict(sign);
    return Parser(from, to).only_bound(cut);
  };
  if (count == 2) {
    if (less(signs[0]) != less(signs[1]) || !is_name(signs[0] + 1, signs[1])) return false;
    if (!bound(begin, signs[0], signs[0], less(signs[0])) ||
        !bound(signs[1] + 1, end, signs[1], !less(signs[1]))) {
      return false;
    }
  } else if (is_name(begin, signs[0])) {
    if (!bound(signs[0] + 1, end, signs[0], !less(signs[0]))) return false;
  } else if (!is_name(signs[0] + 1, end) || !bound(begin, signs[0], signs[0], less(signs[0]))) {
    return false;
  }
  if (!join(all) || is_point(piece)) return false;
  append_interval(piece, key);
  return true;
}

bool list_key(const Token* begin, const Token* end, std::string& key) {
  static thread_local std::vector<Span> items;
  items.clear();
  if (!split(begin, end, items) || items.size() < 2 || !take_names(items)) return false;
  std::vector<std::string> members(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    if (!Parser(items[i].begin, items[i].end).member(members[i])) return false;
  }
  std::ranges::sort(members);
  const auto repeated = std::ranges::unique(members);
  // A pair that is there twice is one solution; 2, 2 may count.
  if (!repeated.empty() && !std::ranges::all_of(items, is_bracketed)) return false;
  members.erase(repeated.begin(), repeated.end());
  key = '{';
  for (const std::string& member : members) {
    key += member;
    key += ',';
  }
  key.back() = '}';
  return true;
}

}  // namespace stepscore
