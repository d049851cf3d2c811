#include "stepscore/vote.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "simd/level.h"
#include "stepscore/check.h"
#include "stepscore/parallel.h"

namespace stepscore {
namespace {

constexpr int64_t kProblemsPerThread = 64;
constexpr size_t kRuleKinds = std::size(kRuleNames);
constexpr size_t kComparedAll = 256;  // up to here comparing everyone is faster than sorting

bool asks_for(const RuleSet& rules, Rule kind) {
  return std::find(rules.kinds, rules.kinds + rules.count, kind) != rules.kinds + rules.count;
}

// The candidates of a problem that take part, and the class of each. Classes are found in an
// open-addressing table by answer id. A slot is stamped with the problem that it belongs to, so
// that the table is never cleared.
class Voters {
 public:
  // False at a candidate that may not be counted. Whether an answer is new is as good as random, so
  // nothing in the loop branches on it.
  bool read(const Ballot& ballot, int64_t begin, int64_t end, ScoreRange range, FirstFault& fault) {
    start(static_cast<size_t>(end - begin));
    // Locals: the compiler must assume that a store to a slot may change a member.
    Slot* const slots = slots_.data();
    int64_t* const candidates = candidates_.data();
    int64_t* const answer_ids = answer_ids_.data();
    uint32_t* const answers = answers_.data();
    double* const values = scores_.data();
    const uint64_t stamp = stamp_;
    const size_t mask = slots_.size() - 1;
    const int64_t* const ids = ballot.answer_ids;
    const double* const scores = ballot.columns == 1 ? ballot.scores : nullptr;
    size_t voter_count = 0;
    uint32_t class_count = 0;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t id = ids == nullptr ? i - begin : ids[i];
      const double score = scores == nullptr ? 0.0 : scores[i];
      const bool plain = (id >= 0) & (score >= range.low) & (score <= range.high);
      if (!plain || ballot.columns > 1) {
        const Standing standing = standing_of(ballot, id, i, range);
        if (standing == Standing::kRefused) {
          fault.report(i);
          return false;
        }
        if (standing == Standing::kLeftOut) continue;
      }
      // In practice ids are small and dense, and are their own places; others are mixed
      // (Fibonacci).
      const uint64_t key = static_cast<uint64_t>(id);
      size_t at = key <= mask ? key : (key * 0x9e3779b97f4a7c15ull >> 32) & mask;
      while ((slots[at].mark >> 32 == stamp) & (slots[at].id != id)) at = (at + 1) & mask;
      const uint64_t mark = slots[at].mark;
      const bool fresh = mark >> 32 != stamp;
      const uint32_t answer = fresh ? class_count : static_cast<uint32_t>(mark);
      slots[at] = {id, stamp << 32 | answer};
      answer_ids[answer] = id;
      candidates[voter_count] = i;
      answers[voter_count] = answer;
      values[voter_count] = score;
      class_count += fresh ? 1 : 0;
      ++voter_count;
    }
    count_ = voter_count;
    return true;
  }

  size_t size() const { return count_; }
  const int64_t* candidates() const { return candidates_.data(); }  // indices into the flat arrays
  // The class of each. Classes are numbered in the order of their first candidates.
  const uint32_t* answers() const { return answers_.data(); }
  const double* scores() const { return scores_.data(); }  // 0 where there is not one column
  const int64_t* answer_ids() const { return answer_ids_.data(); }  // of the classes

 private:
  struct Slot {
    int64_t id = 0;
    uint64_t mark = 0;  // the stamp, and the class in the low 32 bits
  };

  void start(size_t candidates) {
    size_t slots = 2 * simd::kComparedTogether;
    while (slots < 2 * candidates) slots *= 2;
    const bool stamps_left = ++stamp_ != 0;
    if (slots_.size() >= slots && stamps_left) return;
    slots = std::max(slots, slots_.size());
    slots_.assign(slots, Slot{});
    candidates_.resize(slots / 2);
    answers_.resize(slots / 2);
    scores_.resize(slots / 2);
    answer_ids_.resize(slots / 2);
    stamp_ = 1;
  }

