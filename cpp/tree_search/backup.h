// What the end of a simulation changes on its path.
#pragma once

#include "stepscore/tree_search.h"

namespace stepscore {

// From the leaf to the root: one simulation more in flight.
void hold_path(Nodes& nodes, int32_t leaf);

// The simulation that ended at the leaf has all its answers: backs it up, under `deterministic`
// together with the problem's others when the last of them has its own.
void finish_simulation(TreeSearch& search, int32_t leaf);

// Releases the path and backs the leaf up, unless the leaf failed.
void back_up_simulation(TreeSearch& search, int32_t leaf);

}  // namespace stepscore
