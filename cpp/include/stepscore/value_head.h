// Hidden states -> scores: affine heads and small MLP heads, read only at the given rows.
#pragma once

#include <cstdint>

#include "stepscore/scalar_math.h"
#include "stepscore/tensor_view.h"

namespace stepscore {

enum class Activation { kIdentity, kSigmoid, kSoftmax, kDifference, kTanh };
enum class Inner { kRelu, kTanh, kSilu };

// The rows of the hidden states that are read: positions[0 .. count), or all when positions is
// null.
struct Rows {
  MatrixView hidden;
  const int64_t* positions = nullptr;
  int64_t count = 0;
};

struct Layer {
  MatrixView weight;  // [out, in]
  const float* bias;  // [out], or null
};

// out[i] = activation(hidden[positions[i]] weight^T + bias), in float32
//
// InvalidArgument for a position outside [0, hidden.rows).
void value_head(const Rows& rows,
                const Layer& layer,  // weight [k, H], bias [k]
                Activation activation,
                float* out);  // [count, activated_width(activation, k)]

// The same through layers of which all but the last end in `inner`.
//
// On CUDA the library computes the last layer alone: the products of the layers before it are the
// framework's, whose bits may depend on the number of rows.
void mlp_head(const Rows& rows,
              const Layer* layers,  // [layer_count], layers[l].weight [width_{l+1}, width_l]
              int64_t layer_count, Inner inner, Activation activation,
              float* out);  // [count, activated_width(activation, width of the last layer)]

constexpr int64_t activated_width(Activation activation, int64_t outputs) {
  return activation == Activation::kDifference ? 1 : outputs;
}

STEPSCORE_HD float inner_activation(Inner inner, float z) {
  const double wide = static_cast<double>(z);
  switch (inner) {
    case Inner::kRelu:
      return z > 0.0f || z != z ? z : 0.0f;
    case Inner::kTanh:
      return static_cast<float>(hyperbolic_tangent(wide));
    default:  // silu
      return static_cast<float>(wide * sigmoid(wide));
  }
}

// One row of head outputs z[0 .. outputs) -> out. kDifference needs outputs == 2.
STEPSCORE_HD void activate(Activation activation, const float* z, int64_t outputs, float* out) {
  switch (activation) {
    case Activation::kIdentity:
      for (int64_t c = 0; c < outputs; ++c) out[c] = z[c];
      return;
    case Activation::kSigmoid:
      for (int64_t c = 0; c < outputs; ++c) out[c] = static_cast<float>(sigmoid(z[c]));
      return;
    case Activation::kTanh:
      for (int64_t c = 0; c < outputs; ++c) out[c] = static_cast<float>(hyperbolic_tangent(z[c]));
      return;
    case Activation::kDifference: {
      // p1 - p0 = tanh((z1 - z0) / 2)
      const double gap = static_cast<double>(z[1]) - static_cast<double>(z[0]);
      out[0] = static_cast<float>(hyperbolic_tangent(0.5 * gap));
      return;
    }
    case Activation::kSoftmax:
      break;
  }
  if (outputs == 2) {  // of the gap alone, so that neither probability loses its digits
    const double gap = static_cast<double>(z[1]) - static_cast<double>(z[0]);
    out[0] = static_cast<float>(sigmoid(-gap));
    out[1] = static_cast<float>(sigmoid(gap));
    return;
  }
  double high = z[0];
  for (int64_t c = 1; c < outputs; ++c) high = z[c] > high ? z[c] : high;
  double total = 0.0;
  for (int64_t c = 0; c < outputs; ++c) total += exponential(z[c] - high);
  for (int64_t c = 0; c < outputs; ++c) {
    out[c] = static_cast<float>(exponential(z[c] - high) / total);
  }
}

}  // namespace stepscore
