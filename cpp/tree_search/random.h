// Random numbers that are a function of what they are for, not of what was drawn before.
#pragma once

#include <array>
#include <cstdint>

#include "stepscore/scalar_math.h"

namespace stepscore {

// Philox4x32-10: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2,
// 3", 2011.
inline std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter,
                                      std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key = {key[0] + 0x9E3779B9, key[1] + 0xBB67AE85};
  }
  return counter;
}

// In [0, 1), with 53 random bits.
inline double uniform_at(uint64_t seed, uint64_t problem, uint32_t node, uint32_t draw) {
  const std::array<uint32_t, 4> bits =
      philox({static_cast<uint32_t>(problem), static_cast<uint32_t>(problem >> 32), node, draw},
             {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  const uint64_t high = bits[0] >> 5, low = bits[1] >> 6;
  return static_cast<double>(high << 26 | low) * 0x1p-53;
}

// The draws that the library itself makes; callers count theirs from 0.
constexpr uint32_t kGumbelDraw = 0xffffffff;

// -ln(-ln(u)), with u moved off 0.
inline double gumbel_at(uint64_t seed, uint64_t problem, uint32_t node) {
  const double u = uniform_at(seed, problem, node, kGumbelDraw) + 0x1p-54;
  return -logarithm(-logarithm(u));
}

}  // namespace stepscore
