// A block per problem. Its classes are found once; a class goes by its first candidate. Rules that
// read the same scores are counted together: one column after the other, then the rules that read
// several together, each by itself. Only where a score is missing are the classes found again for
// those that are left. For each prefix a thread per class adds the candidates that are new, and a
// warp per rule weighs the candidates, sums the weights by class and decides, waiting for no other.
// Beyond kHeld candidates all warps count one rule together.
//
// One thread takes the candidates of a class, in their order, and the classes are totalled in
// theirs: the sums have the bits of the CPU's, and no atomics are needed.
//
// Bytes: 8 per candidate and column, once into shared memory (a copy in the workspace beyond
// kHeld), and 8 for its id. The instructions set the time: for a problem of n candidates, k classes
// and r rules some n^2 / 2 comparisons find the classes, and each column and prefix of m candidates
// walks m candidates for each 32 classes and rule; kBorda and kPareto compare all m^2 pairs.
#include "launch.cuh"

namespace stepscore::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarp;
constexpr int kHeld = 256;  // candidates held in shared memory
constexpr int kAhead = 4;   // weights that a thread reads before it adds them

static_assert(kMaxRules <= kWarp, "a set of rules is a mask of 32 bits");

// A rule that reads columns together. Its columns and weights stand one after the other in those of
// all such rules.
struct Joint {
  int width;    // how many it reads
  int columns;  // where its columns begin; -1: they are all there are
  int weights;
};

// What the kernel is told, in the 4 KB that every driver allows for parameters.
struct Asked {
  VoteParameters parameters[kMaxRules];
  ScoreRange ranges[kMaxRules];
  RuleKind kinds[kMaxRules];
  Joint joints[kMaxRules];
  double joint_weights[kMaxJointColumns];
  int16_t joint_columns[kMaxJointColumns];
  int prefixes[kMaxPrefixes];
  int rule_count, prefix_count, columns;
  unsigned by_reads[3];     // the rules, by what they read
  ScoreRange column_range;  // the scores that all rules of one column can use
};

// A problem, as far as the prefix at hand. Candidates are counted from its first. What all threads
// know stands here, in shared memory, and takes none of their registers.
struct Problem {
  int64_t index, begin;  // its place among the problems, and its first candidate
  double* notes;         // in shared memory or in the workspace
  int total;             // candidates
  int size, before;      // candidates of the prefix, and of the one before
  int voters, classes;
  double low, high;              // of the scores
  unsigned fits;                 // the rules that can use the scores of all of it
  int column_begin, column_end;  // whose results are decided

