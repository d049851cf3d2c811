// A block per problem. Its classes are found once; a class goes by its first candidate. Then, one
// prefix after the other, a thread per class adds the candidates that are new, and a warp per rule
// weighs the candidates, sums the weights by class and decides, waiting for no other. Beyond kHeld
// candidates all warps count one rule together.
//
// One thread takes the candidates of a class, in their order, and the classes are totalled in
// theirs: the sums have the bits of the CPU's, and no atomics are needed.
//
// Bytes: 16 per candidate, once into shared memory (a copy in the workspace beyond kHeld). The
// instructions set the time: for a problem of n candidates, k classes and r rules some n^2 / 2
// comparisons find the classes, and each prefix of m candidates walks m candidates for each 32
// classes and rule; kBorda and kPareto compare all m^2 pairs.
#include "launch.cuh"

namespace stepscore::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarp;
constexpr int kHeld = 256;  // candidates held in shared memory
constexpr int kAhead = 4;   // weights that a thread reads before it adds them

struct Asked {
  Rule rules[kMaxRules];
  int64_t prefixes[kMaxPrefixes];
  int rule_count, prefix_count;
  VoteParameters parameters;
  ScoreRange range;  // of the scores that all of the rules can use
};

// A problem, as far as the prefix at hand. Candidates are counted from its first. What all threads
// know stands here, in shared memory, and takes none of their registers.
struct Problem {
  int64_t index, begin;  // its place among the problems, and its first candidate
  double* notes;         // four arrays of `total`, in shared memory or in the workspace
  int total;             // candidates
  int size, before;      // candidates of the prefix, and of the one before
  int voters, classes;
  double low, high;  // of the scores

  // Of each candidate: its score, NaN if it takes no part, and the first candidate with its answer,
  // or -1.
  __device__ double* scores() const { return notes; }
  __device__ int* answers() const { return reinterpret_cast<int*>(notes + 2 * total); }
  // Of each class, in the order of their first candidates.
  __device__ double* sums() const { return notes + total; }
  __device__ int* firsts() const { return answers() + total; }
  __device__ int* bests() const { return answers() + 2 * total; }
  __device__ int* counts() const { return answers() + 3 * total; }
};

// The threads that count a rule together: a warp, or all of the block.
struct Team {
  int rank, size;
  __device__ void wait() const {
    if (size == kWarp) {
      __syncwarp();
    } else {
      __syncthreads();
    }
  }
};

static __device__ __forceinline__ int own_lane() {
  return static_cast<int>(threadIdx.x) % kWarp;
}

static __device__ __forceinline__ void widen(double& low, double& high, double by_low,
                                             double by_high) {
  low = by_low < low ? by_low : low;
  high = by_high > high ? by_high : high;
}

// Widens the range of every lane to that of the warp.
static __device__ __forceinline__ void share_range(double& low, double& high) {
#pragma unroll
  for (int apart = kWarp / 2; apart >= 1; apart /= 2) {
    const double by_low = __shfl_xor_sync(kAllLanes, low, apart);
    const double by_high = __shfl_xor_sync(kAllLanes, high, apart);
    widen(low, high, by_low, by_high);
  }
}

static __device__ __forceinline__ AnswerClass class_at(const Problem& problem, int c) {
  const int best = problem.bests()[c];
  return {
      0, problem.firsts()[c], best, problem.counts()[c], problem.sums()[c], problem.scores()[best]};
}

// Lets the candidates before `until` take part, beside those that do already. By one warp.
static __device__ __forceinline__ void admit(Problem& problem, int until) {
  const int lane = own_lane();
  int voters = problem.voters, classes = problem.classes;
  double low = problem.low, high = problem.high;
  for (int base = problem.size; base < until; base += kWarp) {
    const int i = base + lane;
    const int answer = i < until ? problem.answers()[i] : -1;
    const double score = i < until ? problem.scores()[i] : kNaN;
    const unsigned openers = __ballot_sync(kAllLanes, answer == i);
    const int opened = __popc(openers & ((1u << lane) - 1));
    if (answer == i) problem.firsts()[classes + opened] = i;
    classes += __popc(openers);
    voters += __popc(__ballot_sync(kAllLanes, answer >= 0));
    widen(low, high, score, score);
  }
  share_range(low, high);
  __syncwarp();  // all lanes have read what the first one writes over
  if (lane != 0) return;
  problem.before = problem.size;
  problem.size = until;
  problem.voters = voters;
  problem.classes = classes;
  problem.low = low;
  problem.high = high;
}

