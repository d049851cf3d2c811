#include "stepscore/vote.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>

#include "testing.h"

using namespace stepscore;

namespace {

const double kInf = std::numeric_limits<double>::infinity();
const std::vector<Rule> kThree = {Rule::kMajority, Rule::kWeighted, Rule::kBestOfN};

// By the scores that they can use: any finite ones, shares, numbers of at most 0, several columns.
const std::vector<Rule> kAnyScores = {Rule::kMajority,
                                      Rule::kWeighted,
                                      Rule::kWeightedMean,
                                      Rule::kBestOfN,
                                      Rule::kMinmaxWeighted,
                                      Rule::kSoftmaxWeighted,
                                      Rule::kBorda,
                                      Rule::kHybridMajorityReward,
                                      Rule::kWeightedRewardFrequency,
                                      Rule::kPareto,
                                      Rule::kMultiObjective};
const std::vector<Rule> kShares = {Rule::kLogoddsWeighted, Rule::kLoglikWeighted,
                                   Rule::kWeightedRewardFrequency, Rule::kBorda};
const std::vector<Rule> kAtMostZero = {Rule::kConfidenceWeighted, Rule::kWeightedMean};
const std::vector<Rule> kManyColumns = {Rule::kMajority, Rule::kPareto, Rule::kMultiObjective};

struct Election {
  std::vector<int64_t> ids;
  std::vector<double> scores;
  std::vector<int64_t> offsets;
  Ties ties = Ties::kFirst;
  bool drop_nan = false;
  int64_t columns = 1;
  std::vector<Rule> rules = kThree;
  VoteParameters parameters = {};
  std::vector<int64_t> prefixes = {};

  int64_t problems() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t rule_count() const { return static_cast<int64_t>(rules.size()); }
  int64_t prefix_count() const {
    return std::max<int64_t>(1, static_cast<int64_t>(prefixes.size()));
  }
  size_t place(int64_t item, int64_t rule, int64_t prefix) const {
    return static_cast<size_t>((item * rule_count() + rule) * prefix_count() + prefix);
  }
  double score(int64_t i, int64_t s = 0) const {
    return scores[static_cast<size_t>(i * columns + s)];
  }
};

struct Outcome {
  int64_t winner = kNoWinner;
  int64_t answer_id = kNoAnswer;
  double score = kNaN;
  bool tied = false;
  double margin = kNaN;
};

bool same(double a, double b) {
  return (a != a && b != b) || std::memcmp(&a, &b, sizeof(a)) == 0;
}
bool operator==(const Outcome& a, const Outcome& b) {
  return a.winner == b.winner && a.answer_id == b.answer_id && same(a.score, b.score) &&
         a.tied == b.tied && same(a.margin, b.margin);
}

struct Outcomes {
  std::vector<Outcome> votes;        // [problems, rules, prefixes]
  std::vector<double> class_scores;  // [n, rules, prefixes]
};
bool operator==(const Outcomes& a, const Outcomes& b) {
  return a.votes == b.votes && std::equal(a.class_scores.begin(), a.class_scores.end(),
                                          b.class_scores.begin(), b.class_scores.end(), same);
}

Outcomes run(const Election& election) {
  const size_t size = election.place(election.problems(), 0, 0);
  const size_t by_candidate = election.place(election.offsets.back(), 0, 0);
  std::vector<int64_t> winner(size), answer_id(size);
  std::vector<double> score(size), margin(size), class_scores(by_candidate);
  const auto tied = std::make_unique<bool[]>(size);
  const Ballot ballot{election.ids.empty() ? nullptr : election.ids.data(),
                      election.scores.empty() ? nullptr : election.scores.data(),
                      election.offsets.data(),
                      election.problems(),
                      election.ties,
                      election.drop_nan,
                      election.columns,
                      election.prefixes.empty() ? nullptr : election.prefixes.data(),
                      election.prefix_count()};
  vote(ballot, {election.rules.data(), election.rule_count(), election.parameters},
       {winner.data(), answer_id.data(), score.data(), tied.get(), margin.data(),
        class_scores.data()});
  Outcomes outcomes{{}, class_scores};
  for (size_t i = 0; i < size; ++i) {
    outcomes.votes.push_back({winner[i], answer_id[i], score[i], tied[i], margin[i]});
  }
  return outcomes;
}

// --- the dictionary ----------------------------------------------------------------------------

using Members = std::vector<int64_t>;

// The candidates of a problem's first `prefix` that take part, and what the answers reach: plain
// formulas, with the exp and log of the C library.
class Dictionary {
 public:
  Dictionary(const Election& election, int64_t problem, int64_t prefix)
      : election_(election), given_(election.parameters) {
    const size_t p = static_cast<size_t>(problem);
    const int64_t begin = election.offsets[p];
    const int64_t end = std::min(election.offsets[p + 1], begin + prefix);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t id = election.ids[static_cast<size_t>(i)];
      bool missing = false;
      for (int64_t s = 0; s < election.columns; ++s) missing |= std::isnan(election.score(i, s));
      if (id == kNoAnswer || missing) continue;
      if (members_[id].empty()) order_.push_back(id);
      members_[id].push_back(i);
      voters_.push_back(i);
    }
  }

