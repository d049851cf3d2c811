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
#include "vote/problem.cuh"
#include "vote/rule.cuh"

namespace stepscore::cuda {
namespace {

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
static __device__ __forceinline__ bool is_refused(const Ballot& ballot, const VotePlan& plan,
                                                  int64_t id, int64_t i) {
  if (id < kNoAnswer) return true;
  if (ballot.scores == nullptr) return false;
  const double* const row = ballot.scores + i * ballot.columns;
  bool missing = false, outside = false;
  for (int64_t c = 0; c < ballot.columns; ++c) {
    missing |= row[c] != row[c];
    outside |= (row[c] < plan.column_range.low) | (row[c] > plan.column_range.high);
  }
  if (missing && !ballot.drop_nan) return true;
  if (id == kNoAnswer || ballot.unfit == Unfit::kNan) return false;
  for (unsigned left = plan.by_reads[static_cast<int>(Reads::kColumns)]; left != 0;
       left &= left - 1) {
    const int r = __ffs(left) - 1;
    const Joint& joint = plan.joints[r];
    bool takes_part = true, fits = true;
    for (int s = 0; s < joint.width; ++s) {
      const double score = row[joint.columns < 0 ? s : plan.joint_columns[joint.columns + s]];
      takes_part &= score == score;
      fits &= !((score < plan.ranges[r].low) | (score > plan.ranges[r].high));
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
                                                    const VotePlan& plan, int64_t* fault) {
  double* const ids = problem.sums();  // whose place is free
  for (int i = static_cast<int>(threadIdx.x); i < problem.total; i += kThreads) {
    const int64_t candidate = problem.begin + i;
    const int64_t id = ballot.answer_ids == nullptr ? i : ballot.answer_ids[candidate];
    const bool refused = is_refused(ballot, plan, id, candidate);
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
                                                  const VotePlan& plan, const Reading& reading,
                                                  int i, bool& there) {
  there = true;
  if (ballot.scores == nullptr) return 0.0;
  const double* const row = ballot.scores + (problem.begin + i) * ballot.columns;
  if (reading.reads == Reads::kColumn) {
    there = row[reading.column] == row[reading.column];
    return row[reading.column];
  }
  if (reading.reads == Reads::kColumns) {
    const Rows rows = rows_of(problem, ballot, plan, reading.rule);
    for (int s = 0; s < rows.width; ++s) there &= rows.at(i, s) == rows.at(i, s);
  }
  if (ballot.columns > 1) return 0.0;
  return row[0] == row[0] ? row[0] : -kInfinity;
}

// The range of what a reading reads, over all of the problem. By one warp, which knows it in every
// lane.
static __device__ __forceinline__ ScoreRange range_read(const Problem& problem,
                                                        const Ballot& ballot, const VotePlan& plan,
                                                        const Reading& reading) {
  double low = kInfinity, high = -kInfinity;
  for (int i = own_lane(); i < problem.total; i += kWarp) {
    if (problem.answers()[i] < 0 || reading.reads == Reads::kNothing) continue;
    if (reading.reads == Reads::kColumn) {
      widen(low, high, problem.scores()[i], problem.scores()[i]);
      continue;
    }
    const Rows rows = rows_of(problem, ballot, plan, reading.rule);
    for (int s = 0; s < rows.width; ++s) widen(low, high, rows.at(i, s), rows.at(i, s));
  }
  share_range(low, high);
  return {low, high};
}

// Fetches the scores and settles who takes part. True where that is everyone who has an answer.
static __device__ __forceinline__ bool read_scores(Problem& problem, const Ballot& ballot,
                                                   const VotePlan& plan, const Reading& reading) {
  double* const ids = problem.sums();
  bool leaves_out = false;
  for (int i = static_cast<int>(threadIdx.x); i < problem.total; i += kThreads) {
    bool there = true;
    const double score = score_of(problem, ballot, plan, reading, i, there);
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
    const ScoreRange range = range_read(problem, ballot, plan, reading);
    const int lane = own_lane();
    const bool fits = lane >= plan.rule_count || reading.reads == Reads::kNothing ||
                      !(range.low < plan.ranges[lane].low || range.high > plan.ranges[lane].high);
    const unsigned fitting = __ballot_sync(kAllLanes, fits);
    if (lane == 0) {
      const bool by_column = reading.reads == Reads::kColumn;
      problem.fits = fitting;
      problem.column_begin = by_column ? reading.column : 0;
      problem.column_end = by_column ? reading.column + 1 : plan.columns;
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
                                             const Ballot& ballot, const VotePlan& plan,
                                             unsigned rules, double* weights,
                                             const VoteOutput& out) {
  const int thread = static_cast<int>(threadIdx.x);
  for (int f = 0; f < plan.prefix_count; ++f) {
    const int prefix = plan.prefixes[f];
    if (thread < kWarp) admit(problem, prefix < problem.total ? prefix : problem.total);
    __syncthreads();
    add_candidates(problem);
    __syncthreads();
    int turn = thread / team.size;  // the teams take turns
    for (unsigned left = rules; left != 0; left &= left - 1) {
      if (turn-- > 0) continue;
      turn = kThreads / team.size - 1;
      count_rule(team, problem, ballot, plan, __ffs(left) - 1, weights, out, f);
    }
    __syncthreads();
  }
}

__global__ void __launch_bounds__(kThreads, 5)
    vote_problems(Ballot ballot, int64_t candidates, const __grid_constant__ VotePlan plan,
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
    find_classes(problem, ballot, plan, fault);

    // Where there is one column, rules that read nothing are counted along with it if nobody is
    // left out.
    unsigned reading_none = plan.by_reads[static_cast<int>(Reads::kNothing)];
    const unsigned reading_one = plan.by_reads[static_cast<int>(Reads::kColumn)];
    const int lone = reading_one == 0 ? 0 : plan.columns;
    unsigned reading_some = plan.by_reads[static_cast<int>(Reads::kColumns)];
    for (int turn = 0; turn < lone || reading_none != 0 || reading_some != 0; ++turn) {
      Reading reading{Reads::kColumn, turn, 0, reading_one};
      if (turn >= lone && reading_none != 0) {
        reading = {Reads::kNothing, 0, 0, reading_none};
        reading_none = 0;
      } else if (turn >= lone) {
        reading = {Reads::kColumns, 0, __ffs(reading_some) - 1, reading_some & (0u - reading_some)};
        reading_some &= reading_some - 1;
      }
      const bool is_everyone = read_scores(problem, ballot, plan, reading);
      if (turn < lone && plan.columns == 1 && is_everyone) {
        reading.rules |= reading_none;
        reading_none = 0;
      }
      count(team, problem, ballot, plan, reading.rules, weights, out);
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

VotePlan plan_of(const Ballot& ballot, int64_t candidates, const RuleSet& rules) {
  VotePlan plan{};
  plan.rule_count = static_cast<int>(rules.count);
  plan.columns = static_cast<int>(ballot.columns);
  plan.column_range = {-kInfinity, kInfinity};
  int used = 0;  // of the places for columns and weights
  for (int64_t r = 0; r < rules.count; ++r) {
    const Rule& rule = rules.rules[r];
    const Reads reads = reads_of(rule.kind);
    const ScoreRange range = range_of(rule);
    plan.kinds[r] = rule.kind;
    plan.parameters[r] = rule.parameters;
    plan.ranges[r] = range;
    plan.by_reads[static_cast<int>(reads)] |= 1u << r;
    if (reads == Reads::kColumn) {
      ScoreRange& all = plan.column_range;
      all.low = range.low > all.low ? range.low : all.low;
      all.high = range.high < all.high ? range.high : all.high;
    }
    if (reads != Reads::kColumns) continue;
    const int width = static_cast<int>(columns_read(rule, ballot.columns));
    plan.joints[r] = {width, rule.objectives.column_count == 0 ? -1 : used, used};
    for (int s = 0; s < width; ++s, ++used) {
      plan.joint_columns[used] = static_cast<int16_t>(column_read(rule, s));
      plan.joint_weights[used] = rule.objectives.weights[s];
    }
  }
  plan.prefix_count = static_cast<int>(ballot.prefix_count);
  for (int64_t f = 0; f < ballot.prefix_count; ++f) {
    const int64_t size = ballot.prefixes == nullptr ? candidates : ballot.prefixes[f];
    plan.prefixes[f] = static_cast<int>(size < 0x7fffffff ? size : 0x7fffffff);
  }
  return plan;
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
  const VotePlan plan = plan_of(ballot, candidates, rules);
  constexpr size_t kOthers = sizeof(Ballot) + sizeof(VoteOutput) + 4 * sizeof(int64_t);
  static_assert(sizeof(VotePlan) + kOthers <= 4096, "what every driver takes");
  return launch(vote_problems, blocks_for(ballot.problems, 1), kThreads, 0, native(stream), ballot,
                candidates, plan, out, workspace, fault);
}

}  // namespace stepscore::cuda
