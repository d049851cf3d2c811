#include "answer_key/canonical.h"

#include <algorithm>

#include "answer_key/parser.h"

namespace stepscore {
namespace {

// (B), B, B), Option B
bool choice_key(const Token* begin, const Token* end, std::string& key) {
  if (end - begin > 1 && begin->kind == Kind::kWord &&
      (begin->spelling == "Option" || begin->spelling == "option" || begin->spelling == "Choice" ||
       begin->spelling == "choice")) {
    ++begin;
  }
  if (end - begin == 3 && begin->kind == Kind::kOpen && begin->bracket == '(' &&
      end[-1].kind == Kind::kClose && end[-1].bracket == '(') {
    ++begin;
    --end;
  } else if (end - begin == 2 && end[-1].kind == Kind::kClose && end[-1].bracket == '(') {
    --end;
  }
  if (end - begin != 1 || begin->kind != Kind::kWord || begin->spelling.size() != 1 ||
      begin->spelling[0] < 'A' || begin->spelling[0] > 'Z') {
    return false;
  }
  key.assign("choice:");
  key += begin->spelling;
  return true;
}

// x, \theta, x_1, x_{10}
bool is_variable(const Token* begin, const Token* end) {
  const bool letter = begin != end && (begin->kind == Kind::kLetter ||
                                       (begin->kind == Kind::kWord && begin->spelling.size() == 1));
  if (!letter) return false;
  if (++begin == end) return true;
  if (begin->kind != Kind::kIndex || ++begin == end) return false;
  if (begin->kind == Kind::kOpen && begin->bracket == '{' && begin->match == 2) {
    ++begin;
    --end;
  }
  return end - begin == 1 && (begin->kind == Kind::kNumber || begin->kind == Kind::kWord);
}

// 3-5 is rather a range, and 10-12-2020 a date, than a number.
bool is_range(const Token* begin, const Token* end) {
  if (end - begin < 3 || (end - begin) % 2 == 0) return false;
  for (const Token* t = begin; t != end; ++t) {
    if (t->kind != ((t - begin) % 2 == 0 ? Kind::kNumber : Kind::kMinus)) return false;
  }
  return true;
}

// A whole number of any length.
bool long_number_key(const Token* begin, const Token* end, std::string& key) {
  key.clear();
  if (begin != end && begin->kind == Kind::kMinus) {
    key += '-';
    ++begin;
  }
  for (const Token* t = begin; t != end; ++t) {
    const bool first = t == begin;
    if (!first) {
      const bool separates = t->kind == Kind::kThousands || t->kind == Kind::kComma;
      if (!separates || t->space || ++t == end || t->space || t->spelling.size() != 3) return false;
    }
    if (t->kind != Kind::kNumber || t->spelling.find('.') != std::string_view::npos ||
        (first && (t->spelling[0] == '0' || (end - begin > 1 && t->spelling.size() > 3)))) {
      return false;
    }
    key += t->spelling;
  }
  return begin != end;
}

bool side_key(const Token* begin, const Token* end, std::string& key) {
  key.clear();
  return Parser(begin, end).answer(key) || long_number_key(begin, end, key);
}

}  // namespace

bool value_key(const Tokens& tokens, std::string& key) {
  const Token *begin = tokens.begin(), *end = tokens.end();
  if (choice_key(begin, end, key)) return true;
  if (!tokens.balanced()) return false;
  if (is_range(begin, end)) return false;
  // x = 5 is 5, and so is 2 + 3 = 5.
  std::string last;
  bool some = false;
  const Token* from = begin;
  for (const Token* t = begin;; ++t) {
    if (t != end && t->kind == Kind::kOpen) t += t->match;
    if (t != end && t->kind == Kind::kElement) {
      // x in [0, 1) is the interval
      return from == begin && is_variable(begin, t) && t + 1 != end && t[1].kind == Kind::kOpen &&
             side_key(t + 1, end, key);
    }
    if (t != end && t->kind != Kind::kEquals) continue;
    if (t == end || !is_variable(from, t)) {
      if (!side_key(from, t, key) || (some && key != last)) return false;
      last = key;
      some = true;
    }
    if (t == end) return true;
    from = t + 1;
  }
}

void append_spelling(const Tokens& tokens, std::string& key) {
  const Token *begin = tokens.begin(), *end = tokens.end();
  const bool words = std::all_of(begin, end, [](const Token& t) {
    return t.kind == Kind::kWord || t.kind == Kind::kDot || t.kind == Kind::kComma;
  });
  const auto wordy = [](const Token& t) {
    return t.kind == Kind::kWord || t.kind == Kind::kNumber || t.kind == Kind::kDot ||
           (t.kind == Kind::kOther && static_cast<unsigned char>(t.spelling[0]) >= 0x80);
  };
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  for (const Token* t = begin; t != end; ++t) {
    if (t != begin) {
      const Token& before = t[-1];
      // "1, 234" is not "1,234".
      const bool list = before.kind == Kind::kComma && t - begin > 1 &&
                        t[-2].kind == Kind::kNumber && t->kind == Kind::kNumber &&
                        t->spelling.size() >= 3;
      const bool command =
          before.spelling[0] == '\\' && letter(before.spelling.back()) && letter(t->spelling[0]);
      if ((t->space && ((wordy(before) && wordy(*t)) || list)) || command) key += ' ';
    }
    // x^2 is x^{2}, and x^{2}3 is not x^{23}.
    const bool script = t != begin && (t[-1].kind == Kind::kPower || t[-1].kind == Kind::kIndex) &&
                        (t->kind == Kind::kNumber || t->kind == Kind::kWord) &&
                        t->spelling.size() == 1;
    if (script) key += '{';
    switch (t->kind) {
      case Kind::kVulgar:
        key += "\\frac{";
        key += t->spelling;
        key += "}{";
        key += static_cast<char>('0' + t->over);
        key += '}';
        break;
      case Kind::kThousands:
        key += "{,}";
        break;
      case Kind::kBegin:
      case Kind::kEnd:
        key += t->kind == Kind::kBegin ? "\\begin{" : "\\end{";
        key += t->spelling;
        key += '}';
        break;
      case Kind::kWord: {
        key += t->spelling;
        // Yes and yes; not Ab and ab, which could be products.
        const std::string_view w = t->spelling;
        const bool title = w[0] >= 'A' && w[0] <= 'Z' &&
                           std::all_of(w.begin() + 1, w.end(), [](char c) { return c >= 'a'; });
        if (words && title && (w.size() > 3 || t->text || w == "Yes" || w == "No" || w == "Odd")) {
          char& c = key[key.size() - w.size()];
          c = static_cast<char>(c - 'A' + 'a');
        }
        break;
      }
      default:
        key += t->spelling;
    }
    if (script) key += '}';
  }
}

}  // namespace stepscore
