#include "stepscore/aggregate.h"

#include <algorithm>

#include "simd/level.h"
#include "stepscore/check.h"
#include "stepscore/parallel.h"

namespace stepscore {
namespace {

constexpr int64_t kBlock = 64;  // segments whose statistics are held at once, on the stack

template <class T>
[[noreturn]] void report(const T* values, const int64_t* offsets, int64_t segment,
                         const Rules& rules) {
  const int64_t begin = offsets[segment], end = offsets[segment + 1];
  check(begin < end, "aggregate", About{"values"}, "segment ", segment,
        " is empty; pass empty=\"nan\" or a number to give it a value");
  for (int64_t i = begin; i < end; ++i) {
    const T value = values[i];
    check(!(rules.no_nan && value != value), "aggregate", "values", "[", i, "] (segment ", segment,
          ") is NaN; pass nan=\"propagate\" to make the segment's result NaN");
    check(!(rules.unit_interval && (value < 0 || value > 1)), "aggregate", "values", "[", i,
          "] (segment ", segment, ") is ", value,
          "; prod, geometric_mean, logit_mean and odds_mean need scores in [0, 1]");
    check(!(rules.finite && (value == kInfinity || value == -kInfinity)), "aggregate", "values",
          "[", i, "] (segment ", segment, ") is ", value, "; softmin needs finite scores");
    check(!(rules.open_interval && (value < kSmallestNormal || value == 1)), "aggregate", "values",
          "[", i, "] (segment ", segment, ") is ", value,
          "; its odds are not finite: pass clip=1e-7 to read scores as [clip, 1 - clip]");
  }
  refuse("aggregate", About{"values"}, "segment ", segment, " is not valid");
}

void reduce(const simd::LeafLoops& loops, const float* values, int64_t n, const int64_t* offsets,
            int64_t begin, int64_t end, const Needs& needs, Statistics* out) {
  loops.reduce_float32(values, n, offsets, begin, end, needs, out);
}
void reduce(const simd::LeafLoops& loops, const double* values, int64_t n, const int64_t* offsets,
            int64_t begin, int64_t end, const Needs& needs, Statistics* out) {
  loops.reduce_float64(values, n, offsets, begin, end, needs, out);
}
void finish(const simd::LeafLoops& loops, const Statistics* statistics, int64_t segments,
            const Reduction* reductions, int64_t count, double empty, float* out) {
  loops.finish_float32(statistics, segments, reductions, count, empty, out);
}
void finish(const simd::LeafLoops& loops, const Statistics* statistics, int64_t segments,
            const Reduction* reductions, int64_t count, double empty, double* out) {
  loops.finish_float64(statistics, segments, reductions, count, empty, out);
}

}  // namespace

void check_options(const AggregateOptions& options) {
  // Below 2^-53, 1 - clip would round to 1.
  check(options.clip == 0.0 || (options.clip >= 0x1p-53 && options.clip < 0.5), "aggregate", "clip",
        " must be 0 or lie in [1.2e-16, 0.5); got ", options.clip);
  check(options.temperature > 0.0 && 1.0 / options.temperature < kInfinity, "aggregate",
        "temperature", " must be positive, and its inverse finite; got ", options.temperature);
}

template <class T>
void aggregate(const T* values, int64_t n, const int64_t* offsets, int64_t segments,
               const Reduction* reductions, int64_t count, const AggregateOptions& options,
               T* out) {
  check_options(options);
  const Rules rules = rules_of(reductions, count, options);
  const simd::LeafLoops& loops = simd::leaf_loops();
  FirstFault fault;
  const double columns = static_cast<double>(count);
  const Work work{(1.0 + 2.0 * columns) * static_cast<double>(n) +
                  10.0 * columns * static_cast<double>(segments)};

  parallel_for(segments, work, [&](int64_t begin, int64_t end) {
    Statistics statistics[kBlock];
    for (int64_t s = begin; s < end; s += kBlock) {
      const int64_t stop = std::min(s + kBlock, end);
      reduce(loops, values, n, offsets, s, stop, rules.needs, statistics);
      for (int64_t i = s; i < stop; ++i) {
        if (breaks(statistics[i - s], rules)) return fault.report(i);
      }
      finish(loops, statistics, stop - s, reductions, count, options.empty_value, out + s * count);
    }
  });
  if (!fault.none()) report(values, offsets, fault.index(), rules);
}

template void aggregate<float>(const float*, int64_t, const int64_t*, int64_t, const Reduction*,
                               int64_t, const AggregateOptions&, float*);
template void aggregate<double>(const double*, int64_t, const int64_t*, int64_t, const Reduction*,
                                int64_t, const AggregateOptions&, double*);

}  // namespace stepscore
