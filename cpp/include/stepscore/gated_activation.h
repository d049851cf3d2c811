// The gate of a feed-forward block: what an activation lets through.
// GPU: no sense: torch runs the forward pass there, and its kernels treat every element alike
#pragma once

#include <cstdint>

#include "stepscore/scalar_math.h"
#include "stepscore/tensor_view.h"

namespace stepscore {

enum class GateActivation { kSilu, kGelu, kGeluTanh };

// out[i, j] = activation(gate[i, j]) * up[i, j], in float32; up.data null: activation(gate[i, j])
//
// An element's bits depend on its own two numbers alone: not on where a vector register, a row or a
// thread's range ends, nor on the instruction level.
void gated_activation(const MatrixView& gate,  // float32 [rows, width]
                      const MatrixView& up,    // the same shape, or null
                      GateActivation activation,
                      float* out);  // [rows, width]

// x times the part 1 / (1 + e^-s), without overflow on either side.
STEPSCORE_HD float times_sigmoid(float x, float s) {
  const float e = exponential_single(choose(s < 0.0f, s, -s));
  return x * choose(s < 0.0f, e, 1.0f) / (1.0f + e);
}

STEPSCORE_HD float silu(float x) {
  return times_sigmoid(x, x);
}

// 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), and (1 + tanh u) / 2 is the sigmoid of 2u.
STEPSCORE_HD float gelu_tanh(float x) {
  constexpr float kTwice = 0x1.988454p+0f;  // 2 sqrt(2 / pi)
  constexpr float kCube = 0x1.2444f2p-4f;   // 0.044715 of it
  return times_sigmoid(x, x * (kTwice + kCube * (x * x)));
}

// x times the normal distribution at x. With z = |x| / sqrt(2) it is 1 - erfc(z) / 2, or erfc(z) /
// 2 below 0, where 1 + erf would lose its digits; erfc(z) e^(z^2) is a polynomial in 1 / (1 + z /
// 2), fitted on z in [0, 10.5] to 4.4e-8.
STEPSCORE_HD float gelu(float x) {
  constexpr float kHalfRootHalf = 0x1.6a09e6p-2f;
  const float t = 1.0f / (1.0f + kHalfRootHalf * choose(x < 0.0f, -x, x));
  float p = -0.05919364467263222f;
  p = p * t + 0.285184383392334f;
  p = p * t - 0.4884641170501709f;
  p = p * t + 0.2795162796974182f;
  p = p * t - 0.027625909075140953f;
  p = p * t + 0.20311091840267181f;
  p = p * t + 0.24299637973308563f;
  p = p * t + 0.2823900878429413f;
  p = p * t + 0.2820855677127838f;
  const float tail = 0.5f * (exponential_single(-0.5f * (x * x)) * (p * t));
  return x * choose(x < 0.0f, tail, 1.0f - tail);
}

}  // namespace stepscore