  const std::vector<int64_t>& order() const { return order_; }
  const Members& members(int64_t id) const { return members_.at(id); }
  const Members& voters() const { return voters_; }

  int64_t best_of(int64_t id) const {
    int64_t best = members(id)[0];
    for (const int64_t i : members(id)) best = v(i) > v(best) ? i : best;
    return best;
  }

  // What every answer reaches, in the order of their first candidates.
  std::map<int64_t, double> totals(Rule rule) const {
    const double voters = static_cast<double>(voters_.size());
    switch (rule) {
      case Rule::kMajority:
        return by_class([&](int64_t id) { return count(id); });
      case Rule::kWeighted:
        return by_class([&](int64_t id) { return sum(id); });
      case Rule::kWeightedMean:
        return by_class([&](int64_t id) { return sum(id) / count(id); });
      case Rule::kBestOfN:
        return by_class([&](int64_t id) { return v(best_of(id)); });
      case Rule::kMinmaxWeighted:
        return sums([&](int64_t i) { return share(v(i), low(0), high(0)); });
      case Rule::kSoftmaxWeighted: {
        auto powers =
            sums([&](int64_t i) { return std::exp((v(i) - high(0)) / given_.temperature); });
        double total = 0.0;
        for (const int64_t id : order_) total += powers[id];
        for (auto& [id, power] : powers) power /= total;
        return powers;
      }
      case Rule::kLogoddsWeighted:
        return sums([&](int64_t i) { return odds(i); });
      case Rule::kLoglikWeighted:
        return sums([&](int64_t i) { return odds(i) + given_.loglik_constant; });
      case Rule::kConfidenceWeighted:
        return sums([&](int64_t i) { return std::exp(v(i)); });
      case Rule::kBorda:
        return sums([&](int64_t i) { return std::pow(points(i), given_.power); });
      case Rule::kHybridMajorityReward:
        return by_class([&](int64_t id) {
          if (consensus()) return count(id);
          if (given_.reward == Reward::kMax) return v(best_of(id));
          return given_.reward == Reward::kMean ? sum(id) / count(id) : sum(id);
        });
      case Rule::kWeightedRewardFrequency: {
        double total = 0.0, lowest = kInf, highest = -kInf;
        for (const int64_t id : order_) {
          const double mean = sum(id) / count(id);
          total += mean;
          lowest = std::min(lowest, mean);
          highest = std::max(highest, mean);
        }
        return by_class([&](int64_t id) {
          const double mean = sum(id) / count(id);
          const double uniform = 1.0 / static_cast<double>(order_.size());
          const double reward = given_.normalize == Normalize::kMinmax
                                    ? share(mean, lowest, highest)
                                    : (total > 0.0 ? mean / total : uniform);
          const double w = given_.reward_weight;
          return w * reward + (1.0 - w) * (count(id) / voters);
        });
      }
      case Rule::kPareto:
        return sums([&](int64_t i) {
          return std::none_of(voters_.begin(), voters_.end(),
                              [&](int64_t j) { return beats(j, i); })
                     ? 1.0
                     : 0.0;
        });
      case Rule::kMultiObjective:
        return sums([&](int64_t i) {
          double sum = 0.0;
          for (int64_t s = 0; s < election_.columns; ++s) {
            const double x = election_.score(i, s);
            sum += given_.objective_weights[s] *
                   (given_.scale == Scale::kMinmax ? share(x, low(s), high(s)) : x);
          }
          return sum;
        });
    }
    return {};
  }

