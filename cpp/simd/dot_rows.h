// Dot products of rows with a few weight vectors. Included by leaf_loops.cc only.

using Dot = Lanes<float, kDotLanes>;

inline __attribute__((always_inline)) Dot load_lanes(const float* from) {
  return Dot::load(from);
}

struct BFloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

inline __attribute__((always_inline)) float to_float(float value) {
  return value;
}
inline __attribute__((always_inline)) float to_float(BFloat16 value) {
  return bfloat16_to_float(value.bits);
}
inline __attribute__((always_inline)) float to_float(Float16 value) {
  return float16_to_float(value.bits);
}

inline __attribute__((always_inline)) Dot load_lanes(const BFloat16* from) {
  typedef uint16_t Half __attribute__((vector_size(2 * Dot::kWidth)));
  typedef uint32_t Whole __attribute__((vector_size(4 * Dot::kWidth)));
  Dot out;
  for (int i = 0; i < Dot::kParts; ++i) {
    Half half;
    __builtin_memcpy(&half, from + i * Dot::kWidth, sizeof(half));
    const Whole whole = __builtin_convertvector(half, Whole) << 16;
    __builtin_memcpy(&out.part[i], &whole, sizeof(whole));
  }
  return out;
}

inline __attribute__((always_inline)) Dot load_lanes(const Float16* from) {
  Dot out;
  for (int i = 0; i < Dot::kParts; ++i) {
    const Float16* part = from + i * Dot::kWidth;
#if defined(__AVX512F__)
    out.part[i] = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(part)));
#elif defined(__AVX2__)
    out.part[i] = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(part)));
#else
    float lane[Dot::kWidth];
    for (int j = 0; j < Dot::kWidth; ++j) lane[j] = float16_to_float(part[j].bits);
    __builtin_memcpy(&out.part[i], lane, sizeof(lane));
#endif
  }
  return out;
}

// kOutputs at a time, so that a row is converted once for several weight vectors.
template <int kOutputs, class T>
void dot_one_row(const T* row, const T* next, int64_t width, const float* weight,
                 int64_t weight_stride, float* z) {
  Dot sum[kOutputs];
  for (int c = 0; c < kOutputs; ++c) sum[c] = Dot::all(0.0f);
  const int64_t whole = width / kDotLanes * kDotLanes;
  for (int64_t j = 0; j < whole; j += kDotLanes) {
    // The next row may lie anywhere: ask for it while this one is read.
    __builtin_prefetch(next + j);
    if constexpr (sizeof(T) == 4) __builtin_prefetch(next + j + kDotLanes / 2);
    const Dot x = load_lanes(row + j);
    for (int c = 0; c < kOutputs; ++c) {
      sum[c] = sum[c] + x * Dot::load(weight + c * weight_stride + j);
    }
  }
  if (whole < width) {
    float tail[kDotLanes] = {};
    for (int64_t j = whole; j < width; ++j) tail[j - whole] = to_float(row[j]);
    const Dot x = Dot::load(tail);
    for (int c = 0; c < kOutputs; ++c) {
      sum[c] = sum[c] + x * Dot::load(weight + c * weight_stride + whole);
    }
  }
  for (int c = 0; c < kOutputs; ++c) {
    z[c] = fold_lanes(sum[c], [](auto a, auto b) { return a + b; });
  }
}

template <class T>
void dot_rows_of(const MatrixView& hidden, const int64_t* positions, int64_t first, int64_t count,
                 const float* weight, int64_t outputs, float* z) {
  const T* base = static_cast<const T*>(hidden.data);
  const int64_t weight_stride = padded_width(hidden.columns);
  auto row_at = [&](int64_t i) {
    return base + (positions == nullptr ? first + i : positions[first + i]) * hidden.row_stride;
  };
  for (int64_t i = 0; i < count; ++i) {
    const T* row = row_at(i);
    const T* next = i + 1 < count ? row_at(i + 1) : row;
    int64_t c = 0;
    for (; c + 2 <= outputs; c += 2) {
      dot_one_row<2>(row, next, hidden.columns, weight + c * weight_stride, weight_stride,
                     z + i * outputs + c);
    }
    if (c < outputs) {
      dot_one_row<1>(row, next, hidden.columns, weight + c * weight_stride, weight_stride,
                     z + i * outputs + c);
    }
  }
}

void dot_rows(const MatrixView& hidden, const int64_t* positions, int64_t first, int64_t count,
              const float* weight, int64_t outputs, float* z) {
  switch (hidden.dtype) {
    case DType::kBFloat16:
      return dot_rows_of<BFloat16>(hidden, positions, first, count, weight, outputs, z);
    case DType::kFloat16:
      return dot_rows_of<Float16>(hidden, positions, first, count, weight, outputs, z);
    default:
      return dot_rows_of<float>(hidden, positions, first, count, weight, outputs, z);
  }
}

template <class T>
void load_row_of(const MatrixView& matrix, int64_t row, float* out) {
  const T* from = static_cast<const T*>(matrix.data) + row * matrix.row_stride;
  int64_t j = 0;
  for (; j + kDotLanes <= matrix.columns; j += kDotLanes) load_lanes(from + j).store(out + j);
  for (; j < matrix.columns; ++j) out[j] = to_float(from[j]);
}

void load_row(const MatrixView& matrix, int64_t row, float* out) {
  switch (matrix.dtype) {
    case DType::kBFloat16:
      return load_row_of<BFloat16>(matrix, row, out);
    case DType::kFloat16:
      return load_row_of<Float16>(matrix, row, out);
    default:
      return load_row_of<float>(matrix, row, out);
  }
}
