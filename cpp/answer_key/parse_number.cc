// The numbers of an answer: sums of products of literals, fractions, roots and powers.
#include <algorithm>

#include "answer_key/parser.h"

namespace stepscore {
namespace {

using exact::Number;
using exact::Rational;

constexpr size_t kMostDigits = 18;  // 10^18 fits int64

// Where the point of a literal stands; npos without. Literals are short, and memchr is a call.
size_t point_of(std::string_view digits) {
  for (size_t at = 0; at < digits.size(); ++at) {
    if (digits[at] == '.') return at;
  }
  return std::string_view::npos;
}

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

}  // namespace

// What groups thousands behind at_: ',' for a comma, ' ' for white space as in 52 000; 0 for
// nothing.
char Parser::grouping() const {
  if (end_ - at_ >= 2 && at_[1].kind == Kind::kNumber) {
    if (at_->kind == Kind::kThousands) return ',';
    if (at_->kind == Kind::kComma && !commas_separate_ && !at_->space && !at_[1].space) return ',';
  }
  // 3 100/200 is a mixed number.
  const bool spaced = is(Kind::kNumber) && at_->space && !follows(Kind::kSlash, 1);
  return spaced && std::min(point_of(at_->spelling), at_->spelling.size()) == 3 ? ' ' : 0;
}

// digits [, ddd]* [. digits] [e digits]
bool Parser::number(Number& out) {
  std::string_view digits = at_->spelling;
  ++at_;
  size_t point = point_of(digits);
  std::string_view whole = digits.substr(0, point);
  if (whole.size() > 1 && whole[0] == '0') return false;
  int64_t value = 0;
  if (!read_digits(whole, value)) return false;
  // "1,234", but not "12, 345" and not "0,123".
  const bool grouped = whole.size() <= 3 && whole != "0" && !whole.empty();
  const char style = grouped ? grouping() : '\0';
  while (style != 0 && point == std::string_view::npos && grouping() == style) {
    if (style == ',') ++at_;
    digits = at_->spelling;
    point = point_of(digits);
    whole = digits.substr(0, point);
    if (whole.size() != 3) return false;
    int64_t next = 0;
    read_digits(whole, next);
    if (value >= power_of_ten(kMostDigits - 3)) return false;
    value = 1000 * value + next;
    ++at_;
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
  if (!scientific(result)) return false;
  out = result;
  const bool dot = is(Kind::kDot) && !at_->space && follows(Kind::kOverline, 1);
  if (is(Kind::kOverline) || dot) {
    if (dot ? !decimals.empty() : decimals.empty()) return false;
    at_ += dot;
    return repeating(decimals, out);
  }
  return true;
}

// 1e-5, 1E5, 2.5e+3
bool Parser::scientific(Rational& value) {
  if (!is(Kind::kWord) || at_->space || (at_->spelling != "e" && at_->spelling != "E")) return true;
  const bool minus = follows(Kind::kMinus, 1);
  const int sign = minus || follows(Kind::kPlus, 1);
  if (!follows(Kind::kNumber, 1 + sign) || at_[1].space || at_[1 + sign].space) return true;
  const std::string_view digits = at_[1 + sign].spelling;
  int64_t exponent = 0;
  if (digits.size() > 3 || point_of(digits) != std::string_view::npos) return true;
  read_digits(digits, exponent);
  if (exponent > static_cast<int64_t>(kMostDigits)) return false;
  const int64_t power = power_of_ten(static_cast<size_t>(exponent));
  at_ += 2 + sign;
  return exact::multiply(value, minus ? Rational{1, power} : Rational{power, 1}, value);
}

// 0.1\overline{6} = 0.1 + 6 / (10 * 9)
bool Parser::repeating(std::string_view before, Number& out) {
  ++at_;
  if (!opens('{') || !follows(Kind::kNumber, 1) || !follows(Kind::kClose, 2)) return false;
  const std::string_view digits = at_[1].spelling;
  at_ += 3;
  int64_t period = 0;
  Rational tail;
  return point_of(digits) == std::string_view::npos && digits.size() + before.size() < 16 &&
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
  out = Rational{digits[0] - '0', 1};
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
      out = Rational{at_->spelling[0] - '0', at_->over};
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
  if (!is(Kind::kFraction) && !is(Kind::kVulgar) && !is(Kind::kNumber)) return true;
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
  while (is(Kind::kTimes) || (is(Kind::kSlash) && !follows(Kind::kWord, 1))) {
    Number next;
    if (take(Kind::kTimes)) {
      if (!chain(next, false) || !out.multiply(next)) return false;
    } else {
      ++at_;
      if (divided || !chain(next, true) || !out.divide(next)) return false;
      divided = true;
    }
  }
  return true;
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

}  // namespace stepscore
