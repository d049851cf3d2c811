#include "stepscore/vote.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "simd/leaf_loops.h"
#include "stepscore/check.h"
#include "stepscore/parallel.h"
#include "vote/count.h"
#include "vote/rules.h"
#include "vote/voters.h"

namespace stepscore {
namespace {

size_t at(int64_t i) {
  return static_cast<size_t>(i);
}

InvalidArgument wrong(const char* argument, const std::string& how) {
  return InvalidArgument("vote", argument, message("vote: ", argument, how));
}

// Why candidate i may not be counted; nothing if it may.
std::optional<InvalidArgument> refusal(const Ballot& ballot, const RuleSet& rules, int64_t i) {
  const int64_t id = ballot.answer_ids == nullptr ? 0 : ballot.answer_ids[i];
  if (id < kNoAnswer) {
    return wrong("answer_ids", message("[", i, "] is ", id,
                                       "; ids are 0 or more, and -1 for a candidate without an "
                                       "answer"));
  }
  if (ballot.scores == nullptr) return {};
  const double* const row = ballot.scores + i * ballot.columns;
  const auto place = [&](int64_t s) {
    return ballot.columns == 1 ? message("[", i, "] is ") : message("[", i, ", ", s, "] is ");
  };
  for (int64_t s = 0; s < ballot.columns; ++s) {
    if (row[s] == row[s] || ballot.drop_nan) continue;
    return wrong("scores", place(s) + "NaN; pass nan=\"drop\" to leave such candidates out");
  }
  for (int64_t r = 0; id >= 0 && ballot.unfit == Unfit::kError && r < rules.count; ++r) {
    const Rule& rule = rules.rules[r];
    const bool together = reads_of(rule.kind) == Reads::kColumns;
    const int64_t count = together ? columns_read(rule, ballot.columns) : ballot.columns;
    const auto column = [&](int64_t s) { return together ? column_read(rule, s) : s; };
    bool left_out = false;
    for (int64_t s = 0; together && s < count; ++s) left_out |= row[column(s)] != row[column(s)];
    for (int64_t s = 0; !left_out && s < count; ++s) {
      const double score = row[column(s)];
      const ScoreRange range = range_of(rule);
      if (score != score || (score >= range.low && score <= range.high)) continue;
      return wrong("scores", message(place(column(s)), score, "; the rule ",
                                     info_of(rule.kind).name, " needs ", words_for(scores_of(rule)),
                                     ": give such a candidate the answer id -1 to leave it out"));
    }
  }
  return {};
}

// The range of some scores, and whether one of them is NaN.
struct Extent {
  double low = kInfinity, high = -kInfinity;
  bool missing = false;
};

// In independent lanes, so that no comparison waits for the one before.
Extent extent_of(const double* scores, int64_t count) {
  constexpr int64_t kLanes = 8;
  double low[kLanes], high[kLanes];
  int64_t missing[kLanes] = {};
  std::fill_n(low, kLanes, kInfinity);
  std::fill_n(high, kLanes, -kInfinity);
  const int64_t whole = count - count % kLanes;
  for (int64_t k = 0; k < whole; k += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const double score = scores[k + lane];
      low[lane] = score < low[lane] ? score : low[lane];
      high[lane] = score > high[lane] ? score : high[lane];
      missing[lane] |= score != score ? 1 : 0;
    }
  }
  Extent extent;
  for (int64_t k = whole; k < count; ++k) {
    low[0] = scores[k] < low[0] ? scores[k] : low[0];
    high[0] = scores[k] > high[0] ? scores[k] : high[0];
    missing[0] |= scores[k] != scores[k] ? 1 : 0;
  }
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    extent.low = low[lane] < extent.low ? low[lane] : extent.low;
    extent.high = high[lane] > extent.high ? high[lane] : extent.high;
    extent.missing |= missing[lane] != 0;
  }
  return extent;
}

// All rules over the problems of one thread, one after the other.
class Election {
 public:
  Election(const Ballot& ballot, const RuleSet& rules, const VoteOutput& out)
      : ballot_(ballot), rules_(rules), out_(out), count_(ballot, rules, out) {
    for (int64_t r = 0; r < rules.count; ++r) {
      ranges_.push_back(range_of(rules.rules[r]));
      by_reads_[static_cast<size_t>(reads_of(rules.rules[r].kind))].push_back(r);
      ranks_ |= rules.rules[r].kind == RuleKind::kBorda;
    }
  }

  // False at a candidate that may not be counted.
  bool hold(int64_t problem, FirstFault& fault) {
    if (decide(problem)) return true;
    const int64_t begin = ballot_.offsets[problem], end = ballot_.offsets[problem + 1];
    int64_t i = begin;
    while (i + 1 < end && !refusal(ballot_, rules_, i)) ++i;
    fault.report(i);
    return false;
  }

