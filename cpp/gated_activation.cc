#include "stepscore/gated_activation.h"

#include "simd/level.h"
#include "stepscore/parallel.h"

namespace stepscore {
namespace {

constexpr double kOfAnElement = 0.8;  // nanoseconds

const float* row_of(const MatrixView& matrix, int64_t row) {
  return static_cast<const float*>(matrix.data) + row * matrix.row_stride;
}

}  // namespace

void gated_activation(const MatrixView& gate, const MatrixView& up, GateActivation activation,
                      float* out) {
  const simd::LeafLoops& loops = simd::leaf_loops();
  const int64_t width = gate.columns;
  const Work work{kOfAnElement * static_cast<double>(gate.rows * width)};
  parallel_for(gate.rows, work, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      loops.gate_row(activation, row_of(gate, i), up.data == nullptr ? nullptr : row_of(up, i),
                     width, out + i * width);
    }
  });
}

}  // namespace stepscore
