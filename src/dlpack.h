// Arrays of other libraries by the DLPack protocol, and results that they can take.
#pragma once

#include "bindings.h"

namespace stepscore {

// Borrowed(capsule): view, device; gives the array back when it is destroyed.
// Owned(shape, dtype, queue): memory on the queue's device; dlpack(stream) lends it.
void bind_dlpack(py::module_& module);

}  // namespace stepscore
