// Eight threads per segment, one per lane of the CPU's accumulators, folded in the same order: the
// GPU gives the bits of the CPU. Each then finishes its share of the reductions.
//
// Bytes: every score once, offsets and results once: 80 + 8 + 32 MB for 20M scores in 1M segments
// and 8 reductions, 0.04 ms at 3.35 TB/s; the arithmetic is 64-bit, which consumer chips do slowly.
#include "launch.cuh"

namespace stepscore::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kLanes = 8;

struct Reductions {
  Reduction kind[kMaxReductions];
  int64_t count;
};

// A butterfly over the lanes of a segment: lane j with j + 4, then 2, then 1, as on the CPU, and
// every lane ends with the result.
static __device__ __forceinline__ double other(double value, int apart) {
  return __shfl_xor_sync(kAllLanes, value, apart, kLanes);
}
static __device__ __forceinline__ int64_t other(int64_t value, int apart) {
  return __shfl_xor_sync(kAllLanes, static_cast<long long>(value), apart, kLanes);
}

// `right` replaces `left` only where it is smaller (larger): of two equal zeros the left one stays,
// on every lane, as on the CPU.
static __device__ __forceinline__ double fold_min(double low, int lane) {
#pragma unroll
  for (int apart = kLanes / 2; apart >= 1; apart /= 2) {
    const double theirs = other(low, apart);
    const double left = lane & apart ? theirs : low, right = lane & apart ? low : theirs;
    low = right < left ? right : left;
  }
  return low;
}
static __device__ __forceinline__ double fold_max(double high, int lane) {
#pragma unroll
  for (int apart = kLanes / 2; apart >= 1; apart /= 2) {
    const double theirs = other(high, apart);
    const double left = lane & apart ? theirs : high, right = lane & apart ? high : theirs;
    high = right > left ? right : left;
  }
  return high;
}

static __device__ __forceinline__ void fold(ScaledProduct& product) {
#pragma unroll
  for (int apart = kLanes / 2; apart >= 1; apart /= 2) {
    product.mantissa *= other(product.mantissa, apart);
    product.exponent += other(product.exponent, apart);
  }
  normalise(product);
}

static __device__ __forceinline__ double fold_sum(double sum) {
#pragma unroll
  for (int apart = kLanes / 2; apart >= 1; apart /= 2) sum += other(sum, apart);
  return sum;
}

template <class T>
static __device__ __forceinline__ Statistics reduce(const T* values, int64_t begin, int64_t end,
                                                    int lane, const Needs& needs) {
  double low = kInfinity, high = -kInfinity, sum = 0.0, odds = 0.0;
  int nan = 0;
  ScaledProduct product, right, wrong;
  int64_t until_normalise = kNormaliseEvery;
  for (int64_t i = begin + lane; i < end; i += kLanes) {
    const double x = values[i];
    low = x < low ? x : low;
    high = x > high ? x : high;
    sum += x;
    nan |= x != x;
    if (needs.product) multiply(product, x);
    if (needs.odds) {
      const double floored = needs.clip > x ? needs.clip : x;
      const double p = 1.0 - needs.clip < floored ? 1.0 - needs.clip : floored;
      const double q = 1.0 - p;
      multiply(right, p);
      multiply(wrong, q);
      odds += p / q;
    }
    if (--until_normalise == 0) {
      until_normalise = kNormaliseEvery;
      normalise(product);
      normalise(right);
      normalise(wrong);
    }
  }
  Statistics s{};
#pragma unroll
  for (int apart = kLanes / 2; apart >= 1; apart /= 2) {
    nan |= __shfl_xor_sync(kAllLanes, nan, apart, kLanes);
  }
  low = fold_min(low, lane);
  high = fold_max(high, lane);
  s.sum = fold_sum(sum);
  if (needs.product) {
    fold(product);
    s.product = product;
  }
  if (needs.odds) {
    fold(right);
    fold(wrong);
    s.right = right;
    s.wrong = wrong;
    s.odds = fold_sum(odds);
  }
  s.min = low;
  s.max = high;
  s.has_nan = nan != 0;
  if (needs.softmin) {
    const double inverse = 1.0 / needs.temperature;
    double weight = 0.0, weighted = 0.0;
    for (int64_t i = begin + lane; i < end; i += kLanes) {
      const double x = values[i];
      const double w = exponential((low - x) * inverse);
      weight += w;
      weighted += w * x;
    }
    s.weight = fold_sum(weight);
    s.weighted = fold_sum(weighted);
  }
  s.size = end - begin;
  s.first = begin < end ? static_cast<double>(values[begin]) : kNaN;
  s.last = begin < end ? static_cast<double>(values[end - 1]) : kNaN;
  return s;
}

template <class T>
__global__ void __launch_bounds__(kThreads, 2)
    aggregate_segments(const T* values, int64_t n, const int64_t* offsets, int64_t segments,
                       Reductions reductions, Rules rules, int64_t* fault, T* out) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const int64_t groups = static_cast<int64_t>(gridDim.x) * (kThreads / kLanes);
  // Whole warps leave the loop together: the shuffles name all lanes.
  const int64_t rounds = (segments + groups - 1) / groups;
  int64_t segment = static_cast<int64_t>(blockIdx.x) * (kThreads / kLanes) + threadIdx.x / kLanes;
  for (int64_t round = 0; round < rounds; ++round, segment += groups) {
    const bool present = segment < segments;
    int64_t begin = present ? offsets[segment] : 0;
    int64_t end = present ? offsets[segment + 1] : 0;
    const bool outside = begin < 0 || end < begin || end > n;
    if (outside) begin = end = 0;
    const Statistics s = reduce(values, begin, end, lane, rules.needs);
    if (!present) continue;
    const bool refused = outside || breaks(s, rules);
    if (refused && lane == 0) report_fault(fault, segment);
    for (int64_t r = lane; r < reductions.count; r += kLanes) {
      double result = s.size == 0 ? rules.empty_value : finish(reductions.kind[r], s);
      if (refused) result = kNaN;
      out[segment * reductions.count + r] = static_cast<T>(result);
    }
  }
}

}  // namespace

template <class T>
Status aggregate(const T* values, int64_t n, const int64_t* offsets, int64_t segments,
                 const Reduction* reductions, int64_t count, const AggregateOptions& options,
                 int64_t* fault, T* out, Stream stream) {
  if (segments == 0) return {};
  Reductions named{};
  named.count = count;
  for (int64_t r = 0; r < count; ++r) named.kind[r] = reductions[r];
  return launch(aggregate_segments<T>, blocks_for(segments, kThreads / kLanes), kThreads, 0,
                native(stream), values, n, offsets, segments, named,
                rules_of(reductions, count, options), fault, out);
}

template Status aggregate<float>(const float*, int64_t, const int64_t*, int64_t, const Reduction*,
                                 int64_t, const AggregateOptions&, int64_t*, float*, Stream);
template Status aggregate<double>(const double*, int64_t, const int64_t*, int64_t, const Reduction*,
                                  int64_t, const AggregateOptions&, int64_t*, double*, Stream);

}  // namespace stepscore::cuda
