// The inner tile of a matrix product. Included by leaf_loops.cc only.
//
// Every element is one chain of fused multiply-adds in ascending k, so neither the tile shape nor
// the depth of a call changes a bit. Fused on purpose: it is what the matrix units of every machine
// since 2013 do at full rate; without them fmaf gives the same bits, slowly.

typedef float Register __attribute__((vector_size(kRegisterBytes)));
constexpr int kRegisterFloats = kRegisterBytes / 4;

inline __attribute__((always_inline)) Register fused(Register a, Register b, Register c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__AVX2__)
  return _mm256_fmadd_ps(a, b, c);
#elif defined(__aarch64__)
  return vfmaq_f32(c, a, b);
#else
  for (int i = 0; i < kRegisterFloats; ++i) c[i] = fmaf(a[i], b[i], c[i]);
  return c;
#endif
}

// As many accumulators as the level has registers for: 12 x 2 of 32, 6 x 2 of 16, 4 x 2 of 16.
#if defined(__AVX512F__)
constexpr int kBlockRows = 12;
#elif defined(__AVX2__)
constexpr int kBlockRows = 6;
#else
constexpr int kBlockRows = 4;
#endif
constexpr int kBlockRegisters = 2;
constexpr int kBlockColumns = kBlockRegisters * kRegisterFloats;
static_assert(kTileRows % kBlockRows == 0 && kTileColumns % kBlockColumns == 0);

inline __attribute__((always_inline)) void multiply_block(const float* a, const float* b,
                                                          int64_t depth, float* tile,
                                                          int64_t tile_stride) {
  Register sum[kBlockRows][kBlockRegisters];
#pragma GCC unroll 16
  for (int r = 0; r < kBlockRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kBlockRegisters; ++v) {
      __builtin_memcpy(&sum[r][v], tile + r * tile_stride + v * kRegisterFloats, sizeof(Register));
    }
  }
  for (int64_t k = 0; k < depth; ++k) {
    Register column[kBlockRegisters];
#pragma GCC unroll 4
    for (int v = 0; v < kBlockRegisters; ++v) {
      __builtin_memcpy(&column[v], b + k * kTileColumns + v * kRegisterFloats, sizeof(Register));
    }
#pragma GCC unroll 16
    for (int r = 0; r < kBlockRows; ++r) {
      const Register row = a[k * kTileRows + r] - Register{};  // a broadcast: x - 0 is x
#pragma GCC unroll 4
      for (int v = 0; v < kBlockRegisters; ++v) sum[r][v] = fused(row, column[v], sum[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kBlockRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kBlockRegisters; ++v) {
      __builtin_memcpy(tile + r * tile_stride + v * kRegisterFloats, &sum[r][v], sizeof(Register));
    }
  }
}

void multiply_tile(const float* a, const float* b, int64_t depth, float* tile,
                   int64_t tile_stride) {
  for (int64_t r = 0; r < kTileRows; r += kBlockRows) {
    for (int64_t c = 0; c < kTileColumns; c += kBlockColumns) {
      multiply_block(a + r, b + c, depth, tile + r * tile_stride + c, tile_stride);
    }
  }
}
