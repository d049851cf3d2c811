#include "stepscore/vote.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "simd/leaf_loops.h"
#include "simd/level.h"
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

// All rules over the problems of one thread, one after the other.
class Election {
 public:
  Election(const Ballot& ballot, const RuleSet& rules, const VoteOutput& out)
      : ballot_(ballot),
        rules_(rules),
        out_(out),
        loops_(simd::leaf_loops()),
        count_(ballot, rules, out) {
    for (int64_t r = 0; r < rules.count; ++r) {
      const Rule& rule = rules.rules[r];
      const Counted counted{r, 0, ballot.columns};
      const Reads reads = reads_of(rule.kind);
      ranges_.push_back(range_of(rule));
      ranks_ |= weighs_by(rule.kind) == WeighsBy::kRanks;
      if (reads == Reads::kNothing) reading_none_.add(rule, counted);
      if (reads == Reads::kColumns) reading_some_.push_back(counted);
      if (reads != Reads::kColumn) continue;
      reading_one_.add(rule, counted);
      fits_all_.low = std::max(fits_all_.low, ranges_.back().low);
      fits_all_.high = std::min(fits_all_.high, ranges_.back().high);
    }
    with_none_ = reading_one_;
    for (const Counted& counted : reading_none_.counted) {
      with_none_.add(rules.rules[counted.rule], counted);
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
    const size_t room = at(size + simd::kComparedTogether);
    if (scores_.size() < room) {
      scores_.resize(room);
      keep_.resize(room);
    }
    if (!ballot_.drop_nan && ballot_.scores != nullptr && !looks_at_all_scores()) {
      double low = 0.0, high = 0.0;
      const double* const scores = ballot_.scores + begin_ * ballot_.columns;
      if (loops_.survey_scores(scores, size * ballot_.columns, &low, &high)) return false;
    }
    if (out_.class_scores != nullptr) {
      const int64_t row = rules_.count * ballot_.columns * ballot_.prefix_count;
      std::fill(out_.class_scores + begin_ * row, out_.class_scores + (begin_ + size) * row, kNaN);
    }
    return read_columns() && read_columns_together();
  }

  // Whether read_columns meets the scores of all candidates, and so every NaN.
  bool looks_at_all_scores() const {
    return !reading_one_.counted.empty() && everyone_.is_everyone();
  }

  // Rules that read one column, each column by itself. Those that read nothing are counted along
  // with the first where nobody is left out.
  bool read_columns() {
    bool counted_none = reading_none_.counted.empty();
    const int64_t columns = reading_one_.counted.empty() ? 0 : ballot_.columns;
    for (int64_t c = 0; c < columns; ++c) {
      Reading reading = read_column(c);
      const bool is_everyone = reading.voters == &everyone_;
      if (!is_everyone && !ballot_.drop_nan) return false;
      const bool takes_none = !counted_none && is_everyone;
      Batch& batch = takes_none ? with_none_ : reading_one_;
      for (size_t i = 0; i < reading_one_.counted.size(); ++i) {
        Counted& counted = batch.counted[i];
        counted.column_begin = c;
        counted.column_end = c + 1;
        counted.fits = all_fit_ || fits(ranges_[at(counted.rule)]);
        if (!counted.fits && ballot_.unfit == Unfit::kError) return false;
      }
      counted_none |= takes_none;
      reading.batch = &batch;
      count_.run(problem_, reading);
    }
    if (counted_none) return true;
    const bool breaks_ties = ballot_.ties == Ties::kBestScore;
    const double* const scores = breaks_ties ? gather(everyone_, 0) : zeros(everyone_);
    count_.run(problem_, {.voters = &everyone_, .scores = scores, .batch = &reading_none_});
    return true;
  }

  bool fits(const ScoreRange& range) const { return low_ >= range.low && high_ <= range.high; }

  bool read_columns_together() {
    for (const Counted& counted : reading_some_) {
      const Rule& rule = rules_.rules[counted.rule];
      Reading reading = read_rows(rule);
      Batch batch;
      batch.add(rule, counted);
      batch.counted[0].fits = fits(ranges_[at(counted.rule)]);
      if (!batch.counted[0].fits && ballot_.unfit == Unfit::kError) return false;
      reading.batch = &batch;
      count_.run(problem_, reading);
    }
    return true;
  }

  const double* zeros(const Voters& voters) {
    std::fill_n(scores_.begin(), voters.size(), 0.0);
    return scores_.data();
  }

  // The scores of some voters in a column.
  const double* gather(const Voters& voters, int64_t column) {
    const double* const scores = ballot_.scores + begin_ * ballot_.columns + column;
    if (ballot_.columns == 1 && voters.is_everyone() && !ranks_) return scores;
    double* const gathered = scores_.data();
    if (voters.is_everyone()) {
      for (int64_t k = 0; k < voters.size(); ++k) gathered[k] = scores[k * ballot_.columns];
    } else {
      for (int64_t k = 0; k < voters.size(); ++k) {
        gathered[k] = scores[voters.candidate(k) * ballot_.columns];
      }
    }
    return gathered;
  }

  // Leaves whether all rules can use it in all_fit_, else its range in low_ and high_.
  Reading read_column(int64_t column) {
    const double* const scores = gather(everyone_, column);
    const int64_t size = everyone_.size();
    all_fit_ = loops_.lie_within(scores, size, fits_all_.low, fits_all_.high);
    if (all_fit_ || !loops_.survey_scores(scores, size, &low_, &high_)) {
      return {.voters = &everyone_, .scores = scores};
    }
    for (int64_t k = 0; k < size; ++k) keep_[at(k)] = scores[k] == scores[k] ? 1 : 0;
    some_.select(everyone_, keep_.data());
    return {.voters = &some_, .scores = gather(some_, column)};
  }

  // Leaves the range of all that the rule reads in low_ and high_.
  Reading read_rows(const Rule& rule) {
    const int64_t width = columns_read(rule, ballot_.columns);
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
    const int64_t stride = voters.size() + simd::kComparedTogether;
    if (rows_.size() < at(width * stride)) rows_.resize(at(width * stride));
    low_ = kInfinity;
    high_ = -kInfinity;
    for (int64_t s = 0; s < width; ++s) {
      double* const column = rows_.data() + s * stride;
      const int64_t from = column_read(rule, s);
      for (int64_t k = 0; k < voters.size(); ++k) column[k] = row_of(voters, k)[from];
      double low = 0.0, high = 0.0;
      loops_.survey_scores(column, voters.size(), &low, &high);
      low_ = std::min(low_, low);
      high_ = std::max(high_, high);
    }
    return {.voters = &voters,
            .scores = ballot_.ties == Ties::kBestScore ? gather(voters, 0) : zeros(voters),
            .rows = rows_.data(),
            .stride = stride,
            .width = width};
  }

  const double* row_of(const Voters& voters, int64_t k) const {
    return ballot_.scores + (begin_ + voters.candidate(k)) * ballot_.columns;
  }

  const Ballot& ballot_;
  const RuleSet& rules_;
  const VoteOutput& out_;
  const simd::LeafLoops& loops_;
  Count count_;
  std::vector<ScoreRange> ranges_;              // of the rules
  bool ranks_ = false;                          // whether one of them ranks the scores
  ScoreRange fits_all_{-kInfinity, kInfinity};  // what all rules of one column can use
  // The rules by what they read; and those of one column and of none.
  Batch reading_none_, reading_one_, with_none_;
  std::vector<Counted> reading_some_;

  int64_t problem_ = 0, begin_ = 0;
  Voters everyone_, some_;
  std::vector<double> scores_, rows_;
  std::vector<char> keep_;
  bool all_fit_ = false;
  double low_ = 0.0, high_ = 0.0;
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
        width == 1 ? " number" : " numbers", ", one for each column that it reads; got ",
        rule.objectives.weight_count);
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
