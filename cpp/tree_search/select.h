// Where a simulation goes: the rules of selection.
#pragma once

#include "stepscore/tree_search.h"

namespace stepscore {

RuleTables tables_of(const Selection& selection);

// Whether a problem has something left to select.
enum class Found { kLeaf, kAllPending, kNothing };

// V of a node as selection sees it: its score before the first visit.
double value_of(const TreeSearch& search, int32_t node);

// Follows the rule from the root to a node without children, a terminal, or max_depth.
Found descend(TreeSearch& search, int64_t p, int32_t* leaf);

// g + logit + s(q) of the root's children among those with `visits` visits; kNoChild for none.
int32_t best_considered(const TreeSearch& search, int32_t root, int32_t visits, int32_t skip);

}  // namespace stepscore
