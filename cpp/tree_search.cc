#include "stepscore/tree_search.h"

#include "stepscore/check.h"
#include "stepscore/parallel.h"
#include "stepscore/scalar_math.h"
#include "tree_search/arena.h"
#include "tree_search/backup.h"
#include "tree_search/random.h"
#include "tree_search/select.h"
#include "tree_search/tickets.h"

namespace stepscore {
namespace {

// A simulation that waits for answers.
struct Begun {
  int32_t leaf, first, samples;  // samples 0: the leaf is not expanded
  bool score;
};

// Simulations of one problem until `leaves` wait. Those that end where all is known are backed up
// at once. Returns how many were begun; `begun` takes those that wait.
int64_t begin_simulations(TreeSearch& search, int64_t p, int32_t leaves, Begun* begun,
                          int32_t* waiting) {
  const Selection& selection = search.selection;
  Nodes& nodes = search.nodes;
  Problem& problem = search.problem[p];
  const int32_t root = search.root(p);
  int64_t count = 0;
  *waiting = 0;
  if (search.deterministic && problem.open_leaves > 0) return 0;
  while (problem.open_leaves < leaves) {
    const bool first = nodes.visits[root] == 0 && nodes.first_child[root] == kNoChild;
    const bool at_root = first && selection.root == RootExpansion::kBefore;
    if (!at_root && problem.simulations >= selection.simulations) break;
    int32_t leaf = kNoChild;
    if (descend(search, p, &leaf) != Found::kLeaf) break;
    const bool gated = selection.gate < kInfinity && leaf != root;
    if (gated && value_of(search, leaf) >= selection.gate) {
      problem.found = leaf;
      nodes.flags[root] |= kClosed;
      break;
    }
    const bool ends = (nodes.flags[leaf] & kTerminal) != 0 || nodes.first_child[leaf] != kNoChild ||
                      nodes.depth[leaf] >= selection.max_depth;
    const bool score = (nodes.flags[leaf] & kScored) == 0 &&
                       (leaf != root || selection.evaluate == Evaluate::kLeaf);
    Begun next{leaf, kNoChild, 0, score};
    if (!ends) {
      next.samples =
          static_cast<int32_t>(std::min<int64_t>(selection.samples, samples_left(search, p)));
      if (next.samples == 0) break;  // a budget is used up, or the arena full
      problem.used.samples += next.samples;
      next.first = reserve(search, p, next.samples);
    }
    problem.simulations += at_root ? 0 : 1;
    ++count;
    hold_path(nodes, leaf);
    if (ends && !score) {
      back_up_simulation(search, leaf);
      continue;
    }
    nodes.flags[leaf] |= kPending;
    ++problem.open_leaves;
    search.leaves[p].push_back(leaf);
    begun[(*waiting)++] = next;
  }
  return count;
}

void use_selection(TreeSearch& search, const Selection& selection) {
  check(selection.simulations >= 1, "select", "simulations", " must be 1 or more; got ",
        selection.simulations);
  check(selection.samples >= 1, "select", "samples", " must be 1 or more; got ", selection.samples);
  check(selection.max_depth >= 1, "select", "max_depth", " must be 1 or more; got ",
        selection.max_depth);
  check(selection.backup_from != BackupFrom::kRollout || selection.evaluate == Evaluate::kChildren,
        "select", "backup_from", "='rollout' follows the best child and needs evaluate='children'");
  check(selection.roll_steps == 0 || (selection.backup_from == BackupFrom::kBestChild &&
                                      selection.evaluate == Evaluate::kChildren),
        "select", "roll_steps", " roll the best child forward and need backup_from='best_child'");
  check(selection.roll_steps >= 0, "select", "roll_steps", " must be 0 or more; got ",
        selection.roll_steps);
  check(selection.roll_samples >= 1, "select", "roll_samples", " must be 1 or more; got ",
        selection.roll_samples);
  check(selection.count_offset >= 0.0, "select", "count_offset", " must be 0 or more; got ",
        selection.count_offset);
  check(selection.rule != SelectRule::kGumbel || selection.considered >= 1, "select", "considered",
        " must be 1 or more; got ", selection.considered);
  const bool changed = !(selection == search.selection);
  if (!changed && !search.tables.exploration.empty()) return;
  for (int64_t p = 0; p < search.problems && changed; ++p) {
    check(search.problem[p].open_leaves == 0, "select", About{"rule"},
          "the rule must not change while simulations wait for answers; problem ", p, " has ",
          search.problem[p].open_leaves);
  }
  if (selection.prior != search.selection.prior) {
    for (int32_t& flags : search.nodes.flags) flags &= ~kPriorReady;
    search.nodes.prior.assign(search.nodes.prior.size(), 1.0);
  }
  search.tables = tables_of(selection);
  search.selection = selection;
}

}  // namespace

int64_t select(TreeSearch& search, const Selection& selection, int32_t leaves) {
  check(leaves >= 1, "select", "leaves", " must be 1 or more; got ", leaves);
  use_selection(search, selection);
  const int64_t most = std::min<int64_t>(leaves, selection.simulations + 1);
  std::vector<Begun> begun(static_cast<size_t>(search.problems * most));
  std::vector<int32_t> waiting(static_cast<size_t>(search.problems));
  std::vector<int64_t> counts(static_cast<size_t>(search.problems));
  const Work work{250.0 * static_cast<double>(search.problems * most)};  // a way down each
  parallel_for(search.problems, work, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      counts[p] = begin_simulations(search, p, static_cast<int32_t>(most), begun.data() + p * most,
                                    &waiting[p]);
    }
  });
  int64_t total = 0;
  for (int64_t p = 0; p < search.problems; ++p) {
    total += counts[p];
    for (int32_t i = 0; i < waiting[p]; ++i) {
      const Begun& next = begun[p * most + i];
      if (next.samples > 0) {
        queue_expand(search, p, next.leaf, next.first, next.samples, SampleMode::kStep, next.leaf);
      }
      if (next.score) queue_evaluation(search, RequestKind::kScore, p, next.leaf, next.leaf);
    }
  }
  return total;
}

