#include "backend.h"
#include "bindings.h"
#include "stepscore/step_boundary.h"

namespace stepscore {
namespace {

struct Request {
  const TensorView& token_ids;
  const int64_t* offsets;
  int64_t sequences;
  Separator separator;
  BoundaryOptions options;
};

Request checked(const TensorView& token_ids, const TensorView& offsets,
                const std::vector<int64_t>& separator, int64_t shift, bool collapse,
                const std::optional<TensorView>& window, const TensorView& step_offsets) {
  check_view("find_steps", "token_ids", token_ids, 1, {DType::kInt32, DType::kInt64});
  const int64_t sequences = check_offsets("find_steps", offsets, "token_ids", token_ids.shape[0]);
  check(!separator.empty(), "find_steps", "separator",
        " must hold at least one token id; got none");
  constexpr int64_t kFar = int64_t{1} << 62;  // beyond it a position plus the shift could overflow
  check(shift >= -kFar && shift <= kFar, "find_steps", "shift", " must lie in [-2^62, 2^62]; got ",
        shift);
  BoundaryOptions options{shift, collapse, nullptr};
  if (window.has_value()) {
    check_view("find_steps", "window", *window, 2, {DType::kInt64});
    check(window->shape[0] == sequences && window->shape[1] == 2, "find_steps", "window",
          " must have shape [", sequences, ", 2], a begin and an end per sequence; got ",
          shape_of(*window));
    check_contiguous_rows("find_steps", "window", *window);
    options.window = pointer<const int64_t>(*window);
  }
  check_view("find_steps", "step_offsets", step_offsets, 1, {DType::kInt64});
  check(step_offsets.shape[0] == sequences + 1, "find_steps", "step_offsets", " must have shape [",
        sequences + 1, "]; got ", shape_of(step_offsets));
  return {token_ids,
          pointer<const int64_t>(offsets),
          sequences,
          {separator.data(), static_cast<int64_t>(separator.size())},
          options};
}

// Fills step_offsets; its last entry is the number of positions.
void bound_count_steps(const TensorView& token_ids, const TensorView& offsets,
                       const std::vector<int64_t>& separator, int64_t shift, bool collapse,
                       const std::optional<TensorView>& window, const TensorView& step_offsets,
                       const Queue& queue) {
  const Request request =
      checked(token_ids, offsets, separator, shift, collapse, window, step_offsets);
  int64_t* counts = pointer<int64_t>(step_offsets);
  // Only raw pointers below; the arrays belong to the caller's frame, which outlives the scope.
  py::gil_scoped_release unlocked;
  if (token_ids.dtype == DType::kInt32) {
    backend::count_steps(pointer<const int32_t>(token_ids), token_ids.shape[0], request.offsets,
                         request.sequences, request.separator, request.options, counts, queue);
  } else {
    backend::count_steps(pointer<const int64_t>(token_ids), token_ids.shape[0], request.offsets,
                         request.sequences, request.separator, request.options, counts, queue);
  }
}

void bound_find_steps(const TensorView& token_ids, const TensorView& offsets,
                      const std::vector<int64_t>& separator, int64_t shift, bool collapse,
                      const std::optional<TensorView>& window, const TensorView& step_offsets,
                      const TensorView& positions, const Queue& queue) {
  const Request request =
      checked(token_ids, offsets, separator, shift, collapse, window, step_offsets);
  const int64_t* counts = pointer<const int64_t>(step_offsets);
  check_view("find_steps", "positions", positions, 1, {DType::kInt64});
  const int64_t capacity = positions.shape[0];
  if constexpr (backend::kOnHost) {
    check(capacity == counts[request.sequences], "find_steps", "positions", " must have shape [",
          counts[request.sequences], "]; got ", shape_of(positions));
  }
  int64_t* out = pointer<int64_t>(positions);
  // Only raw pointers below; the arrays belong to the caller's frame, which outlives the scope.
  py::gil_scoped_release unlocked;
  if (token_ids.dtype == DType::kInt32) {
    backend::find_steps(pointer<const int32_t>(token_ids), token_ids.shape[0], request.offsets,
                        request.sequences, request.separator, request.options, counts, out,
                        capacity, queue);
  } else {
    backend::find_steps(pointer<const int64_t>(token_ids), token_ids.shape[0], request.offsets,
                        request.sequences, request.separator, request.options, counts, out,
                        capacity, queue);
  }
}

}  // namespace

void bind_step_boundary(py::module_& module) {
  module.def("count_steps", bound_count_steps, py::arg("token_ids"), py::arg("offsets"),
             py::arg("separator"), py::arg("shift"), py::arg("collapse"),
             py::arg("window").none(true), py::arg("step_offsets"), py::arg("queue"));
  module.def("find_steps", bound_find_steps, py::arg("token_ids"), py::arg("offsets"),
             py::arg("separator"), py::arg("shift"), py::arg("collapse"),
             py::arg("window").none(true), py::arg("step_offsets"), py::arg("positions"),
             py::arg("queue"));
}

}  // namespace stepscore
