// stepscore._core.Selection: which Monte Carlo tree search `select` runs.
#pragma once

#include "bindings.h"

namespace stepscore {

// Also SELECTION_DEFAULTS, and NODE_FLAGS: the bits of a node's `flags` by name.
void bind_selection(py::module_& module);

}  // namespace stepscore
