// A warp per row. Lane l reads the 16-byte pieces l, l + 32, ... of the row, up to eight in flight,
// and multiplies them with the weights that the block keeps in shared memory as float32; a
// butterfly adds the lanes, so every lane holds the same bits. The order depends on the row alone.
//
// Bytes: each row once, rows * H * item, against 3.35 TB/s on an H100: 0.32 ms for
// [131072, 4096] bfloat16. The weights (16 KiB an output at H = 4096) are read once per block.
// Shared memory gives a warp its weights in 8 cycles per piece and output, 0.07 ms of those 0.32;
// about 35 instructions per piece are 0.08 ms. Memory sets the time up to three outputs.
#include <algorithm>
#include <atomic>

#include "launch.cuh"

namespace stepscore::cuda {
namespace {

constexpr int kThreads = 256;

struct BFloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

static __device__ __forceinline__ float to_float(float value) {
  return value;
}
static __device__ __forceinline__ float to_float(BFloat16 value) {
  return bfloat16_to_float(value.bits);
}
static __device__ __forceinline__ float to_float(Float16 value) {
#if defined(__CUDA_ARCH__)  // exact, so the same bits, in one instruction and not in a dozen
  float wide;
  asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(value.bits));
  return wide;
#else
  return float16_to_float(value.bits);
#endif
}

template <class T>
struct alignas(16) Piece {
  static constexpr int kItems = 16 / static_cast<int>(sizeof(T));
  T item[kItems];
};

template <class T>
__host__ __device__ constexpr int64_t pieces_of(int64_t width) {
  return (width + Piece<T>::kItems - 1) / Piece<T>::kItems;
}

template <class T>
constexpr int64_t shared_bytes_of(int64_t outputs, int64_t width) {
  return outputs * pieces_of<T>(width) * Piece<T>::kItems * static_cast<int64_t>(sizeof(float));
}

// Read once: leaves the first cache to the weights.
template <class T>
static __device__ __forceinline__ Piece<T> load_streaming(const Piece<T>* from) {
  const int4 raw = __ldcs(reinterpret_cast<const int4*>(from));
  return bits_as<Piece<T>>(raw);
}

static __device__ __forceinline__ void prefetch([[maybe_unused]] const void* address) {
#if defined(__CUDA_ARCH__)
  asm volatile("prefetch.global.L2 [%0];" ::"l"(__cvta_generic_to_global(address)));
#endif
}

// The same piece of a row that does not begin at a multiple of 16 bytes.
template <class T>
static __device__ __forceinline__ Piece<T> load_items(const T* from) {
  Piece<T> piece;
#pragma unroll
  for (int j = 0; j < Piece<T>::kItems; ++j) piece.item[j] = from[j];
  return piece;
}

template <class T>
__device__ float weight_at(const void* weight, int64_t index) {
  return to_float(static_cast<const T*>(weight)[index]);
}

static __device__ float weight_at(const MatrixView& weight, int64_t row, int64_t column) {
  const int64_t index = row * weight.row_stride + column;
  switch (weight.dtype) {
    case DType::kBFloat16:
      return weight_at<BFloat16>(weight.data, index);
    case DType::kFloat16:
      return weight_at<Float16>(weight.data, index);
    default:
      return weight_at<float>(weight.data, index);
  }
}

// Where the weight of a column stands in shared memory: [kItems / 4, all_pieces, 4] for an output.
// Four weights of neighbouring pieces stand side by side: lanes read them without bank conflicts.
template <class T>
static __device__ __forceinline__ int64_t slot_of(int64_t column, int64_t all_pieces) {
  constexpr int kItems = Piece<T>::kItems;
  const int64_t p = column / kItems, j = column % kItems;
  return (j / 4 * all_pieces + p) * 4 + j % 4;
}

// One output's weights into shared memory, eight in flight.
template <class T, class W>
static __device__ __forceinline__ void hold_weights(const W* from, int64_t width, float* to) {
  constexpr int kInFlight = 8;
  const int64_t all_pieces = pieces_of<T>(width);
  for (int64_t begin = threadIdx.x; begin < width; begin += kInFlight * kThreads) {
    W held[kInFlight];
#pragma unroll
    for (int f = 0; f < kInFlight; ++f) {
      if (begin + f * kThreads < width) held[f] = from[begin + f * kThreads];
    }
#pragma unroll
    for (int f = 0; f < kInFlight; ++f) {
      const int64_t column = begin + f * kThreads;
      if (column < width) to[slot_of<T>(column, all_pieces)] = to_float(held[f]);
    }
  }
}

template <class T>
static __device__ __forceinline__ void hold_weights(const MatrixView& weight, int64_t row,
                                                    float* to) {
  const int64_t first = row * weight.row_stride;
  switch (weight.dtype) {
    case DType::kBFloat16:
      return hold_weights<T>(static_cast<const BFloat16*>(weight.data) + first, weight.columns, to);
    case DType::kFloat16:
      return hold_weights<T>(static_cast<const Float16*>(weight.data) + first, weight.columns, to);
    default:
      return hold_weights<T>(static_cast<const float*>(weight.data) + first, weight.columns, to);
  }
}

static __device__ __forceinline__ int64_t row_of(const Rows& rows, int64_t i) {
  return rows.positions == nullptr ? i : rows.positions[i];
}

// Asks for the first row of the warp, so that it is on its way while the weights are held: a call
// that reads few rows would wait for the one after the other.
template <class T>
static __device__ __forceinline__ void expect_first_row(const Rows& rows) {
  constexpr int64_t kLine = 128 / static_cast<int64_t>(sizeof(T));
  const int64_t i = global_warp();
  if (i >= rows.count) return;
  const int64_t row = row_of(rows, i);
  if (row < 0 || row >= rows.hidden.rows) return;
  const T* x = static_cast<const T*>(rows.hidden.data) + row * rows.hidden.row_stride;
  for (int64_t j = threadIdx.x % kWarp * kLine; j < rows.hidden.columns; j += kWarp * kLine) {
    prefetch(x + j);
  }
}

static __device__ __forceinline__ float apply(Inputs inputs, float x) {
  switch (inputs) {
    case Inputs::kAsTheyAre:
      return x;
    case Inputs::kRelu:
      return inner_activation(Inner::kRelu, x);
    case Inputs::kTanh:
      return inner_activation(Inner::kTanh, x);
    default:
      return inner_activation(Inner::kSilu, x);
  }
}

// Outputs [first, first + kOutputs) of every row. Fused: the rows end in `activation`; otherwise z
// is written, and activate_rows follows. kPlain: the inputs are taken as they are; the others have
// kernels of their own, because a hyperbolic tangent beside every product is a hundred times the
// code of the loop.
template <class T, int kOutputs, bool kShared, bool kPlain>
__global__ void __launch_bounds__(kThreads, 2)
    head_rows(Rows rows, Layer layer, Inputs inputs, Activation activation, bool fused, bool vector,
              int64_t first, int64_t out_width, int64_t* fault, float* out) {
  float* shared_weight = dynamic_shared<float>();  // [kOutputs, kItems / 4, all_pieces, 4]
  constexpr int kItems = Piece<T>::kItems;
  const int64_t width = rows.hidden.columns;
  const int64_t all_pieces = pieces_of<T>(width);
  if constexpr (kShared) {
    expect_first_row<T>(rows);
    for (int c = 0; c < kOutputs; ++c) {
      hold_weights<T>(layer.weight, first + c, shared_weight + c * all_pieces * kItems);
    }
    __syncthreads();
  }
  auto weight = [&](int c, int64_t j) {
    if constexpr (kShared) {
      return shared_weight[c * all_pieces * kItems + slot_of<T>(j, all_pieces)];
    }
    return weight_at(layer.weight, first + c, j);
  };
  auto input = [&](auto item) {
    if constexpr (kPlain) return to_float(item);
    return apply(inputs, to_float(item));
  };
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t pieces = width / kItems;

  for (int64_t i = global_warp(); i < rows.count; i += warps_in_grid()) {
    const int64_t row = row_of(rows, i);
    float* to = out + i * out_width + (fused ? 0 : first);
    if (row < 0 || row >= rows.hidden.rows) {
      if (lane == 0) report_fault(fault, i);
      const int64_t columns = fused ? out_width : kOutputs;
      for (int64_t c = lane; c < columns; c += kWarp) to[c] = bits_as<float>(0x7fc00000u);
      continue;
    }
    const T* x = static_cast<const T*>(rows.hidden.data) + row * rows.hidden.row_stride;
    float sum[kOutputs] = {};
    auto add = [&](const Piece<T>& piece, int64_t p) {
#pragma unroll
      for (int quarter = 0; quarter < kItems; quarter += 4) {
        float value[4];
#pragma unroll
        for (int j = 0; j < 4; ++j) value[j] = input(piece.item[quarter + j]);
#pragma unroll
        for (int c = 0; c < kOutputs; ++c) {
          alignas(16) float four[4];
          if constexpr (kShared) {
            const int64_t at = ((c * (kItems / 4) + quarter / 4) * all_pieces + p) * 4;
            *reinterpret_cast<float4*>(four) = *reinterpret_cast<const float4*>(shared_weight + at);
          } else {
            for (int j = 0; j < 4; ++j) four[j] = weight(c, p * kItems + quarter + j);
          }
#pragma unroll
          for (int j = 0; j < 4; ++j) sum[c] += value[j] * four[j];
        }
      }
    };
    const Piece<T>* piece = reinterpret_cast<const Piece<T>*>(x);
    int64_t p = lane;
    if constexpr (kPlain) {
      constexpr int kInFlight = kShared && kOutputs == 1 ? 8 : 4;  // as registers allow
      Piece<T> held[kInFlight];
      for (; vector && p + (kInFlight - 1) * kWarp < pieces; p += kInFlight * kWarp) {
#pragma unroll
        for (int f = 0; f < kInFlight; ++f) held[f] = load_streaming(piece + p + f * kWarp);
#pragma unroll
        for (int f = 0; f < kInFlight; ++f) add(held[f], p + f * kWarp);
      }
      if (vector) {  // what is left is in flight together too: 3,584 items leave six pieces of 14
#pragma unroll
        for (int f = 0; f < kInFlight - 1; ++f) {
          if (p + f * kWarp < pieces) held[f] = load_streaming(piece + p + f * kWarp);
        }
#pragma unroll
        for (int f = 0; f < kInFlight - 1; ++f) {
          if (p + f * kWarp < pieces) add(held[f], p + f * kWarp);
        }
        p += kInFlight * kWarp;
      }
    }
#pragma unroll 1
    for (; p < pieces; p += kWarp) {
      add(vector ? load_streaming(piece + p) : load_items(x + p * kItems), p);
    }
    for (int64_t j = pieces * kItems + lane; j < width; j += kWarp) {
      const float value = input(x[j]);
#pragma unroll
      for (int c = 0; c < kOutputs; ++c) sum[c] += value * weight(c, j);
    }
#pragma unroll
    for (int c = 0; c < kOutputs; ++c) {
#pragma unroll
      for (int apart = kWarp / 2; apart >= 1; apart /= 2) {
        sum[c] += __shfl_xor_sync(kAllLanes, sum[c], apart);
      }
      if (layer.bias != nullptr) sum[c] += layer.bias[first + c];
    }
    if (lane != 0) continue;
    if (fused) {
      activate(activation, sum, kOutputs, to);
    } else {
#pragma unroll
      for (int c = 0; c < kOutputs; ++c) to[c] = sum[c];
    }
  }
}

// In place, a thread per row: for heads that take several passes.
__global__ void activate_rows(Activation activation, int64_t rows, int64_t outputs, float* out) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < rows;
       i += step) {
    activate(activation, out + i * outputs, outputs, out + i * outputs);
  }
}

