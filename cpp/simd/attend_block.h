// Attention of queries side by side over a block of keys. Included by leaf_loops.cc only.
//
// A lane is a query, so no sum goes across lanes: neither the width of a register nor the queries
// beside it change a bit. A key that a query does not see has the weight 0, so that a chain over
// more keys than it sees is the chain over those that it sees, but for the sign of a zero.

typedef int32_t RegisterIntegers __attribute__((vector_size(kRegisterBytes)));

// Of a product: rows by two registers, with as many accumulators as the level has registers for.
#if defined(__AVX512F__)
constexpr int kAttendRows = 8;
#else
constexpr int kAttendRows = 4;
#endif
constexpr int kAttendColumns = 2 * kRegisterFloats;
static_assert(kKeyStep % kAttendRows == 0 && kQueryPanel % kAttendColumns == 0);
static_assert(kAttendColumns % kAttendRows == 0 && kDotLanes % kAttendColumns == 0);

inline __attribute__((always_inline)) Register load_register(const float* from) {
  Register out;
  __builtin_memcpy(&out, from, sizeof(out));
  return out;
}
inline __attribute__((always_inline)) void store_register(float* to, Register value) {
  __builtin_memcpy(to, &value, sizeof(value));
}
inline __attribute__((always_inline)) Register every(float value) {
  return value - Register{};  // a broadcast: x - 0 is x
}
inline __attribute__((always_inline)) RegisterIntegers bits_of(Register value) {
  RegisterIntegers bits;
  __builtin_memcpy(&bits, &value, sizeof(bits));
  return bits;
}
inline __attribute__((always_inline)) Register of_bits(RegisterIntegers bits) {
  Register value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}

constexpr float kMinusInfinity = -__builtin_huge_valf();

// e^x for x <= 0, to a unit in the last place; 0 below -87, where e^x leaves the normal numbers.
// 2^k e^r, with the polynomial of degree 6 of least relative error on |r| <= ln(2) / 2.
inline __attribute__((always_inline)) Register exponential_below_1(Register x) {
  constexpr float kLeast = -87.0f;
  constexpr float kToInteger = 0x1.8p23f;  // adding it leaves the nearest integer in the low bits
  const Register shifted = fused(x, every(0x1.715476p+0f), every(kToInteger));
  const Register k = shifted - every(kToInteger);
  Register r = fused(k, every(-0x1.62e400p-1f), x);  // k times this is exact
  r = fused(k, every(-0x1.7f7d1cp-20f), r);
  Register p = fused(every(0x1.6ae68ep-10f), r, every(0x1.12682ep-7f));
  p = fused(p, r, every(0x1.555826p-5f));
  p = fused(p, r, every(0x1.555418p-3f));
  p = fused(p, r, every(0x1.fffffcp-2f));
  p = fused(p, r, every(1.0f));
  p = fused(p, r, every(1.0f));
  const Register power = of_bits(bits_of(p) + (bits_of(shifted) << 23));
  const Register other = x < every(kLeast) ? Register{} : x;  // x is NaN
  return x >= every(kLeast) ? power : other;
}

// tanh(x) to two units in the last place.
inline __attribute__((always_inline)) Register tangent(Register x) {
  const RegisterIntegers sign = bits_of(x) & static_cast<int32_t>(0x80000000);
  const Register size = of_bits(bits_of(x) ^ sign);
  const Register square = x * x;
  Register p = fused(every(-0x1.736418p-8f), square, every(0x1.519c92p-6f));
  p = fused(p, square, every(-0x1.b827fep-5f));
  p = fused(p, square, every(0x1.110692p-3f));
  p = fused(p, square, every(-0x1.555530p-2f));
  const Register near = fused(x * square, p, x);
  const Register e = exponential_below_1(every(-2.0f) * size);
  const Register quotient = (every(1.0f) - e) / (every(1.0f) + e);
  const Register far = of_bits(bits_of(quotient) | sign);
  return size < every(0.625f) ? near : far;
}

