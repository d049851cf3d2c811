// Answers and scores of a problem's candidates -> the answer that wins.
#pragma once

#include <cstdint>

#include "stepscore/scalar_math.h"

namespace stepscore {

constexpr int64_t kNoAnswer = -1;  // the answer id of a candidate that takes no part
constexpr int64_t kNoWinner = -1;
constexpr int64_t kMaxObjectives = 16;

enum class RuleKind {
  kMajority,
  kWeighted,
  kWeightedMean,
  kBestOfN,
  kMinmaxWeighted,
  kSoftmaxWeighted,
  kLogoddsWeighted,
  kLoglikWeighted,
  kConfidenceWeighted,
  kCrew,
  kBorda,
  kHybridMajorityReward,
  kWeightedRewardFrequency,
  kPareto,
  kMultiObjective,
};
constexpr int64_t kRuleKinds = static_cast<int64_t>(RuleKind::kMultiObjective) + 1;

enum class Ties { kFirst, kBestScore };
enum class Consensus { kShare, kEntropy };
enum class Reward { kMax, kMean, kSum };
enum class Normalize { kMinmax, kSum };
enum class Scale { kNone, kMinmax };

// What single rules take beside the scores. The table in cpp/vote/rules.h says which rule takes
// what, and fills these.
struct VoteParameters {
  double temperature = 1.0;      // softmax_weighted
  double eps = 1e-7;             // logodds_weighted, loglik_weighted
  double loglik_constant = 0.0;  // loglik_weighted: added to every log odds
  int64_t power = 1;             // borda
  double tau = 0.0;              // hybrid_majority_reward, as are the next two
  Consensus consensus = Consensus::kShare;
  Reward reward = Reward::kMax;
  double reward_weight = 0.0;  // weighted_reward_frequency, as is the next
  Normalize normalize = Normalize::kMinmax;
  Scale scale = Scale::kNone;  // multi_objective
};

// The columns that a rule reads together, and what each weighs (multi_objective alone).
struct Objectives {
  int64_t columns[kMaxObjectives] = {};
  int64_t column_count = 0;  // 0: all
  double weights[kMaxObjectives] = {};
  int64_t weight_count = 0;
};

struct Rule {
  RuleKind kind;
  VoteParameters parameters = {};
  Objectives objectives = {};
};

struct RuleSet {
  const Rule* rules;
  int64_t count;
};

// What happens where a candidate that takes part has a score that a rule cannot use.
enum class Unfit {
  kError,  // it raises
  kNan,    // the rule has no winner in this problem (and this column): kNoWinner, NaN
};

struct Ballot {
  const int64_t* answer_ids;  // [n], or null: every candidate is an answer of its own
  const double* scores;       // [n, columns], or null when only kMajority is asked
  const int64_t* offsets;     // [problems + 1]
  int64_t problems;
  int64_t columns = 1;  // 1 without scores
  Ties ties = Ties::kFirst;
  // A NaN raises; or its candidate takes no part where a rule reads that score.
  bool drop_nan = false;
  Unfit unfit = Unfit::kError;
  // Vote over the first so many candidates of every problem, ascending; null: once, over all.
  const int64_t* prefixes = nullptr;
  int64_t prefix_count = 1;
};

// Rules that read one column vote once for each; the others have the same result for all.
struct VoteOutput {      // each [problems, rules, columns, prefixes]
  int64_t* winner;       // index of the candidate into the flat arrays, or kNoWinner
  int64_t* answer_id;    // its answer id, or kNoAnswer
  double* score;         // what its class reached; NaN without a winner
  bool* tied;            // another answer reaches the same score
  double* margin;        // score - that of the best other answer; infinite without another
  double* class_scores;  // [n, rules, columns, prefixes]: what each candidate's class reached; may
                         // be null
};

// InvalidArgument when the scores or their columns do not fit a rule.
void check_ballot(const Ballot& ballot, const RuleSet& rules);

// One pass over the candidates for all rules, columns and prefixes. A class is one answer of one
// problem; classes stand in the order of their first candidates, and every sum is taken in
// candidate order. The class with the highest score wins. Ties go to the first class, or under
// kBestScore to the one that holds the highest single score. The winner is the first candidate of
// the class, or its best one under kMinmaxWeighted. Where a class reaches the highest of its scores
// (is_argmax), the winner is the first candidate with the highest score of all, and its class wins.
//
// InvalidArgument, naming the candidate, for a NaN score, an answer id below kNoAnswer, or a score
// that a rule has no use for.
void vote(const Ballot& ballot, const RuleSet& rules, const VoteOutput& out);

// The scores that a rule can use with its parameters.
struct ScoreRange {
  double low, high;
};
constexpr double kLargest = 0x1.fffffffffffffp1023;  // the largest that is finite
ScoreRange range_of(const Rule& rule);

// On which scores a rule depends, and so who takes part.
enum class Reads { kNothing, kColumn, kColumns };
Reads reads_of(RuleKind rule);

// How many columns a rule of Reads::kColumns reads, of so many, and the s-th of them.
inline int64_t columns_read(const Rule& rule, int64_t columns) {
  return rule.objectives.column_count == 0 ? columns : rule.objectives.column_count;
}
inline int64_t column_read(const Rule& rule, int64_t s) {
  return rule.objectives.column_count == 0 ? s : rule.objectives.columns[s];
}

// --- what the devices share ---------------------------------------------------------------------

// What is known of one answer of a problem.
struct AnswerClass {
  int64_t id;
  int64_t first;  // its first candidate
  int64_t best;   // its first candidate with the highest score
  double count;
  double sum;
  double best_score;
};

// The class of one candidate. Its sum starts at zero, which turns -0.0 into 0.0.
STEPSCORE_HD AnswerClass class_of(int64_t id, int64_t candidate, double score) {
  return {id, candidate, candidate, 1.0, 0.0 + score, score};
}

// Adds a later candidate of the same answer.
STEPSCORE_HD void add_candidate(AnswerClass& answer, int64_t candidate, double score) {
  answer.count += 1.0;
  answer.sum += score;
  const bool better = score > answer.best_score;
  answer.best = better ? candidate : answer.best;
  answer.best_score = choose(better, score, answer.best_score);
}

// Between the lowest and the highest number, as a share of the way; 1 where they are equal. Halves,
// because the difference of two large numbers can overflow.
STEPSCORE_HD double share_of_range(double value, double low, double high) {
  return high > low ? (0.5 * value - 0.5 * low) / (0.5 * high - 0.5 * low) : 1.0;
}

STEPSCORE_HD double log_odds(double p, double eps) {
  const double clipped = p < eps ? eps : (p > 1.0 - eps ? 1.0 - eps : p);
  return logarithm_of_normal(clipped / (1.0 - clipped));
}

// Rules under which a class reaches what is added up of every class anyway.
enum class Reaches { kCount, kSum, kBestScore, kOther };

STEPSCORE_HD Reaches reaches(RuleKind rule) {
  switch (rule) {
    case RuleKind::kMajority:
      return Reaches::kCount;
    case RuleKind::kWeighted:
      return Reaches::kSum;
    case RuleKind::kBestOfN:
    case RuleKind::kCrew:
      return Reaches::kBestScore;
    default:
      return Reaches::kOther;
  }
}

// What a candidate's weight is a function of, beside its own score.
enum class WeighsBy {
  kNone,     // there are no weights: the rule reads the classes alone
  kScore,    // nothing else
  kHighest,  // the highest score of all
  kRange,    // the lowest and the highest
  kRanks,    // how many scores it beats
  kFront,    // whether somebody dominates it
  kColumns,  // its other columns
};

STEPSCORE_HD WeighsBy weighs_by(RuleKind rule) {
  switch (rule) {
    case RuleKind::kMinmaxWeighted:
      return WeighsBy::kRange;
    case RuleKind::kSoftmaxWeighted:
      return WeighsBy::kHighest;
    case RuleKind::kLogoddsWeighted:
    case RuleKind::kLoglikWeighted:
    case RuleKind::kConfidenceWeighted:
      return WeighsBy::kScore;
    case RuleKind::kBorda:
      return WeighsBy::kRanks;
    case RuleKind::kPareto:
      return WeighsBy::kFront;
    case RuleKind::kMultiObjective:
      return WeighsBy::kColumns;
    default:
      return WeighsBy::kNone;
  }
}

// Whether weight_of has the weights of a rule.
STEPSCORE_HD bool weighs_scores(RuleKind rule) {
  const WeighsBy by = weighs_by(rule);
  return by == WeighsBy::kScore || by == WeighsBy::kHighest || by == WeighsBy::kRange;
}

// `low` and `high`: of all scores that take part.
STEPSCORE_HD double weight_of(RuleKind rule, double score, double low, double high,
                              const VoteParameters& parameters) {
  switch (rule) {
    case RuleKind::kMinmaxWeighted:
      return share_of_range(score, low, high);
    case RuleKind::kSoftmaxWeighted:
      return exponential((score - high) / parameters.temperature);
    case RuleKind::kLogoddsWeighted:
      return log_odds(score, parameters.eps);
    case RuleKind::kLoglikWeighted:
      return log_odds(score, parameters.eps) + parameters.loglik_constant;
    default:
      return exponential(score);  // kConfidenceWeighted
  }
}

// The points of a candidate under kBorda, to a power: one for everyone that it beats, half a one
// for everyone else with its score.
STEPSCORE_HD double borda_weight(int64_t twice_points, int64_t power) {
  const double points = 0.5 * static_cast<double>(twice_points);
  double weight = points;
  for (int64_t k = 1; k < power; ++k) weight *= points;
  return weight;
}

// Whether `a` is as good as `b` in every column, and better in one.
STEPSCORE_HD bool dominates(const double* a, const double* b, int64_t columns) {
  bool better = false;
  for (int64_t s = 0; s < columns; ++s) {
    if (a[s] < b[s]) return false;
    better |= a[s] > b[s];
  }
  return better;
}

// What a score adds to a candidate's weight under kMultiObjective; `low` and `high`: of its column.
STEPSCORE_HD double objective_of(double score, double low, double high, double weight,
                                 const VoteParameters& parameters) {
  const double value =
      parameters.scale == Scale::kMinmax ? share_of_range(score, low, high) : score;
  return weight * value;
}

// What the classes of a problem have in common, for rules that compare them with each other.
struct Tally {
  int64_t voters = 0;
  int64_t classes = 0;
  double total = 0.0;  // of the classes' weights, or of their mean scores
  double mean_low = kInfinity, mean_high = -kInfinity;
  double most = 0.0;
  double entropy = 0.0;
  bool consensus = false;
};

// Whether a rule needs a Tally beyond the counts.
STEPSCORE_HD bool compares_classes(RuleKind rule) {
  return rule == RuleKind::kSoftmaxWeighted || rule == RuleKind::kHybridMajorityReward ||
         rule == RuleKind::kWeightedRewardFrequency;
}

STEPSCORE_HD double mean_of(const AnswerClass& answer) {
  return answer.sum / answer.count;
}

// Adds one class, in the order of the classes.
STEPSCORE_HD void add_class(RuleKind rule, const AnswerClass& answer, double weight,
                            const VoteParameters& parameters, Tally& tally) {
  if (rule == RuleKind::kSoftmaxWeighted) {
    tally.total += weight;
  } else if (rule == RuleKind::kWeightedRewardFrequency) {
    const double mean = mean_of(answer);
    tally.total += mean;
    tally.mean_low = mean < tally.mean_low ? mean : tally.mean_low;
    tally.mean_high = mean > tally.mean_high ? mean : tally.mean_high;
  } else {
    tally.most = answer.count > tally.most ? answer.count : tally.most;
    if (parameters.consensus == Consensus::kEntropy) {
      const double share = answer.count / static_cast<double>(tally.voters);
      tally.entropy -= share * logarithm(share);
    }
  }
}

STEPSCORE_HD bool in_consensus(const Tally& tally, const VoteParameters& parameters) {
  if (parameters.consensus == Consensus::kShare) {
    return tally.most / static_cast<double>(tally.voters) >= parameters.tau;
  }
  if (tally.classes == 1) return true;
  return tally.entropy / logarithm(static_cast<double>(tally.classes)) <= parameters.tau;
}

// `weight`: the sum of the class's weights, where the rule has weights.
STEPSCORE_HD double class_score(RuleKind rule, const AnswerClass& answer, double weight,
                                const Tally& tally, const VoteParameters& parameters) {
  const double count = answer.count;
  switch (rule) {
    case RuleKind::kMajority:
      return count;
    case RuleKind::kWeighted:
      return answer.sum;
    case RuleKind::kWeightedMean:
      return mean_of(answer);
    case RuleKind::kBestOfN:
    case RuleKind::kCrew:
      return answer.best_score;
    case RuleKind::kSoftmaxWeighted:
      return weight / tally.total;
    case RuleKind::kHybridMajorityReward:
      if (tally.consensus) return count;
      if (parameters.reward == Reward::kMax) return answer.best_score;
      return parameters.reward == Reward::kMean ? mean_of(answer) : answer.sum;
    case RuleKind::kWeightedRewardFrequency: {
      const double mean = mean_of(answer);
      double reward = share_of_range(mean, tally.mean_low, tally.mean_high);
      if (parameters.normalize == Normalize::kSum) {
        reward = tally.total > 0.0 ? mean / tally.total : 1.0 / static_cast<double>(tally.classes);
      }
      return parameters.reward_weight * reward +
             (1.0 - parameters.reward_weight) * (count / static_cast<double>(tally.voters));
    }
    default:
      return weight;
  }
}

// By how much the winner leads.
STEPSCORE_HD double margin_of(double lead, double second, bool has_second) {
  if (!has_second) return kInfinity;
  return second == lead ? 0.0 : lead - second;
}

// Whether a class reaches the highest of its scores. Then the vote is an argmax over candidates,
// and among classes that tie the one wins whose best candidate comes first.
STEPSCORE_HD bool is_argmax(RuleKind rule, const Tally& tally, const VoteParameters& parameters) {
  return rule == RuleKind::kBestOfN || rule == RuleKind::kCrew ||
         (rule == RuleKind::kHybridMajorityReward && !tally.consensus &&
          parameters.reward == Reward::kMax);
}

// Whether the class stands for itself with its best candidate, not with its first.
STEPSCORE_HD bool shows_best(RuleKind rule, const Tally& tally, const VoteParameters& parameters) {
  return rule == RuleKind::kMinmaxWeighted || is_argmax(rule, tally, parameters);
}

}  // namespace stepscore
