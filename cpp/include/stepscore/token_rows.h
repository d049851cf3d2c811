// Rows of tokens as trainers keep them, padded with a mask or packed with offsets; for both
// devices.
#pragma once

#include <cstdint>

#include "stepscore/scalar_math.h"
#include "stepscore/tensor_view.h"

namespace stepscore {

// Padded: rows of `width` tokens. Packed: row i has the tokens [offsets[i], offsets[i + 1]).
struct TokenRows {
  int64_t rows = 0;
  int64_t width = 0;
  int64_t tokens = 0;                // of all rows
  const int64_t* offsets = nullptr;  // [rows + 1]; null: padded
};

// A number for every token; padded rows stand `stride` elements apart.
template <class T>
struct TokenArray {
  T* data = nullptr;
  int64_t stride = 0;
};

// A one for every token that counts, a zero for the others; null: all count.
struct TokenMask {
  const void* data = nullptr;
  DType dtype = DType::kBool;  // kBool, kInt64, kFloat32 or kFloat64
  int64_t stride = 0;
};

// A number for all rows, or one for each.
struct RowNumbers {
  double value = 1.0;
  const double* each = nullptr;  // [rows]; null: the value
};

STEPSCORE_HD double number_of(const RowNumbers& numbers, int64_t row) {
  return numbers.each == nullptr ? numbers.value : numbers.each[row];
}

STEPSCORE_HD int64_t row_length(const TokenRows& rows, int64_t row) {
  return rows.offsets == nullptr ? rows.width : rows.offsets[row + 1] - rows.offsets[row];
}

// Where the numbers of a row begin.
STEPSCORE_HD int64_t row_begin(const TokenRows& rows, int64_t stride, int64_t row) {
  return rows.offsets == nullptr ? row * stride : rows.offsets[row];
}

// 0, 1, or 2 for what is neither.
template <class T>
STEPSCORE_HD int one_of(T value) {
  return value == T(1) ? 1 : value == T(0) ? 0 : 2;
}

// The mask of the number at `index`: 0, 1, or 2 for what is neither; 1 without a mask.
STEPSCORE_HD int mask_at(const TokenMask& mask, int64_t index) {
  if (mask.data == nullptr) return 1;
  switch (mask.dtype) {
    case DType::kBool:
      return one_of(static_cast<const uint8_t*>(mask.data)[index]);
    case DType::kInt64:
      return one_of(static_cast<const int64_t*>(mask.data)[index]);
    case DType::kFloat32:
      return one_of(static_cast<const float*>(mask.data)[index]);
    default:
      return one_of(static_cast<const double*>(mask.data)[index]);
  }
}

}  // namespace stepscore