  std::vector<Slot> slots_;
  std::vector<int64_t> candidates_, answer_ids_;
  std::vector<uint32_t> answers_;
  std::vector<double> scores_;
  size_t count_ = 0;
  uint32_t stamp_ = 0;
};

// Counts the votes of one problem at a time: under all rules over its first candidates, then over
// some more of them. What an earlier prefix has added up is kept where a longer one does not change
// it; the sums are taken in candidate order either way.
class Count {
 public:
  Count(const Ballot& ballot, const RuleSet& rules, const VoteOutput& out)
      : ballot_(ballot),
        rules_(rules),
        parameters_(rules.parameters),
        out_(out),
        range_(range_of(rules)),
        loops_(simd::leaf_loops()),
        ranks_(asks_for(rules, Rule::kBorda)),
        finds_front_(asks_for(rules, Rule::kPareto)),
        columns_(static_cast<size_t>(rules.count)) {}

  // False at a candidate that may not be counted.
  bool count(int64_t problem, FirstFault& fault) {
    const int64_t begin = ballot_.offsets[problem], end = ballot_.offsets[problem + 1];
    if (!voters_.read(ballot_, begin, end, range_, fault)) return false;
    start();
    if (out_.class_scores != nullptr) {
      const int64_t row = rules_.count * ballot_.prefix_count;
      std::fill(out_.class_scores + begin * row, out_.class_scores + end * row, kNaN);
    }
    for (int64_t f = 0; f < ballot_.prefix_count; ++f) {
      const int64_t size = ballot_.prefixes == nullptr ? end - begin : ballot_.prefixes[f];
      admit(begin + std::min(size, end - begin));
      for (int64_t r = 0; r < rules_.count; ++r) {
        add_weights(rules_.kinds[r], columns_[static_cast<size_t>(r)]);
        score_classes(rules_.kinds[r], columns_[static_cast<size_t>(r)]);
        decide(rules_.kinds[r], (problem * rules_.count + r) * ballot_.prefix_count + f);
        if (out_.class_scores != nullptr) write_class_scores(r, f);
      }
    }
    return true;
  }

 private:
  // Of one rule.
  struct Column {
    std::vector<double> weights;  // of the voters
    std::vector<double> sums;     // of the weights, by class
  };
  struct Ranked {
    double score;
    size_t voter;
  };

  void start() {
    const size_t size = voters_.size();
    if (classes_.size() < size) {
      classes_.resize(size);
      scores_.resize(size);
      dominated_.resize(size);
      lower_.resize(size + simd::kComparedTogether);
      twice_points_.resize(size);
      for (Column& column : columns_) {
        column.weights.resize(size);
        column.sums.resize(size);
      }
    }
    admitted_ = class_count_ = 0;
    low_ = kInfinity;
    high_ = -kInfinity;
    if (ranks_ && size > kComparedAll) {
      order_.resize(size);
      for (size_t k = 0; k < size; ++k) order_[k] = {voters_.scores()[k], k};
      std::sort(order_.begin(), order_.end(),
                [](const Ranked& a, const Ranked& b) { return a.score < b.score; });
    }
  }

  // Lets the voters before candidate `end` take part, beside those that do already.
  void admit(int64_t end) {
    weighed_ = admitted_;
    weighed_classes_ = class_count_;
    const double low = low_, high = high_;
    const int64_t* const candidates = voters_.candidates();
    const uint32_t* const answers = voters_.answers();
    const double* const scores = voters_.scores();
    AnswerClass* const classes = classes_.data();
    size_t k = admitted_, class_count = class_count_;
    // Whether an answer is new is as good as random here too.
    for (; k < voters_.size() && candidates[k] < end; ++k) {
      low_ = scores[k] < low_ ? scores[k] : low_;
      high_ = scores[k] > high_ ? scores[k] : high_;
      const bool fresh = answers[k] == class_count;
      AnswerClass& answer = classes[answers[k]];
      const bool better = fresh | (scores[k] > answer.best_score);
      answer.id = voters_.answer_ids()[answers[k]];
      answer.first = choose(fresh, candidates[k], answer.first);
      answer.best = choose(better, candidates[k], answer.best);
      answer.count = choose(fresh, int64_t{0}, answer.count) + 1;
      answer.sum = choose(fresh, 0.0, answer.sum) + scores[k];
      answer.best_score = choose(better, scores[k], answer.best_score);
      class_count += fresh ? 1 : 0;
    }
    for (size_t j = admitted_; finds_front_ && j < k; ++j) compare_with_front(j);
    admitted_ = k;
    class_count_ = class_count;
    if (ranks_) rank_voters();
    low_moved_ = low != low_;
    high_moved_ = high != high_;
  }

