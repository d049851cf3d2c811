// Counts the votes of one problem at a time, for rules that read the same scores.
#pragma once

#include <span>
#include <vector>

#include "simd/leaf_loops.h"
#include "stepscore/vote.h"
#include "vote/voters.h"

namespace stepscore {

// Who votes, and with what. The scores are those of the voters, in their order.
struct Reading {
  const Voters* voters;
  const double* scores;  // a multiple of kComparedTogether; zeros where no single column is read
  const double* rows = nullptr;  // [voters, width], of a rule that reads columns together
  int64_t width = 0;
};

// A rule that reads them, and the columns whose results it decides.
struct Counted {
  int64_t rule;
  int64_t column_begin, column_end;
  bool fits = true;  // false: it cannot use a score of the problem, and has no winner
};

// Under all rules over the first candidates, then over some more of them. What an earlier prefix
// has added up is kept where a longer one does not change it; the sums are taken in candidate order
// either way.
class Count {
 public:
  Count(const Ballot& ballot, const RuleSet& rules, const VoteOutput& out);

  void run(int64_t problem, const Reading& reading, std::span<const Counted> counted);

 private:
  // Of one rule.
  struct Sums {
    std::vector<double> weights;   // of the voters
    std::vector<double> by_class;  // of the weights
  };
  struct Ranked {
    double score;
    int64_t voter;
  };

  void start();
  void admit(int64_t voters);
  void compare_with_front(int64_t k);
  bool weights_change(const Rule& rule) const;
  void add_weights(const Rule& rule, Sums& sums);
  void rank_voters();
  void walk_order();
  void weigh_objectives(const Rule& rule, int64_t from, double* weights) const;
  template <RuleKind kKind>
  void score_classes_by(const VoteParameters& parameters, const double* sums);
  template <size_t... kIndices>
  static constexpr auto scorers(std::index_sequence<kIndices...>);
  void score_classes(const Rule& rule, const Sums& sums);
  void decide(const Rule& rule, const Counted& counted, int64_t prefix) const;
  void write_class_scores(const Counted& counted, int64_t prefix) const;
  int64_t place(int64_t item, int64_t rule, int64_t column, int64_t prefix) const;

  const Ballot& ballot_;
  const RuleSet& rules_;
  const VoteOutput& out_;
  const simd::LeafLoops& loops_;

  // Of the reading at hand.
  int64_t problem_ = 0;
  Reading reading_{};
  bool ranks_ = false, finds_front_ = false, weighs_ = false;
  std::vector<Sums> sums_;  // [rules]

  // Of the classes.
  std::vector<int64_t> counts_, bests_;  // how many voters, and the first with the highest score
  std::vector<double> totals_, highest_;
  std::vector<double> reached_;  // under the rule at hand
  Tally tally_;                  // likewise

  std::vector<int64_t> lower_, twice_points_;  // see compare_scores
  std::vector<Ranked> order_;
  std::vector<int64_t> run_;
  std::vector<char> dominated_;
  int64_t admitted_ = 0, class_count_ = 0;       // in the prefix at hand
  int64_t weighed_ = 0, weighed_classes_ = 0;    // in the one before
  double low_ = kInfinity, high_ = -kInfinity;   // the range of the scores
  bool low_moved_ = false, high_moved_ = false;  // since the prefix before
};

}  // namespace stepscore
