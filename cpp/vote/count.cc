#include "vote/count.h"

#include <algorithm>

#include "simd/level.h"

namespace stepscore {
namespace {

constexpr int64_t kComparedAll = 256;  // up to here comparing everyone is faster than sorting

size_t at(int64_t i) {
  return static_cast<size_t>(i);
}

}  // namespace

void Batch::add(const Rule& rule, const Counted& each) {
  const WeighsBy by = weighs_by(rule.kind);
  counted.push_back(each);
  range |= by == WeighsBy::kRange || by == WeighsBy::kHighest;
  ranks |= by == WeighsBy::kRanks;
  front |= by == WeighsBy::kFront;
  const bool added_up = reaches(rule.kind) != Reaches::kOther;
  leads |= added_up;
  arrays |= !added_up;
}

Count::Count(const Ballot& ballot, const RuleSet& rules, const VoteOutput& out)
    : ballot_(ballot),
      rules_(rules),
      out_(out),
      loops_(simd::leaf_loops()),
      sums_(at(rules.count)) {}

void Count::run(int64_t problem, const Reading& reading) {
  problem_ = problem;
  reading_ = reading;
  start();
  const Voters& voters = *reading.voters;
  const int64_t size = ballot_.offsets[problem + 1] - ballot_.offsets[problem];
  for (int64_t f = 0; f < ballot_.prefix_count; ++f) {
    const bool whole = ballot_.prefixes == nullptr || ballot_.prefixes[f] >= size;
    admit(whole ? voters.size() : voters.count_before(ballot_.prefixes[f]));
    for (const Counted& counted : reading.batch->counted) decide(counted, f);
  }
}

void Count::start() {
  const size_t size = at(reading_.voters->size()), room = size + simd::kComparedTogether;
  if (scores_.size() < room) {
    for (std::vector<double>* of_classes : {&counts_, &totals_, &highest_, &scores_}) {
      of_classes->resize(room);
    }
    cells_.resize(room);
    dominated_.resize(room);
    lower_.resize(room);
    twice_points_.resize(room);
    for (Sums& sums : sums_) {
      sums.weights.resize(room);
      sums.by_class.resize(room);
    }
  }
  admitted_ = class_count_ = 0;
  low_ = kInfinity;
  high_ = -kInfinity;
  if (reading_.batch->ranks && size > at(kComparedAll)) {
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
  const Voters& all = *reading_.voters;
  if (voters == all.size()) {
    class_count_ = all.class_count();
  } else {
    while (class_count_ < all.class_count() && all.firsts()[class_count_] < voters) ++class_count_;
  }
  // Some too many, so that the loop ends where it can be predicted.
  for (int64_t c = weighed_classes_; c < class_count_; c += simd::kComparedTogether) {
    std::fill_n(cells_.data() + c, simd::kComparedTogether,
                simd::ClassCell{0.0, 0.0, -kInfinity, 0.0});
  }
  loops_.add_votes(all.classes(), reading_.scores, admitted_, voters, cells_.data());
  admitted_ = voters;
  const Batch& batch = *reading_.batch;
  if (batch.leads && class_count_ > 0) loops_.lead_cells(cells_.data(), class_count_, leads_);
  if (batch.arrays) spread_cells();
  if (batch.front) {
    loops_.find_dominated(reading_.rows, reading_.stride, reading_.width, weighed_, admitted_,
                          dominated_.data());
  }
  if (batch.ranks) rank_voters();
  if (!batch.range) return;
  double low = 0.0, high = 0.0;
  loops_.survey_scores(reading_.scores + weighed_, admitted_ - weighed_, &low, &high);
  low_moved_ = low < low_;
  high_moved_ = high > high_;
  low_ = std::min(low_, low);
  high_ = std::max(high_, high);
}

void Count::spread_cells() {
  const simd::ClassCell* const cells = cells_.data();
  double* const counts = counts_.data();
  double* const totals = totals_.data();
  double* const highest = highest_.data();
  for (int64_t c = 0; c < class_count_; ++c) {
    counts[c] = cells[c].count;
    totals[c] = cells[c].sum;
    highest[c] = cells[c].best_score;
  }
}

// Whether the weights of voters that were weighed for a shorter prefix are different now.
bool Count::weights_change(const Rule& rule) const {
  switch (weighs_by(rule.kind)) {
    case WeighsBy::kRange:
      return low_moved_ || high_moved_;
    case WeighsBy::kHighest:
      return high_moved_;
    case WeighsBy::kColumns:
      return rule.parameters.scale == Scale::kMinmax;
    case WeighsBy::kRanks:
    case WeighsBy::kFront:
      return true;
    default:
      return false;
  }
}

void Count::add_weights(const Rule& rule, Sums& sums) {
  const WeighsBy by = weighs_by(rule.kind);
  if (by == WeighsBy::kNone) return;
  const bool again = weights_change(rule);
  const int64_t from = again ? 0 : weighed_;
  double* const weights = sums.weights.data();
  if (by == WeighsBy::kRanks) {
    for (int64_t k = 0; k < admitted_; ++k) {
      weights[k] = borda_weight(twice_points_[at(k)], rule.parameters.power);
    }
  } else if (by == WeighsBy::kFront) {
    for (int64_t k = 0; k < admitted_; ++k) weights[k] = dominated_[at(k)] != 0 ? 0.0 : 1.0;
  } else if (by == WeighsBy::kColumns) {
    weigh_objectives(rule, from, weights);
  } else {
    loops_.weigh_scores(rule.kind, reading_.scores + from, admitted_ - from, low_, high_,
                        rule.parameters, weights + from);
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
  std::fill(weights + from, weights + admitted_, 0.0);
  for (int64_t s = 0; s < reading_.width; ++s) {
    const double* const column = reading_.rows + s * reading_.stride;
    double low = 0.0, high = 0.0;
    if (rule.parameters.scale == Scale::kMinmax) {
      loops_.survey_scores(column, admitted_, &low, &high);
    }
    for (int64_t k = from; k < admitted_; ++k) {
      weights[k] += objective_of(column[k], low, high, rule.objectives.weights[s], rule.parameters);
    }
  }
}

// In the order of the classes.
void Count::tally_classes(const Rule& rule, const Sums& sums) {
  tally_ = Tally{admitted_, class_count_};
  if (!compares_classes(rule.kind)) return;
  for (int64_t c = 0; c < class_count_; ++c) {
    const size_t i = at(c);
    const AnswerClass answer{0, 0, 0, counts_[i], totals_[i], highest_[i]};
    add_class(rule.kind, answer, sums.by_class[i], rule.parameters, tally_);
  }
  tally_.consensus =
      rule.kind == RuleKind::kHybridMajorityReward && in_consensus(tally_, rule.parameters);
}

void Count::decide(const Counted& counted, int64_t prefix) {
  simd::Lead lead{kNoWinner, kNaN, kNaN};
  if (counted.fits && class_count_ > 0) {
    const Rule& rule = rules_.rules[counted.rule];
    const Reaches quantity = reaches(rule.kind);
    if (quantity != Reaches::kOther) {
      const int64_t q = static_cast<int64_t>(quantity);
      lead = leads_[q];
      reached_ = {&cells_[0].count + q, sizeof(simd::ClassCell) / sizeof(double)};
    } else {
      Sums& sums = sums_[at(counted.rule)];
      add_weights(rule, sums);
      tally_classes(rule, sums);
      lead = loops_.score_classes(rule.kind,
                                  {counts_.data(), totals_.data(), highest_.data(), class_count_},
                                  sums.by_class.data(), tally_, rule.parameters, scores_.data());
      reached_ = {scores_.data(), 1};
    }
    if (out_.class_scores != nullptr) write_class_scores(counted, prefix);
  }
  write(counted, prefix, lead);
}

int64_t Count::place(int64_t item, int64_t rule, int64_t column, int64_t prefix) const {
  return ((item * rules_.count + rule) * ballot_.columns + column) * ballot_.prefix_count + prefix;
}

// The voter who stands for the class in the lead. Of classes that tie, the first leads.
int64_t Count::winner_of(const Rule& rule, const simd::Lead& lead) const {
  const Voters& voters = *reading_.voters;
  if (is_argmax(rule.kind, tally_, rule.parameters)) {
    return loops_.find_voter(voters.classes(), reading_.scores, admitted_, simd::kAnyClass,
                             lead.score);
  }
  int64_t leader = lead.at;
  const bool by_score = ballot_.ties == Ties::kBestScore && lead.second == lead.score;
  for (int64_t c = leader + 1; by_score && c < class_count_; ++c) {
    const bool better = cells_[at(c)].best_score > cells_[at(leader)].best_score;
    leader = reached_[c] == lead.score && better ? c : leader;
  }
  if (!shows_best(rule.kind, tally_, rule.parameters)) return voters.firsts()[leader];
  return loops_.find_voter(voters.classes(), reading_.scores, admitted_, leader,
                           cells_[at(leader)].best_score);
}

void Count::write(const Counted& counted, int64_t prefix, const simd::Lead& lead) const {
  int64_t winner = kNoWinner, answer_id = kNoAnswer;
  double score = kNaN, margin = kNaN;
  bool tied = false;
  if (lead.at >= 0) {
    const int64_t begin = ballot_.offsets[problem_];
    const int64_t voter = winner_of(rules_.rules[counted.rule], lead);
    const int64_t candidate = reading_.voters->candidate(voter);
    winner = begin + candidate;
    answer_id = ballot_.answer_ids == nullptr ? candidate : ballot_.answer_ids[winner];
    score = reached_[reading_.voters->classes()[voter]];
    tied = class_count_ > 1 && lead.second == lead.score;
    margin = margin_of(lead.score, lead.second, class_count_ > 1);
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
    const double reached = reached_[reading_.voters->classes()[k]];
    const int64_t candidate = begin + reading_.voters->candidate(k);
    for (int64_t column = counted.column_begin; column < counted.column_end; ++column) {
      out_.class_scores[place(candidate, counted.rule, column, prefix)] = reached;
    }
  }
}

}  // namespace stepscore
