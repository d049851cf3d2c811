// How the core sees an array that somebody else owns.
#pragma once

#include <cstdint>

namespace stepscore {

enum class DType : int { kFloat32, kFloat16, kBFloat16, kFloat64, kInt32, kInt64, kBool };

constexpr int kMaxRank = 4;

struct TensorView {
  void* data = nullptr;
  DType dtype = DType::kFloat32;
  int rank = 0;
  int64_t shape[kMaxRank] = {};
  int64_t stride[kMaxRank] = {};  // in elements
};

// A matrix whose rows are contiguous; consecutive rows stand `row_stride` elements apart.
struct MatrixView {
  const void* data = nullptr;
  DType dtype = DType::kFloat32;  // kFloat32, kFloat16 or kBFloat16
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t row_stride = 0;
};

constexpr int64_t item_size(DType dtype) {
  switch (dtype) {
    case DType::kBool:
      return 1;
    case DType::kFloat16:
    case DType::kBFloat16:
      return 2;
    case DType::kFloat32:
    case DType::kInt32:
      return 4;
    default:
      return 8;
  }
}

constexpr const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "float32";
    case DType::kFloat16:
      return "float16";
    case DType::kBFloat16:
      return "bfloat16";
    case DType::kFloat64:
      return "float64";
    case DType::kInt32:
      return "int32";
    case DType::kBool:
      return "bool";
    default:
      return "int64";
  }
}

}  // namespace stepscore