void best_children(const TreeSearch& search, Choice choice, int64_t* children) {
  constexpr int32_t kOut = kPruned | kDuplicate;
  const Nodes& nodes = search.nodes;
  for (int64_t p = 0; p < search.problems; ++p) {
    int32_t best = kNoChild, most = 0;
    double greatest = 0.0;
    for_each_child(nodes, search.root(p), [&](int32_t c) {
      if ((nodes.flags[c] & kOut) != 0) return;
      most = std::max(most, nodes.visits[c]);
      if (choice == Choice::kValue && nodes.visits[c] == 0) return;
      const bool mean = search.selection.backup == Backup::kMean;
      const double score = choice == Choice::kVisits ? nodes.visits[c]
                           : mean                    ? nodes.value_sum[c] / nodes.visits[c]
                                                     : nodes.value_sum[c];
      if (best != kNoChild && !(score > greatest)) return;
      best = c;
      greatest = score;
    });
    if (choice == Choice::kGumbel && best != kNoChild) {
      best = best_considered(search, search.root(p), most, kOut);
    }
    children[p] = best;
  }
}

void uniform(const TreeSearch& search, const int64_t* nodes, const int64_t* draws, int64_t count,
             double* out) {
  for (int64_t i = 0; i < count; ++i) {
    check(nodes[i] >= 0 && nodes[i] < search.problems * search.max_nodes, "uniform", About{"nodes"},
          "there is no node ", nodes[i]);
    check(draws[i] >= 0 && draws[i] < int64_t{kGumbelDraw}, "uniform", "draws", "[", i,
          "] must be 0 or more and below 2^32 - 1; got ", draws[i]);
    const int64_t p = nodes[i] / search.max_nodes;
    out[i] = uniform_at(search.seed, search.problem[p].key,
                        static_cast<uint32_t>(nodes[i] % search.max_nodes),
                        static_cast<uint32_t>(draws[i]));
  }
}

}  // namespace stepscore
