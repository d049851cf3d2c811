#include "tree_search/select.h"

#include <algorithm>
#include <cmath>

#include "stepscore/scalar_math.h"
#include "tree_search/arena.h"
#include "tree_search/random.h"

namespace stepscore {
namespace {

constexpr int32_t kLongestTable = 1 << 16;
constexpr int32_t kOut = kPruned | kDuplicate;
constexpr int32_t kWaits = kPending | kBlocked;
constexpr int32_t kSkip = kOut | kClosed | kWaits;
constexpr double kLeastRange = 1e-8;  // of values that are scaled to [0, 1], as in mctx

// One problem's view of a search, for the formulas below.
struct View {
  const Nodes& nodes;
  const Selection& selection;
  const RuleTables& tables;
  // Without them O and r are 0, and memory is not read for it.
  const bool has_in_flight, has_rewards;

  View(const TreeSearch& search, int64_t p)
      : nodes(search.nodes),
        selection(search.selection),
        tables(search.tables),
        has_in_flight(search.problem[p].open_leaves > 0),
        has_rewards(search.has_rewards) {}

  int32_t in_flight(int32_t v) const { return has_in_flight ? nodes.in_flight[v] : 0; }
  double reward(int32_t v) const { return has_rewards ? nodes.reward[v] : 0.0; }

  bool counts_loss() const { return selection.virtual_loss == VirtualLoss::kCount; }

  // N + O, what exploration sees
  int32_t begun(int32_t v) const { return nodes.visits[v] + in_flight(v); }

  bool unvisited(int32_t v) const { return (counts_loss() ? nodes.visits[v] : begun(v)) == 0; }

  double scored(int32_t v) const { return (nodes.flags[v] & kScored) != 0 ? nodes.value[v] : 0.0; }

  // V(v): the mean (W + m value) / (N + m + eps) of a visited node, or what kMax and kWeighted
  // keep; kConstant takes `loss` per simulation in flight off W and counts it in N.
  double value(int32_t v) const {
    double sum = nodes.value_sum[v];
    if (!counts_loss()) sum -= selection.loss * in_flight(v);
    if (selection.backup != Backup::kMean) return sum;
    double visits = counts_loss() ? nodes.visits[v] : begun(v);
    if (selection.value_count > 0.0) {
      sum += selection.value_count * scored(v);
      visits += selection.value_count;
    }
    return sum / (visits + selection.mean_epsilon);
  }

  // Q of the step to v
  double q(int32_t v) const { return reward(v) + selection.discount * value(v); }
  double q_of_score(int32_t v) const { return reward(v) + selection.discount * scored(v); }

  // kPuct, kMuZero: pb(N) sqrt(N), pb(N) = c + ln((N + c_base + 1) / c_base); kUct: f ln N
  double exploration(int32_t v) const {
    const int32_t visits = begun(v);
    return visits < static_cast<int32_t>(tables.exploration.size())
               ? tables.exploration[visits]
               : exploration_of(selection, visits);
  }

  static double exploration_of(const Selection& selection, double visits) {
    if (selection.rule == SelectRule::kUct) {
      return selection.log_factor * logarithm(std::max(1.0, visits + selection.count_offset));
    }
    const bool grows = selection.c_base < kInfinity;
    const double growth =
        grows ? logarithm((visits + selection.c_base + 1.0) / selection.c_base) : 0;
    return (growth + selection.c) * std::sqrt(visits);
  }

  bool unusable(int32_t c) const { return (nodes.flags[c] & kOut) != 0; }

  // Q that stands for children which were not visited, where it is the same for all of them.
  double q_of_unvisited(int32_t parent) const {
    if (selection.unvisited == Unvisited::kZero) return 0.0;
    const double mean = nodes.visits[parent] == 0 ? scored(parent) : value(parent);
    if (selection.unvisited == Unvisited::kParent) return mean;
    double least = mean;
    for_each_child(nodes, parent, [&](int32_t c) {
      if (!unvisited(c) && !unusable(c)) least = std::min(least, q(c));
    });
    return least;
  }
};

// Q + P pb(N) sqrt(N) / (1 + n)
struct Puct {
  const View& view;
  double exploration, unvisited;