  // Dominance is transitive: whoever an earlier candidate dominated may be left aside.
  void compare_with_front(size_t k) {
    const double* own = scores_of(k);
    dominated_[k] = false;
    for (size_t j = 0; j < k; ++j) {
      if (dominated_[j]) continue;
      if (dominates(scores_of(j), own, ballot_.columns)) {
        dominated_[k] = true;
        return;
      }
      dominated_[j] = dominates(own, scores_of(j), ballot_.columns);
    }
  }

  const double* scores_of(size_t k) const {
    return ballot_.scores + voters_.candidates()[k] * ballot_.columns;
  }

  // Whether the weights of voters that were weighed for a shorter prefix are different now.
  bool weights_changed(Rule rule) const {
    switch (rule) {
      case Rule::kMinmaxWeighted:
        return low_moved_ || high_moved_;
      case Rule::kSoftmaxWeighted:
        return high_moved_;
      case Rule::kMultiObjective:
        return parameters_.scale == Scale::kMinmax;
      default:
        return rule == Rule::kBorda || rule == Rule::kPareto;
    }
  }

  void add_weights(Rule rule, Column& column) {
    const bool again = weights_changed(rule);
    const size_t from = again ? 0 : weighed_;
    if (weighs_scores(rule)) {
      loops_.weigh_scores(rule, voters_.scores() + from, static_cast<int64_t>(admitted_ - from),
                          low_, high_, parameters_, column.weights.data() + from);
    } else if (rule == Rule::kBorda) {
      for (size_t k = 0; k < admitted_; ++k) {
        column.weights[k] = borda_weight(twice_points_[k], parameters_.power);
      }
    } else if (rule == Rule::kPareto) {
      for (size_t k = 0; k < admitted_; ++k) column.weights[k] = dominated_[k] ? 0.0 : 1.0;
    } else if (rule == Rule::kMultiObjective) {
      weigh_objectives(from, column.weights.data());
    } else {
      return;  // the rule reads the classes alone
    }
    double* const sums = column.sums.data();
    const double* const weights = column.weights.data();
    const uint32_t* const answers = voters_.answers();
    std::fill(sums + (again ? 0 : weighed_classes_), sums + class_count_, 0.0);
    for (size_t k = from; k < admitted_; ++k) sums[answers[k]] += weights[k];
  }

  void rank_voters() {
    if (voters_.size() > kComparedAll) return walk_order();
    loops_.compare_scores(voters_.scores(), static_cast<int64_t>(weighed_),
                          static_cast<int64_t>(admitted_), lower_.data(), twice_points_.data());
  }

  // Walks the order of all voters in runs of equal scores among the admitted.
  void walk_order() {
    int64_t beaten = 0;
    size_t run = 0;  // where the run at hand begins, in run_
    run_.clear();
    const auto close_run = [&] {
      const int64_t equal = static_cast<int64_t>(run_.size() - run) - 1;
      for (; run < run_.size(); ++run) twice_points_[run_[run]] = 2 * beaten + equal;
      beaten += equal + 1;
    };
    double of_run = 0.0;
    for (const auto& [score, k] : order_) {
      if (k >= admitted_) continue;
      if (run < run_.size() && score != of_run) close_run();
      of_run = score;
      run_.push_back(k);
    }
    if (run < run_.size()) close_run();
  }

  void weigh_objectives(size_t from, double* weights) {
    double lows[kMaxObjectives], highs[kMaxObjectives];
    const bool scaled = parameters_.scale == Scale::kMinmax;
    for (int64_t s = 0; scaled && s < ballot_.columns; ++s) {
      lows[s] = kInfinity;
      highs[s] = -kInfinity;
      for (size_t k = 0; k < admitted_; ++k) {
        lows[s] = std::min(lows[s], scores_of(k)[s]);
        highs[s] = std::max(highs[s], scores_of(k)[s]);
      }
    }
    for (size_t k = from; k < admitted_; ++k) {
      weights[k] = 0.0;
      for (int64_t s = 0; s < ballot_.columns; ++s) {
        weights[k] += objective_of(scores_of(k)[s], lows[s], highs[s], s, parameters_);
      }
    }
  }

