// Whether this machine has a CUDA device that the compiled kernels run on.
#pragma once

#include <string>

namespace stepscore::cuda {

struct Probe {
  bool available;
  std::string reason;  // why not, or which devices
};

// Needs no driver: its absence is an answer, not an error.
Probe probe_device();

}  // namespace stepscore::cuda