  bool shows_best(Rule rule) const {
    return rule == Rule::kBestOfN || rule == Rule::kMinmaxWeighted ||
           (rule == Rule::kHybridMajorityReward && !consensus() && given_.reward == Reward::kMax);
  }

 private:
  using Weight = std::function<double(int64_t)>;

  double v(int64_t i) const { return election_.columns == 1 ? election_.score(i) : 0.0; }
  double count(int64_t id) const { return static_cast<double>(members(id).size()); }
  double sum(int64_t id) const {
    double total = 0.0;
    for (const int64_t i : members(id)) total += v(i);
    return total;
  }
  std::map<int64_t, double> by_class(const Weight& total_of) const {
    std::map<int64_t, double> totals;
    for (const int64_t id : order_) totals[id] = total_of(id);
    return totals;
  }
  std::map<int64_t, double> sums(const Weight& weight) const {
    return by_class([&](int64_t id) {
      double total = 0.0;
      for (const int64_t i : members(id)) total += weight(i);
      return total;
    });
  }
  double low(int64_t s) const {
    double lowest = kInf;
    for (const int64_t i : voters_) lowest = std::min(lowest, election_.score(i, s));
    return lowest;
  }
  double high(int64_t s) const {
    double highest = -kInf;
    for (const int64_t i : voters_) highest = std::max(highest, election_.score(i, s));
    return highest;
  }
  static double share(double value, double lowest, double highest) {
    if (highest <= lowest) return 1.0;
    return (0.5 * value - 0.5 * lowest) / (0.5 * highest - 0.5 * lowest);
  }
  double odds(int64_t i) const {
    const double p = std::clamp(v(i), given_.eps, 1.0 - given_.eps);
    return std::log(p / (1.0 - p));
  }
  double points(int64_t i) const {
    double found = 0.0;
    for (const int64_t j : voters_) found += v(j) < v(i) ? 1.0 : v(j) == v(i) && j != i ? 0.5 : 0.0;
    return found;
  }
  bool beats(int64_t a, int64_t b) const {
    bool worse = false, better = false;
    for (int64_t s = 0; s < election_.columns; ++s) {
      worse |= election_.score(a, s) < election_.score(b, s);
      better |= election_.score(a, s) > election_.score(b, s);
    }
    return better && !worse;
  }
  bool consensus() const {
    const double voters = static_cast<double>(voters_.size());
    double most = 0.0, entropy = 0.0;
    for (const int64_t id : order_) {
      most = std::max(most, count(id) / voters);
      entropy -= count(id) / voters * std::log(count(id) / voters);
    }
    if (given_.consensus == Consensus::kShare) return most >= given_.tau;
    return order_.size() == 1 ||
           entropy / std::log(static_cast<double>(order_.size())) <= given_.tau;
  }

  const Election& election_;
  const VoteParameters& given_;
  std::vector<int64_t> order_;  // answers as they were seen
  std::map<int64_t, Members> members_;
  Members voters_;
};

// Rules of exp and log are close to the dictionary, the others have its bits.
bool is_rational(Rule rule) {
  return rule != Rule::kSoftmaxWeighted && rule != Rule::kLogoddsWeighted &&
         rule != Rule::kLoglikWeighted && rule != Rule::kConfidenceWeighted;
}