struct Device {
  int processors = 0;
  int shared_bytes = 0;  // that a block may ask for
};

cudaError_t current_device(Device& properties) {
  int device = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error != cudaSuccess) return error;
  error = cudaDeviceGetAttribute(&properties.processors, cudaDevAttrMultiProcessorCount, device);
  if (error != cudaSuccess) return error;
  return cudaDeviceGetAttribute(&properties.shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin,
                                device);
}

struct Pass {
  const Rows& rows;
  const Layer& layer;
  Inputs inputs;
  Activation activation;
  bool fused;
  int64_t first;
  int64_t out_width;
  int64_t* fault;
  float* out;
  cudaStream_t stream;
  Device device;
};

template <class T>
bool aligned(const MatrixView& hidden) {
  return reinterpret_cast<uintptr_t>(hidden.data) % 16 == 0 &&
         hidden.row_stride * static_cast<int64_t>(sizeof(T)) % 16 == 0;
}

// How many blocks run at once on a multiprocessor. The last answer is kept, for calls that are
// shorter than the question; it holds its own question, so threads need no lock. Among devices of
// different kinds it costs speed at most.
template <class Kernel>
cudaError_t resident_blocks(Kernel kernel, size_t shared, std::atomic<uint64_t>& last,
                            int& resident) {
  const uint64_t question = static_cast<uint64_t>(shared) << 16 | 1u << 15;
  const uint64_t known = last.load(std::memory_order_relaxed);
  resident = static_cast<int>(known & 0x7fffu);
  if ((known & ~uint64_t{0x7fff}) == question) return cudaSuccess;
  const cudaError_t error =
      cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel, kThreads, shared);
  if (error != cudaSuccess) return error;
  resident = std::max(resident, 1);
  last.store(question | static_cast<uint64_t>(resident), std::memory_order_relaxed);
  return cudaSuccess;
}

