#include "answer_key/canonical.h"

#include <algorithm>

#include "answer_key/parser.h"
#include "answer_key/relations.h"

namespace stepscore {
namespace {

bool statement_key(const Token* begin, const Token* end, std::string& key, std::string& bare);

// What may begin behind (B): a value or words, and no operator.
bool begins_text(const Token* at, const Token* end) {
  switch (at->kind) {
    case Kind::kNumber:
    case Kind::kVulgar:
    case Kind::kWord:
    case Kind::kLetter:
    case Kind::kFraction:
    case Kind::kRoot:
    case Kind::kPi:
    case Kind::kOpen:
    case Kind::kDollar:
      return true;
    case Kind::kMinus:
      return at + 1 != end && !at[1].space;
    default:
      return static_cast<unsigned char>(at->spelling[0]) >= 0x80;
  }
}

// (B), B, B), Option B; with its text (B) 12, B) 12, B. 12, B: 12
bool choice_key(const Token* begin, const Token* end, std::string& key) {
  if (end - begin > 1 && begin->kind == Kind::kWord &&
      (begin->spelling == "Option" || begin->spelling == "option" || begin->spelling == "Choice" ||
       begin->spelling == "choice")) {
    ++begin;
  }
  const auto letter = [&](const Token* t) {
    return t < end && t->kind == Kind::kWord && t->spelling.size() == 1 && t->spelling[0] >= 'A' &&
           t->spelling[0] <= 'Z';
  };
  const auto closes = [&](const Token* t) {
    return t < end && t->kind == Kind::kClose && t->bracket == '(';
  };
  const bool opened = end - begin > 1 && begin->kind == Kind::kOpen && begin->bracket == '(';
  const Token* at = begin + opened;
  if (!letter(at)) return false;
  const bool in_text = at->text;
  key.assign("choice:");
  key += at->spelling;
  ++at;
  if (opened && !closes(at)) return false;
  const bool bracket = closes(at);
  at += bracket;
  if (at == end) return true;
  const bool sign = at->kind == Kind::kDot || at->spelling == ":";
  if (sign && ++at == end) return at[-1].kind == Kind::kDot;
  if (!(bracket || sign) || !(at->space || in_text) || !begins_text(at, end)) return false;
  // "B) 5" closes what nothing opens.
  const bool balanced = std::all_of(at, end, [&](const Token& t) {
    return (t.kind != Kind::kOpen || t.match > 0) &&
           (t.kind != Kind::kClose || (t.match < 0 && &t + t.match >= at));
  });
  std::string text, bare;
  if (!balanced || !statement_key(at, end, text, bare)) {
    text.clear();
    append_spelling(at, end, text);
  }
  key += " [" + text + ']';
  return true;
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
  bool commas = false;
  for (const Token* t = begin; t != end; ++t) {
    const bool first = t == begin;
    if (!first) {
      const bool comma = t->kind == Kind::kComma && !t->space && t + 1 != end && !t[1].space;
      const bool marked = comma || t->kind == Kind::kThousands;
      if (t == begin + 1) commas = marked;
      if (marked != commas || (marked ? ++t == end : !t->space)) return false;
      if (t->spelling.size() != 3) return false;
    }
    if (t->kind != Kind::kNumber || t->spelling.find('.') != std::string_view::npos ||
        (first && (t->spelling[0] == '0' || (end - begin > 1 && t->spelling.size() > 3)))) {
      return false;
    }
    key += t->spelling;
  }
  return begin != end;
}

// 3.2 \times 10^{20}, 1e22, 10^22: whole numbers of any length, too.
bool power_of_ten_key(const Token* begin, const Token* end, std::string& key) {
  constexpr int64_t kMostZeros = 400;
  key.clear();
  if (begin != end && begin->kind == Kind::kMinus) {
    key += '-';
    ++begin;
  }
  if (end - begin < 3 || begin->kind != Kind::kNumber) return false;
  std::string_view digits = "1";
  const Token* at = begin;
  const bool scientific = at[1].kind == Kind::kWord && !at[1].space && !at[2].space &&
                          (at[1].spelling == "e" || at[1].spelling == "E");
  if (scientific || at[1].kind == Kind::kTimes) {
    digits = at->spelling;
    at += 2;
  }
  if (scientific) {
    at += at->kind == Kind::kPlus;
  } else {
    if (end - at < 3 || at->spelling != "10" || at[1].kind != Kind::kPower) return false;
    at += 2;
    if (at->kind == Kind::kOpen && at->bracket == '{' && at->match == 2 && at + 3 == end) {
      ++at;
      --end;
    }
  }
  if (end - at != 1 || at->kind != Kind::kNumber || at->spelling.size() > 3) return false;
  int64_t zeros = 0;
  for (const char c : at->spelling) {
    if (c == '.') return false;
    zeros = 10 * zeros + (c - '0');
  }
  const size_t point = digits.find('.');
  if (point != std::string_view::npos) {
    digits = digits.substr(0, digits.find_last_not_of('0') + 1);
    zeros -= static_cast<int64_t>(digits.size() - point - 1);
  }
  if (zeros < 0 || zeros > kMostZeros || (digits.size() > 1 && digits[0] == '0' && point != 1)) {
    return false;
  }
  const size_t signs = key.size();
  for (const char c : digits) {
    if (c != '.' && (c != '0' || key.size() > signs)) key += c;
  }
  if (key.size() == signs) {
    key.assign(1, '0');
    return true;
  }
  key.append(static_cast<size_t>(zeros), '0');
  return true;
}

bool side_key(const Token* begin, const Token* end, std::string& key, std::string& bare) {
  key.clear();
  bare.clear();
  if (Parser(begin, end).answer(key, bare)) return true;
  bare.clear();
  return long_number_key(begin, end, key) || power_of_ten_key(begin, end, key);
}

// x = 5 is 5, and so is 2 + 3 = 5.
bool equation_key(const Token* begin, const Token* end, std::string& key, std::string& bare) {
  std::string last;
  bool some = false;
  const Token* from = begin;
  for (const Token* t = begin;; ++t) {
    if (t != end && t->kind == Kind::kOpen) t += t->match;
    if (t != end && t->kind == Kind::kElement) {
      // x in [0, 1) is the interval
      return from == begin && is_name(begin, t) && t + 1 != end && t[1].kind == Kind::kOpen &&
             side_key(t + 1, end, key, bare);
    }
    if (t != end && t->kind != Kind::kEquals) continue;
    if (t == end || !is_name(from, t)) {
      if (!side_key(from, t, key, bare) || (some && key != last)) return false;
      last = key;
      some = true;
    }
    if (t == end) return true;
    from = t + 1;
  }
}

bool statement_key(const Token* begin, const Token* end, std::string& key, std::string& bare) {
  if (is_range(begin, end)) return false;
  bool relates = false, lists = false;
  for (const Token* t = begin; t != end; ++t) {
    switch (t->kind) {
      case Kind::kOpen:
        t += t->match;
        break;
      case Kind::kRelation:
        relates = true;
        break;
      case Kind::kComma:
      case Kind::kSemicolon:
        lists = true;
        break;
      case Kind::kWord:
        lists = lists || t->spelling == "and" || t->spelling == "or";
        break;
      case Kind::kApprox:
        // x ≈ 11 is 11, and x = 1/3 ≈ 0.33 is 1/3
        if (t == begin || is_name(begin, t)) return statement_key(t + 1, end, key, bare);
        return statement_key(begin, t, key, bare);
      default:
        break;
    }
  }
  if (relates) {
    key.clear();
    return inequality_key(begin, end, key);
  }
  return (lists && list_key(begin, end, key)) || equation_key(begin, end, key, bare);
}

}  // namespace

bool value_key(const Tokens& tokens, std::string& key, std::string& bare) {
  bare.clear();
  if (choice_key(tokens.begin(), tokens.end(), key)) return true;
  return tokens.balanced() && statement_key(tokens.begin(), tokens.end(), key, bare);
}

void append_spelling(const Token* begin, const Token* end, std::string& key) {
  const bool words = std::all_of(begin, end, [](const Token& t) {
    return t.kind == Kind::kWord || t.kind == Kind::kDot || t.kind == Kind::kComma;
  });
  const auto wordy = [](const Token& t) {
    return t.kind == Kind::kWord || t.kind == Kind::kDot ||
           (t.kind == Kind::kOther && static_cast<unsigned char>(t.spelling[0]) >= 0x80);
  };
  // White space counts between words and between digits: 2 n is 2n, but 1 2 is not 12.
  const auto apart = [&](const Token& a, const Token& b) {
    return (wordy(a) && wordy(b)) || (a.kind == Kind::kNumber && b.kind == Kind::kNumber) ||
           (a.kind == Kind::kDot && b.kind == Kind::kNumber) ||
           (a.kind == Kind::kNumber && b.kind == Kind::kDot);
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
      if ((t->space && (apart(before, *t) || list)) || command) key += ' ';
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
