#include "stepscore/vote.h"

#include <algorithm>
#include <vector>

#include "stepscore/check.h"
#include "stepscore/parallel.h"

namespace stepscore {
namespace {

constexpr int64_t kProblemsPerThread = 64;

// The classes of one problem at a time, found by answer id through an open-addressing table whose
// slots are stamped with the problem, so that it is never cleared.
class Classes {
 public:
  void start(int64_t candidates) {
    size_t slots = 16;
    while (slots < 2 * static_cast<size_t>(candidates)) slots *= 2;
    if (slots_.size() < slots) {
      slots_.assign(slots, Slot{});
      classes_.resize(slots / 2);
      stamp_ = 0;
    }
    mask_ = slots - 1;
    count_ = 0;
    ++stamp_;
  }

  // Adds a candidate to the class of its answer.
  void add(int64_t id, int64_t candidate, double score) {
    // Fibonacci hashing: ids are small and dense in practice, but need not be.
    size_t at = (static_cast<uint64_t>(id) * 0x9e3779b97f4a7c15ull >> 32) & mask_;
    for (; slots_[at].stamp == stamp_; at = (at + 1) & mask_) {
      AnswerClass& answer = classes_[slots_[at].index];
      if (answer.id != id) continue;
      answer.count += 1;
      answer.sum += score;
      const bool better = score > answer.best_score;
      answer.best = better ? candidate : answer.best;
      answer.best_score = better ? score : answer.best_score;
      return;
    }
    slots_[at] = {stamp_, static_cast<uint32_t>(count_)};
    classes_[count_++] = {id, candidate, candidate, 1, score, score};
  }

  const AnswerClass* begin() const { return classes_.data(); }
  const AnswerClass* end() const { return classes_.data() + count_; }

 private:
  struct Slot {
    uint64_t stamp = 0;
    uint32_t index = 0;
  };
  std::vector<Slot> slots_;
  std::vector<AnswerClass> classes_;
  size_t mask_ = 0;
  size_t count_ = 0;
  uint64_t stamp_ = 0;
};

// False at a candidate that may not be counted.
bool collect(const Ballot& ballot, int64_t begin, int64_t end, bool sums, Classes& classes,
             FirstFault& fault) {
  classes.start(end - begin);
  for (int64_t i = begin; i < end; ++i) {
    const int64_t id = ballot.answer_ids == nullptr ? i - begin : ballot.answer_ids[i];
    const double score = ballot.scores == nullptr ? 0.0 : ballot.scores[i];
    const bool is_nan = score != score;
    const bool is_infinite = !is_nan && score - score != 0.0;
    if (id < kNoAnswer || (is_nan && !ballot.drop_nan) ||
        (is_infinite && sums && id != kNoAnswer)) {
      fault.report(i);
      return false;
    }
    if (id == kNoAnswer || is_nan) continue;
    classes.add(id, i, score);
  }
  return true;
}

void decide(Rule rule, Ties ties, const Classes& classes, int64_t at, const VoteOutput& out) {
  if (classes.begin() == classes.end()) {
    out.winner[at] = kNoWinner;
    out.answer_id[at] = kNoAnswer;
    out.score[at] = kNaN;
    out.tied[at] = false;
    return;
  }
  const AnswerClass* leader = classes.begin();
  double lead = class_score(rule, *leader);
  bool tied = false;
  for (const AnswerClass* answer = leader + 1; answer != classes.end(); ++answer) {
    const double score = class_score(rule, *answer);
    if (score > lead) {
      leader = answer;
      lead = score;
      tied = false;
    } else if (score == lead) {
      tied = true;
      if (ties == Ties::kBestScore && answer->best_score > leader->best_score) leader = answer;
    }
  }
  out.winner[at] = rule == Rule::kBestOfN ? leader->best : leader->first;
  out.answer_id[at] = leader->id;
  out.score[at] = lead;
  out.tied[at] = tied;
}

}  // namespace

void vote(const Ballot& ballot, const Rule* rules, int64_t rule_count, const VoteOutput& out) {
  for (int64_t r = 0; r < rule_count; ++r) {
    check(ballot.scores != nullptr || rules[r] == Rule::kMajority,
          "vote: scores may be None only when every rule is 'majority'");
  }
  check(ballot.scores != nullptr || ballot.ties == Ties::kFirst,
        "vote: ties='best_score' needs scores");
  const bool sums = std::find(rules, rules + rule_count, Rule::kWeighted) != rules + rule_count;
  FirstFault fault;
  parallel_for(ballot.problems, kProblemsPerThread, [&](int64_t begin, int64_t end) {
    Classes classes;
    for (int64_t p = begin; p < end; ++p) {
      if (!collect(ballot, ballot.offsets[p], ballot.offsets[p + 1], sums, classes, fault)) {
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
