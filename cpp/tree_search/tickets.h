// Requests and who waits for them.
#pragma once

#include "stepscore/tree_search.h"

namespace stepscore {

void queue_expand(TreeSearch& search, int64_t p, int32_t node, int32_t first, int32_t samples,
                  SampleMode mode, int32_t leaf);
// Samples that the simulation of `leaf` takes values from, and that stay outside the tree.
void queue_roll(TreeSearch& search, int64_t p, int32_t node, int32_t first, int32_t samples,
                int32_t leaf);
void queue_evaluation(TreeSearch& search, RequestKind kind, int64_t p, int32_t node, int32_t leaf);

// Puts a ticket at the end of its problem's queue.
void enqueue(TreeSearch& search, int32_t ticket);

}  // namespace stepscore
