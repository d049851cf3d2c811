#include "stepscore/gated_activation.h"

#include <cmath>
#include <cstring>
#include <random>

#include "testing.h"

using namespace stepscore;

namespace {

constexpr GateActivation kAll[] = {GateActivation::kSilu, GateActivation::kGelu,
                                   GateActivation::kGeluTanh};

double exact(GateActivation activation, double x) {
  switch (activation) {
    case GateActivation::kSilu:
      return x / (1.0 + std::exp(-x));
    case GateActivation::kGelu:
      return x * std::erfc(-x * std::sqrt(0.5)) / 2.0;
    default:
      return x / (1.0 + std::exp(-2.0 * std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
  }
}

std::vector<float> numbers(int64_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0.0f, 3.0f);
  std::vector<float> values(static_cast<size_t>(size));
  for (float& value : values) value = normal(random);
  return values;
}

MatrixView view(const std::vector<float>& values, int64_t rows, int64_t columns, int64_t stride) {
  return {values.data(), DType::kFloat32, rows, columns, stride};
}

}  // namespace

TEST(exponential_single_is_exact_to_the_format) {
  for (int i = -103'000; i <= 89'000; i += 7) {
    const float x = static_cast<float>(i) / 1000.0f;
    const double expected = std::exp(static_cast<double>(x));
    const double got = static_cast<double>(exponential_single(x));
    if (expected > 3.4028235e38) continue;
    EXPECT(std::fabs(got - expected) <= 2e-7 * expected + 1e-44);
  }
  EXPECT(exponential_single(0.0f) == 1.0f);
  EXPECT(exponential_single(1e30f) == HUGE_VALF);
  EXPECT(exponential_single(HUGE_VALF) == HUGE_VALF);
  EXPECT(exponential_single(-1e30f) == 0.0f);
  EXPECT(exponential_single(-HUGE_VALF) == 0.0f);
  EXPECT(std::isnan(exponential_single(NAN)));
}

TEST(elements_are_those_of_the_formula) {
  const std::vector<float> gate = numbers(5 * 41, 1), up = numbers(5 * 41, 2);
  std::vector<float> out(gate.size());
  for (const GateActivation activation : kAll) {
    gated_activation(view(gate, 5, 41, 41), view(up, 5, 41, 41), activation, out.data());
    for (size_t i = 0; i < gate.size(); ++i) {
      const double x = static_cast<double>(gate[i]), factor = static_cast<double>(up[i]);
      const double expected = exact(activation, x) * factor;
      EXPECT(std::fabs(static_cast<double>(out[i]) - expected) <= 1.5e-7 * std::fabs(x * factor));
    }
  }
}

TEST(bits_depend_on_the_element_alone) {
  constexpr int64_t kRows = 9, kWidth = 45, kStride = 50;
  const std::vector<float> gate = numbers(kRows * kStride, 3), up = numbers(kRows * kStride, 4);
  for (const GateActivation activation : kAll) {
    std::vector<float> expected;
    testing::for_each_setting([&](const std::string& setting) {
      std::vector<float> out(kRows * kWidth);
      gated_activation(view(gate, kRows, kWidth, kStride), view(up, kRows, kWidth, kStride),
                       activation, out.data());
      if (expected.empty()) expected = out;
      if (std::memcmp(out.data(), expected.data(), out.size() * sizeof(float)) != 0) {
        testing::fail(__FILE__, __LINE__, "bits differ: " + setting);
      }
      // One element at a time: the tail of a row of one.
      for (int64_t i = 0; i < kRows; ++i) {
        const float* factor = up.data() + i * kStride + i;
        float alone = 0.0f;
        gated_activation({gate.data() + i * kStride + i, DType::kFloat32, 1, 1, 1},
                         {factor, DType::kFloat32, 1, 1, 1}, activation, &alone);
        EXPECT(bits_as<uint32_t>(alone) ==
               bits_as<uint32_t>(expected[static_cast<size_t>(i * kWidth + i)]));
      }
    });
  }
}

TEST(without_a_factor_it_is_the_activation) {
  const std::vector<float> gate = numbers(37, 5), ones(37, 1.0f);
  std::vector<float> with(37), without(37);
  for (const GateActivation activation : kAll) {
    gated_activation(view(gate, 1, 37, 37), view(ones, 1, 37, 37), activation, with.data());
    gated_activation(view(gate, 1, 37, 37), {}, activation, without.data());
    EXPECT(with == without);
  }
}