 private:
  bool decide(int64_t problem) {
    problem_ = problem;
    begin_ = ballot_.offsets[problem];
    const int64_t size = ballot_.offsets[problem + 1] - begin_;
    const int64_t* const ids = ballot_.answer_ids;
    if (!everyone_.read(ids == nullptr ? nullptr : ids + begin_, size)) return false;
    if (ballot_.scores != nullptr && !ballot_.drop_nan) {
      const double* const scores = ballot_.scores + begin_ * ballot_.columns;
      if (extent_of(scores, size * ballot_.columns).missing) return false;
    }
    if (out_.class_scores != nullptr) {
      const int64_t row = rules_.count * ballot_.columns * ballot_.prefix_count;
      std::fill(out_.class_scores + begin_ * row, out_.class_scores + (begin_ + size) * row, kNaN);
    }
    return read_columns() && read_columns_together();
  }

  // Rules that read one column, each column by itself. Those that read nothing are counted along
  // with the first where nobody is left out.
  bool read_columns() {
    const std::vector<int64_t>& reading_none = rules_that(Reads::kNothing);
    bool counted_none = reading_none.empty();
    const int64_t columns = rules_that(Reads::kColumn).empty() ? 0 : ballot_.columns;
    for (int64_t c = 0; c < columns; ++c) {
      const Reading reading = read_column(c);
      counted_.clear();
      for (const int64_t r : rules_that(Reads::kColumn)) {
        const ScoreRange& range = ranges_[at(r)];
        counted_.push_back({r, c, c + 1, low_ >= range.low && high_ <= range.high});
        if (!counted_.back().fits && ballot_.unfit == Unfit::kError) return false;
      }
      if (!counted_none && reading.voters == &everyone_) {
        for (const int64_t r : reading_none) counted_.push_back({r, 0, ballot_.columns});
        counted_none = true;
      }
      count_.run(problem_, reading, counted_);
    }
    if (counted_none) return true;
    counted_.clear();
    for (const int64_t r : reading_none) counted_.push_back({r, 0, ballot_.columns});
    gather(everyone_, ballot_.ties == Ties::kBestScore ? 0 : -1);
    count_.run(problem_, {&everyone_, scores_.data()}, counted_);
    return true;
  }

  bool read_columns_together() {
    for (const int64_t r : rules_that(Reads::kColumns)) {
      Counted counted{r, 0, ballot_.columns};
      const Reading reading = read_rows(r, counted.fits);
      if (!counted.fits && ballot_.unfit == Unfit::kError) return false;
      count_.run(problem_, reading, {&counted, 1});
    }
    return true;
  }

  // The scores of some voters in a column; -1: zeros.
  const double* gather(const Voters& voters, int64_t column) {
    const size_t room = at(voters.size() + simd::kComparedTogether);
    if (scores_.size() < room) {
      scores_.resize(room);
      keep_.resize(room);
    }
    if (column < 0) {
      std::fill_n(scores_.begin(), voters.size(), 0.0);
      return scores_.data();
    }
    const double* const scores = ballot_.scores + begin_ * ballot_.columns + column;
    for (int64_t k = 0; k < voters.size(); ++k) {
      scores_[at(k)] = scores[voters.candidate(k) * ballot_.columns];
    }
    return scores_.data();
  }

  // Leaves its range in low_ and high_.
  Reading read_column(int64_t column) {
    const double* const scores =
        stand_in_a_row() ? ballot_.scores + begin_ : gather(everyone_, column);
    const Extent extent = extent_of(scores, everyone_.size());
    low_ = extent.low;
    high_ = extent.high;
    if (!extent.missing) return {&everyone_, scores};
    keep_.resize(std::max(keep_.size(), at(everyone_.size())));
    for (int64_t k = 0; k < everyone_.size(); ++k) keep_[at(k)] = scores[k] == scores[k] ? 1 : 0;
    some_.select(everyone_, keep_.data());
    return {&some_, gather(some_, column)};
  }

  // Whether the scores of everyone who votes stand in the caller's array as they are counted.
  // Whoever compares all with all reads some places more than there are.
  bool stand_in_a_row() const { return ballot_.columns == 1 && everyone_.is_everyone() && !ranks_; }

