// A warp per sequence: 32 tokens are compared at once, and all lanes walk the bits of the ballot in
// order, so that overlap and collapse are the CPU's rules. The first pass counts, one block makes
// offsets of the counts, the second pass writes.
//
// Bytes: the ids twice, mostly from the second cache the second time.
#include "launch.cuh"

namespace stepscore::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kScanThreads = 1024;

struct Wanted {
  int64_t ids[kMaxSeparator];
  int64_t length;
};

Wanted wanted_of(const Separator& separator) {
  Wanted wanted{};
  wanted.length = separator.length;
  for (int64_t j = 0; j < separator.length; ++j) wanted.ids[j] = separator.ids[j];
  return wanted;
}

// Offsets that lead out of the tokens are not followed.
static __device__ __forceinline__ bool lies_within(int64_t begin, int64_t end, int64_t tokens) {
  return 0 <= begin && begin <= end && end <= tokens;
}

template <class Id>
static __device__ bool matches(const Id* tokens, const Wanted& wanted) {
  for (int64_t j = 0; j < wanted.length; ++j) {
    if (static_cast<int64_t>(tokens[j]) != wanted.ids[j]) return false;
  }
  return true;
}

// Calls report(position) on every lane; false when a position lies outside the sequence.
template <class Id, class Report>
static __device__ bool for_each_boundary(const Id* token_ids, int64_t begin, int64_t end,
                                         const Wanted& wanted, const BoundaryOptions& options,
                                         const int64_t* window, Report report) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t stop = end - wanted.length + 1;
  int64_t previous_end = -1;
  bool inside = true;
  for (int64_t block = begin; block < stop; block += kWarp) {
    const int64_t start = block + lane;
    unsigned bits = __ballot_sync(kAllLanes, start < stop && matches(token_ids + start, wanted));
    for (; bits != 0; bits &= bits - 1) {
      const int64_t i = block + __ffs(static_cast<int>(bits)) - 1;
      if (i < previous_end) continue;  // overlaps the match before
      const bool touches = i == previous_end;
      previous_end = i + wanted.length;
      if (options.collapse && touches) continue;
      const int64_t position = previous_end - 1 + options.shift;
      if (window != nullptr && (position - begin < window[0] || position - begin >= window[1])) {
        continue;
      }
      if (position < begin || position >= end) {
        inside = false;
      } else {
        report(position);
      }
    }
  }
  return inside;
}

template <class Id>
__global__ void __launch_bounds__(kThreads, 4)
    count_boundaries(const Id* token_ids, int64_t tokens, const int64_t* offsets, int64_t sequences,
                     Wanted wanted, BoundaryOptions options, int64_t* fault,
                     int64_t* step_offsets) {
  const bool first_lane = threadIdx.x % kWarp == 0;
  for (int64_t s = global_warp(); s < sequences; s += warps_in_grid()) {
    const int64_t* window = options.window == nullptr ? nullptr : options.window + 2 * s;
    const int64_t begin = offsets[s], end = offsets[s + 1];
    int64_t steps = 0;
    const bool inside =
        lies_within(begin, end, tokens) && for_each_boundary(token_ids, begin, end, wanted, options,
                                                             window, [&](int64_t) { ++steps; });
    if (!first_lane) continue;
    step_offsets[s + 1] = steps;
    if (!inside) report_fault(fault, s);
  }
}

// Counts to offsets, by one block: integers, so the order of the additions does not matter.
__global__ void __launch_bounds__(kScanThreads) scan_counts(int64_t sequences, int64_t* offsets) {
  __shared__ int64_t total[kScanThreads];
  const int64_t share = (sequences + kScanThreads - 1) / kScanThreads;
  const int64_t begin = 1 + threadIdx.x * share;
  const int64_t end = begin + share < sequences + 1 ? begin + share : sequences + 1;
  int64_t sum = 0;
  for (int64_t i = begin; i < end; ++i) sum += offsets[i];
  total[threadIdx.x] = sum;
  for (int apart = 1; apart < kScanThreads; apart *= 2) {
    __syncthreads();
    const int64_t before = static_cast<int>(threadIdx.x) >= apart ? total[threadIdx.x - apart] : 0;
    __syncthreads();
    total[threadIdx.x] += before;
  }
  __syncthreads();
  int64_t running = threadIdx.x == 0 ? 0 : total[threadIdx.x - 1];
  if (threadIdx.x == 0) offsets[0] = 0;
  for (int64_t i = begin; i < end; ++i) {
    running += offsets[i];
    offsets[i] = running;
  }
}

template <class Id>
__global__ void __launch_bounds__(kThreads, 4)
    write_boundaries(const Id* token_ids, int64_t tokens, const int64_t* offsets, int64_t sequences,
                     Wanted wanted, BoundaryOptions options, const int64_t* step_offsets,
                     int64_t* positions, int64_t capacity) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int64_t s = global_warp(); s < sequences; s += warps_in_grid()) {
    const int64_t* window = options.window == nullptr ? nullptr : options.window + 2 * s;
    const int64_t begin = offsets[s], end = offsets[s + 1];
    if (!lies_within(begin, end, tokens)) continue;
    int64_t at = step_offsets[s];
    for_each_boundary(token_ids, begin, end, wanted, options, window, [&](int64_t position) {
      if (lane == 0 && at < capacity) positions[at] = position;
      ++at;
    });
  }
  // What no boundary fills.
  const int64_t threads = static_cast<int64_t>(gridDim.x) * blockDim.x;
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (int64_t i = step_offsets[sequences] + thread; i < capacity; i += threads) {
    positions[i] = -1;
  }
}

}  // namespace

template <class Id>
Status count_steps(const Id* token_ids, int64_t tokens, const int64_t* offsets, int64_t sequences,
                   const Separator& separator, const BoundaryOptions& options, int64_t* fault,
                   int64_t* step_offsets, Stream stream) {
  const Status counted = launch(count_boundaries<Id>, blocks_for(sequences, kThreads / kWarp),
                                kThreads, 0, native(stream), token_ids, tokens, offsets, sequences,
                                wanted_of(separator), options, fault, step_offsets);
  if (counted.error != nullptr) return counted;
  return launch(scan_counts, 1, kScanThreads, 0, native(stream), sequences, step_offsets);
}

template <class Id>
Status find_steps(const Id* token_ids, int64_t tokens, const int64_t* offsets, int64_t sequences,
                  const Separator& separator, const BoundaryOptions& options,
                  const int64_t* step_offsets, int64_t* positions, int64_t capacity,
                  Stream stream) {
  return launch(write_boundaries<Id>, blocks_for(sequences, kThreads / kWarp), kThreads, 0,
                native(stream), token_ids, tokens, offsets, sequences, wanted_of(separator),
                options, step_offsets, positions, capacity);
}

template Status count_steps<int32_t>(const int32_t*, int64_t, const int64_t*, int64_t,
                                     const Separator&, const BoundaryOptions&, int64_t*, int64_t*,
                                     Stream);
template Status count_steps<int64_t>(const int64_t*, int64_t, const int64_t*, int64_t,
                                     const Separator&, const BoundaryOptions&, int64_t*, int64_t*,
                                     Stream);
template Status find_steps<int32_t>(const int32_t*, int64_t, const int64_t*, int64_t,
                                    const Separator&, const BoundaryOptions&, const int64_t*,
                                    int64_t*, int64_t, Stream);
template Status find_steps<int64_t>(const int64_t*, int64_t, const int64_t*, int64_t,
                                    const Separator&, const BoundaryOptions&, const int64_t*,
                                    int64_t*, int64_t, Stream);

}  // namespace stepscore::cuda
