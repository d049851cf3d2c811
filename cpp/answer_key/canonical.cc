#include "answer_key/canonical.h"

#include <algorithm>
#include <vector>

#include "answer_key/exact.h"
#include "answer_key/units.h"

namespace stepscore {
namespace {

using exact::Number;
using exact::Rational;

constexpr int kDeepest = 24;
constexpr size_t kMostDigits = 18;  // 10^18 fits int64

bool read_digits(std::string_view digits, int64_t& out) {
  out = 0;
  for (const char c : digits) {
    if (__builtin_mul_overflow(out, 10, &out) || __builtin_add_overflow(out, c - '0', &out)) {
      return false;
    }
  }
  return true;
}

int64_t power_of_ten(size_t exponent) {
  int64_t power = 1;
  for (; exponent > 0; --exponent) power *= 10;
  return power;
}

// A place on the line just before a number, or just after it: [a, b) lies between the cuts before a
// and before b, the point a between the cuts before and after it.
struct Cut {
  int infinite = 0;  // -1 or 1: the cut lies there
  bool after = false;
  Number at;
};

struct Piece {
  Cut from, to;
};

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

// Sorted, and joined where they overlap or touch. False as above, and for an empty piece.
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

// Reads from the left and never goes back: the kind of the next token and what stands directly
// inside a bracket decide. What is ambiguous is refused.
class Parser {
 public:
  Parser(const Token* begin, const Token* end) : at_(begin), begin_(begin), end_(end) {}

  // An item with what may stand around it: a currency, a percent sign, a unit.
  bool answer(std::string& key);

 private:
  bool done() const { return at_ == end_; }
  bool is(Kind kind) const { return at_ != end_ && at_->kind == kind; }
  bool follows(Kind kind, int ahead) const { return end_ - at_ > ahead && at_[ahead].kind == kind; }
  bool opens(char bracket) const { return is(Kind::kOpen) && at_->bracket == bracket; }
  bool closes(char bracket) const { return is(Kind::kClose) && at_->bracket == bracket; }
  bool take(Kind kind) {
    const bool there = is(kind);
    at_ += there;
    return there;
  }

  bool is_list() const;
  bool is_set() const {
    return is(Kind::kEmptySet) || (is_list() && at_->bracket != '(' && at_->bracket != '[');
  }
  bool union_of_items(std::string& key);
  bool union_of_sets(std::string& key);
  bool pieces(std::vector<Piece>& out);
  bool bound(Cut& out);
  bool item(std::string& key);
  bool list(std::string& key);
  bool set(std::vector<std::string>& members);
  bool matrix(std::string& key);
  bool infinity(std::string& key);

  bool sum(Number& out);
  bool product(Number& out);
  bool chain(Number& out, bool single);
  bool factor(Number& out, bool& is_literal);
  bool primary(Number& out, bool& is_literal);
  bool group(Number& out);
  bool hides_operator() const;
  bool argument(Number& out);
  bool fraction(Number& out);
  bool root(Number& out);
  bool exponent(Number& base);
  bool number(Number& out);
  bool repeating(std::string_view before, Number& out);
  bool mixed(Number& out, bool& found);
  bool unit(std::string& name);
  bool unit_factor(std::string& name);

