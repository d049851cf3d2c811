// What the kernel of the vote is told, and the notes that it keeps on a problem. Included by
// vote.cu alone.
#pragma once

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
struct VotePlan {
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
  return {0,
          problem.firsts()[c],
          best,
          static_cast<double>(problem.counts()[c]),
          problem.sums()[c],
          problem.scores()[best]};
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

}  // namespace
}  // namespace stepscore::cuda