// logits[r, i] = keys[r] . queries[., i], one chain over the size
inline __attribute__((always_inline)) void multiply_keys(const float* keys, int64_t size,
                                                         const float* queries, float* logits) {
  Register sum[kAttendRows][2] = {};
  for (int64_t k = 0; k < size; ++k) {
    const Register left = load_register(queries + k * kQueryPanel);
    const Register right = load_register(queries + k * kQueryPanel + kRegisterFloats);
#pragma GCC unroll 8
    for (int r = 0; r < kAttendRows; ++r) {
      const Register key = every(keys[r * size + k]);
      sum[r][0] = fused(key, left, sum[r][0]);
      sum[r][1] = fused(key, right, sum[r][1]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kAttendRows; ++r) {
    store_register(logits + r * kQueryPanel, sum[r][0]);
    store_register(logits + r * kQueryPanel + kRegisterFloats, sum[r][1]);
  }
}

// sums[r, c] = sums[r, c] * scale[r] + weights[j, r] values[j, c] + ..., j from first to last
template <int kRows>
inline __attribute__((always_inline)) void add_values(const float* weights, const float* values,
                                                      int64_t width, int64_t first, int64_t last,
                                                      const float* scale, float* sums) {
  Register sum[kRows][2];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    sum[r][0] = load_register(sums + r * width) * every(scale[r]);
    sum[r][1] = load_register(sums + r * width + kRegisterFloats) * every(scale[r]);
  }
  for (int64_t j = first; j <= last; ++j) {
    const Register left = load_register(values + j * width);
    const Register right = load_register(values + j * width + kRegisterFloats);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Register weight = every(weights[j * kQueryPanel + r]);
      sum[r][0] = fused(weight, left, sum[r][0]);
      sum[r][1] = fused(weight, right, sum[r][1]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    store_register(sums + r * width, sum[r][0]);
    store_register(sums + r * width + kRegisterFloats, sum[r][1]);
  }
}

// Logits of the keys [begin, end) -> weights, for the queries of one register.
template <bool kMasked, bool kCapped>
void weigh_keys(const QueryPanel& panel, int64_t at, int64_t begin, int64_t end, float soft_cap,
                float* weights, float* scale) {
  RegisterIntegers first, last;
  __builtin_memcpy(&first, panel.first + at, sizeof(first));
  __builtin_memcpy(&last, panel.last + at, sizeof(last));
  const Register before = load_register(panel.highest + at);
  Register highest = before;
  for (int64_t j = begin; j < end; ++j) {
    float* here = weights + j * kQueryPanel;
    Register logit = load_register(here);
    if constexpr (kCapped) logit = every(soft_cap) * tangent(logit);
    if constexpr (kMasked) {
      const int32_t key = static_cast<int32_t>(j);
      const RegisterIntegers seen = (first <= key) & (last >= key);
      logit = seen != 0 ? logit : every(kMinusInfinity);
    }
    if constexpr (kCapped || kMasked) store_register(here, logit);
    highest = logit > highest ? logit : highest;
  }
  store_register(panel.highest + at, highest);
  // Nothing seen yet: every weight is e^-infinity.
  const Register shift = highest > every(kMinusInfinity) ? highest : Register{};
  const Register moved = exponential_below_1(before - shift);
  store_register(scale, moved);
  Register sum[kKeyStep] = {};
  for (int64_t j = begin; j < end; j += kKeyStep) {
#pragma GCC unroll 8
    for (int i = 0; i < kKeyStep; ++i) {
      float* here = weights + (j + i) * kQueryPanel;
      const Register weight = exponential_below_1(load_register(here) - shift);
      store_register(here, weight);
      sum[i] = sum[i] + weight;
    }
  }
#pragma GCC unroll 8
  for (int half = kKeyStep / 2; half >= 1; half /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) sum[i] = sum[i] + sum[i + half];
  }
  store_register(panel.total + at, fused(load_register(panel.total + at), moved, sum[0]));
}

void attend_block(const KeyBlock& block, const QueryPanel& panel, int64_t begin, int64_t end,
                  float soft_cap) {
  int32_t first = kKeyBlock, last = -1;  // of the keys that anybody sees
  for (int64_t i = begin; i < end; ++i) {
    if (panel.last[i] < panel.first[i]) continue;
    first = panel.first[i] < first ? panel.first[i] : first;
    last = panel.last[i] > last ? panel.last[i] : last;
  }
  if (last < first) return;
  const int64_t key_begin = first / kKeyStep * kKeyStep;
  const int64_t key_end = (last / kKeyStep + 1) * kKeyStep;
  const int64_t from = begin / kAttendColumns * kAttendColumns;
  bool masked = false;
  for (int64_t i = from; i < (end + kAttendColumns - 1) / kAttendColumns * kAttendColumns; ++i) {
    masked = masked || panel.first[i] > key_begin || panel.last[i] < key_end - 1;
  }

  alignas(64) float weights[kKeyBlock * kQueryPanel];
  alignas(64) float scale[kQueryPanel];
  for (int64_t at = from; at < end; at += kAttendColumns) {
    for (int64_t j = key_begin; j < key_end; j += kAttendRows) {
      multiply_keys(block.keys + j * block.key_size, block.key_size, panel.queries + at,
                    weights + j * kQueryPanel + at);
    }
    for (int64_t half = at; half < at + kAttendColumns; half += kRegisterFloats) {
      const auto weigh = soft_cap == 0.0f
                             ? masked ? weigh_keys<true, false> : weigh_keys<false, false>
                         : masked ? weigh_keys<true, true>
                                  : weigh_keys<false, true>;
      weigh(panel, half, key_begin, key_end, soft_cap, weights + half, scale + half);
    }
  }

  const int64_t width = block.value_width;
  if (!block.finite) {  // 0 * infinity would be NaN: each query meets only what it sees
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t c = 0; c < width; c += kAttendColumns) {
        add_values<1>(weights + i, block.values + c, width, panel.first[i], panel.last[i],
                      scale + i, panel.sums + i * width + c);
      }
    }
    return;
  }
  for (int64_t i = begin / kAttendRows * kAttendRows; i < end; i += kAttendRows) {
    for (int64_t c = 0; c < width; c += kAttendColumns) {
      add_values<kAttendRows>(weights + i, block.values + c, width, key_begin, key_end - 1,
                              scale + i, panel.sums + i * width + c);
    }
  }
}

