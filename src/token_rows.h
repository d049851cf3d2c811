// How rows of tokens arrive: padded with a mask, or packed with offsets.
#pragma once

#include <variant>

#include "backend.h"
#include "bindings.h"
#include "stepscore/token_rows.h"

namespace stepscore {

// [rows, tokens], or [tokens] with offsets.
inline TokenRows check_rows(const char* op, const char* argument, const TensorView& view,
                            const std::optional<TensorView>& offsets) {
  TokenRows rows;
  if (offsets.has_value()) {
    check_view(op, argument, view, 1, {DType::kFloat32, DType::kFloat64});
    rows.tokens = view.shape[0];
    rows.rows = check_offsets(op, *offsets, argument, rows.tokens);
    rows.offsets = pointer<const int64_t>(*offsets);
    return rows;
  }
  check(view.rank == 2, op, argument, " must have 2 dimensions, [rows, tokens]; got shape ",
        shape_of(view), "; pass offsets with packed rows, shape [tokens]");
  check_view(op, argument, view, 2, {DType::kFloat32, DType::kFloat64});
  rows.rows = view.shape[0];
  rows.width = view.shape[1];
  rows.tokens = rows.rows * rows.width;
  return rows;
}

inline void check_same_shape(const char* op, const char* argument, const TensorView& view,
                             const TensorView& like, const char* like_name,
                             std::initializer_list<DType> dtypes) {
  check(view.rank == like.rank && std::equal(view.shape, view.shape + view.rank, like.shape), op,
        argument, " must have shape ", shape_of(like), " to match ", like_name, "; got ",
        shape_of(view));
  check_view(op, argument, view, like.rank, dtypes);
}

inline int64_t row_stride(const TensorView& view) {
  return view.rank == 2 ? view.stride[0] : 0;
}

template <class T>
TokenArray<T> token_array(const TensorView& view) {
  return {pointer<T>(view), row_stride(view)};
}

inline TokenMask check_mask(const char* op, const char* argument,
                            const std::optional<TensorView>& mask, const TensorView& like,
                            const char* like_name) {
  if (!mask.has_value()) return {};
  check_same_shape(op, argument, *mask, like, like_name,
                   {DType::kBool, DType::kInt64, DType::kFloat32, DType::kFloat64});
  return {mask->data, mask->dtype, row_stride(*mask)};
}

// A number for all rows, or one for each.
using NumberOrRows = std::variant<double, TensorView>;

inline RowNumbers check_row_numbers(const char* op, const char* argument, const NumberOrRows& given,
                                    int64_t rows, const char* item) {
  if (const double* number = std::get_if<double>(&given)) return {*number, nullptr};
  const TensorView& view = std::get<TensorView>(given);
  check_view(op, argument, view, 1, {DType::kFloat64});
  check(view.shape[0] == rows, op, argument, " must be a number, or have shape [", rows,
        "], one for each ", item, "; got ", shape_of(view));
  return {1.0, pointer<const double>(view)};
}

// The same, of numbers in [0, 1]. Those of a GPU are checked there.
inline RowNumbers check_shares(const char* op, const char* argument, const NumberOrRows& given,
                               int64_t rows) {
  const RowNumbers shares = check_row_numbers(op, argument, given, rows, "row");
  const auto lies_within = [&](double share, const std::string& which) {
    check(share >= 0.0 && share <= 1.0, op, argument, which, " must lie in [0, 1]; got ", share);
  };
  if (shares.each == nullptr) lies_within(shares.value, "");
  if constexpr (backend::kOnHost) {
    for (int64_t row = 0; shares.each != nullptr && row < rows; ++row) {
      lies_within(shares.each[row], message("[", row, "]"));
    }
  }
  return shares;
}

using Optional = std::optional<TensorView>;

// Calls body(T{}) with the type of the numbers.
template <class Body>
void with_type_of(const TensorView& view, Body body) {
  view.dtype == DType::kFloat32 ? body(float{}) : body(double{});
}

// What is written has the shape and the type of `like`.
inline void check_output(const char* op, const TensorView& out, const TensorView& like,
                         const char* like_name, std::initializer_list<const TensorView*> inputs) {
  check_same_shape(op, "out", out, like, like_name, {like.dtype});
  check_apart(op, out, inputs);
}

inline const TensorView* address(const Optional& view) {
  return view.has_value() ? &*view : nullptr;
}

}  // namespace stepscore
