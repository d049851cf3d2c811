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
#include "vote/rules.h"

using namespace stepscore;

namespace {

const double kInf = std::numeric_limits<double>::infinity();
const std::vector<RuleKind> kThree = {RuleKind::kMajority, RuleKind::kWeighted, RuleKind::kBestOfN};

// By the scores that they can use: any finite ones, shares, numbers of at most 0, several columns.
const std::vector<RuleKind> kAnyScores = {RuleKind::kMajority,
                                          RuleKind::kWeighted,
                                          RuleKind::kWeightedMean,
                                          RuleKind::kBestOfN,
                                          RuleKind::kMinmaxWeighted,
                                          RuleKind::kSoftmaxWeighted,
                                          RuleKind::kBorda,
                                          RuleKind::kHybridMajorityReward,
                                          RuleKind::kWeightedRewardFrequency,
                                          RuleKind::kPareto,
                                          RuleKind::kMultiObjective};
const std::vector<RuleKind> kShares = {RuleKind::kLogoddsWeighted, RuleKind::kLoglikWeighted,
                                       RuleKind::kWeightedRewardFrequency, RuleKind::kBorda,
                                       RuleKind::kCrew};
const std::vector<RuleKind> kAtMostZero = {RuleKind::kConfidenceWeighted, RuleKind::kWeightedMean};

struct Election {
  std::vector<int64_t> ids;
  std::vector<double> scores;
  std::vector<int64_t> offsets;
  int64_t columns = 1;
  Ties ties = Ties::kFirst;
  bool drop_nan = false;
  Unfit unfit = Unfit::kError;
  std::vector<int64_t> prefixes = {};
  std::vector<RuleKind> kinds = kThree;  // each with the parameters that follow
  VoteParameters parameters = {};
  Objectives objectives = {};
  std::vector<Rule> more = {};  // behind them, with their own

