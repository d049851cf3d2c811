#include "tree_search/backup.h"

#include <algorithm>

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

// G(leaf) = value; G(parent) = r(child) + discount G(child)
void back_up(Nodes& nodes, const Selection& selection, int32_t from) {
  double gain = (nodes.flags[from] & kScored) != 0 ? nodes.value[from] : 0.0;
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
        sum = v == from ? gain : weighted_by_visits(nodes, v);
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
    const bool ends = selection.terminals == Terminals::kOnce && (flags & kTerminal) != 0;
    if ((flags & (kScored | kPruned | kDuplicate | kClosed)) != kScored) return;
    if (all || ends) back_up(nodes, selection, c);
    if (ends) nodes.flags[c] |= kClosed;
  });
}

// A rollout goes on to the best child, which is expanded unless it is the end. Whether it waits.
bool go_on(TreeSearch& search, int64_t p, int32_t& leaf) {
  Nodes& nodes = search.nodes;
  const Selection& selection = search.selection;
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
    const bool ends = (nodes.flags[leaf] & kTerminal) != 0;
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
