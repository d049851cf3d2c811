#include "answer_key/exact.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numbers>
#include <numeric>

namespace stepscore::exact {
namespace {

constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
constexpr int64_t kLargestRadicand = int64_t{1} << 40;
constexpr int32_t kLargestPower = 64;

// kLeast counts as an overflow, so that every number has a negative.
bool product(int64_t a, int64_t b, int64_t& out) {
  return !__builtin_mul_overflow(a, b, &out) && out != kLeast;
}

bool sum(int64_t a, int64_t b, int64_t& out) {
  return !__builtin_add_overflow(a, b, &out) && out != kLeast;
}

// n = square^2 * rest with a square-free rest. Beyond the cube root of what is left, at most two
// primes are left: they are equal or they stay.
void take_squares(int64_t n, int64_t& square, int64_t& rest) {
  square = rest = 1;
  for (int64_t p = 2; p * p * p <= n; p += p == 2 ? 1 : 2) {
    while (n % (p * p) == 0) {
      n /= p * p;
      square *= p;
    }
    if (n % p == 0) {
      n /= p;
      rest *= p;
    }
  }
  const auto root = static_cast<int64_t>(std::sqrt(static_cast<double>(n)));  // exact below 2^52
  if (root * root == n) {
    square *= root;
  } else {
    rest *= n;
  }
}

bool power(int64_t base, int64_t exponent, int64_t& out) {
  for (out = 1; exponent > 0; --exponent) {
    if (!product(out, base, out)) return false;
  }
  return true;
}

bool exact_root(int64_t n, int64_t degree, int64_t& out) {
  if (n < 0) {
    if (degree % 2 == 0 || !exact_root(-n, degree, out)) return false;
    out = -out;
    return true;
  }
  int64_t low = 0, high = int64_t{1} << 22;  // degree is 3 or more
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    int64_t reached = 0;
    (power(middle, degree, reached) && reached <= n ? low : high) = middle;
  }
  int64_t reached = 0;
  out = low;
  return power(low, degree, reached) && reached == n;
}

void append(int64_t value, std::string& text) {
  char digits[24];
  text.append(digits, std::to_chars(digits, digits + sizeof(digits), value).ptr);
}

}  // namespace

bool make(int64_t num, int64_t den, Rational& out) {
  if (den == 0 || num == kLeast || den == kLeast) return false;
  const int64_t divisor = std::gcd(num, den) * (den < 0 ? -1 : 1);
  out = {num / divisor, den / divisor};
  return true;
}

bool add(Rational a, Rational b, Rational& out) {
  const int64_t shared = std::gcd(a.den, b.den);
  int64_t left = 0, right = 0, num = 0, den = 0;
  return product(a.num, b.den / shared, left) && product(b.num, a.den / shared, right) &&
         sum(left, right, num) && product(a.den, b.den / shared, den) && make(num, den, out);
}

bool multiply(Rational a, Rational b, Rational& out) {
  const int64_t first = std::gcd(a.num, b.den), second = std::gcd(b.num, a.den);
  return product(a.num / first, b.num / second, out.num) &&
         product(a.den / second, b.den / first, out.den);
}

bool Number::is_rational() const {
  return count_ == 0 || (count_ == 1 && terms_[0].radicand == 1 && terms_[0].pi_power == 0);
}

void Number::negate() {
  for (int i = 0; i < count_; ++i) terms_[i].factor.num = -terms_[i].factor.num;
}

bool Number::add(const Term& term) {
  if (term.factor.num == 0) return true;
  int at = 0;
  const auto before = [&](const Term& other) {
    return other.pi_power != term.pi_power ? other.pi_power < term.pi_power
                                           : other.radicand < term.radicand;
  };
  while (at < count_ && before(terms_[at])) ++at;
  const bool same =
      at < count_ && terms_[at].pi_power == term.pi_power && terms_[at].radicand == term.radicand;
  if (!same) {
    if (count_ == kMostTerms) return false;
    for (int i = count_++; i > at; --i) terms_[i] = terms_[i - 1];
    terms_[at] = term;
    return true;
  }
  if (!exact::add(terms_[at].factor, term.factor, terms_[at].factor)) return false;
  if (terms_[at].factor.num != 0) return true;
  for (--count_; at < count_; ++at) terms_[at] = terms_[at + 1];
  return true;
}

bool Number::add(const Number& other) {
  for (int i = 0; i < other.count_; ++i) {
    if (!add(other.terms_[i])) return false;
  }
  return true;
}

