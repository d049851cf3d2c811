// The statistics of ragged segments, and the reductions made of them. Included by leaf_loops.cc
// only.

using Reals = Lanes<double, kReduceLanes>;
using Integers = Lanes<int64_t, kReduceLanes>;

#define STEPSCORE_LANEWISE(TYPE, NAME, EXPRESSION)                    \
  inline __attribute__((always_inline)) TYPE NAME(Reals a, Reals b) { \
    TYPE out;                                                         \
    for (int i = 0; i < Reals::kParts; ++i) {                         \
      const auto x = a.part[i];                                       \
      const auto y = b.part[i];                                       \
      out.part[i] = EXPRESSION;                                       \
    }                                                                 \
    return out;                                                       \
  }
STEPSCORE_LANEWISE(Reals, smaller, (y < x ? y : x))
STEPSCORE_LANEWISE(Reals, larger, (y > x ? y : x))
STEPSCORE_LANEWISE(Integers, differ, (x != y))
#undef STEPSCORE_LANEWISE

inline __attribute__((always_inline)) Reals select(Integers mask, Reals yes, Reals no) {
  for (int i = 0; i < Reals::kParts; ++i) {
    yes.part[i] = mask.part[i] != 0 ? yes.part[i] : no.part[i];
  }
  return yes;
}

inline __attribute__((always_inline)) Reals load_reals(const double* from) {
  return Reals::load(from);
}
inline __attribute__((always_inline)) Reals load_reals(const float* from) {
  typedef float Half __attribute__((vector_size(4 * Reals::kWidth)));
  Reals out;
  for (int i = 0; i < Reals::kParts; ++i) {
    Half half;
    __builtin_memcpy(&half, from + i * Reals::kWidth, sizeof(half));
    out.part[i] = __builtin_convertvector(half, Reals::Register);
  }
  return out;
}

// kReduceLanes products side by side.
struct LaneProducts {
  Reals mantissa = Reals::all(1.0);
  Integers exponent = Integers::all(0);

  // Factors are positive and normal, or zero, which the caller notices by the minimum.
  inline __attribute__((always_inline)) void multiply(Reals factor) {
    Integers bits;
    __builtin_memcpy(&bits, &factor, sizeof(bits));
    for (int i = 0; i < Integers::kParts; ++i) {
      exponent.part[i] += (bits.part[i] >> 52) - 1023;
    }
    bits = (bits & Integers::all(0x000fffffffffffff)) | Integers::all(0x3ff0000000000000);
    __builtin_memcpy(&factor, &bits, sizeof(bits));
    mantissa = mantissa * factor;
  }
  // A mantissa grows by less than 2 per factor: due before 2^100, so that eight fit in one.
  void normalise_lanes() {
    const Reals grown = mantissa;
    mantissa = Reals::all(1.0);
    multiply(grown);
  }
  inline __attribute__((always_inline)) ScaledProduct fold() const {
    ScaledProduct out;
    out.mantissa = fold_lanes(mantissa, [](auto a, auto b) { return a * b; });
    out.exponent = fold_lanes(exponent, [](auto a, auto b) { return a + b; });
    stepscore::normalise(out);
    return out;
  }
};

// The lanes of values[i .. i + kReduceLanes) that exist; the others are absent in `present`.
template <class T>
inline __attribute__((always_inline)) Reals load_chunk(const T* values, int64_t size, int64_t i) {
  if (i + kReduceLanes <= size) return load_reals(values + i);
  T padded[kReduceLanes] = {};
  for (int64_t j = i; j < size; ++j) padded[j - i] = values[j];
  return load_reals(padded);
}

// Calls body(chunk, present) over the chunks of a segment; body says what an absent lane is.
template <class T, class Body>
inline __attribute__((always_inline)) void for_each_chunk(const T* values, int64_t size,
                                                          int64_t begin, int64_t end, Body body) {
  static constexpr int64_t kIota[2 * kReduceLanes] = {-1, -1, -1, -1, -1, -1, -1, -1};
  int64_t i = begin;
  const Integers everything = Integers::all(-1);
  for (; i + kReduceLanes <= end; i += kReduceLanes) body(load_reals(values + i), everything);
  if (i < end) {
    body(load_chunk(values, size, i), Integers::load(kIota + kReduceLanes - (end - i)));
  }
}

