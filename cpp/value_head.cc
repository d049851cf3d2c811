#include "stepscore/value_head.h"

#include <algorithm>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "simd/level.h"
#include "stepscore/check.h"
#include "stepscore/parallel.h"

namespace stepscore {
namespace {

using simd::kTileColumns;
using simd::kTileRows;

constexpr int64_t kBytesPerThread = 128 * 1024;  // less than this is read faster than a wake-up
constexpr int64_t kBlockRows = 32;               // head outputs held before they are activated
constexpr int64_t kDepthBlock = 256;             // 32 KiB of a weight panel stay in the first cache
constexpr int64_t kProductRows = 4080;           // rows multiplied at once; bounds the memory

constexpr int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

// Cache-line aligned, uninitialised.
class Buffer {
 public:
  explicit Buffer(int64_t size)
      : data_(static_cast<float*>(::operator new[](static_cast<size_t>(size) * sizeof(float),
                                                   std::align_val_t{64}))) {}
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
    check(position >= 0 && position < rows.hidden.rows, op, ": positions[", i, "] is ", position,
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
  const int64_t row_bytes = rows.hidden.columns * item_size(rows.hidden.dtype) + 1;

  parallel_for(rows.count, std::max<int64_t>(1, kBytesPerThread / row_bytes),
               [&](int64_t begin, int64_t end) {
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

// panels[p][k][j] = column k of row p * kPanel + j, zero beyond the last row
template <int64_t kPanel>
Buffer pack_panels(const simd::LeafLoops& loops, const Rows& rows) {
  const int64_t depth = rows.hidden.columns;
  const int64_t panels = (rows.count + kPanel - 1) / kPanel;
  const int64_t width = simd::padded_width(depth);
  Buffer packed(panels * depth * kPanel);
  parallel_for(panels, 1, [&](int64_t begin, int64_t end) {
    const Buffer panel(kPanel * width);
    for (int64_t p = begin; p < end; ++p) {
      for (int64_t j = 0; j < kPanel; ++j) {
        const int64_t i = p * kPanel + j;
        float* row = panel.get() + j * width;
        if (i < rows.count) {
          loops.load_row(rows.hidden, rows.positions == nullptr ? i : rows.positions[i], row);
        } else {
          std::fill(row, row + depth, 0.0f);
        }
      }
      float* out = packed.get() + p * depth * kPanel;
      for (int64_t k = 0; k < depth; ++k) {
        for (int64_t j = 0; j < kPanel; ++j) out[k * kPanel + j] = panel.get()[j * width + k];
      }
    }
  });
  return packed;
}

// out[i, c] = inner(row i . weight[c] + bias[c])
void inner_layer(const Rows& rows, const Layer& layer, const Buffer& weight_panels, Inner inner,
                 float* out) {
  const simd::LeafLoops& loops = simd::leaf_loops();
  const int64_t depth = layer.weight.columns;
  const int64_t outputs = layer.weight.rows;
  const int64_t row_panels = (rows.count + kTileRows - 1) / kTileRows;
  const int64_t column_panels = (outputs + kTileColumns - 1) / kTileColumns;
  const int64_t tile = kTileRows * kTileColumns;
  const Buffer row_data = pack_panels<kTileRows>(loops, rows);

  parallel_for(column_panels, 1, [&](int64_t begin, int64_t end) {
    const Buffer sums(row_panels * tile);
    for (int64_t panel = begin; panel < end; ++panel) {
      std::fill(sums.get(), sums.get() + row_panels * tile, 0.0f);
      for (int64_t k = 0; k < depth; k += kDepthBlock) {
        const int64_t block = std::min(kDepthBlock, depth - k);
        const float* columns = weight_panels.get() + (panel * depth + k) * kTileColumns;
        for (int64_t r = 0; r < row_panels; ++r) {
          loops.multiply_tile(row_data.get() + (r * depth + k) * kTileRows, columns, block,
                              sums.get() + r * tile, kTileColumns);
        }
      }
      const int64_t first = panel * kTileColumns;
      const int64_t columns = std::min(kTileColumns, outputs - first);
      for (int64_t i = 0; i < rows.count; ++i) {
        for (int64_t c = 0; c < columns; ++c) {
          const float bias = layer.bias == nullptr ? 0.0f : layer.bias[first + c];
          out[i * outputs + first + c] =
              inner_activation(inner, sums.get()[i * kTileColumns + c] + bias);
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
  const simd::LeafLoops& loops = simd::leaf_loops();
  const Layer& last = layers[layer_count - 1];
  std::vector<Buffer> panels;
  for (const Layer* layer = layers; layer != &last; ++layer) {
    const Rows weight_rows{layer->weight, nullptr, layer->weight.rows};
    panels.push_back(pack_panels<kTileColumns>(loops, weight_rows));
  }
  for (int64_t first = 0; first < rows.count; first += kProductRows) {
    const int64_t count = std::min(kProductRows, rows.count - first);
    Rows input = slice(rows, first, count);
    Buffer held(0);
    for (int64_t l = 0; l + 1 < layer_count; ++l) {
      const int64_t width = layers[l].weight.rows;
      Buffer output(count * width);
      inner_layer(input, layers[l], panels[static_cast<size_t>(l)], inner, output.get());
      held = std::move(output);
      input = rows_of(held, count, width);
    }
    affine_head(input, last, activation,
                out + first * activated_width(activation, last.weight.rows));
  }
}

}  // namespace stepscore
