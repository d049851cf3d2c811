// The host's side: one device, its memory, and streams whose work runs when somebody waits for it.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cuda_runtime.h"
#include "grid.h"
#include "sanitizers.h"

namespace {

// A small device: a grid that fills it is far smaller than most inputs of the tests.
constexpr int kProcessors = 3;
constexpr int kThreadsPerProcessor = 1536;
constexpr size_t kSharedPerProcessor = 100 * 1024;
constexpr size_t kSharedReserved = 1024;  // of every block, by the system
constexpr int kSharedPerBlock = 48 * 1024;
constexpr int kSharedPerBlockOptin = 99 * 1024;
constexpr unsigned kMaxThreads = 1024;
constexpr unsigned kMaxBlocks = 0x7fffffffu;

using emulated::stop;
using Work = std::function<void()>;

cudaError_t last_error = cudaSuccess;

cudaError_t fail(cudaError_t error) {
  last_error = error;
  return error;
}

// --- memory ------------------------------------------------------------------------------------

// By address. The host may not touch it: it is out of bounds for AddressSanitizer unless enqueued
// work runs.
std::map<char*, size_t>& allocations() {
  static std::map<char*, size_t> all;
  return all;
}

class DeviceRuns {
 public:
  DeviceRuns() {
    if (depth_++ > 0) return;
    for (const auto& [memory, bytes] : allocations()) emulated::allow(memory, bytes);
  }
  ~DeviceRuns() {
    if (--depth_ > 0) return;
    for (const auto& [memory, bytes] : allocations()) emulated::forbid(memory, bytes);
  }
  DeviceRuns(const DeviceRuns&) = delete;
  DeviceRuns& operator=(const DeviceRuns&) = delete;

 private:
  static inline int depth_ = 0;
};

// Exactly as large as was asked for, so that AddressSanitizer knows the bounds.
cudaError_t allocate(void** memory, size_t bytes) {
  *memory = nullptr;
  if (bytes == 0) return cudaSuccess;
  if (posix_memalign(memory, 256, bytes) != 0) return fail(cudaErrorMemoryAllocation);
  emulated::fill_with_garbage(*memory, bytes);
  emulated::forbid(*memory, bytes);
  allocations()[static_cast<char*>(*memory)] = bytes;
  return cudaSuccess;
}

cudaError_t free_now(void* memory) {
  if (memory == nullptr) return cudaSuccess;
  const auto found = allocations().find(static_cast<char*>(memory));
  if (found == allocations().end()) return fail(cudaErrorInvalidValue);
  emulated::allow(memory, found->second);
  allocations().erase(found);
  std::free(memory);
  return cudaSuccess;
}

bool on_device(const void* memory, size_t bytes) {
  auto after = allocations().upper_bound(static_cast<char*>(const_cast<void*>(memory)));
  if (after == allocations().begin()) return false;
  const auto& [begin, size] = *std::prev(after);
  const size_t at = static_cast<size_t>(static_cast<const char*>(memory) - begin);
  return at <= size && bytes <= size - at;
}

// --- streams -----------------------------------------------------------------------------------

struct Stream {
  std::deque<Work> pending;
  uint64_t issued = 0, finished = 0;
  bool capturing = false, invalidated = false;
  std::vector<Work> captured;
};

// A point of a stream.
struct Mark {
  std::shared_ptr<Stream> stream;
  uint64_t ticket = 0;
};

std::map<cudaStream_t, std::shared_ptr<Stream>>& streams() {
  static std::map<cudaStream_t, std::shared_ptr<Stream>> all{
      {cudaStreamLegacy, std::make_shared<Stream>()}};
  return all;
}

// Null for a handle that is not one.
std::shared_ptr<Stream> find(cudaStream_t handle) {
  const auto found = streams().find(handle == nullptr ? cudaStreamLegacy : handle);
  return found == streams().end() ? nullptr : found->second;
}

void run_until(Stream& stream, uint64_t ticket) {
  const DeviceRuns running;
  while (stream.finished < ticket) {
    const Work work = std::move(stream.pending.front());
    stream.pending.pop_front();
    work();
    ++stream.finished;
  }
}

cudaError_t enqueue(cudaStream_t handle, Work work) {
  const std::shared_ptr<Stream> stream = find(handle);
  if (stream == nullptr) return fail(cudaErrorInvalidResourceHandle);
  if (stream->capturing) {
    stream->captured.push_back(std::move(work));
  } else {
    stream->pending.push_back(std::move(work));
    ++stream->issued;
  }
  return cudaSuccess;
}

// What a capture does not survive.
cudaError_t refuse_capture(Stream& stream) {
  stream.invalidated = true;
  return fail(cudaErrorStreamCaptureUnsupported);
}

bool anything_is_captured() {
  bool found = false;
  for (const auto& [handle, stream] : streams()) {
    if (stream->capturing) found = stream->invalidated = true;
  }
  return found;
}

cudaError_t wait_for(cudaStream_t handle) {
  const std::shared_ptr<Stream> stream = find(handle);
  if (stream == nullptr) return fail(cudaErrorInvalidResourceHandle);
  if (stream->capturing) return refuse_capture(*stream);
  run_until(*stream, stream->issued);
  return cudaSuccess;
}

// Null while nothing has been recorded.
Mark& mark_of(cudaEvent_t event) {
  return *reinterpret_cast<Mark*>(event);
}
std::vector<Work>& nodes_of(void* graph) {
  return *static_cast<std::vector<Work>*>(graph);
}

// --- kernels -----------------------------------------------------------------------------------

std::map<const void*, int>& shared_limits() {
  static std::map<const void*, int> limits;
  return limits;
}
// A grid may be cut to EMULATED_CUDA_MOST_BLOCKS: all kernels stride, and the grids that make them
// do so on a device are too large to emulate.
unsigned most_blocks() {
  static const char* text = std::getenv("EMULATED_CUDA_MOST_BLOCKS");
  return text == nullptr ? kMaxBlocks : static_cast<unsigned>(std::strtoul(text, nullptr, 10));
}

size_t shared_limit(const void* kernel) {
  const auto found = shared_limits().find(kernel);
  return static_cast<size_t>(found == shared_limits().end() ? kSharedPerBlock : found->second);
}

}  // namespace

