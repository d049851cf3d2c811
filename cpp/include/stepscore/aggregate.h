// Step scores -> one number per trace.
#pragma once

#include <cstdint>

#include "stepscore/scalar_math.h"

namespace stepscore {

enum class Reduction {
  kMin,
  kMax,
  kMean,
  kSum,
  kProd,
  kLast,
  kFirst,
  kGeometricMean,
  kLogitMean,
  kOddsMean,
  kSoftmin
};

enum class EmptyPolicy { kValue, kError };

struct AggregateOptions {
  EmptyPolicy empty = EmptyPolicy::kValue;
  double empty_value = kNaN;
  bool propagate_nan = false;  // false: a NaN raises
  double clip = 0.0;           // kLogitMean, kOddsMean: scores are clipped to [clip, 1 - clip]
  double temperature = 0.1;    // kSoftmin
};

void check_options(const AggregateOptions& options);  // InvalidArgument

// out[s, r] = reductions[r] over values[offsets[s] .. offsets[s + 1]), accumulated in float64
//
// InvalidArgument, naming the first segment at fault: a NaN, a score outside [0, 1] under kProd,
// kGeometricMean, kLogitMean or kOddsMean, a score of exactly 0 or 1 under the last two without
// clip, an infinite score under kSoftmin, an empty segment under kError.
template <class T>               // float or double
void aggregate(const T* values,  // [n]
               int64_t n,
               const int64_t* offsets,  // [segments + 1]
               int64_t segments,
               const Reduction* reductions,  // [count]
               int64_t count, const AggregateOptions& options,
               T* out);  // [segments, count]

// Below this a score counts as 0 in a product: its binary exponent cannot be read off.
constexpr double kSmallestNormal = 0x1p-1022;

// What a set of reductions needs to know about a segment.
struct Needs {
  bool product = false;
  bool odds = false;
  bool softmin = false;
  double clip = 0.0;
  double temperature = 0.1;
};

constexpr int64_t kNormaliseEvery = 100;

// A product of numbers in (0, 1] as mantissa * 2^exponent, which cannot underflow.
struct ScaledProduct {
  double mantissa = 1.0;
  int64_t exponent = 0;
};

struct Statistics {
  int64_t size;
  double first, last, min, max, sum;
  bool has_nan;
  ScaledProduct product;  // of the scores
  ScaledProduct right;    // of the clipped scores p
  ScaledProduct wrong;    // of 1 - p
  double odds;            // sum of p / (1 - p)
  double weight;          // sum of exp((min - r) / temperature)
  double weighted;        // sum of r exp((min - r) / temperature)
};

// Moves the binary exponent of the mantissa (positive, normal) into the exponent.
STEPSCORE_HD void normalise(ScaledProduct& product) {
  const uint64_t bits = bits_as<uint64_t>(product.mantissa);
  product.exponent += static_cast<int64_t>(bits >> 52) - 1023;
  product.mantissa = bits_as<double>((bits & 0x000fffffffffffffull) | 0x3ff0000000000000ull);
}

// Factors are positive and normal, or zero, which the caller notices by the minimum. A mantissa
// grows by less than 2 per factor: normalise after kNormaliseEvery of them.
STEPSCORE_HD void multiply(ScaledProduct& product, double factor) {
  const uint64_t bits = bits_as<uint64_t>(factor);
  product.exponent += (static_cast<int64_t>(bits) >> 52) - 1023;
  product.mantissa *= bits_as<double>((bits & 0x000fffffffffffffull) | 0x3ff0000000000000ull);
}

STEPSCORE_HD double logarithm(double mantissa, double exponent) {
  return exponent * kLn2High + (exponent * kLn2Low + logarithm_of_normal(mantissa));
}
STEPSCORE_HD double logarithm(const ScaledProduct& product) {
  return logarithm(product.mantissa, static_cast<double>(product.exponent));
}

STEPSCORE_HD double value_of(const ScaledProduct& product) {
  if (product.exponent < -1100) return 0.0;
  return scale(product.mantissa, static_cast<double>(product.exponent));
}

STEPSCORE_HD double geometric_mean(double mantissa, double exponent, double count) {
  return exponential(logarithm(mantissa, exponent) / count);
}

// Of the logarithms of the products of p and of 1 - p.
STEPSCORE_HD double logit_mean(double right, double wrong, double count) {
  return sigmoid((right - wrong) / count);
}

// What the options make a fault, and what they ask to know.
struct Rules {
  Needs needs;
  double empty_value = kNaN;
  bool unit_interval = false;  // scores must lie in [0, 1]
  bool open_interval = false;  // and be neither 0 nor 1
  bool finite = false;         // and be finite
  bool no_empty = false;
  bool no_nan = false;
};

inline Rules rules_of(const Reduction* reductions, int64_t count, const AggregateOptions& options) {
  Rules rules;
  rules.needs.clip = options.clip;
  rules.needs.temperature = options.temperature;
  rules.empty_value = options.empty_value;
  rules.no_empty = options.empty == EmptyPolicy::kError;
  rules.no_nan = !options.propagate_nan;
  for (const Reduction* r = reductions; r != reductions + count; ++r) {
    const bool odds = *r == Reduction::kLogitMean || *r == Reduction::kOddsMean;
    const bool product = *r == Reduction::kProd || *r == Reduction::kGeometricMean;
    rules.needs.product |= product;
    rules.needs.odds |= odds;
    rules.needs.softmin |= *r == Reduction::kSoftmin;
    rules.unit_interval |= product || odds;
    rules.finite |= *r == Reduction::kSoftmin;
    rules.open_interval |= odds && options.clip == 0.0;
  }
  return rules;
}

STEPSCORE_HD bool breaks(const Statistics& s, const Rules& rules) {
  if (s.size == 0) return rules.no_empty;
  return (rules.no_nan && s.has_nan) || (rules.unit_interval && (s.min < 0.0 || s.max > 1.0)) ||
         (rules.finite && (s.min == -kInfinity || s.max == kInfinity)) ||
         (rules.open_interval && (s.min < kSmallestNormal || s.max == 1.0));
}

STEPSCORE_HD double finish(Reduction reduction, const Statistics& s) {
  const double n = static_cast<double>(s.size);
  switch (reduction) {
    case Reduction::kLast:
      return s.last;
    case Reduction::kFirst:
      return s.first;
    default:
      break;
  }
  if (s.has_nan) return kNaN;
  switch (reduction) {
    case Reduction::kMin:
      return s.min;
    case Reduction::kMax:
      return s.max;
    case Reduction::kSum:
      return s.sum;
    case Reduction::kMean:
      return s.sum / n;
    case Reduction::kProd:
      return s.min < kSmallestNormal ? 0.0 : value_of(s.product);
    case Reduction::kGeometricMean:
      if (s.min < kSmallestNormal) return 0.0;
      return geometric_mean(s.product.mantissa, static_cast<double>(s.product.exponent), n);
    case Reduction::kLogitMean:
      return logit_mean(logarithm(s.right), logarithm(s.wrong), n);
    case Reduction::kOddsMean:
      return s.odds / n;
    case Reduction::kSoftmin:
      return s.weighted / s.weight;
    default:
      return kNaN;
  }
}

}  // namespace stepscore