// Adds the candidates that are new to their classes.
static __device__ __forceinline__ void add_candidates(const Problem& problem) {
  for (int c = static_cast<int>(threadIdx.x); c < problem.classes; c += kThreads) {
    const int first = problem.firsts()[c];
    AnswerClass answer = first >= problem.before ? class_of(0, first, problem.scores()[first])
                                                 : class_at(problem, c);
    // From the same candidate on all threads, so that they read the same.
    for (int i = problem.before; i < problem.size; ++i) {
      const double score = problem.scores()[i];  // asked for along with the answer, not after it
      if (problem.answers()[i] == first && i > first) add_candidate(answer, i, score);
    }
    problem.bests()[c] = static_cast<int>(answer.best);
    problem.counts()[c] = static_cast<int>(answer.count);
    problem.sums()[c] = answer.sum;
  }
}

static __device__ __forceinline__ double points_of(const Problem& problem, int i, int64_t power) {
  const double own = problem.scores()[i];
  int twice = -1;  // nobody is equal to itself
  for (int j = 0; j < problem.size; ++j) {
    const double other = problem.scores()[j];
    twice += static_cast<int>(other < own) + static_cast<int>(other <= own);
  }
  return borda_weight(twice, power);
}

static __device__ __forceinline__ bool is_dominated(const Problem& problem, int i,
                                                    const double* rows, int64_t columns) {
  for (int j = 0; j < problem.size; ++j) {
    if (problem.answers()[j] >= 0 && dominates(rows + j * columns, rows + i * columns, columns)) {
      return true;
    }
  }
  return false;
}

static __device__ __forceinline__ void weigh_objectives(const Team& team, const Problem& problem,
                                                        const double* rows, int64_t columns,
                                                        const VoteParameters& parameters,
                                                        double* weights) {
  for (int i = team.rank; i < problem.size; i += team.size) weights[i] = 0.0;
  for (int64_t s = 0; s < columns; ++s) {
    double low = kInfinity, high = -kInfinity;
    if (parameters.scale == Scale::kMinmax) {  // every warp for itself
      for (int i = own_lane(); i < problem.size; i += kWarp) {
        const double score = rows[i * columns + s];
        if (problem.answers()[i] >= 0) widen(low, high, score, score);
      }
      share_range(low, high);
    }
    for (int i = team.rank; i < problem.size; i += team.size) {
      weights[i] += objective_of(rows[i * columns + s], low, high, s, parameters);
    }
  }
}

