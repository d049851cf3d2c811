// Counts the votes of one problem at a time, for rules that read the same scores.
#pragma once

#include <vector>

#include "simd/leaf_loops.h"
#include "stepscore/vote.h"
#include "vote/voters.h"

namespace stepscore {

// A rule, and the columns whose results it decides.
struct Counted {
  int64_t rule;
  int64_t column_begin, column_end;
  bool fits = true;  // false: it cannot use a score of the problem, and has no winner
};

// Rules that read the same scores, and what they need beside the votes by class.
struct Batch {
  std::vector<Counted> counted;
  bool range = false, ranks = false, front = false, leads = false, arrays = false;

  void add(const Rule& rule, const Counted& each);
};

// Who votes, with which scores, and under which rules. The scores are those of the voters, in their
// order; arrays hold a multiple of kComparedTogether numbers where a rule ranks them.
struct Reading {
  const Voters* voters;
  const double* scores;          // zeros where no single column is read
  const double* rows = nullptr;  // of a rule that reads columns together: a row is a column,
  int64_t stride = 0;            // [width, stride]
  int64_t width = 0;
  const Batch* batch = nullptr;
};

// Under all rules over the first candidates, then over some more of them. What an earlier prefix
// has added up is kept where a longer one does not change it; the sums are taken in candidate order
// either way.
class Count {
 public:
  Count(const Ballot& ballot, const RuleSet& rules, const VoteOutput& out);

  void run(int64_t problem, const Reading& reading);

 private:
  // Of one rule.
  struct Sums {
    std::vector<double> weights;   // of the voters
    std::vector<double> by_class;  // of the weights
  };
  // What the classes reach.
  struct Reached {
    const double* scores;
    int64_t stride;
    double operator[](int64_t c) const { return scores[c * stride]; }
  };
  struct Ranked {
    double score;
    int64_t voter;
  };

  void start();
  void admit(int64_t voters);
  void spread_cells();
  bool weights_change(const Rule& rule) const;
  void add_weights(const Rule& rule, Sums& sums);
  void rank_voters();
  void walk_order();
  void weigh_objectives(const Rule& rule, int64_t from, double* weights) const;
  void tally_classes(const Rule& rule, const Sums& sums);
  void decide(const Counted& counted, int64_t prefix);
  int64_t winner_of(const Rule& rule, const simd::Lead& lead) const;
  void write(const Counted& counted, int64_t prefix, const simd::Lead& lead) const;
  void write_class_scores(const Counted& counted, int64_t prefix) const;
  int64_t place(int64_t item, int64_t rule, int64_t column, int64_t prefix) const;

  const Ballot& ballot_;
  const RuleSet& rules_;
  const VoteOutput& out_;
  const simd::LeafLoops& loops_;

  // Of the reading at hand.
  int64_t problem_ = 0;
  Reading reading_{};
  std::vector<Sums> sums_;  // [rules]

  // Of the classes.
  std::vector<simd::ClassCell> cells_;
  std::vector<double> counts_, totals_, highest_;
  simd::Lead leads_[simd::kCellLeads];
  std::vector<double> scores_;  // under the rule at hand, as are the next two
  Reached reached_;
  Tally tally_;

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
