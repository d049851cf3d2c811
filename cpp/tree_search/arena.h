// Nodes and the walks along them.
#pragma once

#include "stepscore/tree_search.h"

namespace stepscore {

template <class Visit>
void for_each_child(const Nodes& nodes, int32_t node, Visit visit) {
  int32_t c = nodes.first_child[node];
  if ((nodes.flags[node] & kScattered) != 0) {
    for (; c != kNoChild; c = nodes.next_sibling[c]) visit(c);
  } else {  // most nodes by far, and without a chain of reads
    for (const int32_t end = c + nodes.child_count[node]; c < end; ++c) visit(c);
  }
}

// Numbers for children that will be told later.
inline int32_t reserve(TreeSearch& search, int64_t p, int32_t count) {
  const int32_t first = search.root(p) + search.problem[p].nodes;
  search.problem[p].nodes += count;
  return first;
}

// What is left of the budgets and of the arena for one more expansion of p.
int64_t samples_left(const TreeSearch& search, int64_t p);

// Among the children, in the order in which expansions were requested.
void link_children(Nodes& nodes, int32_t parent, int32_t first, int32_t count);

// Priors among v and its siblings are to be computed again.
inline void forget_priors(Nodes& nodes, int64_t v) {
  if (nodes.parent[v] != kNoParent) nodes.flags[nodes.parent[v]] &= ~kPriorReady;
}

// A node that exists, for an argument of a verb.
int32_t checked_node(const TreeSearch& search, const char* verb, int64_t node);

}  // namespace stepscore
