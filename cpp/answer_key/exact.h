// Exact real numbers: sums of rational multiples of sqrt(n) pi^k.
#pragma once

#include <cstdint>
#include <string>

namespace stepscore::exact {

// In lowest terms, den > 0. The functions return false where a result does not fit 64 bits.
struct Rational {
  int64_t num = 0;
  int64_t den = 1;
  bool operator==(const Rational&) const = default;
};
bool make(int64_t num, int64_t den, Rational& out);
bool add(Rational a, Rational b, Rational& out);
bool multiply(Rational a, Rational b, Rational& out);

struct Term {
  Rational factor;
  int64_t radicand = 1;  // positive and square-free
  int32_t pi_power = 0;
};

// Roots of different square-free numbers are independent over the rationals, and pi is
// transcendental: equal numbers have equal terms. They stand in the order of (pi_power, radicand),
// none of them 0.
class Number {
 public:
  Number() = default;  // 0
  Number(const Number& other) { *this = other; }
  Number& operator=(const Number& other) {  // the terms there are: mostly one of eight
    count_ = other.count_;
    for (int i = 0; i < count_; ++i) terms_[i] = other.terms_[i];
    return *this;
  }
  explicit Number(Rational value) { *this = value; }
  Number& operator=(Rational value) {
    count_ = value.num == 0 ? 0 : 1;
    terms_[0] = {value, 1, 0};
    return *this;
  }
  explicit Number(Term term) : count_(term.factor.num == 0 ? 0 : 1), terms_{term} {}

  static Number pi() { return Number(Term{{1, 1}, 1, 1}); }

  bool is_rational() const;
  Rational rational() const { return count_ == 0 ? Rational{} : terms_[0].factor; }
  void negate();
  // False, and the number is void, where the result is not of this form or does not fit.
  [[nodiscard]] bool add(const Number& other);
  [[nodiscard]] bool multiply(const Number& other);
  [[nodiscard]] bool divide(const Number& other);  // by one term alone
  [[nodiscard]] bool raise(int64_t exponent);
  [[nodiscard]] bool root(int64_t degree);  // of a rational; degree 3 and up only where it is exact

  // sign: -1, 0 or 1 as this is below, equal to or above other. False where they are too near to
  // tell, and where the difference does not fit.
  [[nodiscard]] bool compare(const Number& other, int& sign) const;

  // 1/2, -3*sqrt(2), 1+2*sqrt(3)*pi^2
  void append_to(std::string& text) const;

 private:
  static constexpr int kMostTerms = 8;
  [[nodiscard]] bool add(const Term& term);

  int count_ = 0;
  Term terms_[kMostTerms];
};

}  // namespace stepscore::exact
