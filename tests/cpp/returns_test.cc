#include "stepscore/returns.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <random>

#include "testing.h"

using namespace stepscore;

namespace {

template <class T>
struct Batch {
  std::vector<int64_t> offsets{0};
  std::vector<T> rewards, values;
  std::vector<uint8_t> mask, steps;

  int64_t rows() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t tokens() const { return offsets.back(); }
};

// Lengths on both sides of a block of 64 tokens; more rows than lanes.
template <class T>
Batch<T> random_batch(uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> number;
  Batch<T> batch;
  for (const int size : {0, 1, 63, 64, 65, 200, 0, 0, 3, 128, 129, 7, 300, 1, 1, 2, 64, 0, 5}) {
    for (int t = 0; t < size; ++t) {
      batch.rewards.push_back(static_cast<T>(number(random)));
      batch.values.push_back(static_cast<T>(number(random)));
      batch.mask.push_back(random() % 4 != 0);
      batch.steps.push_back(batch.mask.back() != 0 && random() % 5 == 0);
    }
    batch.offsets.push_back(static_cast<int64_t>(batch.rewards.size()));
  }
  return batch;
}

template <class T>
ReturnScan<T> scan_of(const Batch<T>& batch, ScanKind kind, MaskPolicy policy, std::vector<T>& out,
                      std::vector<T>& returns) {
  out.assign(batch.rewards.size(), T(-7));
  returns.assign(batch.rewards.size(), T(-7));
  ReturnScan<T> scan;
  scan.kind = kind;
  scan.policy = policy;
  scan.rows = {batch.rows(), 0, batch.tokens(), batch.offsets.data()};
  scan.rewards = {batch.rewards.data(), 0};
  scan.values = {batch.values.data(), 0};
  scan.mask = {batch.mask.data(), DType::kBool, 0};
  if (kind == ScanKind::kLeast) scan.steps = {batch.steps.data(), DType::kBool, 0};
  scan.gamma.value = 0.97;
  scan.lam.value = 0.9;
  scan.empty_error = false;
  scan.empty = 4.0;
  scan.out = {out.data(), 0};
  scan.returns = {returns.data(), 0};
  return scan;
}

// One row by the arithmetic that both devices share, as a thread of the kernel does it.
template <class T>
void scan_plainly(const ReturnScan<T>& scan, int64_t row, std::vector<T>& out,
                  std::vector<T>& returns) {
  const double gamma = scan.gamma.value, decay = gamma * scan.lam.value;
  Behind<double, bool> behind{scan.kind == ScanKind::kLeast ? kInfinity : 0.0, 0.0, false};
  for (int64_t t = scan.rows.offsets[row + 1] - 1; t >= scan.rows.offsets[row]; --t) {
    const bool kept = mask_at(scan.mask, t) == 1;
    const bool unread =
        !kept && (scan.policy == MaskPolicy::kCarry || scan.policy == MaskPolicy::kZero);
    const double reward = unread ? 0.0 : static_cast<double>(scan.rewards.data[t]);
    double here = 0.0;
    if (scan.kind == ScanKind::kAdvantage) {
      const double value = unread && scan.policy == MaskPolicy::kZero
                               ? 0.0
                               : static_cast<double>(scan.values.data[t]);
      here = scan.policy == MaskPolicy::kCarry
                 ? advantage_step<MaskPolicy::kCarry>(reward, value, kept, gamma, decay, behind)
                 : advantage_step<MaskPolicy::kNone>(reward, value, kept, gamma, decay, behind);
      returns[static_cast<size_t>(t)] = static_cast<T>(here + value);
    } else if (scan.kind == ScanKind::kLeast) {
      here = least_step(reward, kept, mask_at(scan.steps, t) == 1, scan.empty, 0.0, behind);
    } else if (scan.policy == MaskPolicy::kCarry) {
      here = discounted_step<MaskPolicy::kCarry>(reward, kept, gamma, 0.0, behind);
    } else if (scan.policy == MaskPolicy::kReset) {
      here = discounted_step<MaskPolicy::kReset>(reward, kept, gamma, 0.0, behind);
    } else {
      here = discounted_step<MaskPolicy::kNone>(reward, kept, gamma, 0.0, behind);
    }
    out[static_cast<size_t>(t)] = static_cast<T>(here);
  }
}

template <class T>
void expect_plain_bits() {
  const Batch<T> batch = random_batch<T>(1);
  const std::pair<ScanKind, MaskPolicy> cases[] = {
      {ScanKind::kDiscounted, MaskPolicy::kCarry}, {ScanKind::kDiscounted, MaskPolicy::kZero},
      {ScanKind::kDiscounted, MaskPolicy::kNone},  {ScanKind::kDiscounted, MaskPolicy::kReset},
      {ScanKind::kAdvantage, MaskPolicy::kCarry},  {ScanKind::kAdvantage, MaskPolicy::kZero},
      {ScanKind::kAdvantage, MaskPolicy::kNone},   {ScanKind::kLeast, MaskPolicy::kCarry}};
  for (const auto& [kind, policy] : cases) {
    std::vector<T> out, returns;
    const ReturnScan<T> scan = scan_of(batch, kind, policy, out, returns);
    std::vector<T> expected = out, expected_returns = returns;
    for (int64_t row = 0; row < batch.rows(); ++row) {
      scan_plainly(scan, row, expected, expected_returns);
    }
    testing::for_each_setting([&](const std::string& setting) {
      scan_returns(scan);
      EXPECT(std::memcmp(out.data(), expected.data(), out.size() * sizeof(T)) == 0, setting,
             ": scan ", static_cast<int>(kind), " policy ", static_cast<int>(policy));
      EXPECT(std::memcmp(returns.data(), expected_returns.data(), out.size() * sizeof(T)) == 0,
             setting, ": returns, policy ", static_cast<int>(policy));
    });
  }
}

}  // namespace

