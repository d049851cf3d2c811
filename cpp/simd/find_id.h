// Searching token ids for one id. Included by leaf_loops.cc only.

constexpr int kIdBlock = 16;

// Bit j: ids[j] == id, for kIdBlock ids.
inline __attribute__((always_inline)) uint32_t equal_mask(const int64_t* ids, int64_t id) {
  uint32_t mask = 0;
#if defined(__AVX512F__)
  const __m512i wanted = _mm512_set1_epi64(id);
  for (int j = 0; j < kIdBlock; j += 8) {
    mask |= _cvtmask8_u32(_mm512_cmpeq_epi64_mask(_mm512_loadu_si512(ids + j), wanted)) << j;
  }
#elif defined(__AVX2__)
  const __m256i wanted = _mm256_set1_epi64x(id);
  for (int j = 0; j < kIdBlock; j += 4) {
    const __m256i four = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(ids + j));
    const __m256d equal = _mm256_castsi256_pd(_mm256_cmpeq_epi64(four, wanted));
    mask |= static_cast<uint32_t>(_mm256_movemask_pd(equal)) << j;
  }
#else
  for (int j = 0; j < kIdBlock; ++j) mask |= static_cast<uint32_t>(ids[j] == id) << j;
#endif
  return mask;
}

inline __attribute__((always_inline)) uint32_t equal_mask(const int32_t* ids, int32_t id) {
  uint32_t mask = 0;
#if defined(__AVX512F__)
  mask = _cvtmask16_u32(_mm512_cmpeq_epi32_mask(_mm512_loadu_si512(ids), _mm512_set1_epi32(id)));
#elif defined(__AVX2__)
  const __m256i wanted = _mm256_set1_epi32(id);
  for (int j = 0; j < kIdBlock; j += 8) {
    const __m256i eight = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(ids + j));
    const __m256 equal = _mm256_castsi256_ps(_mm256_cmpeq_epi32(eight, wanted));
    mask |= static_cast<uint32_t>(_mm256_movemask_ps(equal)) << j;
  }
#else
  for (int j = 0; j < kIdBlock; ++j) mask |= static_cast<uint32_t>(ids[j] == id) << j;
#endif
  return mask;
}

template <class Id>
int64_t find_id(const Id* ids, int64_t begin, int64_t end, int64_t wanted) {
  const Id id = static_cast<Id>(wanted);
  if (static_cast<int64_t>(id) != wanted) return end;  // an int32 array cannot hold it
  int64_t i = begin;
  for (; i + kIdBlock <= end; i += kIdBlock) {
    const uint32_t mask = equal_mask(ids + i, id);
    if (mask != 0) return i + __builtin_ctz(mask);
  }
  while (i < end && ids[i] != id) ++i;
  return i;
}
