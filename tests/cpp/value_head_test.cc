#include "stepscore/value_head.h"

#include <cmath>
#include <cstring>
#include <random>

#include "testing.h"

using namespace stepscore;

namespace {

const double kInf = std::numeric_limits<double>::infinity();
constexpr DType kDTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};

float value_of(uint16_t bits, DType dtype) {
  return dtype == DType::kFloat16 ? float16_to_float(bits) : bfloat16_to_float(bits);
}

// A matrix of one of the dtypes in memory that ends with its last element.
struct Matrix {
  Matrix(DType dtype_, int64_t rows_, int64_t columns_, int64_t gap = 0, uint64_t seed = 1)
      : dtype(dtype_), rows(rows_), columns(columns_), stride(columns_ + gap) {
    const int64_t size = rows == 0 ? 0 : (rows - 1) * stride + columns;
    std::mt19937_64 random(seed);
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < size; ++i) {
      const float value = normal(random);
      // The upper half of a float32 is a bfloat16, and some float16 of moderate size.
      const uint16_t half = static_cast<uint16_t>(bits_as<uint32_t>(value) >> 16);
      const uint16_t moderate = static_cast<uint16_t>(half & 0xbfff);  // below 2 in float16
      halves.push_back(dtype == DType::kFloat16 ? moderate : half);
      values.push_back(dtype == DType::kFloat32 ? value : value_of(halves.back(), dtype));
    }
  }
  MatrixView view() const {
    const void* data = dtype == DType::kFloat32 ? static_cast<const void*>(values.data())
                                                : static_cast<const void*>(halves.data());
    return {data, dtype, rows, columns, stride};
  }
  double at(int64_t row, int64_t column) const {
    return static_cast<double>(values[static_cast<size_t>(row * stride + column)]);
  }

  DType dtype;
  int64_t rows, columns, stride;
  std::vector<float> values;
  std::vector<uint16_t> halves;
};

std::vector<float> bias_of(int64_t size) {
  std::vector<float> bias;
  for (int64_t i = 0; i < size; ++i) bias.push_back(0.25f * static_cast<float>(i % 7) - 0.5f);
  return bias;
}

std::vector<float> run(const Matrix& hidden, const Matrix& weight, Activation activation,
                       const std::vector<int64_t>* positions = nullptr) {
  const std::vector<float> bias = bias_of(weight.rows);
  const int64_t count =
      positions == nullptr ? hidden.rows : static_cast<int64_t>(positions->size());
  std::vector<float> out(static_cast<size_t>(count * activated_width(activation, weight.rows)));
  value_head({hidden.view(), positions == nullptr ? nullptr : positions->data(), count},
             {weight.view(), bias.data()}, activation, out.data());
  return out;
}

std::vector<float> run_mlp(const Matrix& hidden, const std::vector<Matrix>& weights, Inner inner,
                           const std::vector<int64_t>* positions = nullptr) {
  std::vector<std::vector<float>> biases;
  std::vector<Layer> layers;
  for (const Matrix& weight : weights) biases.push_back(bias_of(weight.rows));
  for (size_t l = 0; l < weights.size(); ++l) {
    layers.push_back({weights[l].view(), l % 2 == 0 ? biases[l].data() : nullptr});
  }
  const int64_t count =
      positions == nullptr ? hidden.rows : static_cast<int64_t>(positions->size());
  std::vector<float> out(static_cast<size_t>(count * weights.back().rows));
  mlp_head({hidden.view(), positions == nullptr ? nullptr : positions->data(), count},
           layers.data(), static_cast<int64_t>(layers.size()), inner, Activation::kIdentity,
           out.data());
  return out;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<float> activated(Activation activation, const std::vector<float>& z) {
  const int64_t width = static_cast<int64_t>(z.size());
  std::vector<float> out(static_cast<size_t>(activated_width(activation, width)));
  activate(activation, z.data(), width, out.data());
  return out;
}

}  // namespace