template <bool kProduct, bool kOdds, class T>
inline __attribute__((always_inline)) void reduce_one(const T* values, int64_t size, int64_t begin,
                                                      int64_t end, const Needs& needs,
                                                      Statistics& out) {
  Reals low = Reals::all(kInfinity), high = Reals::all(-kInfinity), sum = Reals::all(0.0);
  Reals odds = Reals::all(0.0);
  Integers nan = Integers::all(0);
  LaneProducts product, right, wrong;
  int64_t until_normalise = kNormaliseEvery;
  for_each_chunk(values, size, begin, end, [&](Reals x, Integers present) {
    low = smaller(low, select(present, x, low));
    high = larger(high, select(present, x, high));
    const Reals here = select(present, x, Reals::all(0.0));
    sum = sum + here;
    nan = nan | differ(here, here);
    if constexpr (kProduct) product.multiply(select(present, x, Reals::all(1.0)));
    if constexpr (kOdds) {
      const Reals floor = Reals::all(needs.clip), ceiling = Reals::all(1.0 - needs.clip);
      const Reals p = smaller(larger(x, floor), ceiling);
      const Reals q = Reals::all(1.0) - p;
      right.multiply(select(present, p, Reals::all(1.0)));
      wrong.multiply(select(present, q, Reals::all(1.0)));
      odds = odds + select(present, p / select(present, q, Reals::all(1.0)), Reals::all(0.0));
    }
    if constexpr (kProduct || kOdds) {
      if (--until_normalise == 0) {
        until_normalise = kNormaliseEvery;
        if constexpr (kProduct) product.normalise_lanes();
        if constexpr (kOdds) {
          right.normalise_lanes();
          wrong.normalise_lanes();
        }
      }
    }
  });
  const auto add = [](auto a, auto b) { return a + b; };
  out.size = end - begin;
  out.first = begin < end ? static_cast<double>(values[begin]) : kNaN;
  out.last = begin < end ? static_cast<double>(values[end - 1]) : kNaN;
  out.min = fold_lanes(low, [](auto a, auto b) { return b < a ? b : a; });
  out.max = fold_lanes(high, [](auto a, auto b) { return b > a ? b : a; });
  out.sum = fold_lanes(sum, add);
  out.has_nan = fold_lanes(nan, [](auto a, auto b) { return a | b; }) != 0;
  if constexpr (kProduct) out.product = product.fold();
  if constexpr (kOdds) {
    out.right = right.fold();
    out.wrong = wrong.fold();
    out.odds = fold_lanes(odds, add);
  }
}

// weights_of(x, i) gives the weights of the values from i on, which are x.
template <class T, class WeightsOf>
inline __attribute__((always_inline)) void add_weights(const T* values, int64_t size, int64_t begin,
                                                       int64_t end, WeightsOf weights_of,
                                                       Statistics& out) {
  Reals weight = Reals::all(0.0), weighted = Reals::all(0.0);
  int64_t i = begin;
  for_each_chunk(values, size, begin, end, [&](Reals x, Integers present) {
    const Reals w = select(present, weights_of(x, i), Reals::all(0.0));
    weight = weight + w;
    weighted = weighted + select(present, w * x, Reals::all(0.0));
    i += kReduceLanes;
  });
  const auto add = [](auto a, auto b) { return a + b; };
  out.weight = fold_lanes(weight, add);
  out.weighted = fold_lanes(weighted, add);
}

constexpr int64_t kWeighed = 1024;  // values whose weights are held at once, on the stack

// The weights of softmin. One exponential waits for nothing but its own score, so that those of
// many short segments are taken in one loop; the steps of one after the other would wait.
template <class T>
void weigh_range(const T* values, int64_t size, const int64_t* offsets, int64_t begin, int64_t end,
                 const Needs& needs, Statistics* out) {
  const double inverse = 1.0 / needs.temperature;
  double weights[kWeighed + kReduceLanes] = {};
  for (int64_t s = begin; s < end;) {
    const int64_t first = offsets[s];
    int64_t stop = s;
    while (stop < end && offsets[stop + 1] - first <= kWeighed) ++stop;
    if (stop == s) {  // a segment that is too long
      Statistics& alone = out[s - begin];
      const auto weights_of = [&](Reals x, int64_t) {
        ((Reals::all(alone.min) - x) * Reals::all(inverse)).store(weights);
        for (int j = 0; j < kReduceLanes; ++j) weights[j] = exponential(weights[j]);
        return Reals::load(weights);
      };
      add_weights(values, size, first, offsets[s + 1], weights_of, alone);
      ++s;
      continue;
    }
    for (int64_t q = s; q < stop; ++q) {
      const double low = out[q - begin].min;
      for (int64_t i = offsets[q]; i < offsets[q + 1]; ++i) {
        weights[i - first] = (low - static_cast<double>(values[i])) * inverse;
      }
    }
    const int64_t count = offsets[stop] - first;
    for (int64_t i = 0; i < count; ++i) weights[i] = exponential(weights[i]);
    const auto weights_of = [&](Reals, int64_t i) { return Reals::load(weights + (i - first)); };
    for (; s < stop; ++s) {
      add_weights(values, size, offsets[s], offsets[s + 1], weights_of, out[s - begin]);
    }
  }
}

template <bool kProduct, bool kOdds, bool kSoftmin, class T>
void reduce_range(const T* values, int64_t size, const int64_t* offsets, int64_t begin, int64_t end,
                  const Needs& needs, Statistics* out) {
  for (int64_t s = begin; s < end; ++s) {
    reduce_one<kProduct, kOdds>(values, size, offsets[s], offsets[s + 1], needs, out[s - begin]);
  }
  if constexpr (kSoftmin) weigh_range(values, size, offsets, begin, end, needs, out);
}

