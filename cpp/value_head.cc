#include "stepscore/value_head.h"

#include <algorithm>
#include <memory>
#include <new>
#include <utility>

#include "simd/level.h"
#include "stepscore/check.h"
#include "stepscore/parallel.h"

namespace stepscore {
namespace {

using simd::kTileColumns;
using simd::kTileRows;

constexpr double kOfAProduct = 0.12;  // nanoseconds, of a row with few outputs: bound by memory
constexpr double kOfATileProduct = 0.06;
constexpr double kOfAPackedNumber = 1.0;
constexpr int64_t kBlockRows = 32;      // head outputs held before they are activated
constexpr int64_t kCachedDepth = 256;   // 32 KiB of a weight panel stay in the first cache
constexpr int64_t kCachedRows = 240;    // 240 KiB of the rows stay in the second
constexpr int64_t kPanelGroup = 8;      // weight panels packed at once
constexpr int64_t kProductRows = 3840;  // rows multiplied at once; bounds the memory
static_assert(kCachedRows % kTileRows == 0 && kProductRows % kTileRows == 0);

// Cache-line aligned, uninitialised.
class Buffer {
 public:
  explicit Buffer(int64_t size)
      : data_(static_cast<float*>(
            ::operator new[](static_cast<size_t>(size) * sizeof(float), std::align_val_t{64}))) {}
  float* get() const { return data_.get(); }