  std::vector<Rule> rules() const {
    std::vector<Rule> made;
    for (const RuleKind kind : kinds) made.push_back({kind, parameters, objectives});
    made.insert(made.end(), more.begin(), more.end());
    return made;
  }
  int64_t problems() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t rule_count() const { return static_cast<int64_t>(kinds.size() + more.size()); }
  int64_t prefix_count() const {
    return std::max<int64_t>(1, static_cast<int64_t>(prefixes.size()));
  }
  size_t place(int64_t item, int64_t rule, int64_t prefix, int64_t column = 0) const {
    const int64_t row = (item * rule_count() + rule) * columns + column;
    return static_cast<size_t>(row * prefix_count() + prefix);
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
  std::vector<Outcome> votes;        // [problems, rules, columns, prefixes]
  std::vector<double> class_scores;  // [n, rules, columns, prefixes]
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
  const Ballot ballot{.answer_ids = election.ids.empty() ? nullptr : election.ids.data(),
                      .scores = election.scores.empty() ? nullptr : election.scores.data(),
                      .offsets = election.offsets.data(),
                      .problems = election.problems(),
                      .columns = election.columns,
                      .ties = election.ties,
                      .drop_nan = election.drop_nan,
                      .unfit = election.unfit,
                      .prefixes = election.prefixes.empty() ? nullptr : election.prefixes.data(),
                      .prefix_count = election.prefix_count()};
  const std::vector<Rule> rules = election.rules();
  vote(ballot, {rules.data(), election.rule_count()},
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

// The candidates of a problem's first `prefix` that take part under a rule in a column, and what
// the answers reach: plain formulas, with the exp and log of the C library.
class Dictionary {
 public:
  Dictionary(const Election& election, int64_t problem, int64_t prefix, const Rule& rule,
             int64_t column)
      : election_(election), rule_(rule), given_(rule.parameters) {
    if (reads_of(rule.kind) == Reads::kColumn) columns_ = {column};
    const bool together = reads_of(rule.kind) == Reads::kColumns;
    for (int64_t s = 0; together && s < columns_read(rule, election.columns); ++s) {
      columns_.push_back(column_read(rule, s));
    }
    const size_t p = static_cast<size_t>(problem);
    const int64_t begin = election.offsets[p];
    const ScoreRange range = range_of(rule);
    for (int64_t i = begin; i < election.offsets[p + 1]; ++i) {
      const int64_t id = election.ids[static_cast<size_t>(i)];
      bool missing = false, outside = false;
      for (const int64_t s : columns_) {
        missing |= std::isnan(election.score(i, s));
        outside |= election.score(i, s) < range.low || election.score(i, s) > range.high;
      }
      if (id == kNoAnswer || missing) continue;
      fits_ &= !outside;
      if (i >= begin + prefix) continue;
      if (members_[id].empty()) order_.push_back(id);
      members_[id].push_back(i);
      voters_.push_back(i);
    }
    if (fits_) return;
    order_.clear();
    members_.clear();
    voters_.clear();
  }

  const std::vector<int64_t>& order() const { return order_; }
  const Members& members(int64_t id) const { return members_.at(id); }
  const Members& voters() const { return voters_; }

  double tie_score(int64_t i) const { return v(i); }
  int64_t best_of(int64_t id) const {
    int64_t best = members(id)[0];
    for (const int64_t i : members(id)) best = v(i) > v(best) ? i : best;
    return best;
  }

  // What every answer reaches, in the order of their first candidates.
  std::map<int64_t, double> totals() const {
    const double voters = static_cast<double>(voters_.size());
    switch (rule_.kind) {
      case RuleKind::kMajority:
        return by_class([&](int64_t id) { return count(id); });
      case RuleKind::kWeighted:
        return by_class([&](int64_t id) { return sum(id); });
      case RuleKind::kWeightedMean:
        return by_class([&](int64_t id) { return sum(id) / count(id); });
      case RuleKind::kBestOfN:
      case RuleKind::kCrew:
        return by_class([&](int64_t id) { return v(best_of(id)); });
      case RuleKind::kMinmaxWeighted:
        return sums([&](int64_t i) { return share(v(i), low(0), high(0)); });
      case RuleKind::kSoftmaxWeighted: {
        auto powers =
            sums([&](int64_t i) { return std::exp((v(i) - high(0)) / given_.temperature); });
        double total = 0.0;
        for (const int64_t id : order_) total += powers[id];
        for (auto& [id, power] : powers) power /= total;
        return powers;
      }
      case RuleKind::kLogoddsWeighted:
        return sums([&](int64_t i) { return odds(i); });
      case RuleKind::kLoglikWeighted:
        return sums([&](int64_t i) { return odds(i) + given_.loglik_constant; });
      case RuleKind::kConfidenceWeighted:
        return sums([&](int64_t i) { return std::exp(v(i)); });
      case RuleKind::kBorda:
        return sums([&](int64_t i) { return std::pow(points(i), given_.power); });
      case RuleKind::kHybridMajorityReward:
        return by_class([&](int64_t id) {
          if (consensus()) return count(id);
          if (given_.reward == Reward::kMax) return v(best_of(id));
          return given_.reward == Reward::kMean ? sum(id) / count(id) : sum(id);
        });
      case RuleKind::kWeightedRewardFrequency: {
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
      case RuleKind::kPareto:
        return sums([&](int64_t i) {
          return std::none_of(voters_.begin(), voters_.end(),
                              [&](int64_t j) { return beats(j, i); })
                     ? 1.0
                     : 0.0;
        });
      case RuleKind::kMultiObjective:
        return sums([&](int64_t i) {
          double sum = 0.0;
          for (size_t s = 0; s < columns_.size(); ++s) {
            const double x = election_.score(i, columns_[s]);
            sum += rule_.objectives.weights[s] *
                   (given_.scale == Scale::kMinmax ? share(x, low(s), high(s)) : x);
          }
          return sum;
        });
    }
    return {};
  }

  // Whether the first candidate with the highest score wins, and its answer with it.
  bool is_argmax() const {
    const RuleKind rule = rule_.kind;
    return rule == RuleKind::kBestOfN || rule == RuleKind::kCrew ||
           (rule == RuleKind::kHybridMajorityReward && !consensus() &&
            given_.reward == Reward::kMax);
  }
  bool shows_best() const { return is_argmax() || rule_.kind == RuleKind::kMinmaxWeighted; }

 private:
  using Weight = std::function<double(int64_t)>;

  // Without a column at hand, what breaks a tie.
  double v(int64_t i) const {
    if (reads_of(rule_.kind) == Reads::kColumn) return election_.score(i, columns_[0]);
    if (election_.columns > 1 || election_.scores.empty()) return 0.0;
    return std::isnan(election_.score(i)) ? -kInf : election_.score(i);
  }
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
  double low(size_t s) const {
    double lowest = kInf;
    for (const int64_t i : voters_) lowest = std::min(lowest, election_.score(i, columns_[s]));
    return lowest;
  }
  double high(size_t s) const {
    double highest = -kInf;
    for (const int64_t i : voters_) highest = std::max(highest, election_.score(i, columns_[s]));
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
    for (const int64_t s : columns_) {
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
  const Rule& rule_;
  const VoteParameters& given_;
  std::vector<int64_t> columns_;  // that the rule reads
  bool fits_ = true;              // whether it can use all scores of the problem
  std::vector<int64_t> order_;    // answers as they were seen
  std::map<int64_t, Members> members_;
  Members voters_;
};

// Rules of exp and log are close to the dictionary, the others have its bits.
bool is_rational(RuleKind rule) {
  return rule != RuleKind::kSoftmaxWeighted && rule != RuleKind::kLogoddsWeighted &&
         rule != RuleKind::kLoglikWeighted && rule != RuleKind::kConfidenceWeighted;
}

Outcome decided(const Election& election, const Dictionary& dictionary) {
  const std::map<int64_t, double> totals = dictionary.totals();
  if (totals.empty()) return {};
  std::optional<int64_t> won;
  for (const int64_t id : dictionary.order()) {
    const bool above = !won || totals.at(id) > totals.at(*won);
    const bool tie = won && totals.at(id) == totals.at(*won);
    const auto best = [&](int64_t of) { return dictionary.tie_score(dictionary.best_of(of)); };
    const bool by_score = election.ties == Ties::kBestScore && tie && best(id) > best(*won);
    const bool is_earlier = won && dictionary.best_of(id) < dictionary.best_of(*won);
    const bool by_candidate = tie && dictionary.is_argmax() && is_earlier;
    if (above || by_score || by_candidate) won = id;
  }
  const double lead = totals.at(*won);
  double second = -kInf;
  for (const auto& [id, total] : totals) second = id == *won ? second : std::max(second, total);
  const bool alone = totals.size() == 1;
  const bool by_best = dictionary.shows_best();
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
                  RuleKind rule, double scale) {
  EXPECT(close(got.score, expected.score, scale) && close(got.margin, expected.margin, scale),
         info_of(rule).name, " gives ", got.score, " by ", got.margin, ", not ", expected.score,
         " by ", expected.margin);
  EXPECT(got.tied == (got.margin == 0.0));
  const double reached = dictionary.totals().at(got.answer_id);
  EXPECT(close(reached, expected.score, scale));
  EXPECT(got.winner == dictionary.members(got.answer_id)[0]);
}

void expect_outcome(const Election& election, const Outcomes& got, int64_t problem, int64_t r,
                    int64_t column, int64_t f, const std::string& what) {
  const int64_t all = std::numeric_limits<int32_t>::max();
  const int64_t prefix =
      election.prefixes.empty() ? all : election.prefixes[static_cast<size_t>(f)];
  const Rule rule = election.rules()[static_cast<size_t>(r)];
  const Dictionary dictionary(election, problem, prefix, rule, column);
  const Outcome& outcome = got.votes[election.place(problem, r, f, column)];
  const Outcome expected = decided(election, dictionary);
  const std::map<int64_t, double> totals = dictionary.totals();
  double scale = static_cast<double>(totals.size());
  for (const auto& [id, total] : totals) scale = std::max(scale, std::abs(total));
  const bool rational = is_rational(rule.kind);
  if (rational || totals.empty()) {
    EXPECT(outcome == expected, what, ", problem ", problem, ", prefix ", prefix, ", column ",
           column, ": ", info_of(rule.kind).name, " elects ", outcome.winner, " with ",
           outcome.score, ", not ", expected.winner, " with ", expected.score);
  } else {
    expect_close(outcome, expected, dictionary, rule.kind, scale);
  }
  std::map<int64_t, double> reached;  // of the candidates
  for (const auto& [id, total] : totals) {
    for (const int64_t i : dictionary.members(id)) reached[i] = total;
  }
  const size_t p = static_cast<size_t>(problem);
  for (int64_t i = election.offsets[p]; i < election.offsets[p + 1]; ++i) {
    const double given = got.class_scores[election.place(i, r, f, column)];
    const bool takes_part = reached.contains(i);
    EXPECT(takes_part ? (rational ? same(given, reached[i]) : close(given, reached[i], scale))
                      : std::isnan(given),
           what, ": class_scores of ", i);
  }
}

void expect_dictionary(const Election& election, const std::string& what) {
  const Outcomes got = run(election);
  for (int64_t p = 0; p < election.problems(); ++p) {
    for (int64_t r = 0; r < election.rule_count(); ++r) {
      for (int64_t c = 0; c < election.columns; ++c) {
        for (int64_t f = 0; f < election.prefix_count(); ++f) {
          expect_outcome(election, got, p, r, c, f, what);
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
  return given;
}
Objectives objectives_of(int turn, int64_t columns = 1) {
  Objectives given;
  given.weight_count = columns;
  for (int s = 0; s < kMaxObjectives; ++s) given.weights[s] = (s + turn) % 5 / 2.0 - 0.75;
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
    election.kinds = kAnyScores;
    election.parameters = given;
    election.objectives = objectives_of(static_cast<int>(seed) % kTurns);
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
    election.kinds = kShares;
    expect_dictionary(election, message("shares, seed ", seed));
    election = random_election(seed, 60, 20, -3.0, 0.0);
    election.kinds = kAtMostZero;
    expect_dictionary(election, message("log probabilities, seed ", seed));
  }
}

// Two rules of one kind with other parameters, and rules that read some of the columns together.
std::vector<Rule> more_rules(int turn, int64_t columns) {
  Objectives some = objectives_of(turn, 2);
  some.column_count = 2;
  some.columns[0] = columns - 1;
  some.columns[1] = 0;
  const VoteParameters other = parameters_of(turn + 1);
  return {{RuleKind::kSoftmaxWeighted, other},
          {RuleKind::kBorda, other},
          {RuleKind::kHybridMajorityReward, other},
          {RuleKind::kPareto, other, some},
          {RuleKind::kMultiObjective, other, some}};
}

TEST(elections_with_several_columns_are_the_dictionary) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    const int turn = static_cast<int>(seed) % kTurns;
    for (const int64_t columns : {2, 3, 16}) {
      Election election = random_election(seed, columns == 16 ? 6 : 20, 15, -0.5, 0.5, columns);
      election.unfit = Unfit::kNan;  // half of the scores are no shares
      election.parameters = parameters_of(turn);
      election.objectives = objectives_of(turn, columns);
      election.kinds = seed % 2 == 0 ? kAnyScores : kShares;
      election.more = more_rules(turn, columns);
      election.prefixes = {1, 4, 9, 30};
      expect_dictionary(election, message(columns, " columns, seed ", seed));
      election.ids.assign(election.ids.size(), 0);
      expect_dictionary(election, message(columns, " columns of one answer, seed ", seed));
    }
  }
}

TEST(more_columns_than_a_rule_reads_together) {
  Election election = random_election(3, 6, 15, -0.5, 0.5, 20);
  election.more = more_rules(1, 20);
  expect_dictionary(election, "20 columns");
  election.kinds = {RuleKind::kPareto};
  EXPECT_FAULT(run(election), "vote: the rule pareto reads at most 16 columns; scores has 20");
}

TEST(a_rule_that_cannot_use_a_score_has_no_winner) {
  Election election{{1, 2, 1, 2}, {0.5, 0.25, 1.5, 0.5}, {0, 2, 4}};
  election.kinds = {RuleKind::kMajority, RuleKind::kLogoddsWeighted};
  EXPECT_FAULT(run(election), "vote: scores[2] is 1.5; the rule logodds_weighted needs scores in");
  election.unfit = Unfit::kNan;
  election.prefixes = {1, 2};
  const Outcomes got = run(election);
  EXPECT(got.votes[election.place(0, 1, 1)].winner == 0);
  for (int64_t f = 0; f < 2; ++f) {
    EXPECT(got.votes[election.place(1, 0, f)].winner == 2);
    EXPECT(got.votes[election.place(1, 1, f)] == Outcome{});
    for (int64_t i = 2; i < 4; ++i) EXPECT(std::isnan(got.class_scores[election.place(i, 1, f)]));
  }
  election.ids[2] = kNoAnswer;  // who takes no part may have any score
  EXPECT(run(election).votes[election.place(1, 1, 1)].winner == 3);
}

// Whoever has no score takes no part where it is read. Majority reads none.
TEST(a_missing_score_leaves_out_where_it_is_read) {
  Election election{{7, 7, 8, 7}, {kNaN, 0.5, 0.25, kNaN, 0.5, 1.0, kNaN, kNaN}, {0, 4}};
  election.columns = 2;
  election.drop_nan = true;
  election.kinds = {RuleKind::kMajority, RuleKind::kBestOfN, RuleKind::kPareto};
  const std::vector<Outcome> got = run(election).votes;
  EXPECT((got[0] == Outcome{0, 7, 3.0, false, 2.0}) && got[1] == got[0]);
  EXPECT((got[2] == Outcome{2, 8, 0.5, false, 0.25}) && (got[3] == Outcome{2, 8, 1.0, false, 0.5}));
  EXPECT((got[4] == Outcome{2, 8, 1.0, false, kInf}) && got[5] == got[4]);
  election.drop_nan = false;
  EXPECT_FAULT(run(election), "vote: scores[0, 0] is NaN; pass nan=\"drop\"");
}

// First seen = 0: the ids are the classes. With a gap, or out of order, they are looked up.
TEST(dense_ids_and_others_have_the_same_classes) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    Election election = random_election(seed, 40, 40);
    election.kinds = kAnyScores;
    election.parameters = parameters_of(0);
    election.objectives = objectives_of(0);
    election.prefixes = {1, 3, 10, 50};
    for (size_t p = 0; p + 1 < election.offsets.size(); ++p) {
      std::map<int64_t, int64_t> seen;
      for (int64_t i = election.offsets[p]; i < election.offsets[p + 1]; ++i) {
        int64_t& id = election.ids[static_cast<size_t>(i)];
        if (seed % 3 == 0 && id == kNoAnswer) id = 0;
        if (id != kNoAnswer) id = seen.emplace(id, std::ssize(seen)).first->second;
      }
    }
    const Outcomes dense = run(election);
    for (const int64_t scale : {int64_t{2}, int64_t{1} << 40}) {
      Election other = election;
      for (int64_t& id : other.ids) id = id < 0 ? id : (id + 1) * scale;
      Outcomes sparse = run(other);
      for (Outcome& outcome : sparse.votes) {
        if (outcome.winner >= 0) outcome.answer_id = outcome.answer_id / scale - 1;
      }
      EXPECT(sparse == dense, "seed ", seed);
    }
  }
}

TEST(a_prefix_is_an_election_of_its_first_candidates) {
  for (int turn = 0; turn < kTurns; ++turn) {
    for (const std::vector<RuleKind>& kinds : {kAnyScores, kShares, kAtMostZero}) {
      const VoteParameters given = parameters_of(turn);
      const double low = kinds == kAtMostZero ? -2.0 : kinds == kShares ? 0.0 : lowest_score(given);
      const double high = kinds == kAtMostZero ? 0.0 : kinds == kShares ? 1.0 : 0.5;
      // Beyond 256 voters the whole election sorts what its first candidates alone compare.
      Election whole = random_election(static_cast<uint64_t>(turn), 8, 700, low, high);
      whole.kinds = kinds;
      whole.parameters = given;
      whole.objectives = objectives_of(turn);
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
                   ", ", info_of(kinds[static_cast<size_t>(r)]).name);
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

TEST(levels_and_threads_agree_on_columns) {
  Election election = random_election(5, 200, 80, 0.0, 1.0, 5);
  election.unfit = Unfit::kNan;
  election.kinds = kAnyScores;
  election.objectives = objectives_of(2, 5);
  election.more = more_rules(2, 5);
  election.prefixes = {2, 30, 90};
  simd::set_level("baseline");
  const Outcomes expected = run(election);
  testing::for_each_setting(
      [&](const std::string& setting) { EXPECT(run(election) == expected, setting); });
}

TEST(levels_and_threads_agree) {
  for (int turn = 0; turn < kTurns; ++turn) {
    for (const std::vector<RuleKind>& kinds : {kAnyScores, kShares}) {
      const uint64_t seed = 99 + static_cast<uint64_t>(turn);
      Election election = random_election(seed, 300, turn == 0 ? 300 : 15, 0.0, 1.0);
      election.kinds = kinds;
      election.parameters = parameters_of(turn);
      election.objectives = objectives_of(turn);
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
  election.kinds = kAnyScores;
  election.objectives = objectives_of(0);
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
  election.kinds = {RuleKind::kMajority};
  EXPECT((run(election).votes[0] == Outcome{1, 2, 2.0, false, 1.0}));
  election.ties = Ties::kBestScore;
  EXPECT_FAULT(run(election), "vote: ties='best_score' needs scores");
}

TEST(nobody_wins_where_nobody_stands) {
  Election election{{-1, -1, 3}, {0.1, 0.2, kNaN}, {0, 0, 2, 3}};
  election.drop_nan = true;
  election.objectives = objectives_of(0);
  election.kinds.assign(kAnyScores.begin() + 1, kAnyScores.end());
  const Outcomes got = run(election);
  for (const Outcome& outcome : got.votes) EXPECT(outcome == Outcome{});
  for (const double score : got.class_scores) EXPECT(std::isnan(score));
  election.kinds = {RuleKind::kMajority};  // which counts who has an answer
  EXPECT((run(election).votes[2] == Outcome{2, 3, 1.0, false, kInf}));
  Election nothing{{}, {}, {0}};
  nothing.kinds = {RuleKind::kMajority};
  EXPECT(run(nothing).votes.empty());
}

TEST(one_answer_leads_without_end) {
  Election election{{5, 5}, {0.5, -0.5}, {0, 2}};
  EXPECT((run(election).votes[0] == Outcome{0, 5, 2.0, false, kInf}));
  election.scores = {-kInf, -kInf};
  election.ids = {5, 6};
  election.kinds = {RuleKind::kBestOfN};
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
    election.kinds = {RuleKind::kMajority};
    EXPECT_FAULT(run(election), "vote: answer_ids[3000] is -2");
    election.kinds = kThree;
    election.ids[3000] = election.ids[2000] = -1;
    EXPECT_FAULT(run(election), "vote: scores[5001] is NaN");
  }
}

TEST(scores_that_a_rule_cannot_use_are_named) {
  Election election{{1, 2}, {0.5, 1.5}, {0, 2}};
  election.kinds = {RuleKind::kBorda, RuleKind::kLogoddsWeighted};
  EXPECT_FAULT(run(election), "vote: scores[1] is 1.5; the rule logodds_weighted needs scores in");
  election.kinds = {RuleKind::kConfidenceWeighted};
  EXPECT_FAULT(run(election), "vote: scores[0] is 0.5; the rule confidence_weighted needs log");
  election.kinds = {RuleKind::kWeightedRewardFrequency};
  election.scores = {0.5, -0.5};
  EXPECT(run(election).votes.size() == 1);
  election.parameters.normalize = Normalize::kSum;
  EXPECT_FAULT(run(election), "vote: scores[1] is -0.5; the rule weighted_reward_frequency needs");
  election.kinds = {RuleKind::kMajority, RuleKind::kPareto, RuleKind::kMultiObjective};
  election.objectives = objectives_of(0, 2);
  election.columns = 2;
  election.scores = {0.5, 0.5, 0.5, kInf};
  EXPECT_FAULT(run(election), "vote: scores[1, 1] is inf; the rule multi_objective needs finite");
}

TEST(a_rule_is_made_of_its_name_and_its_parameters) {
  const Rule plain = make_rule("borda", {});
  EXPECT(plain.kind == RuleKind::kBorda && plain.parameters.power == 1);
  const Rule loglik =
      make_rule("loglik_weighted", {{"prior", {0.4}}, {"reliability", {0.9}}, {"answers", {5.0}}});
  EXPECT(same(loglik.parameters.loglik_constant, loglik_constant(0.4, 0.9, 5)));
  EXPECT(loglik.parameters.eps == 1e-7);
  const Rule objectives =
      make_rule("multi_objective",
                {{"objective_weights", {2.0, 3.0}}, {"scale", {1.0}}, {"columns", {4.0, 1.0}}});
  EXPECT(objectives.objectives.weight_count == 2 && objectives.objectives.weights[1] == 3.0);
  EXPECT(columns_read(objectives, 9) == 2 && column_read(objectives, 0) == 4);
  EXPECT(objectives.parameters.scale == Scale::kMinmax);
  EXPECT(columns_read(make_rule("pareto", {}), 9) == 9);
}

TEST(parameters_out_of_range_are_named) {
  const auto softmax = [](double value) {
    make_rule("softmax_weighted", {{"temperature", {value}}});
  };
  softmax(0.1);
  EXPECT_FAULT(softmax(0.0), "vote: softmax_weighted: temperature must be a finite number above 0");
  EXPECT_FAULT(softmax(kInf), "temperature must be a finite number above 0; got inf");
  EXPECT_FAULT(softmax(kNaN), "temperature must be a finite number above 0; got nan");
  EXPECT_FAULT(make_rule("logodds_weighted", {{"eps", {0.5}}}), "eps must be a number in [2.2");
  EXPECT_FAULT(make_rule("borda", {{"power", {17.0}}}), "power must be a whole number in [1, 16]");
  EXPECT_FAULT(make_rule("borda", {{"power", {1.0, 2.0}}}), "power must hold 1 number; got 2");
  EXPECT_FAULT(make_rule("borda", {{"tau", {1.0}}}), "borda has fewer parameters than were given");
  EXPECT_FAULT(make_rule("hybrid_majority_reward", {{"tau", {1.5}}}),
               "a number in [0, 1]; got 1.5");
  EXPECT_FAULT(make_rule("hybrid_majority_reward", {{"tau", {0.5}}}), "needs consensus");
  EXPECT_FAULT(make_rule("multi_objective", {{"objective_weights", {1.0, kInf}}}),
               "objective_weights must be a list of finite numbers; got inf");
  EXPECT_FAULT(make_rule("pareto", {{"columns", {-1.0}}}),
               "columns must be a list of whole numbers");
  EXPECT_FAULT(make_rule("loglik_weighted", {{"prior", {0.0}}}),
               "prior must be a number in (0, 1)");
  EXPECT_FAULT(make_rule("plurality", {}),
               "vote: unknown rule 'plurality'; choose from majority, ");
}

TEST(ballots_that_do_not_fit_are_named) {
  const auto with = [](auto change) {
    Election election{{1, 2}, {0.5, 0.25}, {0, 2}};
    change(election);
    run(election);
  };
  EXPECT_FAULT(with([](Election& e) { e.prefixes = {2, 2}; }), "prefixes[1] is 2 after 2");
  EXPECT_FAULT(with([](Election& e) { e.prefixes = {0}; }), "prefixes[0] is 0");
  EXPECT_FAULT(with([](Election& e) { e.columns = 0; }), "scores must have at least 1 column");
  EXPECT_FAULT(with([](Election& e) { e.more = more_rules(0, 3); }),
               "vote: pareto: columns must lie in [0, 1), for the columns of scores; got 2");
  EXPECT_FAULT(with([](Election& e) { e.kinds = {RuleKind::kMultiObjective}; }),
               "vote: multi_objective: objective_weights must hold 1 number, one for each");
  EXPECT_FAULT(with([](Election& e) { e.columns = 2, e.ties = Ties::kBestScore; }),
               "vote: ties='best_score' needs one score per candidate; scores has 2 columns");
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
          class_score(election.kinds[static_cast<size_t>(r)], answer, 0.0, {}, {});
      EXPECT(same(reached, expected.class_scores[election.place(i, r, 0)]));
    }
  }
}

// Lanes tally one class each, and add up the parts.
TEST(classes_tallied_one_by_one_add_up_to_the_same_tally) {
  std::mt19937_64 random(4);
  std::uniform_real_distribution<double> uniform(-1.0, 1.0);
  for (int turn = 0; turn < kTurns; ++turn) {
    for (const RuleKind rule : {RuleKind::kSoftmaxWeighted, RuleKind::kHybridMajorityReward,
                                RuleKind::kWeightedRewardFrequency}) {
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
  EXPECT(!std::signbit(class_score(RuleKind::kWeighted, class_of(3, 0, -0.0), 0.0, {}, {})));
}