Outcome decided(const Election& election, const Dictionary& dictionary, Rule rule) {
  const std::map<int64_t, double> totals = dictionary.totals(rule);
  if (totals.empty()) return {};
  std::optional<int64_t> won;
  for (const int64_t id : dictionary.order()) {
    const bool above = !won || totals.at(id) > totals.at(*won);
    const bool tie = won && totals.at(id) == totals.at(*won);
    const bool by_score =
        election.ties == Ties::kBestScore && tie &&
        election.score(dictionary.best_of(id)) > election.score(dictionary.best_of(*won));
    if (above || by_score) won = id;
  }
  const double lead = totals.at(*won);
  double second = -kInf;
  for (const auto& [id, total] : totals) second = id == *won ? second : std::max(second, total);
  const bool alone = totals.size() == 1;
  const bool by_best = dictionary.shows_best(rule);
  return {by_best ? dictionary.best_of(*won) : dictionary.members(*won)[0], *won, lead,
          !alone && second == lead,
          alone            ? kInf
          : second == lead ? 0.0
                           : lead - second};
}

bool close(double a, double b, double scale) {
  return a == b || std::abs(a - b) <= 1e-12 * (1.0 + std::abs(scale));
}

// With rounding in play, any answer that reaches the highest total may win.
void expect_close(const Outcome& got, const Outcome& expected, const Dictionary& dictionary,
                  Rule rule, double scale) {
  EXPECT(close(got.score, expected.score, scale) && close(got.margin, expected.margin, scale),
         kRuleNames[static_cast<size_t>(rule)], " gives ", got.score, " by ", got.margin, ", not ",
         expected.score, " by ", expected.margin);
  EXPECT(got.tied == (got.margin == 0.0));
  const double reached = dictionary.totals(rule).at(got.answer_id);
  EXPECT(close(reached, expected.score, scale));
  EXPECT(got.winner == dictionary.members(got.answer_id)[0]);
}

void expect_dictionary(const Election& election, const std::string& what) {
  const Outcomes got = run(election);
  for (int64_t p = 0; p < election.problems(); ++p) {
    for (int64_t f = 0; f < election.prefix_count(); ++f) {
      const int64_t all = std::numeric_limits<int32_t>::max();
      const int64_t prefix =
          election.prefixes.empty() ? all : election.prefixes[static_cast<size_t>(f)];
      const Dictionary dictionary(election, p, prefix);
      for (int64_t r = 0; r < election.rule_count(); ++r) {
        const Rule rule = election.rules[static_cast<size_t>(r)];
        const Outcome& outcome = got.votes[election.place(p, r, f)];
        const Outcome expected = decided(election, dictionary, rule);
        const std::map<int64_t, double> totals = dictionary.totals(rule);
        double scale = static_cast<double>(totals.size());
        for (const auto& [id, total] : totals) scale = std::max(scale, std::abs(total));
        if (is_rational(rule) || totals.empty()) {
          EXPECT(outcome == expected, what, ", problem ", p, ", prefix ", prefix, ": ",
                 kRuleNames[static_cast<size_t>(rule)], " elects ", outcome.winner, " with ",
                 outcome.score, ", not ", expected.winner, " with ", expected.score);
        } else {
          expect_close(outcome, expected, dictionary, rule, scale);
        }
        std::map<int64_t, double> reached;  // of the candidates
        for (const auto& [id, total] : totals) {
          for (const int64_t i : dictionary.members(id)) reached[i] = total;
        }
        const size_t at = static_cast<size_t>(p);
        for (int64_t i = election.offsets[at]; i < election.offsets[at + 1]; ++i) {
          const double given = got.class_scores[election.place(i, r, f)];
          const bool takes_part = reached.contains(i);
          EXPECT(takes_part ? (is_rational(rule) ? same(given, reached[i])
                                                 : close(given, reached[i], scale))
                            : std::isnan(given),
                 what, ": class_scores of ", i);
        }
      }
    }
  }
}

// --- elections ---------------------------------------------------------------------------------