template <class T>
void reduce_segments(const T* values, int64_t size, const int64_t* offsets, int64_t begin,
                     int64_t end, Needs needs, Statistics* out) {
  if (needs.odds && !needs.softmin) {
    return reduce_range<true, true, false>(values, size, offsets, begin, end, needs, out);
  }
  if (needs.odds) {
    return reduce_range<true, true, true>(values, size, offsets, begin, end, needs, out);
  }
  if (needs.softmin) {
    return reduce_range<true, false, true>(values, size, offsets, begin, end, needs, out);
  }
  if (needs.product) {
    return reduce_range<true, false, false>(values, size, offsets, begin, end, needs, out);
  }
  reduce_range<false, false, false>(values, size, offsets, begin, end, needs, out);
}

constexpr int64_t kFinishBlock = 64;

// Logarithms and exponentials cost more than all other reductions together: in loops of their own,
// without branches, they run in vector registers.
inline void finish_geometric_means(const Statistics* statistics, int64_t count, double* out) {
  double mantissa[kFinishBlock], exponent[kFinishBlock], size[kFinishBlock];
  for (int64_t i = 0; i < count; ++i) {
    mantissa[i] = statistics[i].product.mantissa;
    exponent[i] = static_cast<double>(statistics[i].product.exponent);
    size[i] = static_cast<double>(statistics[i].size);
  }
  for (int64_t i = count; i < kFinishBlock; ++i) mantissa[i] = exponent[i] = size[i] = 1.0;
  for (int64_t i = 0; i < kFinishBlock; ++i) {
    out[i] = geometric_mean(mantissa[i], exponent[i], size[i]);
  }
  for (int64_t i = 0; i < count; ++i) {
    const Statistics& s = statistics[i];
    if (s.has_nan || s.min < kSmallestNormal) out[i] = finish(Reduction::kGeometricMean, s);
  }
}

inline void finish_logit_means(const Statistics* statistics, int64_t count, double* out) {
  double right[kFinishBlock], right_exponent[kFinishBlock], size[kFinishBlock];
  double wrong[kFinishBlock], wrong_exponent[kFinishBlock];
  for (int64_t i = 0; i < count; ++i) {
    const Statistics& s = statistics[i];
    right[i] = s.right.mantissa;
    right_exponent[i] = static_cast<double>(s.right.exponent);
    wrong[i] = s.wrong.mantissa;
    wrong_exponent[i] = static_cast<double>(s.wrong.exponent);
    size[i] = static_cast<double>(s.size);
  }
  for (int64_t i = count; i < kFinishBlock; ++i) {
    right[i] = right_exponent[i] = wrong[i] = wrong_exponent[i] = size[i] = 1.0;
  }
  for (int64_t i = 0; i < kFinishBlock; ++i) {
    out[i] = logit_mean(logarithm(right[i], right_exponent[i]),
                        logarithm(wrong[i], wrong_exponent[i]), size[i]);
  }
  for (int64_t i = 0; i < count; ++i) out[i] = statistics[i].has_nan ? kNaN : out[i];
}

template <Reduction kReduction>
inline void finish_each(const Statistics* statistics, int64_t count, double* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = finish(kReduction, statistics[i]);
}

// The choice is made once per block: made per segment, it would cost more than the reduction.
inline void finish_block(Reduction reduction, const Statistics* statistics, int64_t count,
                         double* out) {
  switch (reduction) {
    case Reduction::kMin:
      return finish_each<Reduction::kMin>(statistics, count, out);
    case Reduction::kMax:
      return finish_each<Reduction::kMax>(statistics, count, out);
    case Reduction::kMean:
      return finish_each<Reduction::kMean>(statistics, count, out);
    case Reduction::kSum:
      return finish_each<Reduction::kSum>(statistics, count, out);
    case Reduction::kProd:
      return finish_each<Reduction::kProd>(statistics, count, out);
    case Reduction::kLast:
      return finish_each<Reduction::kLast>(statistics, count, out);
    case Reduction::kFirst:
      return finish_each<Reduction::kFirst>(statistics, count, out);
    case Reduction::kGeometricMean:
      return finish_geometric_means(statistics, count, out);
    case Reduction::kLogitMean:
      return finish_logit_means(statistics, count, out);
    case Reduction::kOddsMean:
      return finish_each<Reduction::kOddsMean>(statistics, count, out);
    case Reduction::kSoftmin:
      return finish_each<Reduction::kSoftmin>(statistics, count, out);
    default:
      for (int64_t i = 0; i < count; ++i) out[i] = finish(reduction, statistics[i]);
  }
}

template <class T>
void finish_segments(const Statistics* statistics, int64_t count, const Reduction* reductions,
                     int64_t reduction_count, double empty, T* out) {
  for (int64_t first = 0; first < count; first += kFinishBlock) {
    const int64_t block = count - first < kFinishBlock ? count - first : kFinishBlock;
    for (int64_t r = 0; r < reduction_count; ++r) {
      double result[kFinishBlock];
      finish_block(reductions[r], statistics + first, block, result);
      for (int64_t i = 0; i < block; ++i) {
        out[(first + i) * reduction_count + r] =
            static_cast<T>(statistics[first + i].size == 0 ? empty : result[i]);
      }
    }
  }
}
