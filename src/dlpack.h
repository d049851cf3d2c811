// Arrays of other libraries by the DLPack protocol, and results that they can take.
#pragma once

#include "bindings.h"

namespace stepscore {

// Borrowed(capsule): view, device, read_only; gives the array back when it is destroyed.
// Owned(shape, dtype, queue, stream): memory on the queue's device; dlpack(stream) lends it. Keeps
// the Python object of the stream, on which the memory is freed.
void bind_dlpack(py::module_& module);

}  // namespace stepscore