  Reading read_rows(int64_t r, bool& fits) {
    const Rule& rule = rules_.rules[r];
    const int64_t width = columns_read(rule, ballot_.columns);
    gather(everyone_, -1);
    bool missing = false;
    for (int64_t k = 0; k < everyone_.size(); ++k) {
      const double* const row = row_of(everyone_, k);
      bool left_out = false;
      for (int64_t s = 0; s < width; ++s) {
        const double score = row[column_read(rule, s)];
        left_out |= score != score;
      }
      keep_[at(k)] = left_out ? 0 : 1;
      missing |= left_out;
    }
    if (missing) some_.select(everyone_, keep_.data());
    const Voters& voters = missing ? some_ : everyone_;
    rows_.resize(at(voters.size() * width));
    for (int64_t k = 0; k < voters.size(); ++k) {
      const double* const row = row_of(voters, k);
      for (int64_t s = 0; s < width; ++s) {
        const double score = row[column_read(rule, s)];
        rows_[at(k * width + s)] = score;
        fits &= score >= ranges_[at(r)].low && score <= ranges_[at(r)].high;
      }
    }
    if (ballot_.ties == Ties::kBestScore) gather(voters, 0);
    return {&voters, scores_.data(), rows_.data(), width};
  }

  const double* row_of(const Voters& voters, int64_t k) const {
    return ballot_.scores + (begin_ + voters.candidate(k)) * ballot_.columns;
  }

  const std::vector<int64_t>& rules_that(Reads reads) const {
    return by_reads_[static_cast<size_t>(reads)];
  }

  const Ballot& ballot_;
  const RuleSet& rules_;
  const VoteOutput& out_;
  Count count_;
  std::vector<ScoreRange> ranges_;    // of the rules
  std::vector<int64_t> by_reads_[3];  // the rules, by what they read
  std::vector<Counted> counted_;

  int64_t problem_ = 0, begin_ = 0;
  Voters everyone_, some_;
  std::vector<double> scores_, rows_;
  std::vector<char> keep_;
  double low_ = 0.0, high_ = 0.0;
  bool ranks_ = false;
};

void check_columns(const Ballot& ballot, const Rule& rule) {
  if (reads_of(rule.kind) != Reads::kColumns) return;
  const char* const name = info_of(rule.kind).name;
  const int64_t width = columns_read(rule, ballot.columns);
  check(width <= kMaxObjectives, "vote", About{"rule"}, "the rule ", name, " reads at most ",
        kMaxObjectives, " columns; scores has ", width,
        ": name those that it reads in columns=[...]");
  for (int64_t s = 0; s < width; ++s) {
    const int64_t column = column_read(rule, s);
    check(column >= 0 && column < ballot.columns, "vote", About{"rule"}, name,
          ": columns must lie in [0, ", ballot.columns, "), for the columns of scores; got ",
          column);
  }
  check(rule.kind != RuleKind::kMultiObjective || rule.objectives.weight_count == width, "vote",
        About{"rule"}, name, ": objective_weights must hold ", width,
        " numbers, one for each column that it reads; ", "got ", rule.objectives.weight_count);
}

}  // namespace

void check_ballot(const Ballot& ballot, const RuleSet& rules) {
  check(ballot.columns >= 1, "vote", "scores", " must have at least 1 column; got ",
        ballot.columns);
  for (int64_t r = 0; r < rules.count; ++r) {
    if (reads_of(rules.rules[r].kind) == Reads::kNothing) continue;
    check(ballot.scores != nullptr, "vote", "scores",
          " may be None only when every rule is 'majority'");
    check_columns(ballot, rules.rules[r]);
  }
  check(ballot.scores != nullptr || ballot.ties == Ties::kFirst, "vote", "ties",
        "='best_score' needs scores");
  check(ballot.columns == 1 || ballot.ties == Ties::kFirst, "vote", "ties",
        "='best_score' needs one score per candidate; scores has ", ballot.columns, " columns");
  int64_t before = 0;
  for (int64_t f = 0; ballot.prefixes != nullptr && f < ballot.prefix_count; ++f) {
    check(ballot.prefixes[f] > before, "vote", "prefixes",
          " must be positive and ascend; prefixes[", f, "] is ", ballot.prefixes[f],
          f == 0 ? "" : message(" after ", before));
    before = ballot.prefixes[f];
  }
}

void vote(const Ballot& ballot, const RuleSet& rules, const VoteOutput& out) {
  check_ballot(ballot, rules);
  FirstFault fault;
  const double votes = static_cast<double>(rules.count * ballot.columns) *
                       static_cast<double>(ballot.offsets[ballot.problems]);
  const Work work{200.0 * static_cast<double>(ballot.problems) +
                  (8.0 + 2.0 * static_cast<double>(ballot.prefix_count)) * votes};
  parallel_for(ballot.problems, work, [&](int64_t begin, int64_t end) {
    Election election(ballot, rules, out);
    for (int64_t p = begin; p < end; ++p) {
      if (!election.hold(p, fault)) return;
    }
  });
  if (fault.none()) return;
  if (const auto reason = refusal(ballot, rules, fault.index())) throw *reason;
  refuse("vote", About{"scores"}, "a candidate changed while it was counted");
}

}  // namespace stepscore
