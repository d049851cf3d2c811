#include "device_probe.h"

#include <cuda_runtime.h>

namespace stepscore::cuda {
namespace {

// The oldest architecture that CMakeLists.txt names.
constexpr int kOldestMajor = 7, kOldestMinor = 5;

bool is_too_old(const cudaDeviceProp& device) {
  return device.major < kOldestMajor ||
         (device.major == kOldestMajor && device.minor < kOldestMinor);
}

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace

Probe probe_device() {
  int driver = 0, devices = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
    return {false, "no CUDA driver on this machine"};
  }
  const cudaError_t status = cudaGetDeviceCount(&devices);
  if (status == cudaErrorInsufficientDriver) {
    return {false, "the CUDA driver is too old: it supports CUDA " + version_text(driver) +
                       ", this build needs " + version_text(CUDART_VERSION)};
  }
  if (status != cudaSuccess) return {false, cudaGetErrorString(status)};
  if (devices == 0) return {false, "the CUDA driver shows no device"};
  std::string names, too_old;
  for (int device = 0; device < devices; ++device) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, device) != cudaSuccess) continue;
    std::string& where = is_too_old(properties) ? too_old : names;
    where += (where.empty() ? "" : ", ") + std::string(properties.name);
  }
  if (names.empty() && !too_old.empty()) {
    return {false, too_old + ": older than compute capability " + std::to_string(kOldestMajor) +
                       "." + std::to_string(kOldestMinor)};
  }
  return {true, names};
}

}  // namespace stepscore::cuda