// Four rows of four numbers change places with their columns.
inline __attribute__((always_inline)) void transpose_four(const float* const* rows, int64_t k,
                                                          float scale, float* panel) {
  typedef float Four __attribute__((vector_size(16)));
  typedef int32_t Places __attribute__((vector_size(16)));
  Four row[4];
  for (int r = 0; r < 4; ++r) {
    row[r] = Four{};
    if (rows[r] != nullptr) __builtin_memcpy(&row[r], rows[r] + k, sizeof(Four));
    row[r] = row[r] * scale;
  }
  const Four low = shuffled(row[0], row[1], Places{0, 4, 1, 5});
  const Four high = shuffled(row[0], row[1], Places{2, 6, 3, 7});
  const Four low_2 = shuffled(row[2], row[3], Places{0, 4, 1, 5});
  const Four high_2 = shuffled(row[2], row[3], Places{2, 6, 3, 7});
  const Four column[4] = {
      shuffled(low, low_2, Places{0, 1, 4, 5}), shuffled(low, low_2, Places{2, 3, 6, 7}),
      shuffled(high, high_2, Places{0, 1, 4, 5}), shuffled(high, high_2, Places{2, 3, 6, 7})};
  for (int c = 0; c < 4; ++c) {
    __builtin_memcpy(panel + c * kQueryPanel, &column[c], sizeof(Four));
  }
}

void pack_queries(const float* const* rows, int64_t size, float scale, float* panel) {
  const int64_t whole = size / 4 * 4;
  for (int64_t k = 0; k < whole; k += 4) {
    for (int64_t i = 0; i < kQueryPanel; i += 4) {
      transpose_four(rows + i, k, scale, panel + k * kQueryPanel + i);
    }
  }
  for (int64_t k = whole; k < size; ++k) {
    for (int64_t i = 0; i < kQueryPanel; ++i) {
      panel[k * kQueryPanel + i] = rows[i] == nullptr ? 0.0f : rows[i][k] * scale;
    }
  }
}

bool pack_rows(const float* from, int64_t stride, int64_t rows, int64_t size, int64_t width,
               float* to) {
  Register faults = {};  // x * 0 is 0, but NaN where x is not finite
  float fault = 0.0f;
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = from + r * stride;
    float* out = to + r * width;
    int64_t k = 0;
    for (; k + kRegisterFloats <= size; k += kRegisterFloats) {
      const Register some = load_register(row + k);
      store_register(out + k, some);
      faults = fused(some, Register{}, faults);
    }
    for (; k < size; ++k) {
      out[k] = row[k];
      fault += row[k] * 0.0f;
    }
    for (; k < width; ++k) out[k] = 0.0f;
  }
  for (int i = 0; i < kRegisterFloats; ++i) fault += faults[i];
  return fault == 0.0f;
}

void finish_query(const float* sums, float total, int64_t size, float* out) {
  constexpr float kQuiet = __builtin_nanf("");
  const float inverse = 1.0f / total;
  for (int64_t c = 0; c < size; ++c) {
    const float result = sums[c] * inverse + 0.0f;  // -0 + 0 is 0
    out[c] = result == result ? result : kQuiet;
  }
}