 private:
  struct Free {
    void operator()(float* data) const { ::operator delete[](data, std::align_val_t{64}); }
  };
  std::unique_ptr<float[], Free> data_;
};

void check_positions(const char* op, const Rows& rows) {
  if (rows.positions == nullptr) return;
  for (int64_t i = 0; i < rows.count; ++i) {
    const int64_t position = rows.positions[i];
    check(position >= 0 && position < rows.hidden.rows, op, "positions", "[", i, "] is ", position,
          "; hidden has rows 0 to ", rows.hidden.rows - 1);
  }
}

// The weight as float32 rows of padded_width, zero padded.
Buffer padded_weight(const simd::LeafLoops& loops, const MatrixView& weight) {
  const int64_t width = simd::padded_width(weight.columns);
  Buffer padded(weight.rows * width);
  for (int64_t c = 0; c < weight.rows; ++c) {
    float* row = padded.get() + c * width;
    loops.load_row(weight, c, row);
    std::fill(row + weight.columns, row + width, 0.0f);
  }
  return padded;
}

void affine_head(const Rows& rows, const Layer& layer, Activation activation, float* out) {
  const simd::LeafLoops& loops = simd::leaf_loops();
  const int64_t outputs = layer.weight.rows;
  const int64_t out_width = activated_width(activation, outputs);
  const Buffer weight = padded_weight(loops, layer.weight);
  const Work work{kOfAProduct * static_cast<double>(rows.count * outputs) *
                  static_cast<double>(rows.hidden.columns)};

  parallel_for(rows.count, work, [&](int64_t begin, int64_t end) {
    const int64_t block = std::max<int64_t>(1, kBlockRows / outputs);
    const Buffer z(block * outputs);
    for (int64_t i = begin; i < end; i += block) {
      const int64_t count = std::min(block, end - i);
      loops.dot_rows(rows.hidden, rows.positions, i, count, weight.get(), outputs, z.get());
      for (int64_t r = 0; r < count; ++r) {
        float* row = z.get() + r * outputs;
        if (layer.bias != nullptr) {
          for (int64_t c = 0; c < outputs; ++c) row[c] += layer.bias[c];
        }
        activate(activation, row, outputs, out + (i + r) * out_width);
      }
    }
  });
}

// packed[p][k][j] = column k of row (first_panel + p) * kPanel + j, zero beyond the last row
template <int64_t kPanel>
void pack_panels(const simd::LeafLoops& loops, const Rows& rows, int64_t first_panel,
                 int64_t panels, float* packed) {
  const int64_t depth = rows.hidden.columns;
  // One cache line more than the row, or the rows of a power-of-two width share a few cache sets.
  const int64_t width = simd::padded_width(depth) + 16;
  const Buffer panel(kPanel * width);
  for (int64_t p = 0; p < panels; ++p) {
    for (int64_t j = 0; j < kPanel; ++j) {
      const int64_t i = (first_panel + p) * kPanel + j;
      float* row = panel.get() + j * width;
      if (i < rows.count) {
        loops.load_row(rows.hidden, rows.positions == nullptr ? i : rows.positions[i], row);
      } else {
        std::fill(row, row + depth, 0.0f);
      }
    }
    float* out = packed + p * depth * kPanel;
    for (int64_t k = 0; k < depth; ++k) {
      for (int64_t j = 0; j < kPanel; ++j) out[k * kPanel + j] = panel.get()[j * width + k];
    }
  }
}

// sums[c][i][j] = row i . weight row j of panel c, for a block of rows and a group of panels.
//
// A depth block of the rows stays in the second cache, of a weight panel in the first; the sums
// wait in their buffer between depth blocks.
void multiply_group(const simd::LeafLoops& loops, const float* row_panels, int64_t row_panel_count,
                    const float* weight_panels, int64_t weight_panel_count, int64_t depth,
                    float* sums) {
  std::fill(sums, sums + weight_panel_count * kCachedRows * kTileColumns, 0.0f);
  for (int64_t k = 0; k < depth; k += kCachedDepth) {
    const int64_t block = std::min(kCachedDepth, depth - k);
    for (int64_t c = 0; c < weight_panel_count; ++c) {
      for (int64_t r = 0; r < row_panel_count; ++r) {
        loops.multiply_tile(row_panels + (r * depth + k) * kTileRows,
                            weight_panels + (c * depth + k) * kTileColumns, block,
                            sums + (c * kCachedRows + r * kTileRows) * kTileColumns, kTileColumns);
      }
    }
  }
}

// out[i, c] = inner(row i . weight[c] + bias[c])
void inner_layer(const Rows& rows, const Layer& layer, Inner inner, float* out) {
  const simd::LeafLoops& loops = simd::leaf_loops();
  const int64_t depth = layer.weight.columns;
  const int64_t outputs = layer.weight.rows;
  const Rows weight_rows{layer.weight, nullptr, outputs};
  const int64_t row_panel_count = (rows.count + kTileRows - 1) / kTileRows;
  const Buffer row_panels(row_panel_count * depth * kTileRows);
  const double packed = kOfAPackedNumber * static_cast<double>(rows.count * depth);
  parallel_for(row_panel_count, Work{packed}, [&](int64_t begin, int64_t end) {
    pack_panels<kTileRows>(loops, rows, begin, end - begin,
                           row_panels.get() + begin * depth * kTileRows);
  });

  const Work work{static_cast<double>(outputs * depth) *
                  (kOfAPackedNumber + kOfATileProduct * static_cast<double>(rows.count))};
  parallel_for((outputs + kTileColumns - 1) / kTileColumns, work, [&](int64_t begin, int64_t end) {
    const Buffer weight_panels(kPanelGroup * depth * kTileColumns);
    const Buffer sums(kPanelGroup * kCachedRows * kTileColumns);
    for (int64_t panel = begin; panel < end; panel += kPanelGroup) {
      const int64_t panels = std::min(kPanelGroup, end - panel);
      pack_panels<kTileColumns>(loops, weight_rows, panel, panels, weight_panels.get());
      const int64_t first_column = panel * kTileColumns;
      const int64_t columns = std::min(panels * kTileColumns, outputs - first_column);
      for (int64_t first = 0; first < rows.count; first += kCachedRows) {
        const int64_t count = std::min(kCachedRows, rows.count - first);
        multiply_group(loops, row_panels.get() + first * depth, (count + kTileRows - 1) / kTileRows,
                       weight_panels.get(), panels, depth, sums.get());
        for (int64_t i = 0; i < count; ++i) {
          float* to = out + (first + i) * outputs + first_column;
          for (int64_t c = 0; c < columns; ++c) {
            const float sum =
                sums.get()[(c / kTileColumns * kCachedRows + i) * kTileColumns + c % kTileColumns];
            const float bias = layer.bias == nullptr ? 0.0f : layer.bias[first_column + c];
            to[c] = inner_activation(inner, sum + bias);
          }
        }
      }
    }
  });
}

Rows slice(const Rows& rows, int64_t first, int64_t count) {
  Rows part = rows;
  part.count = count;
  if (rows.positions != nullptr) {
    part.positions = rows.positions + first;
  } else {
    part.hidden.data = static_cast<const char*>(rows.hidden.data) +
                       first * rows.hidden.row_stride * item_size(rows.hidden.dtype);
  }
  return part;
}

Rows rows_of(const Buffer& buffer, int64_t count, int64_t width) {
  return {{buffer.get(), DType::kFloat32, count, width, width}, nullptr, count};
}

}  // namespace

void value_head(const Rows& rows, const Layer& layer, Activation activation, float* out) {
  check_positions("value_head", rows);
  affine_head(rows, layer, activation, out);
}

void mlp_head(const Rows& rows, const Layer* layers, int64_t layer_count, Inner inner,
              Activation activation, float* out) {
  check_positions("mlp_head", rows);
  const Layer& last = layers[layer_count - 1];
  for (int64_t first = 0; first < rows.count; first += kProductRows) {
    const int64_t count = std::min(kProductRows, rows.count - first);
    Rows input = slice(rows, first, count);
    Buffer held(0);
    for (int64_t l = 0; l + 1 < layer_count; ++l) {
      const int64_t width = layers[l].weight.rows;
      Buffer output(count * width);
      inner_layer(input, layers[l], inner, output.get());
      held = std::move(output);
      input = rows_of(held, count, width);
    }
    affine_head(input, last, activation,
                out + first * activated_width(activation, last.weight.rows));
  }
}

}  // namespace stepscore