template <class T, int kOutputs, bool kShared, bool kPlain>
Status run(const Pass& pass) {
  static std::atomic<uint64_t> last{0};
  auto kernel = head_rows<T, kOutputs, kShared, kPlain>;
  const size_t shared =
      kShared ? static_cast<size_t>(shared_bytes_of<T>(kOutputs, pass.rows.hidden.columns)) : 0;
  if (shared > 48 * 1024) {
    // The most that any call can want: another thread's smaller wish must not stand at our launch.
    const cudaError_t error = cudaFuncSetAttribute(
        kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, pass.device.shared_bytes);
    if (error != cudaSuccess) return status_of(error);
  }
  int resident = 1;
  const cudaError_t error = resident_blocks(kernel, shared, last, resident);
  if (error != cudaSuccess) return status_of(error);
  // No more blocks than run at once: each loads the weights once and strides over the rows.
  const unsigned most = static_cast<unsigned>(pass.device.processors * resident);
  const unsigned needed = blocks_for(pass.rows.count, kThreads / kWarp);
  const unsigned blocks = std::min(most, needed);
  return launch(kernel, blocks, kThreads, shared, pass.stream, pass.rows, pass.layer, pass.inputs,
                pass.activation, pass.fused, aligned<T>(pass.rows.hidden), pass.first,
                pass.out_width, pass.fault, pass.out);
}