namespace emulated {

cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel, Work body) {
  const dim3 blocks = config.gridDim, threads = config.blockDim;
  if (blocks.y != 1 || blocks.z != 1 || threads.y != 1 || threads.z != 1 || config.numAttrs != 0) {
    stop("launches of more than one dimension, or with attributes, are not emulated");
  }
  if (blocks.x < 1 || blocks.x > kMaxBlocks || threads.x < 1 || threads.x > kMaxThreads) {
    return fail(cudaErrorInvalidConfiguration);
  }
  const size_t shared = config.dynamicSmemBytes;
  if (shared > shared_limit(kernel)) return fail(cudaErrorInvalidValue);
  const unsigned count = std::min(blocks.x, most_blocks());
  return enqueue(config.stream, [=] { run_grid(count, threads.x, shared, body); });
}

cudaError_t allow_shared(const void* kernel, int bytes) {
  if (bytes < 0 || bytes > kSharedPerBlockOptin) return fail(cudaErrorInvalidValue);
  shared_limits()[kernel] = bytes;
  return cudaSuccess;
}

cudaError_t resident_blocks(int* blocks, const void* kernel, int threads, size_t shared) {
  if (threads < 1) return fail(cudaErrorInvalidValue);
  const bool fits = shared <= shared_limit(kernel) && threads <= static_cast<int>(kMaxThreads);
  const int by_threads = kThreadsPerProcessor / threads;
  const int by_shared = static_cast<int>(kSharedPerProcessor / (shared + kSharedReserved));
  *blocks = !fits ? 0 : by_threads < by_shared ? by_threads : by_shared;
  return cudaSuccess;
}

}  // namespace emulated

