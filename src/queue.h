// Where a call runs: nowhere in particular on the CPU, on a stream of a device on the GPU.
#pragma once

#include <cstdint>

namespace stepscore {

struct Queue {
  uintptr_t stream = 0;  // a cudaStream_t
  int device = -1;       // -1: the CPU
  bool checked = false;  // wait, and raise what a kernel refused (STEPSCORE_CUDA_CHECK=1)
};

}  // namespace stepscore
