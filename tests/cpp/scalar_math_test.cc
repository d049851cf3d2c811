#include "stepscore/scalar_math.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

#include "testing.h"

using namespace stepscore;

namespace {

constexpr int kPoints = 1'000'000;
constexpr double kSubnormal = 0x1p-1074;

// The distance to the exact value in units of the last place of the exact value.
double ulps(double got, long double exact) {
  const double rounded = static_cast<double>(exact);
  if (got == rounded) return 0.0;
  int exponent = 0;
  std::frexp(rounded, &exponent);
  const double unit = std::max(std::ldexp(1.0, exponent - 53), kSubnormal);
  return static_cast<double>(std::fabs(static_cast<long double>(got) - exact) / unit);
}

template <class Function, class Exact>
void expect_within(const char* name, double bound, Function function, Exact exact, double low,
                   double high) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> points(low, high);
  double worst = 0.0, where = 0.0;
  for (int i = 0; i < kPoints; ++i) {
    const double x = points(random);
    const double error = ulps(function(x), exact(static_cast<long double>(x)));
    if (error > worst) worst = error, where = x;
  }
  EXPECT(worst <= bound, name, " on [", low, ", ", high, "]: ", worst, " ulp at ", where);
}

bool same_bits(double a, double b) {
  return bits_as<uint64_t>(a) == bits_as<uint64_t>(b);
}

const double kInf = std::numeric_limits<double>::infinity();

}  // namespace

TEST(exponential_is_within_two_ulp) {
  const auto function = [](double x) { return exponential(x); };
  const auto exact = [](long double x) { return std::exp(x); };
  expect_within("exponential", 2.0, function, exact, -0.5, 0.5);
  expect_within("exponential", 2.0, function, exact, -30.0, 30.0);
  expect_within("exponential", 2.0, function, exact, -708.0, 709.7);
  expect_within("exponential, subnormal results", 2.0, function, exact, -745.2, -708.0);
  expect_within("exponential", 2.0, function, exact, -1e-9, 1e-9);
}

TEST(exponential_of_special_values) {
  EXPECT(exponential(0.0) == 1.0);
  EXPECT(exponential(-0.0) == 1.0);
  EXPECT(exponential(kInf) == kInf);
  EXPECT(exponential(710.0) == kInf);
  EXPECT(exponential(1e300) == kInf);
  EXPECT(std::isfinite(exponential(709.78)));
  EXPECT(exponential(-kInf) == 0.0);
  EXPECT(exponential(-746.0) == 0.0);
  EXPECT(exponential(-745.0) > 0.0);
  EXPECT(exponential(-1e300) == 0.0);
  EXPECT(std::isnan(exponential(kNaN)));
  EXPECT(exponential(kSubnormal) == 1.0);
}

TEST(logarithm_is_within_two_ulp) {
  const auto function = [](double x) { return logarithm(x); };
  const auto exact = [](long double x) { return std::log(x); };
  expect_within("logarithm", 2.0, function, exact, 0.5, 2.0);
  expect_within("logarithm", 2.0, function, exact, 0.999999, 1.000001);
  expect_within("logarithm", 2.0, function, exact, 1e-12, 1.0);
  expect_within("logarithm", 2.0, function, exact, 1.0, 1e18);
  expect_within("logarithm of subnormals", 2.0, function, exact, kSubnormal, 0x1p-1022);
  // Every binary exponent: any positive bit pattern.
  std::mt19937_64 random(2);
  double worst = 0.0, where = 0.0;
  for (int i = 0; i < kPoints; ++i) {
    const double x = bits_as<double>(random() % 0x7ff0000000000000ull);
    if (x == 0.0) continue;
    const double error = ulps(logarithm(x), std::log(static_cast<long double>(x)));
    if (error > worst) worst = error, where = x;
  }
  EXPECT(worst <= 2.0, "logarithm: ", worst, " ulp at ", where);
}

TEST(logarithm_of_special_values) {
  EXPECT(same_bits(logarithm(1.0), 0.0));
  EXPECT(logarithm(0.0) == -kInf);
  EXPECT(logarithm(-0.0) == -kInf);
  EXPECT(logarithm(kInf) == kInf);
  EXPECT(std::isnan(logarithm(-1.0)));
  EXPECT(std::isnan(logarithm(-kInf)));
  EXPECT(std::isnan(logarithm(kNaN)));
  EXPECT(ulps(logarithm(kSubnormal), std::log(static_cast<long double>(kSubnormal))) <= 2.0);
  for (int k = -1022; k <= 1023; ++k) {
    const double x = std::ldexp(1.0, k);
    EXPECT(ulps(logarithm(x), std::log(static_cast<long double>(x))) <= 1.0, "2^", k);
  }
}