cudaError_t cudaGetLastError() {
  return std::exchange(last_error, cudaSuccess);
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorInsufficientDriver:
      return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    case cudaErrorInvalidResourceHandle:
      return "invalid resource handle";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated:
      return "operation failed due to a previous error during capture";
  }
  return "unrecognized error code";
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device != 0) return fail(cudaErrorInvalidDevice);
  std::strcpy(properties->name, "emulated device");
  properties->major = 9;
  properties->minor = 0;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (device != 0) return fail(cudaErrorInvalidDevice);
  *value = attribute == cudaDevAttrMultiProcessorCount ? kProcessors : kSharedPerBlockOptin;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  return device == 0 ? cudaSuccess : fail(cudaErrorInvalidDevice);
}

cudaError_t cudaDeviceSynchronize() {
  if (anything_is_captured()) return fail(cudaErrorStreamCaptureUnsupported);
  for (const auto& [handle, stream] : streams()) run_until(*stream, stream->issued);
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  if (anything_is_captured()) return fail(cudaErrorStreamCaptureUnsupported);
  return allocate(memory, bytes);
}

// Waits for the device, as the runtime's does.
cudaError_t cudaFree(void* memory) {
  const cudaError_t error = cudaDeviceSynchronize();
  return error == cudaSuccess ? free_now(memory) : error;
}

cudaError_t cudaMallocAsync(void** memory, size_t bytes, cudaStream_t stream) {
  if (find(stream) == nullptr) return fail(cudaErrorInvalidResourceHandle);
  return allocate(memory, bytes);
}

cudaError_t cudaFreeAsync(void* memory, cudaStream_t stream) {
  if (memory != nullptr && !on_device(memory, 1)) return fail(cudaErrorInvalidValue);
  return enqueue(stream, [memory] { free_now(memory); });
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  const cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, cudaStreamLegacy);
  return error == cudaSuccess ? wait_for(cudaStreamLegacy) : error;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (!on_device(kind == cudaMemcpyHostToDevice ? to : from, bytes)) {
    return fail(cudaErrorInvalidValue);
  }
  return enqueue(stream, [=] { std::memcpy(to, from, bytes); });
}

cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (!on_device(memory, bytes)) return fail(cudaErrorInvalidValue);
  return enqueue(stream, [=] { std::memset(memory, value, bytes); });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  if (flags != cudaStreamNonBlocking) stop("streams that wait for each other are not emulated");
  const auto made = std::make_shared<Stream>();
  *stream = reinterpret_cast<cudaStream_t>(made.get());
  streams()[*stream] = made;
  return cudaSuccess;
}

// Returns at once on a device; the work is still done.
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const cudaError_t error = wait_for(stream);
  if (error == cudaSuccess) streams().erase(stream);
  return error;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return wait_for(stream);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const Mark mark = mark_of(event);
  return enqueue(stream, [mark] {
    if (mark.stream != nullptr) run_until(*mark.stream, mark.ticket);
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const std::shared_ptr<Stream> found = find(stream);
  if (found == nullptr) return fail(cudaErrorInvalidResourceHandle);
  *status = found->capturing ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  const std::shared_ptr<Stream> found = find(stream);
  if (found == nullptr || found == find(cudaStreamLegacy) || found->capturing) {
    return fail(cudaErrorStreamCaptureUnsupported);
  }
  found->capturing = true;
  found->invalidated = false;
  found->captured.clear();
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  const std::shared_ptr<Stream> found = find(stream);
  if (found == nullptr || !found->capturing) return fail(cudaErrorInvalidValue);
  found->capturing = false;
  if (found->invalidated) return fail(cudaErrorStreamCaptureInvalidated);
  *graph = reinterpret_cast<cudaGraph_t>(new std::vector<Work>(std::move(found->captured)));
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  *executable = reinterpret_cast<cudaGraphExec_t>(new std::vector<Work>(nodes_of(graph)));
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  for (const Work& work : nodes_of(executable)) {
    const cudaError_t error = enqueue(stream, work);
    if (error != cudaSuccess) return error;
  }
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete &nodes_of(executable);
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete &nodes_of(graph);
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = reinterpret_cast<cudaEvent_t>(new Mark);
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const std::shared_ptr<Stream> found = find(stream);
  if (found == nullptr) return fail(cudaErrorInvalidResourceHandle);
  mark_of(event) = {found, found->issued};
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete &mark_of(event);
  return cudaSuccess;
}