// Ids and scores of few values, for ties; half of the elections have scores whose sums depend on
// the order instead.
Election random_election(uint64_t seed, int problems, uint64_t most, double low = -0.5,
                         double high = 0.5, int64_t columns = 1) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform(low, high);
  Election election;
  election.offsets = {0};
  election.drop_nan = true;
  election.columns = columns;
  for (int p = 0; p < problems; ++p) {
    const uint64_t size = random() % (most + 1), spread = random() % 6 + 1;
    const int shift = random() % 3 == 0 ? 55 : 0;  // sparse ids
    for (uint64_t i = 0; i < size; ++i) {
      const int64_t id = static_cast<int64_t>(random() % spread << shift);
      election.ids.push_back(random() % 9 == 0 ? kNoAnswer : id);
      for (int64_t s = 0; s < columns; ++s) {
        const double few = low + (high - low) * static_cast<double>(random() % 9) / 8.0;
        const double score = seed % 2 == 0 ? few : uniform(random);
        election.scores.push_back(random() % 20 == 0 ? kNaN : score);
      }
    }
    election.offsets.push_back(static_cast<int64_t>(election.ids.size()));
  }
  return election;
}

// Other parameters for every `turn`; all choices in six.
VoteParameters parameters_of(int turn) {
  VoteParameters given;
  given.temperature = turn % 2 == 0 ? 0.1 : 3.0;
  given.eps = turn % 2 == 0 ? 1e-7 : 0.2;
  given.loglik_constant = loglik_constant(0.4, turn % 2 == 0 ? 0.9 : 0.2, 5);
  given.power = 1 + turn % 3;
  given.tau = turn % 2 == 0 ? 0.4 : 0.85;
  given.consensus = turn % 2 == 0 ? Consensus::kShare : Consensus::kEntropy;
  given.reward = static_cast<Reward>(turn % 3);
  given.reward_weight = turn % 2 == 0 ? 0.3 : 1.0;
  given.normalize = static_cast<Normalize>(turn / 2 % 2);
  given.scale = static_cast<Scale>((turn + 1) % 2);
  for (int s = 0; s < kMaxObjectives; ++s) given.objective_weights[s] = (s + turn) % 5 / 2.0 - 0.75;
  return given;
}
constexpr int kTurns = 6;

// The scores of weighted_reward_frequency may not be negative under normalize="sum".
double lowest_score(const VoteParameters& given) {
  return given.normalize == Normalize::kSum ? 0.0 : -0.5;
}

}  // namespace

TEST(any_election_is_the_dictionary) {
  for (uint64_t seed = 0; seed < 24; ++seed) {
    const VoteParameters given = parameters_of(static_cast<int>(seed) % kTurns);
    // More than 256 voters are sorted for their ranks, fewer compared.
    const bool large = seed >= 20;
    Election election =
        random_election(seed * 7, large ? 2 : 60, large ? 600 : 20, lowest_score(given), 0.5);
    election.rules = kAnyScores;
    election.parameters = given;
    for (const Ties ties : {Ties::kFirst, Ties::kBestScore}) {
      election.ties = ties;
      expect_dictionary(election, message("seed ", seed));
    }
  }
}

TEST(elections_by_shares_and_by_log_probabilities_are_the_dictionary) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    Election election = random_election(seed, 60, 20, 0.0, 1.0);
    election.parameters = parameters_of(static_cast<int>(seed) % kTurns);
    election.rules = kShares;
    expect_dictionary(election, message("shares, seed ", seed));
    election = random_election(seed, 60, 20, -3.0, 0.0);
    election.rules = kAtMostZero;
    expect_dictionary(election, message("log probabilities, seed ", seed));
  }
}

TEST(elections_with_several_columns_are_the_dictionary) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    for (const int64_t columns : {2, 3, 16}) {
      Election election = random_election(seed, 20, 15, -0.5, 0.5, columns);
      election.parameters = parameters_of(static_cast<int>(seed) % kTurns);
      election.rules = kManyColumns;
      election.prefixes = {1, 4, 9, 30};
      expect_dictionary(election, message(columns, " columns, seed ", seed));
    }
  }
}