  const Token* at_;
  const Token* begin_;
  const Token* end_;
  std::string_view rest_;  // digits of *at_ that \frac12 has left
  int depth_ = 0;
  bool commas_separate_ = false;  // inside a list; outside, they group thousands
};

struct Deeper {
  explicit Deeper(int& depth) : depth_(depth) { ++depth_; }
  ~Deeper() { --depth_; }
  bool too_deep() const { return depth_ > kDeepest; }
  int& depth_;
};

// --- numbers ------------------------------------------------------------------------------------

// digits [, ddd]* [. digits]
bool Parser::number(Number& out) {
  std::string_view digits = at_->spelling;
  ++at_;
  size_t point = digits.find('.');
  std::string_view whole = digits.substr(0, point);
  if (whole.size() > 1 && whole[0] == '0') return false;
  int64_t value = 0;
  if (!read_digits(whole, value)) return false;
  // "1,234", but not "12, 345" and not "0,123".
  const bool grouped = whole.size() <= 3 && whole != "0" && !whole.empty();
  while (grouped && point == std::string_view::npos && end_ - at_ >= 2 &&
         at_[1].kind == Kind::kNumber) {
    const bool separates = at_->kind == Kind::kThousands ||
                           (at_->kind == Kind::kComma && !commas_separate_ && !at_->space);
    if (!separates || at_[1].space) break;
    digits = at_[1].spelling;
    point = digits.find('.');
    whole = digits.substr(0, point);
    if (whole.size() != 3) return false;
    int64_t next = 0;
    read_digits(whole, next);
    if (value >= power_of_ten(kMostDigits - 3)) return false;
    value = 1000 * value + next;
    at_ += 2;
  }
  Rational result{value, 1};
  std::string_view decimals;
  if (point != std::string_view::npos) {
    decimals = digits.substr(point + 1);
    const size_t last = decimals.find_last_not_of('0');
    const std::string_view kept = decimals.substr(0, last == std::string_view::npos ? 0 : last + 1);
    int64_t after = 0;
    Rational fraction;
    if (kept.size() > kMostDigits || !read_digits(kept, after) ||
        !exact::make(after, power_of_ten(kept.size()), fraction) ||
        !exact::add(result, fraction, result)) {
      return false;
    }
  }
  out = Number(result);
  const bool dot = is(Kind::kDot) && !at_->space && follows(Kind::kOverline, 1);
  if (is(Kind::kOverline) || dot) {
    if (dot ? !decimals.empty() : decimals.empty()) return false;
    at_ += dot;
    return repeating(decimals, out);
  }
  return true;
}

// 0.1\overline{6} = 0.1 + 6 / (10 * 9)
bool Parser::repeating(std::string_view before, Number& out) {
  ++at_;
  if (!opens('{') || !follows(Kind::kNumber, 1) || !follows(Kind::kClose, 2)) return false;
  const std::string_view digits = at_[1].spelling;
  at_ += 3;
  int64_t period = 0;
  Rational tail;
  return digits.find('.') == std::string_view::npos && digits.size() + before.size() < 16 &&
         read_digits(digits, period) &&
         exact::make(period, power_of_ten(before.size()) * (power_of_ten(digits.size()) - 1),
                     tail) &&
         out.add(Number(tail));
}

// What \frac, \sqrt and ^ take: a group, or one digit.
bool Parser::argument(Number& out) {
  if (rest_.empty() && opens('{')) return group(out);
  if (rest_.empty() && take(Kind::kPi)) {
    out = Number::pi();
    return true;
  }
  if (!is(Kind::kNumber)) return false;
  const std::string_view digits = rest_.empty() ? at_->spelling : rest_;
  if (digits[0] == '.') return false;
  out = Number(Rational{digits[0] - '0', 1});
  rest_ = digits.substr(1);
  if (rest_.empty()) ++at_;
  return rest_.empty() || rest_[0] != '.';
}

bool Parser::group(Number& out) {
  const Deeper deeper(depth_);
  if (deeper.too_deep()) return false;
  const char bracket = at_->bracket;
  ++at_;
  const bool outside = commas_separate_;
  commas_separate_ = bracket != '{';
  if (!sum(out) || !is(Kind::kClose) || at_->bracket != bracket) return false;
  commas_separate_ = outside;
  ++at_;
  return true;
}

// Who reads {1+2}^2 sees no braces.
bool Parser::hides_operator() const {
  if (!opens('{')) return false;
  const auto borders = [](const Token& t) {
    return t.kind == Kind::kComma || t.kind == Kind::kOpen || t.kind == Kind::kClose;
  };
  const Token* close = at_ + at_->match;
  const bool alone = (at_ == begin_ || (borders(at_[-1]) && at_[-1].kind != Kind::kClose)) &&
                     (close + 1 == end_ || (borders(close[1]) && close[1].kind != Kind::kOpen));
  return !alone && std::any_of(at_, close, [](const Token& t) {
    return t.kind == Kind::kPlus || t.kind == Kind::kMinus || t.kind == Kind::kTimes ||
           t.kind == Kind::kSlash;
  });
}

bool Parser::fraction(Number& out) {
  Number below;
  ++at_;
  return argument(out) && argument(below) && rest_.empty() && out.divide(below);
}

bool Parser::root(Number& out) {
  const bool sign = at_->spelling == "√";
  ++at_;
  int64_t degree = 2;
  if (!sign && opens('[') && follows(Kind::kNumber, 1) && follows(Kind::kClose, 2)) {
    if (!read_digits(at_[1].spelling.substr(0, 2), degree) || at_[1].spelling.size() > 2 ||
        at_[1].spelling[0] == '.') {
      return false;
    }
    at_ += 3;
  }
  if (opens('(')) return sign && !at_->lists && group(out) && out.root(degree);
  if (opens('{')) return group(out) && out.root(degree);
  // \sqrt23 is 3 sqrt(2) to TeX, perhaps not to its writer. The sign takes the whole number.
  if (!is(Kind::kNumber) || (!sign && at_->spelling.size() > 1)) return false;
  return number(out) && out.root(degree);
}

bool Parser::exponent(Number& base) {
  ++at_;
  Number power;
  if (opens('{') || opens('(')) {
    if (at_->lists || !group(power)) return false;
  } else {
    const bool negative = take(Kind::kMinus);
    if (!is(Kind::kNumber) || !number(power)) return false;
    if (negative) power.negate();
  }
  return power.is_rational() && power.rational().den == 1 && base.raise(power.rational().num);
}

bool Parser::primary(Number& out, bool& is_literal) {
  is_literal = false;
  if (done()) return false;
  switch (at_->kind) {
    case Kind::kNumber:
      is_literal = rest_.empty();
      return is_literal && number(out);
    case Kind::kVulgar: {
      out = Number(Rational{at_->spelling[0] - '0', at_->over});
      ++at_;
      return true;
    }
    case Kind::kFraction:
      return fraction(out);
    case Kind::kRoot:
      return root(out);
    case Kind::kPi:
      ++at_;
      out = Number::pi();
      return true;
    case Kind::kOpen:
      return (at_->bracket == '(' || at_->bracket == '{') && !at_->lists && !hides_operator() &&
             group(out);
    case Kind::kWord:
      if (at_->spelling != "sqrt" || !follows(Kind::kOpen, 1) || at_[1].bracket != '(') {
        return false;
      }
      ++at_;
      return !at_->lists && group(out) && out.root(2);
    default:
      return false;
  }
}

bool Parser::factor(Number& out, bool& is_literal) {
  if (!primary(out, is_literal)) return false;
  if (is(Kind::kPower)) {
    is_literal = false;
    return exponent(out) && !is(Kind::kPower);
  }
  return true;
}

// Behind a whole number: \frac{1}{2}, ½ or 1/2 below 1 make a mixed number. Anything else there
// could be meant as a product.
bool Parser::mixed(Number& out, bool& found) {
  Number part;
  if (is(Kind::kFraction)) {
    if (!fraction(part)) return false;
  } else if (is(Kind::kVulgar)) {
    bool ignored = false;
    if (!primary(part, ignored)) return false;
  } else if (is(Kind::kNumber) && at_->space && follows(Kind::kSlash, 1) &&
             follows(Kind::kNumber, 2)) {
    Number below;
    if (!number(part)) return false;
    ++at_;
    if (!number(below) || !below.is_rational() || below.rational().den != 1 ||
        !part.is_rational() || part.rational().den != 1 || !part.divide(below) ||
        is(Kind::kSlash)) {
      return false;
    }
  } else {
    return true;
  }
  if (is(Kind::kPower) || !part.is_rational() || out.rational().num == 0) return false;
  const Rational value = part.rational();
  if (value.num <= 0 || value.num >= value.den) return false;
  found = true;
  return out.add(part);
}

// Factors side by side. Where `single`, behind a slash, a second one would be ambiguous: 1/2\pi.
bool Parser::chain(Number& out, bool single) {
  bool is_literal = false, is_mixed = false;
  if (!factor(out, is_literal)) return false;
  if (is_literal && !single && out.is_rational() && out.rational().den == 1 &&
      !mixed(out, is_mixed)) {
    return false;
  }
  while (rest_.empty() && !done()) {
    const bool root = is(Kind::kRoot) || (is(Kind::kWord) && at_->spelling == "sqrt");
    const bool bracket = opens('(');
    if (!root && !bracket && !is(Kind::kPi)) break;
    Number next;
    if (single || !factor(next, is_literal)) return false;
    // 5(2) is rather a tuple with a name, or a number in base 2, than a product.
    if (bracket && next.is_rational()) return false;
    if (!out.multiply(next)) return false;
  }
  return rest_.empty();
}

bool Parser::product(Number& out) {
  if (!chain(out, false)) return false;
  bool divided = false;
  for (;;) {
    Number next;
    if (is(Kind::kTimes)) {
      ++at_;
      if (!chain(next, false) || !out.multiply(next)) return false;
    } else if (is(Kind::kSlash) && !follows(Kind::kWord, 1)) {
      ++at_;
      if (divided || !chain(next, true) || !out.divide(next)) return false;
      divided = true;
    } else {
      return true;
    }
  }
}

bool Parser::sum(Number& out) {
  const bool negative = is(Kind::kMinus);
  if (negative || is(Kind::kPlus)) ++at_;
  if (!product(out)) return false;
  if (negative) out.negate();
  while (is(Kind::kPlus) || is(Kind::kMinus)) {
    const bool minus = at_->kind == Kind::kMinus;
    ++at_;
    Number next;
    if (!product(next)) return false;
    if (minus) next.negate();
    if (!out.add(next)) return false;
  }
  return true;
}

// --- what is made of numbers
// ----------------------------------------------------------------------

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

// --- what stands around
// -----------------------------------------------------------------------------

// square cm, cm^2, cm²
bool Parser::unit_factor(std::string& name) {
  int64_t power = 1;
  if (is(Kind::kWord) && (at_->spelling == "square" || at_->spelling == "sq")) power = 2;
  if (is(Kind::kWord) && at_->spelling == "cubic") power = 3;
  if (power > 1) ++at_;
  if (take(Kind::kDegree)) {
    name += "degree";
    return power == 1;
  }
  if (!is(Kind::kWord)) return false;
  // "5m" and "5cm" without \text could be products of variables.
  const bool apart = at_->space && at_->spelling.size() > 1;
  if (!at_->text && !apart && at_[-1].kind != Kind::kSlash) return false;
  const std::string_view known = unit_name(at_->spelling);
  if (known.empty()) return false;
  name += known;
  ++at_;
  if (is(Kind::kPower)) {
    Number two;
    ++at_;
    if (power > 1 || !argument(two) || !rest_.empty() || !two.is_rational() ||
        two.rational().den != 1) {
      return false;
    }
    power = two.rational().num;
    if (power < 2 || power > 4) return false;
  }
  if (power > 1) {
    name += '^';
    name += static_cast<char>('0' + power);
  }
  return true;
}

// miles per hour, m/s; behind a dollar sign: "dollars", "per hour", or both
bool Parser::unit(std::string& name) {
  const auto per = [&] { return is(Kind::kSlash) || (is(Kind::kWord) && at_->spelling == "per"); };
  std::string first;
  if (name.empty() || !per()) {
    if (!unit_factor(first) || (!name.empty() && first != name)) return false;
    name = first;
  }
  if (!per()) return true;
  ++at_;
  name += '/';
  return unit_factor(name);
}

// A sign stands behind the first token, in no brackets.
bool is_sum(const Token* begin, const Token* end) {
  for (const Token* t = begin; t != end; ++t) {
    if (t->kind == Kind::kOpen) t += t->match;
    if (t != begin && (t->kind == Kind::kPlus || t->kind == Kind::kMinus)) return true;
  }
  return false;
}

bool Parser::answer(std::string& key) {
  std::string name;
  const int sign = is(Kind::kMinus) || is(Kind::kPlus);
  if (follows(Kind::kDollar, sign)) {
    if (sign == 1 && at_->kind == Kind::kMinus) key += '-';
    at_ += sign + 1;
    if (!is(Kind::kNumber)) return false;
    name = "dollar";
  }
  if (is_list() || is(Kind::kEmptySet)) return union_of_items(key) && done();
  if (is(Kind::kBegin) || is(Kind::kInfinity) || follows(Kind::kInfinity, 1)) {
    return item(key) && done();
  }
  const Token* first = at_;
  Number value;
  if (!sum(value)) return false;
  if (key == "-") {
    key.clear();
    value.negate();
  }
  if (is(Kind::kPercent) || (is(Kind::kWord) && at_->spelling == "percent")) {
    // 5 + 5% is rather 5.05 than 10%.
    if (!name.empty() || is_sum(first, at_)) return false;
    ++at_;
    Number hundredth(Rational{1, 100});
    if (!value.multiply(hundredth)) return false;
  } else if (!done() && !unit(name)) {
    return false;
  }
  value.append_to(key);
  if (!name.empty()) key += " [" + name + ']';
  return done();
}

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
