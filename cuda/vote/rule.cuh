// One rule over the prefix at hand: weights of the candidates, their sums by class, the winner.
// Included by vote.cu alone.
#pragma once

#include "vote/problem.cuh"

namespace stepscore::cuda {
namespace {

static __device__ __forceinline__ double points_of(const Problem& problem, int i, int64_t power) {
  const double score = problem.scores()[i];
  int twice = -1;  // nobody is equal to itself
  for (int j = 0; j < problem.size; ++j) {
    const double other = problem.scores()[j];
    twice += static_cast<int>(other < score) + static_cast<int>(other <= score);
  }
  return borda_weight(twice, power);
}

// The columns that a rule reads together, of one problem.
struct Rows {
  const double* scores;  // of its first candidate
  int64_t stride;
  int width;
  const int16_t* columns;  // null: all
  const double* weights;

  __device__ double at(int i, int s) const {
    return scores[i * stride + (columns == nullptr ? s : columns[s])];
  }
};

static __device__ __forceinline__ Rows rows_of(const Problem& problem, const Ballot& ballot,
                                               const VotePlan& plan, int r) {
  const Joint& joint = plan.joints[r];
  return {ballot.scores + problem.begin * ballot.columns, ballot.columns, joint.width,
          joint.columns < 0 ? nullptr : plan.joint_columns + joint.columns,
          plan.joint_weights + joint.weights};
}

// As good in every column, and better in one.
static __device__ __forceinline__ bool dominates(const Rows& rows, int a, int b) {
  bool better = false;
  for (int s = 0; s < rows.width; ++s) {
    const double by_a = rows.at(a, s), by_b = rows.at(b, s);
    if (by_a < by_b) return false;
    better |= by_a > by_b;
  }
  return better;
}

static __device__ __forceinline__ bool is_dominated(const Problem& problem, int i,
                                                    const Rows& rows) {
  for (int j = 0; j < problem.size; ++j) {
    if (problem.answers()[j] >= 0 && dominates(rows, j, i)) return true;
  }
  return false;
}

static __device__ __forceinline__ void weigh_objectives(const Team& team, const Problem& problem,
                                                        const Rows& rows,
                                                        const VoteParameters& parameters,
                                                        double* weights) {
  for (int i = team.rank; i < problem.size; i += team.size) weights[i] = 0.0;
  for (int s = 0; s < rows.width; ++s) {
    double low = kInfinity, high = -kInfinity;
    if (parameters.scale == Scale::kMinmax) {  // every warp for itself
      for (int i = own_lane(); i < problem.size; i += kWarp) {
        const double score = rows.at(i, s);
        if (problem.answers()[i] >= 0) widen(low, high, score, score);
      }
      share_range(low, high);
    }
    const double weight = rows.weights[s];
    for (int i = team.rank; i < problem.size; i += team.size) {
      weights[i] += objective_of(rows.at(i, s), low, high, weight, parameters);
    }
  }
}

static __device__ __forceinline__ void weigh(const Team& team, const Problem& problem,
                                             const Ballot& ballot, const VotePlan& plan, int r,
                                             double* weights) {
  const RuleKind rule = plan.kinds[r];
  const VoteParameters& parameters = plan.parameters[r];
  if (rule == RuleKind::kMultiObjective) {
    return weigh_objectives(team, problem, rows_of(problem, ballot, plan, r), parameters, weights);
  }
  for (int i = team.rank; i < problem.size; i += team.size) {
    if (problem.answers()[i] < 0) continue;
    if (rule == RuleKind::kBorda) {
      weights[i] = points_of(problem, i, parameters.power);
    } else if (rule == RuleKind::kPareto) {
      weights[i] = is_dominated(problem, i, rows_of(problem, ballot, plan, r)) ? 0.0 : 1.0;
    } else {
      weights[i] = weight_of(rule, problem.scores()[i], problem.low, problem.high, parameters);
    }
  }
}

// The sum of a class takes the place of its first candidate's weight, which nobody else reads.
static __device__ __forceinline__ void sum_weights(const Team& team, const Problem& problem,
                                                   double* weights) {
  for (int c = team.rank; c < problem.classes; c += team.size) {
    const int first = problem.firsts()[c];
    double sum = 0.0;
    // From the same candidate on all lanes, so that they read the same.
    for (int base = problem.firsts()[c - own_lane()]; base < problem.size; base += kAhead) {
      double weight[kAhead];
#pragma unroll
      for (int a = 0; a < kAhead; ++a) {
        const int i = base + a;
        const bool belongs = i < problem.size && problem.answers()[i] == first;
        weight[a] = belongs ? weights[i] : 0.0;  // which changes no bit of a sum from zero
      }
#pragma unroll
      for (int a = 0; a < kAhead; ++a) sum += weight[a];
    }
    weights[first] = sum;
  }
}

// Every lane tallies one class, and all add up the parts in the order of the classes; a part is
// zero and what the class adds. Every warp has the same result.
static __device__ __forceinline__ Tally tally_of(const Problem& problem, RuleKind rule,
                                                 const VoteParameters& parameters,
                                                 const double* weights) {
  Tally tally{problem.voters, problem.classes};
  if (!compares_classes(rule)) return tally;
  for (int base = 0; base < problem.classes; base += kWarp) {
    const int c = base + own_lane();
    Tally part{problem.voters, problem.classes};
    if (c < problem.classes) {
      const double weight = rule == RuleKind::kSoftmaxWeighted ? weights[problem.firsts()[c]] : 0.0;
      add_class(rule, class_at(problem, c), weight, parameters, part);
    }
    for (int from = 0; from < kWarp && base + from < problem.classes; ++from) {
      tally.total += __shfl_sync(kAllLanes, part.total, from);
      tally.entropy += __shfl_sync(kAllLanes, part.entropy, from);
    }
    widen(tally.mean_low, tally.mean_high, part.mean_low, part.mean_high);
    tally.most = part.most > tally.most ? part.most : tally.most;
  }
  share_range(tally.mean_low, tally.mean_high);
#pragma unroll
  for (int apart = kWarp / 2; apart >= 1; apart /= 2) {
    const double most = __shfl_xor_sync(kAllLanes, tally.most, apart);
    tally.most = most > tally.most ? most : tally.most;
  }
  tally.consensus = rule == RuleKind::kHybridMajorityReward && in_consensus(tally, parameters);
  return tally;
}

// The best class that a lane has seen.
struct Leader {
  double score = -kInfinity;
  double best_score = -kInfinity;
  int at = 0x7fffffff;  // the class, or its best candidate where the rule is an argmax over them
  double second = -kInfinity;  // the best score behind
};

// A sum that overflows can make a NaN. It leads where the first class has it, and counts nowhere
// else: what comparing the classes one by one comes to.
static __device__ __forceinline__ void meet(Leader& leader, const Leader& other) {
  const bool wins_tie = other.best_score > leader.best_score ||
                        (other.best_score == leader.best_score && other.at < leader.at);
  const bool wins = other.score > leader.score || other.score != other.score ||
                    (other.score == leader.score && wins_tie);
  const double behind = wins ? leader.score : other.score;
  const double second = other.second > leader.second ? other.second : leader.second;
  if (wins) leader = other;
  leader.second = behind > second ? behind : second;
}

// What is decided, for every column that it holds for. By one lane.
static __device__ __forceinline__ void write(const Problem& problem, const Ballot& ballot,
                                             const VotePlan& plan, int r, int f,
                                             const VoteOutput& out, int64_t winner,
                                             int64_t answer_id, double score, bool tied,
                                             double margin) {
  for (int c = problem.column_begin; c < problem.column_end; ++c) {
    const int64_t row = (problem.index * plan.rule_count + r) * ballot.columns + c;
    const int64_t at = row * plan.prefix_count + f;
    out.winner[at] = winner;
    out.answer_id[at] = answer_id;
    out.score[at] = score;
    out.tied[at] = tied;
    out.margin[at] = margin;
  }
}

// By one warp. `values`: what the classes reached, at the place of their first candidates.
static __device__ __forceinline__ void decide(const Problem& problem, const Ballot& ballot,
                                              const VotePlan& plan, int r, const Tally& tally,
                                              const double* values, const VoteOutput& out, int f) {
  const bool by_candidate = is_argmax(plan.kinds[r], tally, plan.parameters[r]);
  Leader leader;
  for (int c = own_lane(); c < problem.classes; c += kWarp) {
    const double score = values[problem.firsts()[c]];
    if (score != score && c > 0) continue;
    const bool by_score = ballot.ties == Ties::kBestScore;
    const int best = problem.bests()[c];
    meet(leader,
         {score, by_score ? problem.scores()[best] : 0.0, by_candidate ? best : c, -kInfinity});
  }
#pragma unroll
  for (int apart = kWarp / 2; apart >= 1; apart /= 2) {
    meet(leader, {__shfl_xor_sync(kAllLanes, leader.score, apart),
                  __shfl_xor_sync(kAllLanes, leader.best_score, apart),
                  __shfl_xor_sync(kAllLanes, leader.at, apart),
                  __shfl_xor_sync(kAllLanes, leader.second, apart)});
  }
  if (own_lane() != 0) return;
  if (problem.classes == 0) {
    return write(problem, ballot, plan, r, f, out, kNoWinner, kNoAnswer, kNaN, false, kNaN);
  }
  int winner = leader.at;
  if (!by_candidate) {
    const bool by_best = shows_best(plan.kinds[r], tally, plan.parameters[r]);
    winner = by_best ? problem.bests()[leader.at] : problem.firsts()[leader.at];
  }
  write(problem, ballot, plan, r, f, out, problem.begin + winner,
        ballot.answer_ids == nullptr ? winner : ballot.answer_ids[problem.begin + winner],
        leader.score, problem.classes > 1 && leader.second == leader.score,
        margin_of(leader.score, leader.second, problem.classes > 1));
}

static __device__ __forceinline__ void count_rule(const Team& team, const Problem& problem,
                                                  const Ballot& ballot, const VotePlan& plan, int r,
                                                  double* weights, const VoteOutput& out, int f) {
  if ((problem.fits >> r & 1) == 0) {
    if (team.rank == 0) {
      write(problem, ballot, plan, r, f, out, kNoWinner, kNoAnswer, kNaN, false, kNaN);
    }
    return;
  }
  const RuleKind rule = plan.kinds[r];
  const VoteParameters& parameters = plan.parameters[r];
  const bool weighs = weighs_by(rule) != WeighsBy::kNone;
  if (weighs) {
    weigh(team, problem, ballot, plan, r, weights);
    team.wait();
    sum_weights(team, problem, weights);
    team.wait();
  }
  const Tally tally = tally_of(problem, rule, parameters, weights);
  if (compares_classes(rule)) team.wait();  // the sums have been read, and are written over
  for (int c = team.rank; c < problem.classes; c += team.size) {
    const int first = problem.firsts()[c];
    const double weight = weighs ? weights[first] : 0.0;
    weights[first] = class_score(rule, class_at(problem, c), weight, tally, parameters);
  }
  team.wait();
  if (team.rank < kWarp) decide(problem, ballot, plan, r, tally, weights, out, f);
  for (int i = team.rank; out.class_scores != nullptr && i < problem.size; i += team.size) {
    const int first = problem.answers()[i];
    if (first < 0) continue;
    const int64_t row = ((problem.begin + i) * plan.rule_count + r) * ballot.columns;
    for (int c = problem.column_begin; c < problem.column_end; ++c) {
      out.class_scores[(row + c) * plan.prefix_count + f] = weights[first];
    }
  }
  team.wait();  // the next rule writes over the weights
}

}  // namespace
}  // namespace stepscore::cuda