TEST(a_prefix_is_an_election_of_its_first_candidates) {
  for (int turn = 0; turn < kTurns; ++turn) {
    for (const std::vector<Rule>& rules : {kAnyScores, kShares, kAtMostZero}) {
      const VoteParameters given = parameters_of(turn);
      const double low = rules == kAtMostZero ? -2.0 : rules == kShares ? 0.0 : lowest_score(given);
      const double high = rules == kAtMostZero ? 0.0 : rules == kShares ? 1.0 : 0.5;
      // Beyond 256 voters the whole election sorts what its first candidates alone compare.
      Election whole = random_election(static_cast<uint64_t>(turn), 8, 700, low, high);
      whole.rules = rules;
      whole.parameters = given;
      whole.ties = turn % 2 == 0 ? Ties::kFirst : Ties::kBestScore;
      whole.prefixes = {1, 2, 3, 7, 50, 200, 300, 1000};
      const Outcomes together = run(whole);
      for (int64_t f = 0; f < whole.prefix_count(); ++f) {
        Election first = whole;
        first.prefixes.clear();
        first.ids.clear();
        first.scores.clear();
        first.offsets = {0};
        std::vector<int64_t> kept;  // the candidates of `whole`
        for (size_t p = 0; p + 1 < whole.offsets.size(); ++p) {
          const int64_t begin = whole.offsets[p];
          const int64_t end =
              std::min(whole.offsets[p + 1], begin + whole.prefixes[static_cast<size_t>(f)]);
          for (int64_t i = begin; i < end; ++i) {
            kept.push_back(i);
            first.ids.push_back(whole.ids[static_cast<size_t>(i)]);
            first.scores.push_back(whole.score(i));
          }
          first.offsets.push_back(static_cast<int64_t>(kept.size()));
        }
        const Outcomes alone = run(first);
        for (int64_t r = 0; r < whole.rule_count(); ++r) {
          for (int64_t p = 0; p < whole.problems(); ++p) {
            Outcome expected = alone.votes[first.place(p, r, 0)];
            if (expected.winner >= 0) expected.winner = kept[static_cast<size_t>(expected.winner)];
            EXPECT(together.votes[whole.place(p, r, f)] == expected, "turn ", turn, ", prefix ", f,
                   ", ", kRuleNames[static_cast<size_t>(rules[static_cast<size_t>(r)])]);
          }
          for (size_t k = 0; k < kept.size(); ++k) {
            EXPECT(same(together.class_scores[whole.place(kept[k], r, f)],
                        alone.class_scores[first.place(static_cast<int64_t>(k), r, 0)]));
          }
        }
      }
    }
  }
}

TEST(levels_and_threads_agree) {
  for (int turn = 0; turn < kTurns; ++turn) {
    for (const std::vector<Rule>& rules : {kAnyScores, kShares}) {
      const uint64_t seed = 99 + static_cast<uint64_t>(turn);
      Election election = random_election(seed, 300, turn == 0 ? 300 : 15, 0.0, 1.0);
      election.rules = rules;
      election.parameters = parameters_of(turn);
      election.prefixes = {1, 3, 8, 200};
      simd::set_level("baseline");
      const Outcomes expected = run(election);
      testing::for_each_setting(
          [&](const std::string& setting) { EXPECT(run(election) == expected, setting); });
    }
  }
}

TEST(several_callers_agree) {
  set_num_threads(3);
  Election election = random_election(98, 1000, 10);
  election.rules = kAnyScores;
  const Outcomes expected = run(election);
  testing::from_several_callers([&] { EXPECT(run(election) == expected); });
}

TEST(ids_may_be_anything_from_zero) {
  const int64_t big = std::numeric_limits<int64_t>::max();
  const Election election{{big, 0, big, int64_t{1} << 62}, {1, 2, 3, 4}, {0, 4}};
  const std::vector<Outcome> got = run(election).votes;
  EXPECT((got[0] == Outcome{0, big, 2.0, false, 1.0}));
  EXPECT((got[1] == Outcome{0, big, 4.0, true, 0.0}));
  EXPECT((got[2] == Outcome{3, int64_t{1} << 62, 4.0, false, 1.0}));
}

TEST(without_ids_every_candidate_stands_alone) {
  const std::vector<Outcome> got = run({{}, {0.25, 0.75, 0.5, 0.5}, {0, 2, 4}}).votes;
  EXPECT((got[0] == Outcome{0, 0, 1.0, true, 0.0}));
  EXPECT((got[1] == Outcome{1, 1, 0.75, false, 0.5}));
  EXPECT((got[5] == Outcome{2, 0, 0.5, true, 0.0}));
}