TEST(float32_scans_have_the_bits_of_one_row_alone) {
  expect_plain_bits<float>();
}
TEST(float64_scans_have_the_bits_of_one_row_alone) {
  expect_plain_bits<double>();
}

TEST(several_callers_agree) {
  set_num_threads(3);
  const Batch<float> batch = random_batch<float>(2);
  std::vector<float> expected, returns;
  scan_returns(scan_of(batch, ScanKind::kAdvantage, MaskPolicy::kCarry, expected, returns));
  testing::from_several_callers([&] {
    std::vector<float> out, more;
    scan_returns(scan_of(batch, ScanKind::kAdvantage, MaskPolicy::kCarry, out, more));
    EXPECT(std::memcmp(out.data(), expected.data(), out.size() * sizeof(float)) == 0);
  });
}

TEST(a_return_by_hand) {
  Batch<double> batch;
  batch.offsets = {0, 6};
  batch.rewards = {0.1, 0, 0, 0, 0.2, 1};
  batch.values = batch.rewards;
  batch.mask = {1, 1, 0, 0, 1, 1};
  batch.steps = {0, 1, 0, 0, 0, 1};
  std::vector<double> out, returns;
  ReturnScan<double> scan = scan_of(batch, ScanKind::kDiscounted, MaskPolicy::kCarry, out, returns);
  scan.gamma.value = 0.9;
  scan_returns(scan);
  const double expected[] = {0.991, 0.99, 0, 0, 1.1, 1};
  for (size_t t = 0; t < 6; ++t) EXPECT(std::fabs(out[t] - expected[t]) < 1e-15, t, ": ", out[t]);
}

TEST(the_first_fault_is_named) {
  for (const int threads : {1, 7}) {
    set_num_threads(threads);
    std::vector<float> out, returns;
    const auto with = [&](const std::function<void(Batch<float>&)>& spoil, ScanKind kind) {
      Batch<float> batch = random_batch<float>(3);
      spoil(batch);
      ReturnScan<float> scan = scan_of(batch, kind, MaskPolicy::kCarry, out, returns);
      scan.empty_error = true;
      scan_returns(scan);
    };
    const auto nans = [](Batch<float>& batch) {
      for (const size_t t : {500u, 300u}) {
        batch.rewards[t] = static_cast<float>(kNaN);
        batch.mask[t] = 1;
      }
    };
    EXPECT_FAULT(with(nans, ScanKind::kDiscounted),
                 "discounted_return: rewards[300] (row 5) is NaN");
    EXPECT_FAULT(with(nans, ScanKind::kAdvantage), "gae: rewards[300] (row 5) is NaN");
    const auto value = [](Batch<float>& batch) { batch.values[70] = static_cast<float>(kNaN); };
    EXPECT_FAULT(with(value, ScanKind::kAdvantage), "gae: values[70] (row 3) is NaN");
    const auto two = [](Batch<float>& batch) { batch.mask[130] = 2; };
    EXPECT_FAULT(with(two, ScanKind::kDiscounted), "mask[130] (row 4) must be 0 or 1");
    const auto beyond = [](Batch<float>& batch) {
      for (size_t t = 0; t < batch.steps.size(); ++t) batch.steps[t] = batch.mask[t];
      batch.mask[200] = 0;
      batch.steps[200] = 1;
    };
    EXPECT_FAULT(with(beyond, ScanKind::kLeast), "step_mask[200] (row 5) ends a step where mask");
    const auto none = [](Batch<float>& batch) {
      for (size_t t = 0; t < batch.steps.size(); ++t) batch.steps[t] = batch.mask[t];
      batch.mask[392] = 1;
      batch.steps[392] = 0;
    };
    EXPECT_FAULT(with(none, ScanKind::kLeast), "step_mask[392] (row 5) has no step end");
  }
}

TEST(targets_by_hand) {
  const std::vector<double> rewards = {0.1, 9, 0.2, 0.3}, values = {0.5, 9, 0.6, 0.7};
  const std::vector<uint8_t> mask = {1, 0, 1, 1};
  std::vector<double> out(4);
  TargetScan<double> scan;
  scan.rows = {1, 4, 4, nullptr};
  scan.rewards = {rewards.data(), 4};
  scan.values = {values.data(), 4};
  scan.mask = {mask.data(), DType::kBool, 4};
  scan.gamma.value = 0.5;
  scan.n = 2;
  scan.high = 0.36;
  scan.out = {out.data(), 4};
  td_targets(scan);
  const double expected[] = {0.1 + 0.5 * (0.2 + 0.5 * 0.7), 0, 0.2 + 0.5 * 0.3, 0.3};
  for (size_t t = 0; t < 4; ++t) {
    EXPECT(std::fabs(out[t] - std::min(expected[t], 0.36)) < 1e-15, t, ": ", out[t]);
  }
}
