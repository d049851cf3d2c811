#include "stepscore/frontier.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "testing.h"
#include "tree_search/random.h"

using namespace stepscore;

namespace {

struct Random {
  std::vector<double> values;
  std::vector<int64_t> offsets{0};
  explicit Random(uint64_t seed, int problems, uint64_t longest) {
    std::mt19937_64 random(seed);
    for (int p = 0; p < problems; ++p) {
      for (uint64_t n = random() % (longest + 1); n > 0; --n) {
        values.push_back(static_cast<double>(1 + random() % 20) / 20.0);
      }
      offsets.push_back(static_cast<int64_t>(values.size()));
    }
  }
  int64_t problems() const { return static_cast<int64_t>(offsets.size()) - 1; }
  Level level() const { return {values.data(), offsets.data(), problems()}; }
};

}  // namespace

TEST(philox_gives_the_known_answers) {
  using Words = std::array<uint32_t, 4>;
  EXPECT((philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT((philox({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}) ==
          Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT((philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
          Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(top_k_is_a_stable_sort) {
  const Random random(1, 200, 40);
  std::vector<int64_t> k, offsets(201);
  for (int64_t p = 0; p < 200; ++p) k.push_back(p % 30);
  testing::for_each_setting([&](const std::string& setting) {
    const std::vector<int64_t> found = top_k(random.level(), k.data(), offsets.data());
    for (int64_t p = 0; p < 200; ++p) {
      std::vector<int64_t> order(static_cast<size_t>(random.offsets[p + 1] - random.offsets[p]));
      std::iota(order.begin(), order.end(), random.offsets[p]);
      std::stable_sort(order.begin(), order.end(),
                       [&](int64_t a, int64_t b) { return random.values[a] > random.values[b]; });
      order.resize(std::min(order.size(), static_cast<size_t>(k[p])));
      EXPECT(std::equal(order.begin(), order.end(), found.begin() + offsets[p]), setting);
      EXPECT(offsets[p + 1] - offsets[p] == static_cast<int64_t>(order.size()));
    }
  });
}

TEST(exact_allotment_gives_out_the_width) {
  const Random random(2, 300, 50);
  const std::vector<int64_t> width(300, 37);
  std::vector<int64_t> counts(random.values.size());
  for (const Arithmetic arithmetic :
       {Arithmetic::kExact, Arithmetic::kFloat32, Arithmetic::kFloat64}) {
    rebase_allotment(random.level(), width.data(), 0.2, arithmetic, counts.data());
    for (int64_t p = 0; p < 300; ++p) {
      if (random.offsets[p] == random.offsets[p + 1]) continue;
      const int64_t sum = std::accumulate(counts.begin() + random.offsets[p],
                                          counts.begin() + random.offsets[p + 1], int64_t{0});
      EXPECT(sum == 37 || (sum == 38 && arithmetic != Arithmetic::kExact), p, " ", sum);
    }
  }
}

TEST(draws_are_within_their_problem) {
  Random random(3, 100, 30);
  for (auto& offset : random.offsets) offset = std::min<int64_t>(offset, random.offsets.back());
  std::vector<int64_t> counts, offsets{0};
  for (int64_t p = 0; p < 100; ++p) {
    const bool empty = random.offsets[p] == random.offsets[p + 1];
    counts.push_back(empty ? 0 : 1 + p % 40);
    offsets.push_back(offsets.back() + counts.back());
  }
  std::vector<int64_t> found(static_cast<size_t>(offsets.back()));
  for (const Resampling method : {Resampling::kMultinomial, Resampling::kStratified,
                                  Resampling::kSystematic, Resampling::kResidual}) {
    for (uint32_t draw = 0; draw < 20; ++draw) {
      resample(random.level(), counts.data(), method, {9, nullptr, draw}, offsets.data(),
               found.data());
      for (int64_t p = 0; p < 100; ++p) {
        for (int64_t i = offsets[p]; i < offsets[p + 1]; ++i) {
          EXPECT(found[i] >= random.offsets[p] && found[i] < random.offsets[p + 1]);
        }
      }
    }
  }
}

TEST(wrong_weights_are_named) {
  const double values[] = {0.5, -0.5};
  const int64_t offsets[] = {0, 2}, counts[] = {1};
  int64_t out_offsets[] = {0, 1}, index = 0;
  const Level level{values, offsets, 1};
  EXPECT_FAULT(
      resample(level, counts, Resampling::kSystematic, {0, nullptr, 0}, out_offsets, &index),
      "weights[1] is -0.5");
  EXPECT_FAULT(rebase_allotment(level, counts, 0.0, Arithmetic::kExact, &index),
               "temperature must be above 0");
}
