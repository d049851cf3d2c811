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
  for (; j % kLogitLanes != 0; ++j) z[j] = -__builtin_huge_valf();
}

// z: [count, to the next whole number of lanes]. Without the place of the highest.
inline ChunkSummary sum_chunk(const float* z, int64_t count) {
  LogitLanes highest = LogitLanes::all(-__builtin_huge_valf());
  for (int64_t j = 0; j < count; j += kLogitLanes) {
    const LogitLanes logits = LogitLanes::load(z + j);
    for (int i = 0; i < LogitLanes::kParts; ++i) {
      highest.part[i] = logits.part[i] > highest.part[i] ? logits.part[i] : highest.part[i];
    }
  }
  ChunkSummary summary{};
  summary.highest = 0.0f + fold_lanes(highest, [](auto a, auto b) { return a > b ? a : b; });
  const float shift = shift_of(summary.highest);
  LogitLanes total = LogitLanes::all(0.0f), weighted = total;
  for (int64_t j = 0; j < count; j += kLogitLanes) {
    float e[kLogitLanes], x[kLogitLanes], w[kLogitLanes];
    weighted.store(w);
    for (int i = 0; i < kLogitLanes; ++i) {
      x[i] = logit_below(z[j + i], shift);
      e[i] = exponential_below_one(x[i]);
      w[i] = fused_single(e[i], x[i], w[i]);
    }
    total = total + LogitLanes::load(e);
    weighted = LogitLanes::load(w);
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