TEST(majority_needs_no_scores) {
  Election election{{4, 2, 2}, {}, {0, 3}};
  EXPECT_FAULT(run(election), "vote: scores may be None only when every rule is 'majority'");
  election.rules = {Rule::kMajority};
  EXPECT((run(election).votes[0] == Outcome{1, 2, 2.0, false, 1.0}));
  election.ties = Ties::kBestScore;
  EXPECT_FAULT(run(election), "vote: ties='best_score' needs scores");
}

TEST(nobody_wins_where_nobody_stands) {
  Election election{{-1, -1, 3}, {0.1, 0.2, kNaN}, {0, 0, 2, 3}};
  election.drop_nan = true;
  election.rules = kAnyScores;
  const Outcomes got = run(election);
  for (const Outcome& outcome : got.votes) EXPECT(outcome == Outcome{});
  for (const double score : got.class_scores) EXPECT(std::isnan(score));
  Election nothing{{}, {}, {0}};
  nothing.rules = {Rule::kMajority};
  EXPECT(run(nothing).votes.empty());
}

TEST(one_answer_leads_without_end) {
  Election election{{5, 5}, {0.5, -0.5}, {0, 2}};
  EXPECT((run(election).votes[0] == Outcome{0, 5, 2.0, false, kInf}));
  election.scores = {-kInf, -kInf};
  election.ids = {5, 6};
  election.rules = {Rule::kBestOfN};
  EXPECT((run(election).votes[0] == Outcome{0, 5, -kInf, true, 0.0}));
}