// The outputs that a pass makes, and whether shared memory holds their weights.
struct Slice {
  int64_t outputs;
  bool held;
};

template <class T>
Slice next_slice(const Pass& pass) {
  const int64_t left = pass.layer.weight.rows - pass.first;
  // `out` has no room for the two terms of a difference: one pass makes both.
  const int64_t least = pass.activation == Activation::kDifference ? 2 : 1;
  for (const int64_t outputs : {4, 2, 1}) {
    const bool fits =
        shared_bytes_of<T>(outputs, pass.rows.hidden.columns) <= pass.device.shared_bytes;
    if (fits && least <= outputs && outputs <= left) return {outputs, true};
  }
  return {least, false};
}

template <class T, bool kPlain>
Status run_slice(const Pass& pass, const Slice& slice) {
  if (!slice.held) {
    return slice.outputs == 2 ? run<T, 2, false, kPlain>(pass) : run<T, 1, false, kPlain>(pass);
  }
  switch (slice.outputs) {
    case 1:
      return run<T, 1, true, kPlain>(pass);
    case 2:
      return run<T, 2, true, kPlain>(pass);
    default:
      return run<T, 4, true, kPlain>(pass);
  }
}

template <class T>
Status run_passes(Pass& pass) {
  const int64_t outputs = pass.layer.weight.rows;
  while (pass.first < outputs) {
    const Slice slice = next_slice<T>(pass);
    pass.fused = slice.outputs == outputs;
    pass.out_width = pass.fused ? activated_width(pass.activation, outputs) : outputs;
    const Status status = pass.inputs == Inputs::kAsTheyAre ? run_slice<T, true>(pass, slice)
                                                            : run_slice<T, false>(pass, slice);
    if (status.error != nullptr) return status;
    pass.first += slice.outputs;
  }
  return {};
}

}  // namespace

Status value_head(const Rows& rows, const Layer& layer, Inputs inputs, Activation activation,
                  int64_t* fault, float* out, Stream stream) {
  if (rows.count == 0) return {};
  Device device;
  const cudaError_t error = current_device(device);
  if (error != cudaSuccess) return status_of(error);
  const int64_t outputs = layer.weight.rows;
  Pass pass{rows, layer, inputs, activation, false, 0, outputs, fault, out, native(stream), device};
  Status status;
  switch (rows.hidden.dtype) {
    case DType::kBFloat16:
      status = run_passes<BFloat16>(pass);
      break;
    case DType::kFloat16:
      status = run_passes<Float16>(pass);
      break;
    default:
      status = run_passes<float>(pass);
      break;
  }
  if (status.error != nullptr || pass.fused || activation == Activation::kIdentity) return status;
  return launch(activate_rows, blocks_for(rows.count, kThreads), kThreads, 0, native(stream),
                activation, rows.count, outputs, out);
}

}  // namespace stepscore::cuda