  template <Rule kRule>
  void score_classes_by(const Column& column) {
    tally_ = Tally{static_cast<int64_t>(admitted_), static_cast<int64_t>(class_count_)};
    if (compares_classes(kRule)) {
      for (size_t c = 0; c < class_count_; ++c) {
        add_class(kRule, classes_[c], column.sums[c], parameters_, tally_);
      }
      tally_.consensus = kRule == Rule::kHybridMajorityReward && in_consensus(tally_, parameters_);
    }
    for (size_t c = 0; c < class_count_; ++c) {
      scores_[c] = class_score(kRule, classes_[c], column.sums[c], tally_, parameters_);
    }
  }

  template <size_t... kIndices>
  static constexpr auto scorers(std::index_sequence<kIndices...>) {
    return std::array{&Count::score_classes_by<static_cast<Rule>(kIndices)>...};
  }

  void score_classes(Rule rule, const Column& column) {
    static constexpr auto kScorers = scorers(std::make_index_sequence<kRuleKinds>());
    (this->*kScorers[static_cast<size_t>(rule)])(column);
  }

  void decide(Rule rule, int64_t at) const {
    if (class_count_ == 0) {
      out_.winner[at] = kNoWinner;
      out_.answer_id[at] = kNoAnswer;
      out_.score[at] = out_.margin[at] = kNaN;
      out_.tied[at] = false;
      return;
    }
    size_t leader = 0;
    double lead = scores_[0], second = -kInfinity;
    for (size_t c = 1; c < class_count_; ++c) {
      const double score = scores_[c];
      const double behind = score > lead ? lead : score;
      second = behind > second ? behind : second;
      leader = score > lead ? c : leader;
      lead = score > lead ? score : lead;
    }
    const bool tied = class_count_ > 1 && second == lead;
    for (size_t c = 0; tied && ballot_.ties == Ties::kBestScore && c < class_count_; ++c) {
      const bool better = classes_[c].best_score > classes_[leader].best_score;
      leader = scores_[c] == lead && better ? c : leader;
    }
    const AnswerClass& won = classes_[leader];
    out_.winner[at] = shows_best(rule, tally_, parameters_) ? won.best : won.first;
    out_.answer_id[at] = won.id;
    out_.score[at] = scores_[leader];
    out_.margin[at] = margin_of(lead, second, class_count_ > 1);
    out_.tied[at] = tied;
  }

  void write_class_scores(int64_t r, int64_t f) const {
    for (size_t k = 0; k < admitted_; ++k) {
      const int64_t row = voters_.candidates()[k] * rules_.count + r;
      out_.class_scores[row * ballot_.prefix_count + f] = scores_[voters_.answers()[k]];
    }
  }

  const Ballot& ballot_;
  const RuleSet& rules_;
  const VoteParameters& parameters_;
  const VoteOutput& out_;
  const ScoreRange range_;
  const simd::LeafLoops& loops_;
  const bool ranks_, finds_front_;
  std::vector<Column> columns_;