  Puct(const View& of, int32_t parent)
      : view(of), exploration(of.exploration(parent)), unvisited(0.0) {
    if (of.selection.unvisited != Unvisited::kValue) unvisited = of.q_of_unvisited(parent);
  }
  double operator()(int32_t c) const {
    const bool by_score = view.selection.unvisited == Unvisited::kValue;
    const double q = !view.unvisited(c) ? view.q(c) : by_score ? view.q_of_score(c) : unvisited;
    return q + view.nodes.prior[c] * exploration / (1.0 + view.begun(c));
  }
};

// (Q - least) / (greatest - least) + P pb(N) sqrt(N) / (1 + n), over the node and its children; an
// unvisited child has the least.
struct MuZero {
  const View& view;
  double exploration, least, range;

  MuZero(const View& of, int32_t parent) : view(of), exploration(of.exploration(parent)) {
    double greatest = least = of.nodes.visits[parent] == 0 ? of.scored(parent) : of.value(parent);
    for_each_child(of.nodes, parent, [&](int32_t c) {
      if (of.unvisited(c) || of.unusable(c)) return;
      const double q = of.q(c);
      least = std::min(least, q);
      greatest = std::max(greatest, q);
    });
    range = std::max(greatest - least, kLeastRange);
  }
  double operator()(int32_t c) const {
    const double q = view.unvisited(c) ? 0.0 : (view.q(c) - least) / range;
    return q + view.nodes.prior[c] * exploration / (1.0 + view.begun(c));
  }
};

// Q + c sqrt(f ln (N + k) / (n + k))
struct Uct {
  const View& view;
  double exploration, unvisited;

