#include "vote/count.h"

#include <algorithm>
#include <array>
#include <utility>

#include "simd/level.h"

namespace stepscore {
namespace {

constexpr int64_t kComparedAll = 256;  // up to here comparing everyone is faster than sorting

size_t at(int64_t i) {
  return static_cast<size_t>(i);
}

// The first class that reached the most, and the most that another reached. A NaN, which a sum that
// overflows can make, leads where the first class has it and counts nowhere else. Four lanes, so
// that no comparison waits for the one before.
std::pair<int64_t, double> best_two(const double* reached, int64_t count) {
  int64_t leader = 0;
  if (reached[0] == reached[0]) {
    double lanes[4] = {reached[0], -kInfinity, -kInfinity, -kInfinity};
    int64_t c = 1;
    for (; c + 4 <= count; c += 4) {
      for (int64_t lane = 0; lane < 4; ++lane) {
        lanes[lane] = reached[c + lane] > lanes[lane] ? reached[c + lane] : lanes[lane];
      }
    }
    for (; c < count; ++c) lanes[0] = reached[c] > lanes[0] ? reached[c] : lanes[0];
    double lead = lanes[0];
    for (const double lane : lanes) lead = lane > lead ? lane : lead;
    while (reached[leader] != lead) ++leader;
  }
  double second[2] = {-kInfinity, -kInfinity};
  for (int64_t c = 0; c < leader; ++c) second[0] = std::max(second[0], reached[c]);
  for (int64_t c = leader + 1; c < count; ++c) second[1] = std::max(second[1], reached[c]);
  return {leader, std::max(second[0], second[1])};
}

}  // namespace

Count::Count(const Ballot& ballot, const RuleSet& rules, const VoteOutput& out)
    : ballot_(ballot),
      rules_(rules),
      out_(out),
      loops_(simd::leaf_loops()),
      sums_(at(rules.count)) {}

void Count::run(int64_t problem, const Reading& reading, std::span<const Counted> counted) {
  problem_ = problem;
  reading_ = reading;
  const auto asks_for = [&](RuleKind kind) {
    return std::any_of(counted.begin(), counted.end(),
                       [&](const Counted& c) { return rules_.rules[c.rule].kind == kind; });
  };
  ranks_ = asks_for(RuleKind::kBorda);
  finds_front_ = asks_for(RuleKind::kPareto);
  weighs_ = std::any_of(counted.begin(), counted.end(),
                        [&](const Counted& c) { return weighs_scores(rules_.rules[c.rule].kind); });
  start();
  const int64_t size = ballot_.offsets[problem + 1] - ballot_.offsets[problem];
  for (int64_t f = 0; f < ballot_.prefix_count; ++f) {
    admit(ballot_.prefixes == nullptr
              ? reading.voters->size()
              : reading.voters->count_before(std::min(ballot_.prefixes[f], size)));
    for (const Counted& each : counted) {
      const Rule& rule = rules_.rules[each.rule];
      Sums& sums = sums_[at(each.rule)];
      if (each.fits) {
        add_weights(rule, sums);
        score_classes(rule, sums);
      }
      decide(rule, each, f);
      if (each.fits && out_.class_scores != nullptr) write_class_scores(each, f);
    }
  }
}

void Count::start() {
  const size_t size = at(reading_.voters->size());
  if (reached_.size() < size) {
    counts_.resize(size);
    bests_.resize(size);
    totals_.resize(size);
    highest_.resize(size);
    reached_.resize(size);
    dominated_.resize(size);
    lower_.resize(size + simd::kComparedTogether);
    twice_points_.resize(size);
    for (Sums& sums : sums_) {
      sums.weights.resize(size);
      sums.by_class.resize(size);
    }
  }
  admitted_ = class_count_ = 0;
  low_ = kInfinity;
  high_ = -kInfinity;
  if (ranks_ && size > at(kComparedAll)) {
    order_.resize(size);
    for (size_t k = 0; k < size; ++k) order_[k] = {reading_.scores[k], static_cast<int64_t>(k)};
    std::sort(order_.begin(), order_.end(),
              [](const Ranked& a, const Ranked& b) { return a.score < b.score; });
  }
}

// Lets the first so many voters take part, beside those that do already.
void Count::admit(int64_t voters) {
  weighed_ = admitted_;
  weighed_classes_ = class_count_;
  const int64_t* const classes = reading_.voters->classes();
  const int64_t* const firsts = reading_.voters->firsts();
  const double* const scores = reading_.scores;
  int64_t* const counts = counts_.data();
  int64_t* const bests = bests_.data();
  double* const totals = totals_.data();
  double* const highest = highest_.data();
  int64_t count = class_count_;
  for (; count < reading_.voters->class_count() && firsts[count] < voters; ++count) {
    counts[count] = 0;
    bests[count] = firsts[count];
    totals[count] = 0.0;
    highest[count] = -kInfinity;
  }
  // Whether a score is the highest so far is as good as random, so nothing branches on it.
  for (int64_t k = admitted_; k < voters; ++k) {
    const int64_t c = classes[k];
    const double score = scores[k];
    const bool better = score > highest[c];
    counts[c] += 1;
    totals[c] += score;
    highest[c] = choose(better, score, highest[c]);
    bests[c] = choose(better, k, bests[c]);
  }
  for (int64_t k = admitted_; finds_front_ && k < voters; ++k) compare_with_front(k);
  admitted_ = voters;
  class_count_ = count;
  if (ranks_) rank_voters();
  if (!weighs_) return;
  const double low = low_, high = high_;
  for (int64_t k = weighed_; k < voters; ++k) {
    low_ = scores[k] < low_ ? scores[k] : low_;
    high_ = scores[k] > high_ ? scores[k] : high_;
  }
  low_moved_ = low != low_;
  high_moved_ = high != high_;
}

// Dominance is transitive: whoever an earlier candidate dominated may be left aside.
void Count::compare_with_front(int64_t k) {
  const int64_t width = reading_.width;
  const double* own = reading_.rows + k * width;
  char* const dominated = dominated_.data();
  dominated[k] = 0;
  for (int64_t j = 0; j < k; ++j) {
    if (dominated[j] != 0) continue;
    const double* other = reading_.rows + j * width;
    if (dominates(other, own, width)) {
      dominated[k] = 1;
      return;
    }
    dominated[j] = dominates(own, other, width) ? 1 : 0;
  }
}

// Whether the weights of voters that were weighed for a shorter prefix are different now.
bool Count::weights_change(const Rule& rule) const {
  switch (rule.kind) {
    case RuleKind::kMinmaxWeighted:
      return low_moved_ || high_moved_;
    case RuleKind::kSoftmaxWeighted:
      return high_moved_;
    case RuleKind::kMultiObjective:
      return rule.parameters.scale == Scale::kMinmax;
    default:
      return rule.kind == RuleKind::kBorda || rule.kind == RuleKind::kPareto;
  }
}

void Count::add_weights(const Rule& rule, Sums& sums) {
  const bool again = weights_change(rule);
  const int64_t from = again ? 0 : weighed_;
  double* const weights = sums.weights.data();
  if (weighs_scores(rule.kind)) {
    loops_.weigh_scores(rule.kind, reading_.scores + from, admitted_ - from, low_, high_,
                        rule.parameters, weights + from);
  } else if (rule.kind == RuleKind::kBorda) {
    for (int64_t k = 0; k < admitted_; ++k) {
      weights[k] = borda_weight(twice_points_[at(k)], rule.parameters.power);
    }
  } else if (rule.kind == RuleKind::kPareto) {
    for (int64_t k = 0; k < admitted_; ++k) weights[k] = dominated_[at(k)] != 0 ? 0.0 : 1.0;
  } else if (rule.kind == RuleKind::kMultiObjective) {
    weigh_objectives(rule, from, weights);
  } else {
    return;  // the rule reads the classes alone
  }
  double* const by_class = sums.by_class.data();
  const int64_t* const classes = reading_.voters->classes();
  std::fill(by_class + (again ? 0 : weighed_classes_), by_class + class_count_, 0.0);
  for (int64_t k = from; k < admitted_; ++k) by_class[classes[k]] += weights[k];
}

void Count::rank_voters() {
  if (reading_.voters->size() > kComparedAll) return walk_order();
  loops_.compare_scores(reading_.scores, weighed_, admitted_, lower_.data(), twice_points_.data());
}

// Walks the order of all voters in runs of equal scores among the admitted.
void Count::walk_order() {
  int64_t beaten = 0;
  size_t run = 0;  // where the run at hand begins, in run_
  run_.clear();
  const auto close_run = [&] {
    const int64_t equal = static_cast<int64_t>(run_.size() - run) - 1;
    for (; run < run_.size(); ++run) twice_points_[at(run_[run])] = 2 * beaten + equal;
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

void Count::weigh_objectives(const Rule& rule, int64_t from, double* weights) const {
  const int64_t width = reading_.width;
  const double* const rows = reading_.rows;
  double lows[kMaxObjectives] = {}, highs[kMaxObjectives] = {};
  const bool scaled = rule.parameters.scale == Scale::kMinmax;
  for (int64_t s = 0; scaled && s < width; ++s) {
    lows[s] = kInfinity;
    highs[s] = -kInfinity;
    for (int64_t k = 0; k < admitted_; ++k) {
      lows[s] = std::min(lows[s], rows[k * width + s]);
      highs[s] = std::max(highs[s], rows[k * width + s]);
    }
  }
  for (int64_t k = from; k < admitted_; ++k) {
    weights[k] = 0.0;
    for (int64_t s = 0; s < width; ++s) {
      weights[k] += objective_of(rows[k * width + s], lows[s], highs[s], rule.objectives.weights[s],
                                 rule.parameters);
    }
  }
}

template <RuleKind kKind>
void Count::score_classes_by(const VoteParameters& parameters, const double* sums) {
  const auto answer = [&](int64_t c) {
    const size_t i = at(c);
    return AnswerClass{0, 0, bests_[i], counts_[i], totals_[i], highest_[i]};
  };
  tally_ = Tally{admitted_, class_count_};
  if (compares_classes(kKind)) {
    for (int64_t c = 0; c < class_count_; ++c) {
      add_class(kKind, answer(c), sums[c], parameters, tally_);
    }
    tally_.consensus = kKind == RuleKind::kHybridMajorityReward && in_consensus(tally_, parameters);
  }
  for (int64_t c = 0; c < class_count_; ++c) {
    reached_[at(c)] = class_score(kKind, answer(c), sums[c], tally_, parameters);
  }
}

template <size_t... kIndices>
constexpr auto Count::scorers(std::index_sequence<kIndices...>) {
  return std::array{&Count::score_classes_by<static_cast<RuleKind>(kIndices)>...};
}

void Count::score_classes(const Rule& rule, const Sums& sums) {
  static constexpr auto kScorers = scorers(std::make_index_sequence<kRuleKinds>());
  (this->*kScorers[static_cast<size_t>(rule.kind)])(rule.parameters, sums.by_class.data());
}

int64_t Count::place(int64_t item, int64_t rule, int64_t column, int64_t prefix) const {
  return ((item * rules_.count + rule) * ballot_.columns + column) * ballot_.prefix_count + prefix;
}

void Count::decide(const Rule& rule, const Counted& counted, int64_t prefix) const {
  int64_t winner = kNoWinner, answer_id = kNoAnswer;
  double score = kNaN, margin = kNaN;
  bool tied = false;
  if (counted.fits && class_count_ > 0) {
    const auto [leader_at, second] = best_two(reached_.data(), class_count_);
    int64_t leader = leader_at;
    const double lead = reached_[at(leader)];
    tied = class_count_ > 1 && second == lead;
    for (int64_t c = 0; tied && ballot_.ties == Ties::kBestScore && c < class_count_; ++c) {
      const bool better = highest_[at(c)] > highest_[at(leader)];
      leader = reached_[at(c)] == lead && better ? c : leader;
    }
    const Voters& voters = *reading_.voters;
    const int64_t begin = ballot_.offsets[problem_];
    const int64_t first = voters.candidate(voters.firsts()[leader]);
    const bool by_best = shows_best(rule.kind, tally_, rule.parameters);
    winner = begin + (by_best ? voters.candidate(bests_[at(leader)]) : first);
    answer_id = ballot_.answer_ids == nullptr ? first : ballot_.answer_ids[begin + first];
    score = reached_[at(leader)];
    margin = margin_of(lead, second, class_count_ > 1);
  }
  for (int64_t column = counted.column_begin; column < counted.column_end; ++column) {
    const int64_t to = place(problem_, counted.rule, column, prefix);
    out_.winner[to] = winner;
    out_.answer_id[to] = answer_id;
    out_.score[to] = score;
    out_.tied[to] = tied;
    out_.margin[to] = margin;
  }
}

void Count::write_class_scores(const Counted& counted, int64_t prefix) const {
  const int64_t begin = ballot_.offsets[problem_];
  for (int64_t k = 0; k < admitted_; ++k) {
    const double reached = reached_[at(reading_.voters->classes()[k])];
    const int64_t candidate = begin + reading_.voters->candidate(k);
    for (int64_t column = counted.column_begin; column < counted.column_end; ++column) {
      out_.class_scores[place(candidate, counted.rule, column, prefix)] = reached;
    }
  }
}

}  // namespace stepscore