static __device__ __forceinline__ void weigh(const Team& team, const Problem& problem,
                                             const Ballot& ballot, Rule rule,
                                             const VoteParameters& parameters, double* weights) {
  const double* rows = ballot.scores + problem.begin * ballot.columns;
  if (rule == Rule::kMultiObjective) {
    return weigh_objectives(team, problem, rows, ballot.columns, parameters, weights);
  }
  for (int i = team.rank; i < problem.size; i += team.size) {
    if (problem.answers()[i] < 0) continue;
    if (rule == Rule::kBorda) {
      weights[i] = points_of(problem, i, parameters.power);
    } else if (rule == Rule::kPareto) {
      weights[i] = is_dominated(problem, i, rows, ballot.columns) ? 0.0 : 1.0;
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
static __device__ __forceinline__ Tally tally_of(const Problem& problem, Rule rule,
                                                 const VoteParameters& parameters,
                                                 const double* weights) {
  Tally tally{problem.voters, problem.classes};
  if (!compares_classes(rule)) return tally;
  for (int base = 0; base < problem.classes; base += kWarp) {
    const int c = base + own_lane();
    Tally part{problem.voters, problem.classes};
    if (c < problem.classes) {
      const double weight = rule == Rule::kSoftmaxWeighted ? weights[problem.firsts()[c]] : 0.0;
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
    const long long most = __shfl_xor_sync(kAllLanes, static_cast<long long>(tally.most), apart);
    tally.most = most > tally.most ? most : tally.most;
  }
  tally.consensus = rule == Rule::kHybridMajorityReward && in_consensus(tally, parameters);
  return tally;
}

// The best class that a lane has seen.
struct Leader {
  double score = -kInfinity;
  double best_score = -kInfinity;
  int at = 0x7fffffff;
  double second = -kInfinity;  // the best score behind
};

// A sum that overflows can make a NaN. It leads where the first class has it, and counts nowhere
// else: what comparing the classes one by one comes to.
static __device__ __forceinline__ void meet(Leader& own, const Leader& other) {
  const bool wins_tie = other.best_score > own.best_score ||
                        (other.best_score == own.best_score && other.at < own.at);
  const bool wins = other.score > own.score || other.score != other.score ||
                    (other.score == own.score && wins_tie);
  const double behind = wins ? own.score : other.score;
  const double second = other.second > own.second ? other.second : own.second;
  if (wins) own = other;
  own.second = behind > second ? behind : second;
}

// By one warp. `values`: what the classes reached, at the place of their first candidates.
static __device__ __forceinline__ void decide(const Problem& problem, const Ballot& ballot,
                                              Rule rule, const VoteParameters& parameters,
                                              const Tally& tally, const double* values,
                                              const VoteOutput& out, int64_t at) {
  Leader leader;
  for (int c = own_lane(); c < problem.classes; c += kWarp) {
    const double score = values[problem.firsts()[c]];
    if (score != score && c > 0) continue;
    const bool by_score = ballot.ties == Ties::kBestScore;
    meet(leader, {score, by_score ? problem.scores()[problem.bests()[c]] : 0.0, c, -kInfinity});
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
    out.winner[at] = kNoWinner;
    out.answer_id[at] = kNoAnswer;
    out.score[at] = out.margin[at] = kNaN;
    out.tied[at] = false;
    return;
  }
  const int first = problem.firsts()[leader.at];
  const bool by_best = shows_best(rule, tally, parameters);
  out.winner[at] = problem.begin + (by_best ? problem.bests()[leader.at] : first);
  out.answer_id[at] =
      ballot.answer_ids == nullptr ? first : ballot.answer_ids[problem.begin + first];
  out.score[at] = leader.score;
  out.margin[at] = margin_of(leader.score, leader.second, problem.classes > 1);
  out.tied[at] = problem.classes > 1 && leader.second == leader.score;
}

static __device__ __forceinline__ void count_rule(const Team& team, const Problem& problem,
                                                  const Ballot& ballot, const Asked& asked, int r,
                                                  double* weights, const VoteOutput& out, int f) {
  const Rule rule = asked.rules[r];
  const VoteParameters& parameters = asked.parameters;
  const bool weighs = weighs_scores(rule) || rule == Rule::kBorda || rule == Rule::kPareto ||
                      rule == Rule::kMultiObjective;
  if (weighs) {
    weigh(team, problem, ballot, rule, parameters, weights);
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
  if (team.rank < kWarp) {
    decide(problem, ballot, rule, parameters, tally, weights, out,
           (problem.index * asked.rule_count + r) * asked.prefix_count + f);
  }
  for (int i = team.rank; out.class_scores != nullptr && i < problem.size; i += team.size) {
    const int64_t row = (problem.begin + i) * asked.rule_count + r;
    const int first = problem.answers()[i];
    if (first >= 0) out.class_scores[row * asked.prefix_count + f] = weights[first];
  }
  team.wait();  // the next rule writes over the weights
}

// Whether no problem before this one ends behind its begin, and none after it begins before its
// end. Where that is not so, two blocks could write to one place of the workspace. By one warp.
static __device__ __forceinline__ bool stands_apart(const Ballot& ballot, int64_t problem,
                                                    int64_t begin, int64_t end) {
  bool crossed = false;
  for (int64_t p = own_lane(); p <= ballot.problems; p += kWarp) {
    crossed |= p <= problem ? ballot.offsets[p] > begin : ballot.offsets[p] < end;
  }
  return __ballot_sync(kAllLanes, crossed) == 0;
}

// By one warp.
static __device__ __forceinline__ void open(Problem& problem, const Ballot& ballot,
                                            int64_t candidates, int64_t index, double* held,
                                            double* workspace, int64_t* fault) {
  const int64_t begin = ballot.offsets[index], end = ballot.offsets[index + 1];
  const bool outside = begin < 0 || end < begin || end > candidates ||
                       (end - begin > kHeld && !stands_apart(ballot, index, begin, end));
  if (own_lane() != 0) return;
  if (outside) report_fault(fault, begin < 0 ? 0 : begin);
  const int total = outside ? 0 : static_cast<int>(end - begin);
  double* const notes = total <= kHeld ? held : workspace + begin * kVoteWorkspace;
  problem = {index, begin, notes, total, 0, 0, 0, 0, kInfinity, -kInfinity};
}

// Ends with all threads knowing the classes.
static __device__ __forceinline__ void find_classes(const Problem& problem, const Ballot& ballot,
                                                    ScoreRange range, int64_t* fault) {
  double* const ids = problem.sums();  // whose place is free
  for (int i = static_cast<int>(threadIdx.x); i < problem.total; i += kThreads) {
    const int64_t candidate = problem.begin + i;
    const int64_t id = ballot.answer_ids == nullptr ? i : ballot.answer_ids[candidate];
    const Standing standing = standing_of(ballot, id, candidate, range);
    if (standing == Standing::kRefused) report_fault(fault, candidate);
    const bool votes = standing == Standing::kVotes;
    const bool reads = ballot.scores != nullptr && ballot.columns == 1;
    problem.scores()[i] = !votes ? kNaN : reads ? ballot.scores[candidate] : 0.0;
    ids[i] = bits_as<double>(votes ? id : kNoAnswer);
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < problem.total; i += kThreads) {
    const int64_t id = bits_as<int64_t>(ids[i]);
    int first = 0;
    while (id != kNoAnswer && bits_as<int64_t>(ids[first]) != id) ++first;
    problem.answers()[i] = id == kNoAnswer ? -1 : first;
  }
  __syncthreads();
}

__global__ void __launch_bounds__(kThreads, 6)
    vote_problems(Ballot ballot, int64_t candidates, const __grid_constant__ Asked asked,
                  VoteOutput out, double* workspace, int64_t* fault) {
  __shared__ double held[4 * kHeld], held_weights[kWarps][kHeld];
  __shared__ Problem problem;
  const int thread = static_cast<int>(threadIdx.x);

  for (int64_t p = blockIdx.x; p < ballot.problems; p += gridDim.x) {
    if (thread < kWarp) open(problem, ballot, candidates, p, held, workspace, fault);
    __syncthreads();
    const bool holds = problem.total <= kHeld;
    const Team team = holds ? Team{own_lane(), kWarp} : Team{thread, kThreads};
    double* const weights =
        holds ? held_weights[thread / kWarp] : problem.notes + 4 * problem.total;

    find_classes(problem, ballot, asked.range, fault);
    for (int f = 0; f < asked.prefix_count; ++f) {
      const int64_t prefix = asked.prefixes[f];
      if (thread < kWarp) {
        admit(problem, prefix < problem.total ? static_cast<int>(prefix) : problem.total);
      }
      __syncthreads();
      add_candidates(problem);
      __syncthreads();
      for (int r = thread / team.size; r < asked.rule_count; r += kThreads / team.size) {
        count_rule(team, problem, ballot, asked, r, weights, out, f);
      }
      __syncthreads();
    }
  }
}

}  // namespace

Status vote(const Ballot& ballot, int64_t candidates, const RuleSet& rules, const VoteOutput& out,
            double* workspace, int64_t* fault, Stream stream) {
  if (out.class_scores != nullptr) {  // all ones is a NaN: for whoever takes no part
    const size_t results = static_cast<size_t>(candidates * rules.count * ballot.prefix_count);
    const Status filled = status_of(
        cudaMemsetAsync(out.class_scores, 0xff, results * sizeof(double), native(stream)));
    if (filled.error != nullptr) return filled;
  }
  if (ballot.problems == 0) return {};
  Asked asked{};
  asked.rule_count = static_cast<int>(rules.count);
  for (int64_t r = 0; r < rules.count; ++r) asked.rules[r] = rules.kinds[r];
  asked.prefix_count = static_cast<int>(ballot.prefix_count);
  for (int64_t f = 0; f < ballot.prefix_count; ++f) {
    asked.prefixes[f] = ballot.prefixes == nullptr ? candidates : ballot.prefixes[f];
  }
  asked.parameters = rules.parameters;
  asked.range = range_of(rules);
  return launch(vote_problems, blocks_for(ballot.problems, 1), kThreads, 0, native(stream), ballot,
                candidates, asked, out, workspace, fault);
}

}  // namespace stepscore::cuda
