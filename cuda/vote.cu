// A block per problem, a thread per candidate. The thread of an answer's first candidate walks the
// candidates behind it and adds those of its answer, in candidate order: the sums have the bits of
// the CPU's, and no atomics are needed. Then the block reduces the answers, per rule, to the
// leader.
//
// Bytes: 16 per candidate, once into shared memory (from the second cache beyond kHeld candidates).
// A problem of n candidates costs n^2 / 2 comparisons: 2,048 for 64.
#include "launch.cuh"

namespace stepscore::cuda {
namespace {

constexpr int kThreads = 64;
constexpr int64_t kHeld = 512;  // candidates held in shared memory

struct Rules {
  Rule kind[kMaxRules];
  int64_t count;
  bool sums;
};

// The best class that a thread has seen, for one rule.
struct Leader {
  double score;
  double best_score;
  int64_t first;  // candidate, relative to the problem; -1: no class seen
  int64_t best;
  int64_t id;
  bool tied;
};

// Whether `a` wins against `b`, both seen and of equal score or not.
static __device__ bool leads(const Leader& a, const Leader& b, Ties ties) {
  if (a.score != b.score) return a.score > b.score;
  if (ties == Ties::kBestScore && a.best_score != b.best_score) return a.best_score > b.best_score;
  return a.first < b.first;
}

static __device__ void merge(Leader& into, const Leader& from, Ties ties) {
  if (from.first < 0) return;
  if (into.first < 0) {
    into = from;
    return;
  }
  const bool equal = into.score == from.score;
  const bool tied = equal || (into.score > from.score ? into.tied : from.tied);
  if (leads(from, into, ties)) into = from;
  into.tied = tied;
}

__global__ void __launch_bounds__(kThreads)
    vote_problems(Ballot ballot, int64_t candidates, Rules rules, VoteOutput out, int64_t* fault) {
  __shared__ int64_t held_ids[kHeld];
  __shared__ double held_scores[kHeld];
  Leader* leaders = dynamic_shared<Leader>();  // [rules, kThreads]

  for (int64_t problem = blockIdx.x; problem < ballot.problems; problem += gridDim.x) {
    const int64_t begin = ballot.offsets[problem], end = ballot.offsets[problem + 1];
    const bool outside = begin < 0 || end < begin || end > candidates;
    if (outside && threadIdx.x == 0) report_fault(fault, begin < 0 ? 0 : begin);
    const int64_t size = outside ? 0 : end - begin;
    const bool held = size <= kHeld;
    auto raw_id = [&](int64_t i) {
      return ballot.answer_ids == nullptr ? i : ballot.answer_ids[begin + i];
    };
    auto raw_score = [&](int64_t i) {
      return ballot.scores == nullptr ? 0.0 : ballot.scores[begin + i];
    };
    // The id of a candidate that takes part, else kNoAnswer.
    auto checked_id = [&](int64_t i, bool report) {
      const int64_t id = raw_id(i);
      const double score = raw_score(i);
      const bool is_nan = score != score;
      const bool is_infinite = !is_nan && score - score != 0.0;
      const bool refused = id < kNoAnswer || (is_nan && !ballot.drop_nan) ||
                           (is_infinite && rules.sums && id != kNoAnswer);
      if (refused && report) report_fault(fault, begin + i);
      return refused || is_nan ? kNoAnswer : id;
    };
    for (int64_t i = threadIdx.x; i < size; i += kThreads) {
      const int64_t id = checked_id(i, true);
      if (held) {
        held_ids[i] = id;
        held_scores[i] = raw_score(i);
      }
    }
    // Now the candidates are held, and nobody reads the leaders of the problem before any more. Its
    // candidates were last read before the barriers between which the leaders merged.
    __syncthreads();
    auto id_of = [&](int64_t i) { return held ? held_ids[i] : checked_id(i, false); };
    auto score_of = [&](int64_t i) { return held ? held_scores[i] : raw_score(i); };

    for (int64_t r = 0; r < rules.count; ++r) leaders[r * kThreads + threadIdx.x].first = -1;
    for (int64_t i = threadIdx.x; i < size; i += kThreads) {
      const int64_t id = id_of(i);
      if (id == kNoAnswer) continue;
      bool seen = false;
      for (int64_t j = 0; j < i && !seen; ++j) seen = id_of(j) == id;
      if (seen) continue;
      AnswerClass answer = class_of(id, i, score_of(i));
      for (int64_t j = i + 1; j < size; ++j) {
        if (id_of(j) == id) add_candidate(answer, j, score_of(j));
      }
      for (int64_t r = 0; r < rules.count; ++r) {
        const Leader leader{
            class_score(rules.kind[r], answer), answer.best_score, i, answer.best, id, false};
        merge(leaders[r * kThreads + threadIdx.x], leader, ballot.ties);
      }
    }
    for (int apart = kThreads / 2; apart >= 1; apart /= 2) {
      __syncthreads();
      if (static_cast<int>(threadIdx.x) >= apart) continue;
      for (int64_t r = 0; r < rules.count; ++r) {
        Leader* own = leaders + r * kThreads + threadIdx.x;
        merge(own[0], own[apart], ballot.ties);
      }
    }
    __syncthreads();
    for (int64_t r = threadIdx.x; r < rules.count; r += kThreads) {
      const Leader& won = leaders[r * kThreads];
      const int64_t at = problem * rules.count + r;
      const bool none = won.first < 0;
      const int64_t winner = rules.kind[r] == Rule::kBestOfN ? won.best : won.first;
      out.winner[at] = none ? kNoWinner : begin + winner;
      out.answer_id[at] = none ? kNoAnswer : won.id;
      out.score[at] = none ? kNaN : won.score;
      out.tied[at] = !none && won.tied;
    }
  }
}

}  // namespace

Status vote(const Ballot& ballot, int64_t candidates, const Rule* rules, int64_t rule_count,
            const VoteOutput& out, int64_t* fault, Stream stream) {
  if (ballot.problems == 0) return {};
  Rules named{};
  named.count = rule_count;
  for (int64_t r = 0; r < rule_count; ++r) {
    named.kind[r] = rules[r];
    named.sums |= rules[r] == Rule::kWeighted;
  }
  const size_t shared = static_cast<size_t>(rule_count) * kThreads * sizeof(Leader);
  return launch(vote_problems, blocks_for(ballot.problems, 1), kThreads, shared, native(stream),
                ballot, candidates, named, out, fault);
}

}  // namespace stepscore::cuda
