#include "stepscore/vote.h"

#include <algorithm>
#include <vector>

#include "stepscore/check.h"
#include "stepscore/parallel.h"

namespace stepscore {
namespace {

constexpr int64_t kProblemsPerThread = 64;

// Whether a candidate may not be counted at all.
bool refused(int64_t id, double score, bool sums, bool drop_nan) {
  if (id < kNoAnswer) return true;
  if (score != score) return !drop_nan;
  const bool infinite = score - score != 0.0;
  return infinite && sums && id != kNoAnswer;
}

// The classes of one problem at a time, in an open-addressing table by answer id. A slot is stamped
// with the problem that it belongs to, so that the table is never cleared.
class Classes {
 public:
  // Sorts the candidates [begin, end) into classes; false at one that may not be counted. Whether
  // an answer is new is as good as random, so nothing in the loop branches on it.
  bool collect(const Ballot& ballot, int64_t begin, int64_t end, bool sums, FirstFault& fault) {
    start(end - begin);
    // Locals: the compiler must assume that a store to a slot may change a member.
    Slot* const slots = slots_.data();
    size_t* const order = order_.data();
    const uint64_t stamp = stamp_;
    const size_t mask = slots_.size() - 1;
    const int64_t* const ids = ballot.answer_ids;
    const double* const scores = ballot.scores;
    size_t count = 0;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t id = ids == nullptr ? i - begin : ids[i];
      const double score = scores == nullptr ? 0.0 : scores[i];
      if (id < 0 || score - score != 0.0) {  // no answer, or not a finite score
        if (refused(id, score, sums, ballot.drop_nan)) {
          fault.report(i);
          return false;
        }
        if (id == kNoAnswer || score != score) continue;
      }
      // Fibonacci hashing: ids are small and dense in practice, but need not be.
      size_t at = (static_cast<uint64_t>(id) * 0x9e3779b97f4a7c15ull >> 32) & mask;
      while ((slots[at].stamp == stamp) & (slots[at].answer.id != id)) at = (at + 1) & mask;
      const bool fresh = slots[at].stamp != stamp;
      AnswerClass& answer = slots[at].answer;
      const bool better = fresh | (score > answer.best_score);
      order[count] = at;
      count += fresh ? 1 : 0;
      slots[at].stamp = stamp;
      answer.id = id;
      answer.first = fresh ? i : answer.first;
      answer.count = (fresh ? 0 : answer.count) + 1;
      answer.sum = choose(fresh, 0.0, answer.sum) + score;
      answer.best = better ? i : answer.best;
      answer.best_score = choose(better, score, answer.best_score);
    }
    count_ = count;
    return true;
  }

  // In the order of their first candidates.
  size_t size() const { return count_; }
  const AnswerClass& operator[](size_t c) const { return slots_[order_[c]].answer; }

 private:
  struct Slot {
    uint64_t stamp = 0;
    AnswerClass answer{};
  };

  void start(int64_t candidates) {
    size_t slots = 16;
    while (slots < 2 * static_cast<size_t>(candidates)) slots *= 2;
    if (slots_.size() < slots) {
      slots_.assign(slots, Slot{});
      order_.resize(slots);
      stamp_ = 0;
    }
    ++stamp_;
  }

  std::vector<Slot> slots_;
  std::vector<size_t> order_;
  size_t count_ = 0;
  uint64_t stamp_ = 0;
};

void decide(Rule rule, Ties ties, const Classes& classes, int64_t at, const VoteOutput& out) {
  if (classes.size() == 0) {
    out.winner[at] = kNoWinner;
    out.answer_id[at] = kNoAnswer;
    out.score[at] = kNaN;
    out.tied[at] = false;
    return;
  }
  const AnswerClass* leader = &classes[0];
  double lead = class_score(rule, *leader);
  bool tied = false;
  const bool by_best_score = ties == Ties::kBestScore;
  for (size_t c = 1; c < classes.size(); ++c) {
    const AnswerClass* answer = &classes[c];
    const double score = class_score(rule, *answer);
    const bool equal = score == lead;
    const bool wins =
        (score > lead) | (equal & by_best_score & (answer->best_score > leader->best_score));
    tied = equal | (tied & !wins);
    lead = choose(wins, score, lead);
    leader = wins ? answer : leader;
  }
  out.winner[at] = rule == Rule::kBestOfN ? leader->best : leader->first;
  out.answer_id[at] = leader->id;
  out.score[at] = lead;
  out.tied[at] = tied;
}

}  // namespace

void check_ballot(const Ballot& ballot, const Rule* rules, int64_t rule_count) {
  for (int64_t r = 0; r < rule_count; ++r) {
    check(ballot.scores != nullptr || rules[r] == Rule::kMajority,
          "vote: scores may be None only when every rule is 'majority'");
  }
  check(ballot.scores != nullptr || ballot.ties == Ties::kFirst,
        "vote: ties='best_score' needs scores");
}

void vote(const Ballot& ballot, const Rule* rules, int64_t rule_count, const VoteOutput& out) {
  check_ballot(ballot, rules, rule_count);
  const bool sums = std::find(rules, rules + rule_count, Rule::kWeighted) != rules + rule_count;
  FirstFault fault;
  parallel_for(ballot.problems, kProblemsPerThread, [&](int64_t begin, int64_t end) {
    Classes classes;
    for (int64_t p = begin; p < end; ++p) {
      if (!classes.collect(ballot, ballot.offsets[p], ballot.offsets[p + 1], sums, fault)) {
        return;
      }
      for (int64_t r = 0; r < rule_count; ++r) {
        decide(rules[r], ballot.ties, classes, p * rule_count + r, out);
      }
    }
  });
  if (fault.none()) return;
  const int64_t i = fault.index();
  check(ballot.answer_ids == nullptr || ballot.answer_ids[i] >= kNoAnswer, "vote: answer_ids[", i,
        "] is ", ballot.answer_ids == nullptr ? 0 : ballot.answer_ids[i],
        "; ids are 0 or more, and -1 for a candidate without an answer");
  check(ballot.scores[i] != ballot.scores[i], "vote: scores[", i, "] is ", ballot.scores[i],
        "; the rule weighted adds scores and needs finite ones: give such a candidate the answer "
        "id -1 to leave it out");
  throw InvalidArgument(
      message("vote: scores[", i, "] is NaN; pass nan=\"drop\" to leave such candidates out"));
}

}  // namespace stepscore
