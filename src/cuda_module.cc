#include "bindings.h"
#include "device_probe.h"

PYBIND11_MODULE(_cuda, module) {
  using namespace stepscore;
  module.def("probe_device", [] {
    const cuda::Probe probe = cuda::probe_device();
    return std::make_pair(probe.available, probe.reason);
  });
}