bool Number::multiply(const Number& other) {
  if (is_rational() && other.is_rational()) {
    Rational value;
    if (!exact::multiply(rational(), other.rational(), value)) return false;
    *this = value;
    return true;
  }
  Number result;
  for (int i = 0; i < count_; ++i) {
    for (int j = 0; j < other.count_; ++j) {
      const Term &a = terms_[i], &b = other.terms_[j];
      // sqrt(s a) sqrt(s b) = s sqrt(a b), square-free again.
      const int64_t shared = std::gcd(a.radicand, b.radicand);
      Term term{{}, 1, a.pi_power + b.pi_power};
      if (!exact::multiply(a.factor, b.factor, term.factor) ||
          !exact::multiply(term.factor, {shared, 1}, term.factor) ||
          !product(a.radicand / shared, b.radicand / shared, term.radicand) ||
          term.radicand > kLargestRadicand || std::abs(term.pi_power) > kLargestPower ||
          !result.add(term)) {
        return false;
      }
    }
  }
  *this = result;
  return true;
}

bool Number::divide(const Number& other) {
  if (other.count_ != 1) return false;
  const auto is_whole = [](const Number& n) { return n.is_rational() && n.rational().den == 1; };
  if (is_whole(*this) && is_whole(other)) {
    Rational value;
    if (!make(rational().num, other.rational().num, value)) return false;
    *this = value;
    return true;
  }
  // 1 / (c sqrt(n)) = sqrt(n) / (c n)
  const Term& by = other.terms_[0];
  Term inverse{{}, by.radicand, -by.pi_power};
  int64_t den = 0;
  return product(by.factor.num, by.radicand, den) && make(by.factor.den, den, inverse.factor) &&
         multiply(Number(inverse));
}

bool Number::raise(int64_t exponent) {
  if (std::abs(exponent) > kLargestPower || (count_ == 0 && exponent <= 0)) return false;
  Number result(Rational{1, 1});
  for (int64_t left = std::abs(exponent); left > 0; --left) {
    if (!(exponent > 0 ? result.multiply(*this) : result.divide(*this))) return false;
  }
  *this = result;
  return true;
}

bool Number::root(int64_t degree) {
  if (!is_rational() || degree < 2 || degree > kLargestPower) return false;
  const Rational value = rational();
  if (degree > 2) {
    Rational exact;
    if (!exact_root(value.num, degree, exact.num) || !exact_root(value.den, degree, exact.den)) {
      return false;
    }
    *this = exact;
    return true;
  }
  // sqrt(n / d) = sqrt(n d) / d
  int64_t inside = 0, square = 1;
  if (value.num < 0 || !product(value.num, value.den, inside) || inside > kLargestRadicand) {
    return false;
  }
  Term term;
  if (inside != 0) take_squares(inside, square, term.radicand);
  if (!make(inside == 0 ? 0 : square, value.den, term.factor)) return false;
  *this = Number(term);
  return true;
}

bool Number::compare(const Number& other, int& sign) const {
  Number difference = other;
  difference.negate();
  if (!difference.add(*this)) return false;
  double total = 0, size = 0;
  for (int i = 0; i < difference.count_; ++i) {
    const Term& term = difference.terms_[i];
    double value = static_cast<double>(term.factor.num) / static_cast<double>(term.factor.den) *
                   std::sqrt(static_cast<double>(term.radicand));
    for (int32_t k = 0; k < term.pi_power; ++k) value *= std::numbers::pi;
    for (int32_t k = 0; k > term.pi_power; --k) value /= std::numbers::pi;
    total += value;
    size += std::abs(value);
  }
  sign = (total > 0) - (total < 0);
  // Terms that cancel beyond what doubles resolve: not 0, for equal numbers have equal terms.
  constexpr double kResolved = 1e-12;
  return difference.count_ == 0 || std::abs(total) > kResolved * size;
}

void Number::append_to(std::string& text) const {
  if (count_ == 0) text += '0';
  for (int i = 0; i < count_; ++i) {
    const Term& term = terms_[i];
    const bool bare = term.radicand == 1 && term.pi_power == 0;
    if (i > 0 && term.factor.num > 0) text += '+';
    if (bare || term.factor.den != 1 || (term.factor.num != 1 && term.factor.num != -1)) {
      append(term.factor.num, text);
      if (term.factor.den != 1) {
        text += '/';
        append(term.factor.den, text);
      }
      if (!bare) text += '*';
    } else if (term.factor.num < 0) {
      text += '-';
    }
    if (term.radicand != 1) {
      text += "sqrt(";
      append(term.radicand, text);
      text += ')';
      if (term.pi_power != 0) text += '*';
    }
    if (term.pi_power != 0) text += "pi";
    if (term.pi_power != 0 && term.pi_power != 1) {
      text += '^';
      append(term.pi_power, text);
    }
  }
}

}  // namespace stepscore::exact
