// The exponentials of a row of logits. Included by leaf_loops.cc only.

using LogitLanes = Lanes<float, kLogitLanes>;
static_assert(kLogitLanes == kDotLanes && kLogitChunk % kLogitLanes == 0);

// The logits of a chunk, with minus infinity up to the next whole number of lanes.
// The form is a constant inside, so that the loops vectorise.
template <bool kBiased, bool kCapped, class T>
void load_logits(const T* products, const float* bias, const LogitForm& form, int64_t count,
                 float* z) {
  const LogitForm used{form.inner, form.outer, kCapped};
  int64_t j = 0;
  for (; j + kLogitLanes <= count; j += kLogitLanes) {
    LogitLanes logits = load_lanes(products + j);
    if constexpr (kBiased) logits = logits + LogitLanes::load(bias + j);
    logits.store(z + j);
  }
  for (; j < count; ++j) z[j] = kBiased ? to_float(products[j]) + bias[j] : to_float(products[j]);
  for (int64_t i = 0; i < count; ++i) z[i] = logit_of(used, z[i]);
  for (; j % kLogitLanes != 0; ++j) z[j] = kMinusInfinity;
}

// z: [count, to the next whole number of lanes]. Without the place of the highest.
inline ChunkSummary sum_chunk(const float* z, int64_t count) {
  constexpr int kParts = kLogitLanes / kRegisterFloats;
  LogitLanes highest = LogitLanes::all(kMinusInfinity);
  for (int64_t j = 0; j < count; j += kLogitLanes) {
    for (int i = 0; i < kParts; ++i) {
      const Register logits = load_register(z + j + i * kRegisterFloats);
      highest.part[i] = logits > highest.part[i] ? logits : highest.part[i];
    }
  }
  ChunkSummary summary{};
  summary.highest = 0.0f + fold_lanes(highest, [](auto a, auto b) { return a > b ? a : b; });
  const float shift = shift_of(summary.highest);
  LogitLanes total = LogitLanes::all(0.0f), weighted = total;
  for (int64_t j = 0; j < count; j += kLogitLanes) {
    float below[kLogitLanes], weight[kLogitLanes];
    for (int i = 0; i < kLogitLanes; ++i) {
      below[i] = logit_below(z[j + i], shift);
      weight[i] = exponential_below_one(below[i]);
    }
    for (int i = 0; i < kParts; ++i) {
      const Register some = load_register(weight + i * kRegisterFloats);
      total.part[i] = total.part[i] + some;
      weighted.part[i] = fused(some, load_register(below + i * kRegisterFloats), weighted.part[i]);
    }
  }
  const auto add = [](auto a, auto b) { return a + b; };
  summary.total = fold_lanes(total, add);
  summary.weighted = fold_lanes(weighted, add);
  if (summary.weighted != summary.weighted) summary.total = summary.weighted;  // a logit is NaN
  return summary;
}

inline int32_t find_top(const float* z, float highest) {
  int32_t top = 0;
  while (z[top] != highest) ++top;
  return top;
}

template <bool kBiased, bool kCapped, class T>
void add_logits_of(const LogitBlock& block, int64_t row, int64_t target, TokenState* state) {
  alignas(64) float z[kLogitChunk];
  const T* products = static_cast<const T*>(block.products.data) + row * block.products.row_stride;
  TokenState seen = *state;
  for (int64_t begin = 0; begin < block.products.columns; begin += kLogitChunk) {
    const int64_t left = block.products.columns - begin;
    const int64_t count = left < kLogitChunk ? left : kLogitChunk;
    load_logits<kBiased, kCapped>(products + begin, kBiased ? block.bias + begin : nullptr,
                                  block.form, count, z);
    ChunkSummary chunk = sum_chunk(z, count);
    const double highest = static_cast<double>(chunk.highest);
    if (highest > seen.highest) chunk.top = find_top(z, chunk.highest);
    merge(seen, chunk, exponential(gap_of(seen.highest, highest)), block.first + begin);
    const int64_t place = target - block.first - begin;
    if (place >= 0 && place < count) seen.target = static_cast<double>(z[place]);
  }
  *state = seen;
}

template <class T>
void add_logits_as(const LogitBlock& block, int64_t row, int64_t target, TokenState* state) {
  const auto add = block.form.capped       ? block.bias == nullptr ? add_logits_of<false, true, T>
                                                                   : add_logits_of<true, true, T>
                   : block.bias == nullptr ? add_logits_of<false, false, T>
                                           : add_logits_of<true, false, T>;
  add(block, row, target, state);
}

void add_logits(const LogitBlock& block, int64_t row, int64_t target, TokenState* state) {
  switch (block.products.dtype) {
    case DType::kBFloat16:
      return add_logits_as<BFloat16>(block, row, target, state);
    case DType::kFloat16:
      return add_logits_as<Float16>(block, row, target, state);
    default:
      return add_logits_as<float>(block, row, target, state);
  }
}
