#include "device.h"

#include <limits>

#include "launch.cuh"

namespace stepscore::cuda {

namespace {

Status refuse_capture(Stream stream, const char* refusal) {
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  const Status status = status_of(cudaStreamIsCapturing(native(stream), &capture));
  if (status.error != nullptr || capture == cudaStreamCaptureStatusNone) return status;
  return {refusal};
}

}  // namespace

DeviceScope::DeviceScope(int device) {
  int current = -1;
  status_ = status_of(cudaGetDevice(&current));
  if (status_.error != nullptr || current == device) return;
  status_ = status_of(cudaSetDevice(device));
  if (status_.error == nullptr) previous_ = current;
}

DeviceScope::~DeviceScope() {
  if (previous_ >= 0) status_of(cudaSetDevice(previous_));
}

Status FaultCell::open(Stream stream) {
  const Status refused = refuse_capture(
      stream, "STEPSCORE_CUDA_CHECK=1 waits for the stream, which is being captured; unset it");
  if (refused.error != nullptr) return refused;
  const Status made = status_of(cudaMalloc(reinterpret_cast<void**>(&cell_), sizeof(int64_t)));
  if (made.error != nullptr) return made;
  const int64_t none = std::numeric_limits<int64_t>::max();
  const Status filled = status_of(
      cudaMemcpyAsync(cell_, &none, sizeof(none), cudaMemcpyHostToDevice, native(stream)));
  if (filled.error != nullptr) return filled;
  return status_of(cudaStreamSynchronize(native(stream)));  // `none` lives on this stack
}

Status FaultCell::read(Stream stream, int64_t* value) {
  const Status copied = status_of(
      cudaMemcpyAsync(value, cell_, sizeof(*value), cudaMemcpyDeviceToHost, native(stream)));
  if (copied.error != nullptr) return copied;
  return status_of(cudaStreamSynchronize(native(stream)));
}

FaultCell::~FaultCell() {
  if (cell_ != nullptr) status_of(cudaFree(cell_));
}

Status follow(int device, Stream leader, Stream follower) {
  if (leader == follower) return {};
  const DeviceScope scope(device);
  if (scope.status().error != nullptr) return scope.status();
  cudaEvent_t event = nullptr;
  const Status made = status_of(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  if (made.error != nullptr) return made;
  Status status = status_of(cudaEventRecord(event, native(leader)));
  if (status.error == nullptr) {
    status = status_of(cudaStreamWaitEvent(native(follower), event, 0));
  }
  status_of(cudaEventDestroy(event));  // kept by the runtime until it has been waited for
  return status;
}

Status allocate(int device, int64_t bytes, Stream stream, void** memory) {
  const DeviceScope scope(device);
  if (scope.status().error != nullptr) return scope.status();
  const Status refused = refuse_capture(
      stream,
      "the stream is being captured, and memory that a graph makes is gone after its launch; "
      "pass out=, or tensors of torch");
  if (refused.error != nullptr) return refused;
  return status_of(
      cudaMallocAsync(memory, static_cast<size_t>(bytes < 1 ? 1 : bytes), native(stream)));
}

void release(int device, void* memory, Stream stream, bool elsewhere) {
  const DeviceScope scope(device);
  if (elsewhere) {
    // Lost rather than given to somebody else under a kernel that reads it.
    if (status_of(cudaDeviceSynchronize()).error != nullptr) return;
    stream = nullptr;
  }
  status_of(cudaFreeAsync(memory, native(stream)));
}

}  // namespace stepscore::cuda