TEST(the_first_fault_is_named) {
  for (const int threads : {1, 7}) {
    set_num_threads(threads);
    Election election;
    election.offsets = {0};
    for (int64_t p = 1; p <= 1000; ++p) election.offsets.push_back(p * 10);
    election.ids.assign(10'000, 1);
    election.scores.assign(10'000, 0.5);
    election.scores[5001] = election.scores[9999] = kNaN;
    EXPECT_FAULT(run(election), "vote: scores[5001] is NaN");
    election.ids[3000] = -2;
    EXPECT_FAULT(run(election), "vote: answer_ids[3000] is -2");
    election.scores[2000] = kInf;
    EXPECT_FAULT(run(election), "vote: scores[2000] is inf");
    election.rules = {Rule::kMajority};
    EXPECT_FAULT(run(election), "vote: answer_ids[3000] is -2");
    election.rules = kThree;
    election.ids[3000] = election.ids[2000] = -1;
    EXPECT_FAULT(run(election), "vote: scores[5001] is NaN");
  }
}

TEST(scores_that_a_rule_cannot_use_are_named) {
  Election election{{1, 2}, {0.5, 1.5}, {0, 2}};
  election.rules = {Rule::kBorda, Rule::kLogoddsWeighted};
  EXPECT_FAULT(run(election), "vote: scores[1] is 1.5; the rule logodds_weighted needs scores in");
  election.rules = {Rule::kConfidenceWeighted};
  EXPECT_FAULT(run(election), "vote: scores[0] is 0.5; the rule confidence_weighted needs log");
  election.rules = {Rule::kWeightedRewardFrequency};
  election.scores = {0.5, -0.5};
  EXPECT(run(election).votes.size() == 1);
  election.parameters.normalize = Normalize::kSum;
  EXPECT_FAULT(run(election), "vote: scores[1] is -0.5; the rule weighted_reward_frequency needs");
  election.rules = kManyColumns;
  election.columns = 2;
  election.scores = {0.5, 0.5, 0.5, kInf};
  EXPECT_FAULT(run(election), "vote: scores[1, 1] is inf; the rule multi_objective needs finite");
}

TEST(parameters_out_of_range_are_named) {
  const auto with = [](auto change) {
    Election election{{1, 2}, {0.5, 0.25}, {0, 2}};
    change(election);
    run(election);
  };
  EXPECT_FAULT(with([](Election& e) { e.parameters.temperature = 0.0; }), "temperature must be");
  EXPECT_FAULT(with([](Election& e) { e.parameters.eps = 0.5; }), "eps must lie in");
  EXPECT_FAULT(with([](Election& e) { e.parameters.power = 17; }), "power must lie in [1, 16]");
  EXPECT_FAULT(with([](Election& e) { e.parameters.tau = kNaN; }), "tau must lie in [0, 1]");
  EXPECT_FAULT(with([](Election& e) { e.parameters.reward_weight = 2.0; }), "reward_weight must");
  EXPECT_FAULT(with([](Election& e) { e.parameters.objective_weights[3] = kInf; }),
               "objective_weights must be finite; got inf");
  EXPECT_FAULT(with([](Election& e) { e.prefixes = {2, 2}; }), "prefixes[1] is 2 after 2");
  EXPECT_FAULT(with([](Election& e) { e.prefixes = {0}; }), "prefixes[0] is 0");
  EXPECT_FAULT(with([](Election& e) { e.columns = 17; }), "scores must have 1 to 16 columns");
  EXPECT_FAULT(loglik_constant(0.0, 0.5, 2), "prior must lie between 0 and 1");
  EXPECT_FAULT(loglik_constant(0.5, 1.0, 2), "reliability must lie between 0 and 1");
  EXPECT_FAULT(loglik_constant(0.5, 0.5, 1), "answers must be at least 2");
}

// --- the arithmetic that both devices share, in the order of the kernel ------------------------

// The thread of an answer adds the later candidates to the first.
TEST(classes_walked_from_their_first_candidate_have_the_same_sums) {
  Election election = random_election(9, 1, 0);
  std::mt19937_64 random(9);
  std::uniform_real_distribution<double> uniform(-1.0, 1.0);
  election.offsets = {0, 70};
  election.drop_nan = false;
  for (int i = 0; i < 70; ++i) {
    election.ids.push_back(static_cast<int64_t>(random() % 4));
    election.scores.push_back(uniform(random));
  }
  const Outcomes expected = run(election);
  for (int64_t i = 0; i < 70; ++i) {
    const auto id = [&](int64_t j) { return election.ids[static_cast<size_t>(j)]; };
    int64_t first = 0;
    while (id(first) != id(i)) ++first;
    AnswerClass answer = class_of(id(i), first, election.score(first));
    for (int64_t j = first + 1; j < 70; ++j) {
      if (id(j) == id(i)) add_candidate(answer, j, election.score(j));
    }
    for (int64_t r = 0; r < election.rule_count(); ++r) {
      const double reached =
          class_score(election.rules[static_cast<size_t>(r)], answer, 0.0, {}, {});
      EXPECT(same(reached, expected.class_scores[election.place(i, r, 0)]));
    }
  }
}

// Lanes tally one class each, and add up the parts.
TEST(classes_tallied_one_by_one_add_up_to_the_same_tally) {
  std::mt19937_64 random(4);
  std::uniform_real_distribution<double> uniform(-1.0, 1.0);
  for (int turn = 0; turn < kTurns; ++turn) {
    for (const Rule rule :
         {Rule::kSoftmaxWeighted, Rule::kHybridMajorityReward, Rule::kWeightedRewardFrequency}) {
      const VoteParameters given = parameters_of(turn);
      Tally whole{100, 20}, parts{100, 20};
      for (int c = 0; c < 20; ++c) {
        AnswerClass answer = class_of(c, c, uniform(random));
        for (uint64_t k = random() % 9; k > 0; --k) add_candidate(answer, c, uniform(random));
        const double weight = uniform(random);
        add_class(rule, answer, weight, given, whole);
        Tally part{100, 20};
        add_class(rule, answer, weight, given, part);
        parts.total += part.total;
        parts.entropy += part.entropy;
      }
      EXPECT(same(parts.total, whole.total) && same(parts.entropy, whole.entropy));
    }
  }
}

TEST(the_sum_of_negative_zeros_is_zero_on_both_devices) {
  const Election election{{3}, {-0.0}, {0, 1}};
  EXPECT(!std::signbit(run(election).votes[1].score));
  EXPECT(!std::signbit(class_score(Rule::kWeighted, class_of(3, 0, -0.0), 0.0, {}, {})));
}