TEST(heads_are_the_sum_of_products) {
  for (const DType hidden_dtype : kDTypes) {
    for (const DType weight_dtype : kDTypes) {
      for (const int64_t width : {1, 2, 31, 32, 33, 63, 64, 65, 100, 1000}) {
        for (const int64_t outputs : {1, 2, 3, 5}) {
          const Matrix hidden(hidden_dtype, 5, width, 3),
              weight(weight_dtype, outputs, width, 1, 2);
          const std::vector<float> got = run(hidden, weight, Activation::kIdentity);
          const std::vector<float> bias = bias_of(outputs);
          for (int64_t i = 0; i < hidden.rows; ++i) {
            for (int64_t c = 0; c < outputs; ++c) {
              double exact = static_cast<double>(bias[static_cast<size_t>(c)]);
              double size = std::fabs(exact);
              for (int64_t j = 0; j < width; ++j) {
                exact += hidden.at(i, j) * weight.at(c, j);
                size += std::fabs(hidden.at(i, j) * weight.at(c, j));
              }
              const double value = static_cast<double>(got[static_cast<size_t>(i * outputs + c)]);
              const double bound = (static_cast<double>(width) / 32 + 10) * 0x1p-24 * size;
              EXPECT(std::fabs(value - exact) <= bound, width, " ", outputs, ": ", value, " ",
                     exact);
            }
          }
        }
      }
    }
  }
}

TEST(heads_have_the_same_bits_everywhere) {
  for (const DType dtype : kDTypes) {
    for (const int64_t width : {33, 1024}) {
      const int64_t rows = width == 33 ? 30'000 : 1200;
      const Matrix hidden(dtype, rows, width, 5), weight(dtype, 2, width, 0, 2);
      std::vector<int64_t> backwards;
      for (int64_t i = rows - 1; i >= 0; --i) backwards.push_back(i);
      std::vector<float> expected, expected_back;
      testing::for_each_setting([&](const std::string& setting) {
        const std::vector<float> got = run(hidden, weight, Activation::kSoftmax);
        const std::vector<float> back = run(hidden, weight, Activation::kSoftmax, &backwards);
        if (expected.empty()) expected = got, expected_back = back;
        EXPECT(same_bits(got, expected), setting);
        EXPECT(same_bits(back, expected_back), setting);
        for (size_t i = 0; i < 50; ++i) {
          EXPECT(back[2 * i] == got[got.size() - 2 * i - 2], setting);
        }
      });
    }
  }
}