TEST(sigmoid_is_within_four_ulp) {
  const auto function = [](double x) { return sigmoid(x); };
  const auto exact = [](long double x) { return 1.0L / (1.0L + std::exp(-x)); };
  expect_within("sigmoid", 4.0, function, exact, -40.0, 40.0);
  expect_within("sigmoid", 4.0, function, exact, -708.0, 0.0);
  expect_within("sigmoid", 4.0, function, exact, -1e-6, 1e-6);
  EXPECT(sigmoid(0.0) == 0.5);
  EXPECT(sigmoid(kInf) == 1.0);
  EXPECT(sigmoid(-kInf) == 0.0);
  EXPECT(sigmoid(-745.0) > 0.0);
  EXPECT(std::isnan(sigmoid(kNaN)));
}

TEST(hyperbolic_tangent_has_the_digits_of_a_float) {
  // For float32 results: 1 - e^-2z cancels below, down to the cubic that takes over at 1e-5.
  std::mt19937_64 random(3);
  for (const double scale : {1e-8, 1e-5, 1.0001e-5, 1e-3, 1.0, 20.0}) {
    std::uniform_real_distribution<double> points(-scale, scale);
    for (int i = 0; i < kPoints / 10; ++i) {
      const double x = points(random);
      const double exact = static_cast<double>(std::tanh(static_cast<long double>(x)));
      EXPECT(std::fabs(hyperbolic_tangent(x) - exact) <= 2e-11 * std::fabs(exact), x);
      EXPECT(hyperbolic_tangent(-x) == -hyperbolic_tangent(x), x);
    }
  }
  EXPECT(hyperbolic_tangent(kInf) == 1.0);
  EXPECT(hyperbolic_tangent(-kInf) == -1.0);
  EXPECT(hyperbolic_tangent(0.0) == 0.0 && hyperbolic_tangent(-0.0) == 0.0);
  EXPECT(std::isnan(hyperbolic_tangent(kNaN)));
}

TEST(functions_grow) {
  // In steps of some ten units in the last place, which is more than the functions may err.
  std::mt19937_64 random(4);
  std::uniform_real_distribution<double> anywhere(-700.0, 700.0), positive(1e-6, 1e6);
  for (int i = 0; i < kPoints / 4; ++i) {
    const double x = anywhere(random);
    const double step = std::max(1e-14, std::fabs(x) * 1e-15);
    EXPECT(exponential(x + step) > exponential(x), x);
    EXPECT(sigmoid(x + step) >= sigmoid(x), x);
    const double y = positive(random);
    EXPECT(logarithm(y * (1.0 + 1e-14)) >= logarithm(y), y);
  }
}

TEST(logarithm_undoes_exponential) {
  std::mt19937_64 random(5);
  std::uniform_real_distribution<double> points(-700.0, 700.0);
  for (int i = 0; i < kPoints / 10; ++i) {
    const double x = points(random);
    EXPECT(std::fabs(logarithm(exponential(x)) - x) <= 1e-15 * (std::fabs(x) + 1.0), x);
  }
}

TEST(scaling_by_powers_of_two_is_exact) {
  for (int k = -1022; k <= 1023; ++k) EXPECT(power_of_two(k) == std::ldexp(1.0, k), k);
  for (int k = -2000; k <= 2000; ++k) {
    for (const double value : {1.0, 1.5, 0x1.fffffffffffffp0, -1.25}) {
      EXPECT(same_bits(scale(value, k), std::ldexp(value, k)), value, " * 2^", k);
    }
  }
}

TEST(all_float16_convert_exactly) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float got = float16_to_float(static_cast<uint16_t>(bits));
    const int exponent = static_cast<int>(bits >> 10 & 31),
              mantissa = static_cast<int>(bits & 1023);
    const float sign = (bits & 0x8000) != 0 ? -1.0f : 1.0f;
    if (exponent == 31 && mantissa != 0) {
      EXPECT(std::isnan(got) && std::signbit(got) == (sign < 0.0f), bits);
      continue;
    }
    const float magnitude = exponent == 31 ? std::numeric_limits<float>::infinity()
                            : exponent == 0
                                ? std::ldexp(static_cast<float>(mantissa), -24)
                                : std::ldexp(static_cast<float>(1024 + mantissa), exponent - 25);
    EXPECT(bits_as<uint32_t>(got) == bits_as<uint32_t>(sign * magnitude), bits);
  }
}

TEST(all_bfloat16_convert_exactly) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float got = bfloat16_to_float(static_cast<uint16_t>(bits));
    EXPECT(bits_as<uint32_t>(got) == bits << 16, bits);
  }
}
