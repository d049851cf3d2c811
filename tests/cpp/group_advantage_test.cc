#include "stepscore/group_advantage.h"

#include <cmath>
#include <cstring>
#include <random>

#include "testing.h"

using namespace stepscore;

namespace {

std::vector<double> run(const std::vector<double>& rewards, const std::vector<int64_t>& groups,
                        const GroupOptions& options = {}) {
  std::vector<double> differences(rewards.size()), out(rewards.size());
  group_advantage(rewards.data(), groups.data(), static_cast<int64_t>(rewards.size()), options,
                  differences.data(), out.data());
  return out;
}

GroupOptions with(Baseline baseline, Spread spread) {
  GroupOptions options;
  options.baseline = baseline;
  options.spread = spread;
  return options;
}

void expect_close(const std::vector<double>& got, const std::vector<double>& expected) {
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT(std::fabs(got[i] - expected[i]) < 5e-7, i, ": ", got[i], ", not ", expected[i]);
  }
}

}  // namespace

TEST(a_group_of_four) {
  const std::vector<double> rewards = {1, 0, 0, 1};
  const std::vector<int64_t> groups(4, 3);
  expect_close(run(rewards, groups), {0.866024, -0.866024, -0.866024, 0.866024});
  expect_close(run(rewards, groups, with(Baseline::kLeaveOneOut, Spread::kNone)),
               {2.0 / 3, -2.0 / 3, -2.0 / 3, 2.0 / 3});
  expect_close(run(rewards, groups, with(Baseline::kLeaveOneOut, Spread::kLeaveOneOut)),
               {1.154699, -1.154699, -1.154699, 1.154699});
}

TEST(a_group_is_what_it_is_alone) {
  std::mt19937_64 random(1);
  std::normal_distribution<double> number;
  std::vector<double> rewards;
  std::vector<int64_t> groups;
  for (int i = 0; i < 3000; ++i) {
    rewards.push_back(number(random));
    groups.push_back(static_cast<int64_t>(random() % 400));
  }
  for (const Spread spread : {Spread::kStd, Spread::kLeaveOneOut, Spread::kNone}) {
    std::vector<double> expected;
    testing::for_each_setting([&](const std::string& setting) {
      const std::vector<double> got = run(rewards, groups, with(Baseline::kMean, spread));
      if (expected.empty()) expected = got;
      EXPECT(std::memcmp(got.data(), expected.data(), got.size() * sizeof(double)) == 0, setting);
    });
    for (const int64_t group : {0, 17, 399}) {
      std::vector<double> own, whole;
      for (size_t i = 0; i < rewards.size(); ++i) {
        if (groups[i] != group) continue;
        own.push_back(rewards[i]);
        whole.push_back(expected[i]);
      }
      const std::vector<int64_t> zeros(own.size(), 0);
      const std::vector<double> alone = run(own, zeros, with(Baseline::kMean, spread));
      EXPECT(alone == whole, "group ", group);
    }
  }
}

TEST(several_callers_agree) {
  set_num_threads(3);
  const std::vector<double> rewards = {1, 4, 2, 8, 5, 7};
  const std::vector<int64_t> groups = {2, 0, 2, 1, 0, 1};
  const std::vector<double> expected = run(rewards, groups, with(Baseline::kMean, Spread::kBatch));
  testing::from_several_callers(
      [&] { EXPECT(run(rewards, groups, with(Baseline::kMean, Spread::kBatch)) == expected); });
}

TEST(the_first_rollout_at_fault_is_named) {
  for (const int threads : {1, 7}) {
    set_num_threads(threads);
    const std::vector<int64_t> groups = {5, 5, 3, 3, 9};
    EXPECT_FAULT(run({1, kNaN, 1, kNaN, 1}, groups), "group_advantage: rewards[1] is NaN");
    EXPECT_FAULT(run({1, 2, kInfinity, 1, 1}, groups), "rewards[2] is inf");
    EXPECT_FAULT(run({1, 2}, {0, -4}), "groups[1] is -4; number the groups from 0");
    GroupOptions options;
    options.singleton = Singleton::kError;
    EXPECT_FAULT(run({1, 2, 3, 4, 5}, groups, options), "rollout 4 is alone in group 9");
    options.group_size = 2;
    EXPECT_FAULT(run({1, 2, 3, 4, 5}, groups, options), "group 9 has 1 of the 2 rollouts");
  }
}