TEST(rows_load_exactly_at_every_level) {
  for (const std::string& level : testing::levels()) {
    simd::set_level(level.c_str());
    for (const DType dtype : {DType::kFloat16, DType::kBFloat16}) {
      // Full blocks of 32 and a tail: all patterns pass through both.
      for (const int64_t columns : {64, 33, 31}) {
        std::vector<uint16_t> patterns(65'536 / 31 * 33 + 66);
        for (size_t i = 0; i < patterns.size(); ++i) patterns[i] = static_cast<uint16_t>(i);
        const int64_t rows = static_cast<int64_t>(patterns.size()) / columns;
        const MatrixView view{patterns.data(), dtype, rows, columns, columns};
        std::vector<float> row(static_cast<size_t>(columns));
        for (int64_t i = 0; i < rows; ++i) {
          simd::leaf_loops().load_row(view, i, row.data());
          for (int64_t j = 0; j < columns; ++j) {
            const float exact = value_of(static_cast<uint16_t>(i * columns + j), dtype);
            const float got = row[static_cast<size_t>(j)];
            EXPECT(bits_as<uint32_t>(got) == bits_as<uint32_t>(exact) ||
                       (std::isnan(got) && std::isnan(exact)),
                   level, ": pattern ", i * columns + j);
          }
        }
      }
    }
  }
  simd::set_level("");
}

TEST(tiles_are_chains_of_fused_multiply_adds) {
  using simd::kTileColumns, simd::kTileRows;
  const int64_t stride = kTileColumns + 5;
  for (const int64_t depth : {0, 1, 7, 300}) {
    const Matrix a(DType::kFloat32, depth, kTileRows),
        b(DType::kFloat32, depth, kTileColumns, 0, 2);
    const Matrix start(DType::kFloat32, kTileRows, kTileColumns, 5, 3);
    std::vector<float> expected = start.values;
    for (int64_t r = 0; r < kTileRows; ++r) {
      for (int64_t c = 0; c < kTileColumns; ++c) {
        float& sum = expected[static_cast<size_t>(r * stride + c)];
        for (int64_t k = 0; k < depth; ++k) {
          sum = std::fma(a.values[static_cast<size_t>(k * kTileRows + r)],
                         b.values[static_cast<size_t>(k * kTileColumns + c)], sum);
        }
      }
    }
    for (const std::string& level : testing::levels()) {
      simd::set_level(level.c_str());
      std::vector<float> tile = start.values;
      simd::leaf_loops().multiply_tile(a.values.data(), b.values.data(), depth, tile.data(),
                                       stride);
      EXPECT(same_bits(tile, expected), level, " depth ", depth);
    }
  }
  simd::set_level("");
}

TEST(mlp_is_the_formula_on_both_sides_of_every_block) {
  struct Shape {
    int64_t rows;
    std::vector<int64_t> widths;
  };
  // 12 rows and 32 columns a tile, 240 rows and 256 inputs cached, 256 outputs a group, 3,840 rows
  // at once.
  const Shape shapes[] = {{1, {1, 1, 1}},       {11, {3, 31, 2}},  {13, {33, 33, 1}},
                          {241, {257, 257, 2}}, {3841, {5, 7, 2}}, {25, {40, 33, 65, 3}}};
  for (const Shape& shape : shapes) {
    for (const DType dtype : kDTypes) {
      const Matrix hidden(dtype, shape.rows, shape.widths[0], 2);
      std::vector<Matrix> weights;
      for (size_t l = 0; l + 1 < shape.widths.size(); ++l) {
        weights.emplace_back(dtype, shape.widths[l + 1], shape.widths[l], 1, l + 5);
      }
      for (const Inner inner : {Inner::kRelu, Inner::kTanh, Inner::kSilu}) {
        const std::vector<float> got = run_mlp(hidden, weights, inner);
        for (int64_t i = 0; i < shape.rows; i += shape.rows > 1000 ? 97 : 1) {
          std::vector<double> z, size;
          for (int64_t j = 0; j < hidden.columns; ++j) z.push_back(hidden.at(i, j));
          double scale = 1.0;  // how large the terms of the sums were
          for (size_t l = 0; l < weights.size(); ++l) {
            const std::vector<float> bias = bias_of(weights[l].rows);
            std::vector<double> next;
            double largest = 0.0;
            for (int64_t c = 0; c < weights[l].rows; ++c) {
              double sum = l % 2 == 0 ? static_cast<double>(bias[static_cast<size_t>(c)]) : 0.0;
              double terms = std::fabs(sum);
              for (size_t j = 0; j < z.size(); ++j) {
                sum += z[j] * weights[l].at(c, static_cast<int64_t>(j));
                terms += std::fabs(z[j] * weights[l].at(c, static_cast<int64_t>(j)));
              }
              largest = std::max(largest, terms);
              const bool last = l + 1 == weights.size();
              next.push_back(last                    ? sum
                             : inner == Inner::kRelu ? std::max(sum, 0.0)
                             : inner == Inner::kTanh ? std::tanh(sum)
                                                     : sum / (1.0 + std::exp(-sum)));
            }
            scale = std::max(scale, 1.0) * std::max(largest, 1.0);
            z = next;
          }
          for (size_t c = 0; c < z.size(); ++c) {
            const double value = static_cast<double>(got[static_cast<size_t>(i) * z.size() + c]);
            EXPECT(std::fabs(value - z[c]) <= 300 * 0x1p-24 * scale, "row ", i, ": ", value, " ",
                   z[c]);
          }
        }
      }
    }
  }
}

TEST(mlp_has_the_same_bits_everywhere) {
  for (const DType dtype : kDTypes) {
    const Matrix hidden(dtype, 300, 270, 3);
    const std::vector<Matrix> weights = {Matrix(dtype, 290, 270, 0, 2),
                                         Matrix(dtype, 40, 290, 1, 3), Matrix(dtype, 2, 40, 0, 4)};
    const std::vector<int64_t> positions = {299, 0, 7, 7, 250};
    std::vector<float> expected, expected_rows;
    testing::for_each_setting([&](const std::string& setting) {
      const std::vector<float> got = run_mlp(hidden, weights, Inner::kTanh);
      const std::vector<float> rows = run_mlp(hidden, weights, Inner::kTanh, &positions);
      if (expected.empty()) expected = got, expected_rows = rows;
      EXPECT(same_bits(got, expected), setting);
      EXPECT(same_bits(rows, expected_rows), setting);
      for (size_t i = 0; i < positions.size(); ++i) {
        const size_t from = static_cast<size_t>(positions[i]) * 2;
        EXPECT(rows[2 * i] == got[from] && rows[2 * i + 1] == got[from + 1], setting);
      }
    });
  }
}

TEST(several_callers_agree) {
  set_num_threads(3);
  const Matrix hidden(DType::kFloat16, 2000, 200), weight(DType::kFloat32, 2, 200, 0, 2);
  const std::vector<Matrix> weights = {Matrix(DType::kFloat32, 70, 200, 0, 3),
                                       Matrix(DType::kFloat32, 1, 70, 0, 4)};
  const std::vector<float> expected = run(hidden, weight, Activation::kDifference);
  const std::vector<float> expected_mlp = run_mlp(hidden, weights, Inner::kRelu);
  testing::from_several_callers([&] {
    EXPECT(same_bits(run(hidden, weight, Activation::kDifference), expected));
    EXPECT(same_bits(run_mlp(hidden, weights, Inner::kRelu), expected_mlp));
  });
}

TEST(positions_outside_are_named) {
  const Matrix hidden(DType::kFloat32, 4, 8), weight(DType::kFloat32, 1, 8);
  for (const int64_t bad : {int64_t{-1}, int64_t{4}, INT64_MIN, INT64_MAX}) {
    const std::vector<int64_t> positions = {0, bad, -9};
    const std::string text = "positions[1] is " + std::to_string(bad) + "; hidden has rows 0 to 3";
    EXPECT_FAULT(run(hidden, weight, Activation::kIdentity, &positions), "value_head: " + text);
    EXPECT_FAULT(run_mlp(hidden, {weight}, Inner::kRelu, &positions), "mlp_head: " + text);
  }
}

TEST(no_rows_give_no_results) {
  const Matrix none(DType::kFloat32, 0, 8), some(DType::kFloat32, 4, 8);
  const Matrix weight(DType::kFloat32, 3, 8), last(DType::kFloat32, 2, 3);
  const std::vector<int64_t> positions;
  EXPECT(run(none, weight, Activation::kIdentity).empty());
  EXPECT(run(some, weight, Activation::kIdentity, &positions).empty());
  EXPECT(run_mlp(none, {weight, last}, Inner::kRelu).empty());
  EXPECT(run_mlp(some, {weight, last}, Inner::kRelu, &positions).empty());
}

TEST(activations_keep_their_digits) {
  for (const float gap : {0.0f, 1e-6f, 6.24f, 17.33f, 40.0f, 100.0f, 1000.0f}) {
    for (const float sign : {1.0f, -1.0f}) {
      const float z = sign * gap;
      const long double exact = 1.0L / (1.0L + std::exp(-static_cast<long double>(z)));
      const float high = static_cast<float>(exact);
      const float low = static_cast<float>(1.0L / (1.0L + std::exp(static_cast<long double>(z))));
      const auto near = [](float got, float want) {
        return std::fabs(got - want) <= 0x1p-23f * std::fabs(want) + 0x1p-149f;
      };
      EXPECT(near(activated(Activation::kSigmoid, {z})[0], high), z);
      EXPECT(near(activated(Activation::kSoftmax, {0.0f, z})[1], high), z);
      EXPECT(near(activated(Activation::kSoftmax, {0.0f, z})[0], low), z);
      EXPECT(near(activated(Activation::kDifference, {0.0f, z})[0],
                  static_cast<float>(std::tanh(static_cast<long double>(z) / 2))),
             z);
      EXPECT(near(activated(Activation::kTanh, {z, 1.0f})[0],
                  static_cast<float>(std::tanh(static_cast<long double>(z)))),
             z);
    }
  }
  const float inf = static_cast<float>(kInf);
  EXPECT(activated(Activation::kSoftmax, {-inf, 0.0f, 0.0f}) ==
         (std::vector<float>{0, 0.5f, 0.5f}));
  EXPECT(activated(Activation::kSoftmax, {inf, 0.0f}) == (std::vector<float>{1, 0}));
  EXPECT(std::isnan(activated(Activation::kSoftmax, {0.0f, static_cast<float>(kNaN), 0.0f})[0]));
  EXPECT(std::isnan(inner_activation(Inner::kRelu, static_cast<float>(kNaN))));
  EXPECT(inner_activation(Inner::kRelu, -inf) == 0.0f);
  EXPECT(inner_activation(Inner::kTanh, -inf) == -1.0f);
  EXPECT(inner_activation(Inner::kSilu, inf) == inf);
  EXPECT(inner_activation(Inner::kSilu, -1e30f) == 0.0f);
  EXPECT(std::isnan(inner_activation(Inner::kSilu, static_cast<float>(kNaN))));
}

// A head of several passes on a GPU is activated where its outputs stand.
TEST(activation_in_place_gives_the_same_bits) {
  for (const Activation activation :
       {Activation::kIdentity, Activation::kSigmoid, Activation::kSoftmax}) {
    for (const size_t width : {1, 2, 3, 9}) {
      std::vector<float> z;
      for (size_t c = 0; c < width; ++c) z.push_back(static_cast<float>(c) * 1.5f - 2.0f);
      const std::vector<float> expected = activated(activation, z);
      activate(activation, z.data(), static_cast<int64_t>(width), z.data());
      EXPECT(same_bits(z, expected), "width ", width);
    }
  }
}