  Voters voters_;
  std::vector<AnswerClass> classes_;
  std::vector<double> scores_;                 // of the classes, under the rule at hand
  Tally tally_;                                // likewise
  std::vector<int64_t> lower_, twice_points_;  // see compare_scores
  std::vector<Ranked> order_;
  std::vector<size_t> run_;
  std::vector<char> dominated_;
  size_t admitted_ = 0, class_count_ = 0;        // in the prefix at hand
  size_t weighed_ = 0, weighed_classes_ = 0;     // in the one before
  double low_ = kInfinity, high_ = -kInfinity;   // the range of the scores
  bool low_moved_ = false, high_moved_ = false;  // since the prefix before
};

[[noreturn]] void refuse(const Ballot& ballot, const RuleSet& rules, int64_t i) {
  check(ballot.answer_ids == nullptr || ballot.answer_ids[i] >= kNoAnswer, "vote: answer_ids[", i,
        "] is ", ballot.answer_ids == nullptr ? 0 : ballot.answer_ids[i],
        "; ids are 0 or more, and -1 for a candidate without an answer");
  for (int64_t s = 0; s < ballot.columns; ++s) {
    const double score = ballot.scores[i * ballot.columns + s];
    const std::string name = ballot.columns == 1 ? message("vote: scores[", i, "] is ")
                                                 : message("vote: scores[", i, ", ", s, "] is ");
    check(score == score || ballot.drop_nan, name,
          "NaN; pass nan=\"drop\" to leave such candidates out");
    for (int64_t r = 0; r < rules.count; ++r) {
      const ScoreRange range = range_of(rules.kinds[r], rules.parameters);
      if (score != score || (score >= range.low && score <= range.high)) continue;
      const std::string kind = range.high == 1.0   ? "scores in [0, 1]"
                               : range.high == 0.0 ? "log probabilities, at most 0"
                               : range.low == 0.0  ? "finite scores of at least 0"
                                                   : "finite scores";
      throw InvalidArgument(
          message(name, score, "; the rule ", kRuleNames[static_cast<size_t>(rules.kinds[r])],
                  " needs ", kind, ": give such a candidate the answer id -1 to leave it out"));
    }
  }
  throw InvalidArgument(message("vote: scores[", i, "] cannot be counted"));
}

void check_parameters(const RuleSet& rules) {
  const VoteParameters& given = rules.parameters;
  check(given.temperature > 0.0 && given.temperature < kInfinity,
        "vote: temperature must be above 0 and finite; got ", given.temperature);
  check(given.eps >= 0x1p-52 && given.eps < 0.5, "vote: eps must lie in [2.2e-16, 0.5); got ",
        given.eps);
  check(given.power >= 1 && given.power <= 16, "vote: power must lie in [1, 16]; got ",
        given.power);
  check(given.tau >= 0.0 && given.tau <= 1.0, "vote: tau must lie in [0, 1]; got ", given.tau);
  check(given.reward_weight >= 0.0 && given.reward_weight <= 1.0,
        "vote: reward_weight must lie in [0, 1]; got ", given.reward_weight);
  for (const double weight : given.objective_weights) {
    check(weight - weight == 0.0, "vote: objective_weights must be finite; got ", weight);
  }
}

}  // namespace

double loglik_constant(double prior, double reliability, int64_t answers) {
  check(prior > 0.0 && prior < 1.0, "vote: prior must lie between 0 and 1; got ", prior);
  check(reliability > 0.0 && reliability < 1.0, "vote: reliability must lie between 0 and 1; got ",
        reliability);
  check(answers >= 2, "vote: answers must be at least 2; got ", answers);
  const double others = static_cast<double>(answers - 1);
  return logarithm(reliability * others / (1.0 - reliability)) - logarithm(prior / (1.0 - prior));
}

void check_ballot(const Ballot& ballot, const RuleSet& rules) {
  const int64_t columns = ballot.columns;
  check(columns >= 1 && columns <= kMaxObjectives, "vote: scores must have 1 to ", kMaxObjectives,
        " columns; got ", columns);
  for (int64_t r = 0; r < rules.count; ++r) {
    const Rule kind = rules.kinds[r];
    if (kind == Rule::kMajority) continue;
    check(ballot.scores != nullptr, "vote: scores may be None only when every rule is 'majority'");
    check(columns == 1 || kind == Rule::kPareto || kind == Rule::kMultiObjective, "vote: the rule ",
          kRuleNames[static_cast<size_t>(kind)], " reads one score per candidate; scores has ",
          columns, " columns: pass one of them");
  }
  check(ballot.scores != nullptr || ballot.ties == Ties::kFirst,
        "vote: ties='best_score' needs scores");
  check(columns == 1 || ballot.ties == Ties::kFirst,
        "vote: ties='best_score' needs one score per candidate; scores has ", columns, " columns");
  check_parameters(rules);
  int64_t before = 0;
  for (int64_t f = 0; ballot.prefixes != nullptr && f < ballot.prefix_count; ++f) {
    check(ballot.prefixes[f] > before, "vote: prefixes must be positive and ascend; prefixes[", f,
          "] is ", ballot.prefixes[f], f == 0 ? "" : message(" after ", before));
    before = ballot.prefixes[f];
  }
}

void vote(const Ballot& ballot, const RuleSet& rules, const VoteOutput& out) {
  check_ballot(ballot, rules);
  FirstFault fault;
  parallel_for(ballot.problems, kProblemsPerThread, [&](int64_t begin, int64_t end) {
    Count count(ballot, rules, out);
    for (int64_t p = begin; p < end; ++p) {
      if (!count.count(p, fault)) return;
    }
  });
  if (!fault.none()) refuse(ballot, rules, fault.index());
}

}  // namespace stepscore