  Uct(const View& of, int32_t parent)
      : view(of), exploration(of.exploration(parent)), unvisited(0.0) {
    const Unvisited kind = of.selection.unvisited;
    if (kind == Unvisited::kZero || kind == Unvisited::kParent || kind == Unvisited::kLeast) {
      unvisited = of.q_of_unvisited(parent);
    }
  }
  double operator()(int32_t c) const {
    double q = unvisited;
    if (!view.unvisited(c)) {
      q = view.q(c);
    } else if (view.selection.unvisited == Unvisited::kFirst) {
      return kInfinity;
    } else if (view.selection.unvisited == Unvisited::kBonus) {
      return view.q_of_score(c) + view.selection.bonus;
    } else if (view.selection.unvisited == Unvisited::kValue) {
      q = view.q_of_score(c);
    }
    return q +
           view.selection.c *
               std::sqrt(exploration / std::max(1.0, view.begun(c) + view.selection.count_offset));
  }
};

// The child with the greatest score; ties: the lowest number.
template <class Score>
int32_t best_child(const Nodes& nodes, int32_t parent, const Score& score, bool* waits) {
  int32_t best = kNoChild;
  double greatest = 0.0;
  for_each_child(nodes, parent, [&](int32_t c) {
    const int32_t flags = nodes.flags[c];
    if ((flags & kSkip) != 0) {
      *waits |= (flags & (kSkip & ~kWaits)) == 0;
      return;
    }
    const double s = score(c);
    const bool better = (best == kNoChild) | (s > greatest);  // as good as random: no jump
    best = better ? c : best;
    greatest = choose(better, s, greatest);
  });
  return best;
}

// --- Gumbel: I. Danihelka et al., "Policy improvement by planning with Gumbel", as in mctx
// --------

// The usable children of a node, with a score each.
struct Candidates {
  std::vector<int32_t> child;
  std::vector<double> score;
  int32_t visits = 0;  // of all
};

// s(q) = (visit_offset + max n) value_scale q', with q' the q of all children scaled to [0, 1] and
// the mixed value (v + sum n sum P q / sum P) / (1 + sum n), over visited children, in place of
// those that are missing.
Candidates& completed_q(const View& view, int32_t parent) {
  constexpr double kTiny = 0x1p-1022;
  static thread_local Candidates candidates;
  candidates.child.clear();
  candidates.score.clear();
  candidates.visits = 0;
  double weighted = 0.0, probability = 0.0, least = kInfinity, greatest = -kInfinity;
  int32_t most = 0;
  bool missing = false;
  for_each_child(view.nodes, parent, [&](int32_t c) {
    if (view.unusable(c)) return;
    const int32_t visits = view.begun(c);
    candidates.child.push_back(c);
    candidates.score.push_back(0.0);
    candidates.visits += visits;
    most = std::max(most, visits);
    missing |= view.unvisited(c);
    if (view.unvisited(c)) return;
    const double p = std::max(kTiny, view.nodes.prior[c]), q = view.q(c);
    candidates.score.back() = q;
    probability += p;
    weighted += p * q;
    least = std::min(least, q);
    greatest = std::max(greatest, q);
  });
  if (probability > 0.0) weighted /= probability;
  const double mixed =
      (view.scored(parent) + candidates.visits * weighted) / (candidates.visits + 1.0);
  if (missing) {
    least = std::min(least, mixed);
    greatest = std::max(greatest, mixed);
  }
  const double range = std::max(greatest - least, kLeastRange);
  const double factor = (view.selection.visit_offset + most) * view.selection.value_scale;
  for (size_t i = 0; i < candidates.child.size(); ++i) {
    const double q = view.unvisited(candidates.child[i]) ? mixed : candidates.score[i];
    candidates.score[i] = factor * ((q - least) / range);
  }
  return candidates;
}

// The child with the greatest softmax(logit + s(q)) - n / (1 + sum n).
int32_t gumbel_inner_child(const View& view, int32_t parent, bool* waits) {
  Candidates& candidates = completed_q(view, parent);
  const size_t count = candidates.child.size();
  double greatest = -kInfinity, sum = 0.0;
  for (size_t i = 0; i < count; ++i) {
    candidates.score[i] += view.nodes.logprob[candidates.child[i]];
    greatest = std::max(greatest, candidates.score[i]);
  }
  for (double& score : candidates.score) score = exponential(score - greatest);
  for (const double score : candidates.score) sum += score;
  int32_t best = kNoChild;
  double best_score = 0.0;
  for (size_t i = 0; i < count; ++i) {
    const int32_t c = candidates.child[i], flags = view.nodes.flags[c];
    *waits |= (flags & kSkip) != 0 && (flags & (kSkip & ~kWaits)) == 0;
    if ((flags & kSkip) != 0) continue;
    const double score = candidates.score[i] / sum - view.begun(c) / (1.0 + candidates.visits);
    if (best != kNoChild && !(score > best_score)) continue;
    best = c;
    best_score = score;
  }
  return best;
}

// Visits of the children that sequential halving considers, simulation by simulation.
std::vector<int32_t> considered_visits(int32_t considered, int32_t simulations) {
  std::vector<int32_t> sequence;
  if (considered <= 1) {
    for (int32_t i = 0; i < simulations; ++i) sequence.push_back(i);
    return sequence;
  }
  int32_t rounds = 0;
  while ((int64_t{1} << rounds) < considered) ++rounds;
  std::vector<int32_t> visits(static_cast<size_t>(considered), 0);
  for (int32_t left = considered; static_cast<int32_t>(sequence.size()) < simulations;
       left = std::max(2, left / 2)) {
    const int32_t times = std::max(1, simulations / (rounds * left));
    for (int32_t t = 0; t < times; ++t) {
      for (int32_t i = 0; i < left; ++i) sequence.push_back(visits[i]++);
    }
  }
  sequence.resize(static_cast<size_t>(simulations));
  return sequence;
}

int32_t gumbel_root_child(const TreeSearch& search, const View& view, int32_t root, bool* waits) {
  int32_t children = 0, simulation = 0, fewest = std::numeric_limits<int32_t>::max();
  for_each_child(search.nodes, root, [&](int32_t c) {
    if (view.unusable(c)) return;
    const int32_t flags = search.nodes.flags[c];
    ++children;
    simulation += view.begun(c);
    *waits |= (flags & kSkip) != 0 && (flags & (kSkip & ~kWaits)) == 0;
    if ((flags & kSkip) == 0) fewest = std::min(fewest, view.begun(c));
  });
  const auto& table = search.tables.considered[std::min(search.selection.considered, children)];
  const int32_t last = static_cast<int32_t>(table.size()) - 1;
  const int32_t child = best_considered(search, root, table[std::min(simulation, last)], kSkip);
  // Those whose turn it is may all be closed; mctx, which closes none, never comes here.
  if (child == kNoChild && !*waits) return best_considered(search, root, fewest, kSkip);
  return child;
}

void prepare_priors(Nodes& nodes, const Selection& selection, int32_t parent) {
  nodes.flags[parent] |= kPriorReady;
  if (selection.prior == Prior::kOne) return;
  const bool of_value = selection.prior == Prior::kSoftmaxOfValue;
  const bool of_mean =
      selection.prior == Prior::kExpOfMean || selection.prior == Prior::kSoftmaxOfMean;
  const bool normalized = selection.prior != Prior::kExp && selection.prior != Prior::kExpOfMean;
  const auto logit = [&](int32_t c) {
    if (of_mean) {  // a step whose tokens are not known brings a mean
      return nodes.logprob[c] / std::max(1, nodes.path_tokens[c] - nodes.path_tokens[parent]);
    }
    if (!of_value) return nodes.logprob[c];
    return (nodes.flags[c] & kScored) != 0 ? nodes.value[c] : 0.0;
  };
  const auto in = [&](int32_t c) { return (nodes.flags[c] & kOut) == 0; };
  double greatest = -kInfinity, sum = 0.0;
  for_each_child(nodes, parent, [&](int32_t c) {
    if (in(c)) greatest = std::max(greatest, logit(c));
  });
  if (!normalized) greatest = 0.0;
  for_each_child(nodes, parent, [&](int32_t c) {
    if (in(c)) sum += nodes.prior[c] = exponential(logit(c) - greatest);
  });
  if (!normalized) return;
  for_each_child(nodes, parent, [&](int32_t c) { nodes.prior[c] /= sum; });
}

int32_t next_node(const TreeSearch& search, const View& view, int32_t v, bool* waits) {
  switch (search.selection.rule) {
    case SelectRule::kPuct:
      return best_child(search.nodes, v, Puct(view, v), waits);
    case SelectRule::kMuZero:
      return best_child(search.nodes, v, MuZero(view, v), waits);
    case SelectRule::kUct:
      return best_child(search.nodes, v, Uct(view, v), waits);
    default:
      if (search.nodes.parent[v] == kNoParent) return gumbel_root_child(search, view, v, waits);
      return gumbel_inner_child(view, v, waits);
  }
}

}  // namespace

RuleTables tables_of(const Selection& selection) {
  RuleTables tables;
  const int32_t size = std::min(selection.simulations, kLongestTable) + 2;
  for (int32_t n = 0; n < size; ++n) {
    tables.exploration.push_back(View::exploration_of(selection, n));
  }
  if (selection.rule != SelectRule::kGumbel) return tables;
  for (int32_t m = 0; m <= selection.considered; ++m) {
    tables.considered.push_back(considered_visits(m, selection.simulations));
  }
  return tables;
}

int32_t best_considered(const TreeSearch& search, int32_t root, int32_t visits, int32_t skip) {
  constexpr double kLowest = -1e9;
  const int64_t p = search.problem_of(root);
  const View view(search, p);
  const Candidates& candidates = completed_q(view, root);
  double greatest = -kInfinity;
  for (const int32_t c : candidates.child) greatest = std::max(greatest, search.nodes.logprob[c]);
  int32_t best = kNoChild;
  double best_score = 0.0;
  for (size_t i = 0; i < candidates.child.size(); ++i) {
    const int32_t c = candidates.child[i];
    if ((search.nodes.flags[c] & skip) != 0 || view.begun(c) != visits) continue;
    double score = search.nodes.logprob[c] - greatest + candidates.score[i];
    if (search.selection.gumbel_scale > 0.0) {
      const uint32_t number = static_cast<uint32_t>(c - root);
      score +=
          search.selection.gumbel_scale * gumbel_at(search.seed, search.problem[p].key, number);
    }
    score = std::max(kLowest, score);
    if (best != kNoChild && !(score > best_score)) continue;
    best = c;
    best_score = score;
  }
  return best;
}

double value_of(const TreeSearch& search, int32_t node) {
  const View view(search, search.problem_of(node));
  return view.unvisited(node) ? view.scored(node) : view.value(node);
}

Found descend(TreeSearch& search, int64_t p, int32_t* leaf) {
  Nodes& nodes = search.nodes;
  const int32_t root = search.root(p);
  const View view(search, p);
  int32_t v = root, depth = 0;
  if ((nodes.flags[root] & (kPruned | kClosed)) != 0) return Found::kNothing;
  if ((nodes.flags[root] & kPending) != 0) return Found::kAllPending;
  while (nodes.first_child[v] != kNoChild && depth < search.selection.max_depth) {
    if ((nodes.flags[v] & kPriorReady) == 0) prepare_priors(nodes, search.selection, v);
    bool waits = false;
    const int32_t child = next_node(search, view, v, &waits);
    if (child != kNoChild) {
      v = child;
      ++depth;
    } else {  // nothing below: once more from the root, which goes elsewhere
      if (v == root && waits) return Found::kAllPending;
      nodes.flags[v] |= waits ? kBlocked : kClosed;
      if (v == root) return Found::kNothing;
      if (!waits && search.selection.exhausted == Exhausted::kStop) {
        nodes.flags[root] |= kClosed;
        return Found::kNothing;
      }
      v = root;
      depth = 0;
    }
  }
  *leaf = v;
  return Found::kLeaf;
}

}  // namespace stepscore