  // Of each candidate: its score, NaN if it takes no part, and the first candidate with its answer,
  // or -1.
  __device__ double* scores() const { return notes; }
  __device__ int* answers() const { return reinterpret_cast<int*>(notes + 2 * total); }
  // Of each class, in the order of their first candidates.
  __device__ double* sums() const { return notes + total; }
  __device__ int* firsts() const { return answers() + total; }
  __device__ int* bests() const { return answers() + 2 * total; }
  __device__ int* counts() const { return answers() + 3 * total; }
  // As answers(), whatever scores are missing.
  __device__ int* everyone() const { return answers() + 4 * total; }
  // Of the rule at hand, beyond kHeld candidates.
  __device__ double* weights() const { return notes + 5 * total; }
};
constexpr int kNotes = 5;  // numbers per candidate
static_assert(kVoteWorkspace == kNotes + 1);

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
                                               const Asked& asked, int r) {
  const Joint& joint = asked.joints[r];
  return {ballot.scores + problem.begin * ballot.columns, ballot.columns, joint.width,
          joint.columns < 0 ? nullptr : asked.joint_columns + joint.columns,
          asked.joint_weights + joint.weights};
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
                                             const Ballot& ballot, const Asked& asked, int r,
                                             double* weights) {
  const RuleKind rule = asked.kinds[r];
  const VoteParameters& parameters = asked.parameters[r];
  if (rule == RuleKind::kMultiObjective) {
    return weigh_objectives(team, problem, rows_of(problem, ballot, asked, r), parameters, weights);
  }
  for (int i = team.rank; i < problem.size; i += team.size) {
    if (problem.answers()[i] < 0) continue;
    if (rule == RuleKind::kBorda) {
      weights[i] = points_of(problem, i, parameters.power);
    } else if (rule == RuleKind::kPareto) {
      weights[i] = is_dominated(problem, i, rows_of(problem, ballot, asked, r)) ? 0.0 : 1.0;
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
    const long long most = __shfl_xor_sync(kAllLanes, static_cast<long long>(tally.most), apart);
    tally.most = most > tally.most ? most : tally.most;
  }
  tally.consensus = rule == RuleKind::kHybridMajorityReward && in_consensus(tally, parameters);
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

// What is decided, for every column that it holds for. By one lane.
static __device__ __forceinline__ void write(const Problem& problem, const Ballot& ballot,
                                             const Asked& asked, int r, int f,
                                             const VoteOutput& out, int64_t winner,
                                             int64_t answer_id, double score, bool tied,
                                             double margin) {
  for (int c = problem.column_begin; c < problem.column_end; ++c) {
    const int64_t row = (problem.index * asked.rule_count + r) * ballot.columns + c;
    const int64_t at = row * asked.prefix_count + f;
    out.winner[at] = winner;
    out.answer_id[at] = answer_id;
    out.score[at] = score;
    out.tied[at] = tied;
    out.margin[at] = margin;
  }
}

// By one warp. `values`: what the classes reached, at the place of their first candidates.
static __device__ __forceinline__ void decide(const Problem& problem, const Ballot& ballot,
                                              const Asked& asked, int r, const Tally& tally,
                                              const double* values, const VoteOutput& out, int f) {
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
    return write(problem, ballot, asked, r, f, out, kNoWinner, kNoAnswer, kNaN, false, kNaN);
  }
  const int first = problem.firsts()[leader.at];
  const bool by_best = shows_best(asked.kinds[r], tally, asked.parameters[r]);
  write(problem, ballot, asked, r, f, out,
        problem.begin + (by_best ? problem.bests()[leader.at] : first),
        ballot.answer_ids == nullptr ? first : ballot.answer_ids[problem.begin + first],
        leader.score, problem.classes > 1 && leader.second == leader.score,
        margin_of(leader.score, leader.second, problem.classes > 1));
}

static __device__ __forceinline__ void count_rule(const Team& team, const Problem& problem,
                                                  const Ballot& ballot, const Asked& asked, int r,
                                                  double* weights, const VoteOutput& out, int f) {
  if ((problem.fits >> r & 1) == 0) {
    if (team.rank == 0) {
      write(problem, ballot, asked, r, f, out, kNoWinner, kNoAnswer, kNaN, false, kNaN);
    }
    return;
  }
  const RuleKind rule = asked.kinds[r];
  const VoteParameters& parameters = asked.parameters[r];
  const bool weighs = weighs_scores(rule) || rule == RuleKind::kBorda ||
                      rule == RuleKind::kPareto || rule == RuleKind::kMultiObjective;
  if (weighs) {
    weigh(team, problem, ballot, asked, r, weights);
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
  if (team.rank < kWarp) decide(problem, ballot, asked, r, tally, weights, out, f);
  for (int i = team.rank; out.class_scores != nullptr && i < problem.size; i += team.size) {
    const int first = problem.answers()[i];
    if (first < 0) continue;
    const int64_t row = ((problem.begin + i) * asked.rule_count + r) * ballot.columns;
    for (int c = problem.column_begin; c < problem.column_end; ++c) {
      out.class_scores[(row + c) * asked.prefix_count + f] = weights[first];
    }
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
  problem.index = index;
  problem.begin = begin;
  problem.notes = notes;
  problem.total = total;
}

// Whether the CPU would raise at candidate i, whose answer is `id`.
static __device__ __forceinline__ bool is_refused(const Ballot& ballot, const Asked& asked,
                                                  int64_t id, int64_t i) {
  if (id < kNoAnswer) return true;
  if (ballot.scores == nullptr) return false;
  const double* const row = ballot.scores + i * ballot.columns;
  bool missing = false, outside = false;
  for (int64_t c = 0; c < ballot.columns; ++c) {
    missing |= row[c] != row[c];
    outside |= (row[c] < asked.column_range.low) | (row[c] > asked.column_range.high);
  }
  if (missing && !ballot.drop_nan) return true;
  if (id == kNoAnswer || ballot.unfit == Unfit::kNan) return false;
  for (unsigned left = asked.by_reads[static_cast<int>(Reads::kColumns)]; left != 0;
       left &= left - 1) {
    const int r = __ffs(left) - 1;
    const Joint& joint = asked.joints[r];
    bool takes_part = true, fits = true;
    for (int s = 0; s < joint.width; ++s) {
      const double score = row[joint.columns < 0 ? s : asked.joint_columns[joint.columns + s]];
      takes_part &= score == score;
      fits &= !((score < asked.ranges[r].low) | (score > asked.ranges[r].high));
    }
    outside |= takes_part && !fits;
  }
  return outside;
}

// The first candidate with each candidate's answer. `ids` are bits of 64, kNoAnswer for who takes
// no part. Ends with all threads knowing.
static __device__ __forceinline__ void find_firsts(const double* ids, int total, int* answers) {
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < total; i += kThreads) {
    const int64_t id = bits_as<int64_t>(ids[i]);
    int first = 0;
    while (id != kNoAnswer && bits_as<int64_t>(ids[first]) != id) ++first;
    answers[i] = id == kNoAnswer ? -1 : first;
  }
  __syncthreads();
}

// The classes of all candidates that have an answer.
static __device__ __forceinline__ void find_classes(const Problem& problem, const Ballot& ballot,
                                                    const Asked& asked, int64_t* fault) {
  double* const ids = problem.sums();  // whose place is free
  for (int i = static_cast<int>(threadIdx.x); i < problem.total; i += kThreads) {
    const int64_t candidate = problem.begin + i;
    const int64_t id = ballot.answer_ids == nullptr ? i : ballot.answer_ids[candidate];
    const bool refused = is_refused(ballot, asked, id, candidate);
    if (refused) report_fault(fault, candidate);
    ids[i] = bits_as<double>(refused ? kNoAnswer : id);
  }
  find_firsts(ids, problem.total, problem.everyone());
}

// Which scores some rules read: none, a column, or those that one rule reads together.
struct Reading {
  Reads reads;
  int column;      // of Reads::kColumn
  int rule;        // of Reads::kColumns
  unsigned rules;  // a mask
};

// Of one candidate: the score that counts, and whether it is there. One that is missing breaks no
// tie where nothing is read.
static __device__ __forceinline__ double score_of(const Problem& problem, const Ballot& ballot,
                                                  const Asked& asked, const Reading& reading, int i,
                                                  bool& there) {
  there = true;
  if (ballot.scores == nullptr) return 0.0;
  const double* const row = ballot.scores + (problem.begin + i) * ballot.columns;
  if (reading.reads == Reads::kColumn) {
    there = row[reading.column] == row[reading.column];
    return row[reading.column];
  }
  if (reading.reads == Reads::kColumns) {
    const Rows rows = rows_of(problem, ballot, asked, reading.rule);
    for (int s = 0; s < rows.width; ++s) there &= rows.at(i, s) == rows.at(i, s);
  }
  if (ballot.columns > 1) return 0.0;
  return row[0] == row[0] ? row[0] : -kInfinity;
}

// The range of what a reading reads, over all of the problem. By one warp, which knows it in every
// lane.
static __device__ __forceinline__ ScoreRange range_read(const Problem& problem,
                                                        const Ballot& ballot, const Asked& asked,
                                                        const Reading& reading) {
  double low = kInfinity, high = -kInfinity;
  for (int i = own_lane(); i < problem.total; i += kWarp) {
    if (problem.answers()[i] < 0 || reading.reads == Reads::kNothing) continue;
    if (reading.reads == Reads::kColumn) {
      widen(low, high, problem.scores()[i], problem.scores()[i]);
      continue;
    }
    const Rows rows = rows_of(problem, ballot, asked, reading.rule);
    for (int s = 0; s < rows.width; ++s) widen(low, high, rows.at(i, s), rows.at(i, s));
  }
  share_range(low, high);
  return {low, high};
}

// Fetches the scores and settles who takes part. True where that is everyone who has an answer.
static __device__ __forceinline__ bool read_scores(Problem& problem, const Ballot& ballot,
                                                   const Asked& asked, const Reading& reading) {
  double* const ids = problem.sums();
  bool leaves_out = false;
  for (int i = static_cast<int>(threadIdx.x); i < problem.total; i += kThreads) {
    bool there = true;
    const double score = score_of(problem, ballot, asked, reading, i, there);
    const int answer = problem.everyone()[i];
    const bool votes = there && answer >= 0;
    leaves_out |= answer >= 0 && !there;
    problem.scores()[i] = votes ? score : kNaN;
    problem.answers()[i] = answer;
    ids[i] = bits_as<double>(votes ? static_cast<int64_t>(answer) : kNoAnswer);
  }
  leaves_out = __syncthreads_or(leaves_out) != 0;
  if (leaves_out) find_firsts(ids, problem.total, problem.answers());
  if (threadIdx.x < kWarp) {
    const ScoreRange range = range_read(problem, ballot, asked, reading);
    const int lane = own_lane();
    const bool fits = lane >= asked.rule_count || reading.reads == Reads::kNothing ||
                      !(range.low < asked.ranges[lane].low || range.high > asked.ranges[lane].high);
    const unsigned fitting = __ballot_sync(kAllLanes, fits);
    if (lane == 0) {
      const bool one = reading.reads == Reads::kColumn;
      problem.fits = fitting;
      problem.column_begin = one ? reading.column : 0;
      problem.column_end = one ? reading.column + 1 : asked.columns;
      problem.size = problem.before = problem.voters = problem.classes = 0;
      problem.low = kInfinity;
      problem.high = -kInfinity;
    }
  }
  __syncthreads();
  return !leaves_out;
}

// Counts some rules, a set, under all prefixes.
static __device__ __forceinline__ void count(const Team& team, Problem& problem,
                                             const Ballot& ballot, const Asked& asked,
                                             unsigned rules, double* weights,
                                             const VoteOutput& out) {
  const int thread = static_cast<int>(threadIdx.x);
  for (int f = 0; f < asked.prefix_count; ++f) {
    const int prefix = asked.prefixes[f];
    if (thread < kWarp) admit(problem, prefix < problem.total ? prefix : problem.total);
    __syncthreads();
    add_candidates(problem);
    __syncthreads();
    int turn = thread / team.size;  // the teams take turns
    for (unsigned left = rules; left != 0; left &= left - 1) {
      if (turn-- > 0) continue;
      turn = kThreads / team.size - 1;
      count_rule(team, problem, ballot, asked, __ffs(left) - 1, weights, out, f);
    }
    __syncthreads();
  }
}

__global__ void __launch_bounds__(kThreads, 6)
    vote_problems(Ballot ballot, int64_t candidates, const __grid_constant__ Asked asked,
                  VoteOutput out, double* workspace, int64_t* fault) {
  __shared__ double held[kNotes * kHeld], held_weights[kWarps][kHeld];
  __shared__ Problem problem;
  const int thread = static_cast<int>(threadIdx.x);

  for (int64_t p = blockIdx.x; p < ballot.problems; p += gridDim.x) {
    if (thread < kWarp) open(problem, ballot, candidates, p, held, workspace, fault);
    __syncthreads();
    const bool holds = problem.total <= kHeld;
    const Team team = holds ? Team{own_lane(), kWarp} : Team{thread, kThreads};
    double* const weights = holds ? held_weights[thread / kWarp] : problem.weights();
    find_classes(problem, ballot, asked, fault);

    // Where there is one column, rules that read nothing are counted along with it if nobody is
    // left out.
    unsigned reading_none = asked.by_reads[static_cast<int>(Reads::kNothing)];
    const unsigned reading_one = asked.by_reads[static_cast<int>(Reads::kColumn)];
    const int lone = reading_one == 0 ? 0 : asked.columns;
    unsigned reading_some = asked.by_reads[static_cast<int>(Reads::kColumns)];
    for (int turn = 0; turn < lone || reading_none != 0 || reading_some != 0; ++turn) {
      Reading reading{Reads::kColumn, turn, 0, reading_one};
      if (turn >= lone && reading_none != 0) {
        reading = {Reads::kNothing, 0, 0, reading_none};
        reading_none = 0;
      } else if (turn >= lone) {
        reading = {Reads::kColumns, 0, __ffs(reading_some) - 1, reading_some & (0u - reading_some)};
        reading_some &= reading_some - 1;
      }
      const bool is_everyone = read_scores(problem, ballot, asked, reading);
      if (turn < lone && asked.columns == 1 && is_everyone) {
        reading.rules |= reading_none;
        reading_none = 0;
      }
      count(team, problem, ballot, asked, reading.rules, weights, out);
    }
  }
}

}  // namespace

int joint_columns(const RuleSet& rules, int64_t columns) {
  int64_t total = 0;
  for (int64_t r = 0; r < rules.count; ++r) {
    if (reads_of(rules.rules[r].kind) == Reads::kColumns) {
      total += columns_read(rules.rules[r], columns);
    }
  }
  return static_cast<int>(total);
}

namespace {

Asked asked_of(const Ballot& ballot, int64_t candidates, const RuleSet& rules) {
  Asked asked{};
  asked.rule_count = static_cast<int>(rules.count);
  asked.columns = static_cast<int>(ballot.columns);
  asked.column_range = {-kInfinity, kInfinity};
  int used = 0;  // of the places for columns and weights
  for (int64_t r = 0; r < rules.count; ++r) {
    const Rule& rule = rules.rules[r];
    const Reads reads = reads_of(rule.kind);
    const ScoreRange range = range_of(rule);
    asked.kinds[r] = rule.kind;
    asked.parameters[r] = rule.parameters;
    asked.ranges[r] = range;
    asked.by_reads[static_cast<int>(reads)] |= 1u << r;
    if (reads == Reads::kColumn) {
      ScoreRange& all = asked.column_range;
      all.low = range.low > all.low ? range.low : all.low;
      all.high = range.high < all.high ? range.high : all.high;
    }
    if (reads != Reads::kColumns) continue;
    const int width = static_cast<int>(columns_read(rule, ballot.columns));
    asked.joints[r] = {width, rule.objectives.column_count == 0 ? -1 : used, used};
    for (int s = 0; s < width; ++s, ++used) {
      asked.joint_columns[used] = static_cast<int16_t>(column_read(rule, s));
      asked.joint_weights[used] = rule.objectives.weights[s];
    }
  }
  asked.prefix_count = static_cast<int>(ballot.prefix_count);
  for (int64_t f = 0; f < ballot.prefix_count; ++f) {
    const int64_t size = ballot.prefixes == nullptr ? candidates : ballot.prefixes[f];
    asked.prefixes[f] = static_cast<int>(size < 0x7fffffff ? size : 0x7fffffff);
  }
  return asked;
}

}  // namespace

Status vote(const Ballot& ballot, int64_t candidates, const RuleSet& rules, const VoteOutput& out,
            double* workspace, int64_t* fault, Stream stream) {
  if (out.class_scores != nullptr) {  // all ones is a NaN: for whoever takes no part
    const size_t results =
        static_cast<size_t>(candidates * rules.count * ballot.columns * ballot.prefix_count);
    const Status filled = status_of(
        cudaMemsetAsync(out.class_scores, 0xff, results * sizeof(double), native(stream)));
    if (filled.error != nullptr) return filled;
  }
  if (ballot.problems == 0) return {};
  const Asked asked = asked_of(ballot, candidates, rules);
  constexpr size_t kOthers = sizeof(Ballot) + sizeof(VoteOutput) + 4 * sizeof(int64_t);
  static_assert(sizeof(Asked) + kOthers <= 4096, "what every driver takes");
  return launch(vote_problems, blocks_for(ballot.problems, 1), kThreads, 0, native(stream), ballot,
                candidates, asked, out, workspace, fault);
}

}  // namespace stepscore::cuda
