// A block of threads per row, a warp per chunk of 512 logits: a lane holds every 32nd of them in
// registers, finds the highest, adds up the exponentials, and a butterfly folds the lanes in the
// order of the CPU. The chunks wait in shared memory; then each lane of the first warp finds the
// factor of a chunk, and one thread merges them in their order. So the GPU gives the bits of the
// CPU for the same products.
//
// Bytes: the products once, 1.24 GB for 2,048 rows of 151,936 float32 logits, 0.26 ms at 4.8 TB/s
// where they come from memory and less where the second cache still holds them; about 20
// instructions a logit are 0.1 ms of an H200. The product itself takes 1.4 ms in bfloat16.
#include "launch.cuh"

namespace stepscore::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kTogether = kWarp;  // chunks that are merged at once
constexpr int kPerLane = static_cast<int>(kLogitChunk / kLogitLanes);
static_assert(kLogitLanes == kWarp);

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
  return float16_to_float(value.bits);
}

// A chunk of `count` logits, by a warp; every lane ends with the summary. z: the logits of the
// lane.
template <class T>
static __device__ __forceinline__ ChunkSummary sum_chunk(const T* products, const float* bias,
                                                         const LogitForm& form, int64_t count,
                                                         int lane, float (&z)[kPerLane]) {
  const float nothing = -static_cast<float>(kInfinity);
  float highest = nothing;
#pragma unroll
  for (int k = 0; k < kPerLane; ++k) {
    const int64_t j = lane + k * kWarp;
    z[k] = nothing;
    if (j < count) {
      const float product = to_float(products[j]);
      z[k] = logit_of(form, bias == nullptr ? product : product + bias[j]);
    }
    highest = z[k] > highest ? z[k] : highest;
  }
#pragma unroll
  for (int apart = kWarp / 2; apart >= 1; apart /= 2) {
    const float other = __shfl_xor_sync(kAllLanes, highest, apart);
    highest = other > highest ? other : highest;
  }
  ChunkSummary summary{};
  summary.highest = 0.0f + highest;
  const float shift = shift_of(summary.highest);
  int top = static_cast<int>(kLogitChunk);
#pragma unroll
  for (int k = 0; k < kPerLane; ++k) {
    if (lane + k * kWarp >= (count + kWarp - 1) / kWarp * kWarp) continue;
    const float below = logit_below(z[k], shift);
    const float weight = exponential_below_one(below);
    summary.total += weight;
    summary.weighted = fused_single(weight, below, summary.weighted);
    if (z[k] == summary.highest && lane + k * kWarp < top) top = lane + k * kWarp;
  }
#pragma unroll
  for (int apart = kWarp / 2; apart >= 1; apart /= 2) {
    summary.total += __shfl_xor_sync(kAllLanes, summary.total, apart);
    summary.weighted += __shfl_xor_sync(kAllLanes, summary.weighted, apart);
    const int other = __shfl_xor_sync(kAllLanes, top, apart);
    top = other < top ? other : top;
  }
  if (summary.weighted != summary.weighted) summary.total = summary.weighted;  // a logit is NaN
  summary.top = top;
  return summary;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    add_rows(LogitBlock block, Targets targets, int64_t* fault, TokenState* states) {
  __shared__ ChunkSummary chunks[kTogether];
  __shared__ double factors[kTogether];
  __shared__ float target_logit;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t columns = block.products.columns;
  const int64_t chunk_count = (columns + kLogitChunk - 1) / kLogitChunk;

  for (int64_t row = blockIdx.x; row < block.products.rows; row += gridDim.x) {
    const T* products =
        static_cast<const T*>(block.products.data) + row * block.products.row_stride;
    const int64_t target = target_of(targets, row);
    TokenState& state = states[row];  // where it stands: registers would spill
    if (threadIdx.x == 0 && block.first == 0) {
      state = TokenState{};
      if (target == kNoTarget && targets.ids[row] != targets.ignored) report_fault(fault, row);
    }
    for (int64_t group = 0; group < chunk_count; group += kTogether) {
      const int64_t together = chunk_count - group < kTogether ? chunk_count - group : kTogether;
      for (int64_t c = warp; c < together; c += kWarps) {
        const int64_t begin = (group + c) * kLogitChunk;
        const int64_t count = columns - begin < kLogitChunk ? columns - begin : kLogitChunk;
        float z[kPerLane];
        const ChunkSummary summary =
            sum_chunk(products + begin, block.bias == nullptr ? nullptr : block.bias + begin,
                      block.form, count, lane, z);
        if (lane == 0) chunks[c] = summary;
        const int64_t place = target - block.first - begin;
#pragma unroll
        for (int k = 0; k < kPerLane; ++k) {
          if (place >= 0 && place < count && place == lane + k * kWarp) target_logit = z[k];
        }
      }
      __syncthreads();
      if (warp == 0) {
        if (lane < together) {
          double before = state.highest;
          for (int c = 0; c < lane; ++c) {
            const double highest = static_cast<double>(chunks[c].highest);
            before = highest > before ? highest : before;
          }
          factors[lane] = exponential(gap_of(before, static_cast<double>(chunks[lane].highest)));
        }
        __syncwarp();
        for (int64_t c = 0; lane == 0 && c < together; ++c) {
          merge(state, chunks[c], factors[c], block.first + (group + c) * kLogitChunk);
        }
      }
      __syncthreads();
    }
    const int64_t place = target - block.first;
    if (threadIdx.x == 0 && target != kNoTarget && place >= 0 && place < columns) {
      state.target = static_cast<double>(target_logit);
    }
    __syncthreads();  // the next row writes its target there
  }
}

__global__ void finish_rows(const TokenState* states, int64_t rows, TokenOutputs out) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < rows;
       i += step) {
    finish(states[i], i, out);
  }
}

}  // namespace

Status add_logits(const LogitBlock& block, const Targets& targets, TokenState* states,
                  int64_t* fault, Stream stream) {
  if (block.products.rows == 0) return {};
  const auto kernel = block.products.dtype == DType::kBFloat16  ? add_rows<BFloat16>
                      : block.products.dtype == DType::kFloat16 ? add_rows<Float16>
                                                                : add_rows<float>;
  return launch(kernel, blocks_for(block.products.rows, 1), kThreads, 0, native(stream), block,
                targets, fault, states);
}

Status token_logprob(const TokenState* states, int64_t rows, const TokenOutputs& out,
                     Stream stream) {
  if (rows == 0) return {};
  return launch(finish_rows, blocks_for(rows, kThreads), kThreads, 0, native(stream), states, rows,
                out);
}

}  // namespace stepscore::cuda
