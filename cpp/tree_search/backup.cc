#include "tree_search/backup.h"

#include <algorithm>

#include "stepscore/scalar_math.h"
#include "tree_search/arena.h"
#include "tree_search/tickets.h"

namespace stepscore {
namespace {

void release_path(Nodes& nodes, int32_t leaf) {
  for (int32_t v = leaf; v != kNoParent; v = nodes.parent[v]) {
    --nodes.in_flight[v];
    nodes.flags[v] &= ~kBlocked;
  }
}

// sum over visited children of V_c n_c / sum n_c
double weighted_by_visits(const Nodes& nodes, int32_t v) {
  double sum = 0.0, visits = 0.0;
  for_each_child(nodes, v, [&](int32_t c) {
    sum += nodes.value_sum[c] * nodes.visits[c];
    visits += nodes.visits[c];
  });
  return sum / visits;
}

// Where a simulation cannot go on: a terminal, or the greatest depth.
bool is_end(const Nodes& nodes, const Selection& selection, int32_t v) {
  return (nodes.flags[v] & kTerminal) != 0 || nodes.depth[v] >= selection.max_depth;
}

// What a node gives back where a simulation ends at it.
double given_back(const Nodes& nodes, const Selection& selection, int32_t v) {
  const bool terminal = (nodes.flags[v] & kTerminal) != 0;
  const double outcome = nodes.outcome[v];
  if (terminal && selection.ends == Ends::kOutcome && outcome == outcome) return outcome;
  if (!terminal && selection.depth_value < kInfinity && nodes.depth[v] >= selection.max_depth) {
    return selection.depth_value;
  }
  return (nodes.flags[v] & kScored) != 0 ? nodes.value[v] : 0.0;
}

// Where the roll-forward of a node has come to: along the greatest values.
struct Rolled {
  int32_t at;     // the last step
  int32_t steps;  // so many after the node
  double best;    // the greatest value on the way, at least 0 as all values are
  bool broken;    // a step was drawn, and nothing came of it
};

Rolled rolled_forward(const Nodes& nodes, int32_t node) {
  Rolled rolled{node, 0, 0.0, false};
  while (nodes.rolled[rolled.at] != kNoChild) {
    const int32_t first = nodes.rolled[rolled.at], end = first + nodes.rolled_count[rolled.at];
    int32_t best = kNoChild;
    for (int32_t c = first; c < end; ++c) {
      if ((nodes.flags[c] & kScored) == 0) continue;
      if (best == kNoChild || nodes.value[c] > nodes.value[best]) best = c;
    }
    rolled.broken = best == kNoChild;
    if (rolled.broken) break;
    rolled.at = best;
    ++rolled.steps;
    rolled.best = std::max(rolled.best, nodes.value[best]);
  }
  return rolled;
}

// V <- (1 - a) V + a max, over the values of the roll-forward; V where there was none.
double with_roll_forward(const Nodes& nodes, const Selection& selection, int32_t v, double value) {
  const Rolled rolled = rolled_forward(nodes, v);
  if (rolled.steps == 0) return value;
  return value * (1.0 - selection.roll_weight) + rolled.best * selection.roll_weight;
}

// G(leaf) = value; G(parent) = r(child) + discount G(child)
void back_up(Nodes& nodes, const Selection& selection, int32_t from) {
  double gain = given_back(nodes, selection, from);
  for (int32_t v = from; v != kNoParent; v = nodes.parent[v]) {
    const bool fresh = ++nodes.visits[v] == 1;
    double& sum = nodes.value_sum[v];
    switch (selection.backup) {
      case Backup::kMean:
        sum += gain;
        break;
      case Backup::kMax:
        sum = fresh ? gain : std::max(sum, gain);
        break;
      case Backup::kWeighted:
        if (v != from) {
          sum = weighted_by_visits(nodes, v);
        } else if (fresh) {  // later it keeps what it rolled forward to
          sum = with_roll_forward(nodes, selection, v, gain);
        }
    }
    gain = nodes.reward[v] + selection.discount * gain;
  }
}

// The child with the greatest r + discount v; the leaf where no child is scored.
int32_t best_by_score(const Nodes& nodes, const Selection& selection, int32_t leaf) {
  int32_t best = leaf;
  double greatest = 0.0;
  for_each_child(nodes, leaf, [&](int32_t c) {
    if ((nodes.flags[c] & (kScored | kPruned | kDuplicate)) != kScored) return;
    const double score = nodes.reward[c] + selection.discount * nodes.value[c];
    if (best != leaf && !(score > greatest)) return;
    best = c;
    greatest = score;
  });
  return best;
}

void back_up_children(Nodes& nodes, const Selection& selection, int32_t leaf, bool all) {
  for_each_child(nodes, leaf, [&](int32_t c) {
    const int32_t flags = nodes.flags[c];
    const bool ends = selection.terminals == Terminals::kOnce && is_end(nodes, selection, c);
    if ((flags & (kScored | kPruned | kDuplicate | kClosed)) != kScored) return;
    if (all || ends) back_up(nodes, selection, c);
    if (ends) nodes.flags[c] |= kClosed;
  });
}

// The best child of the leaf is rolled forward by one more step. Whether the simulation waits.
bool roll_on(TreeSearch& search, int64_t p, int32_t leaf) {
  Nodes& nodes = search.nodes;
  const Selection& selection = search.selection;
  if ((nodes.flags[leaf] & kPruned) != 0) return false;
  const int32_t child = best_by_score(nodes, selection, leaf);
  if (child == leaf || nodes.visits[child] > 0) return false;
  const Rolled rolled = rolled_forward(nodes, child);
  if (rolled.broken || rolled.steps == selection.roll_steps) return false;
  const int64_t samples = std::min<int64_t>(selection.roll_samples, samples_left(search, p));
  if (is_end(nodes, selection, rolled.at) || samples == 0) return false;
  search.problem[p].used.samples += samples;
  const int32_t count = static_cast<int32_t>(samples), first = reserve(search, p, count);
  nodes.rolled[rolled.at] = first;
  queue_roll(search, p, rolled.at, first, count, leaf);
  nodes.flags[leaf] |= kPending;
  ++search.problem[p].open_leaves;
  return true;
}

// A rollout goes on to the best child, which is expanded unless it is the end. Whether it waits.
bool go_on(TreeSearch& search, int64_t p, int32_t& leaf) {
  Nodes& nodes = search.nodes;
  const Selection& selection = search.selection;
  if (selection.roll_steps > 0) return roll_on(search, p, leaf);
  if (selection.backup_from != BackupFrom::kRollout || (nodes.flags[leaf] & kPruned) != 0) {
    return false;
  }
  const int32_t next = best_by_score(nodes, selection, leaf);
  if (next == leaf) return false;
  leaf = next;
  ++nodes.in_flight[leaf];
  const bool ends = (nodes.flags[leaf] & kTerminal) != 0 || nodes.first_child[leaf] != kNoChild ||
                    nodes.depth[leaf] >= selection.max_depth;
  const int64_t samples = std::min<int64_t>(selection.samples, samples_left(search, p));
  if (ends || samples == 0) return false;
  search.problem[p].used.samples += samples;
  const int32_t count = static_cast<int32_t>(samples), first = reserve(search, p, count);
  queue_expand(search, p, leaf, first, count, SampleMode::kStep, leaf);
  nodes.flags[leaf] |= kPending;
  ++search.problem[p].open_leaves;
  return true;
}

}  // namespace

void hold_path(Nodes& nodes, int32_t leaf) {
  for (int32_t v = leaf; v != kNoParent; v = nodes.parent[v]) ++nodes.in_flight[v];
}

void back_up_simulation(TreeSearch& search, int32_t leaf) {
  Nodes& nodes = search.nodes;
  const Selection& selection = search.selection;
  release_path(nodes, leaf);
  if ((nodes.flags[leaf] & kPruned) != 0) return;
  const bool childless = nodes.first_child[leaf] == kNoChild;
  const bool from_children = selection.backup_from == BackupFrom::kChildren && !childless;
  if (selection.backup_from == BackupFrom::kBestChild) {
    back_up(nodes, selection, best_by_score(nodes, selection, leaf));
  } else if (!from_children) {
    back_up(nodes, selection, leaf);
  }
  if (selection.terminals == Terminals::kOnce || from_children) {
    back_up_children(nodes, selection, leaf, from_children);
    const bool ends = is_end(nodes, selection, leaf);
    if (ends && selection.terminals == Terminals::kOnce) nodes.flags[leaf] |= kClosed;
  }
}

void finish_simulation(TreeSearch& search, int32_t leaf) {
  const int64_t p = search.problem_of(leaf);
  std::vector<int32_t>& leaves = search.leaves[p];
  search.nodes.flags[leaf] &= ~kPending;
  const bool last = --search.problem[p].open_leaves == 0;
  if (!search.deterministic) {
    const auto place = std::find(leaves.begin(), leaves.end(), leaf);
    if (go_on(search, p, *place)) return;
    const int32_t end = *place;
    leaves.erase(place);
    back_up_simulation(search, end);
  } else if (last) {
    bool waits = false;
    for (int32_t& each : leaves) waits |= go_on(search, p, each);
    if (waits) return;
    for (const int32_t each : leaves) back_up_simulation(search, each);
    leaves.clear();
  }
}

}  // namespace stepscore
