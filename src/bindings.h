// What every bind_<op>.cc shares: how an array arrives from Python and how its shape is checked.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "queue.h"
#include "stepscore/check.h"
#include "stepscore/tensor_view.h"

namespace stepscore {

namespace py = pybind11;

// One line per op in the module files.
void bind_aggregate(py::module_& module);
void bind_answer_key(py::module_& module);
void bind_frontier(py::module_& module);
void bind_gated_activation(py::module_& module);
void bind_group_advantage(py::module_& module);
void bind_path_attention(py::module_& module);
void bind_prefix_trie(py::module_& module);
void bind_record_scan(py::module_& module);
void bind_result_lines(py::module_& module);
void bind_returns(py::module_& module);
void bind_reward_shaping(py::module_& module);
void bind_step_boundary(py::module_& module);
void bind_token_logprob(py::module_& module);
void bind_tree_search(py::module_& module);
void bind_value_head(py::module_& module);
void bind_vote(py::module_& module);

// stepscore._core.TensorView: a pointer with its shape. Python keeps the array alive meanwhile.
// stepscore._core.Queue: where a call runs. Both modules use these two classes.
void bind_tensor_view(py::module_& module);
void bind_queue(py::module_& module);

// Makes stepscore._core.InvalidArgument (a ValueError with `op` and `argument`) and
// stepscore.DeviceError.
void make_exceptions(py::module_& module);

// The exceptions of the core become those of stepscore._core, in the module that calls this.
void translate_exceptions();

std::string shape_of(const TensorView& view);

// What hidden states and weights may be.
inline constexpr auto kFloats = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};

// `rank` dimensions (ValueError), one of the dtypes (TypeError), contiguous in the last dimension.
void check_view(const char* op, const char* argument, const TensorView& view, int rank,
                std::initializer_list<DType> dtypes);

// `out` shares no byte with any of the inputs: what is written would be read again. Null: no input.
void check_apart(const char* op, const TensorView& out,
                 std::initializer_list<const TensorView*> inputs);

// Rows follow each other without a gap.
void check_contiguous_rows(const char* op, const char* argument, const TensorView& view);

// Rank 1, int64, contiguous; where the contents can be looked at also offsets[0] == 0,
// non-decreasing, last == total. Returns the number of segments.
int64_t check_offsets(const char* op, const TensorView& offsets, const char* what, int64_t total,
                      const char* argument = "offsets");

MatrixView as_matrix(const TensorView& view);

// The names of an enumeration, in the order of its enumerators.
template <size_t kCount>
using Names = const char* const (&)[kCount];

// The enumerator of that name. `noun`: what the message calls it, where that is not the argument.
template <class Kind, size_t kCount>
Kind named(const char* op, const char* argument, const std::string& name, Names<kCount> names,
           const char* noun = nullptr) {
  std::string known;
  for (size_t i = 0; i < kCount; ++i) {
    if (name == names[i]) return static_cast<Kind>(i);
    known += i == 0 ? "" : ", ";
    known += names[i];
  }
  refuse(op, About{argument}, "unknown ", noun == nullptr ? argument : noun, " '", name,
         "'; choose from ", known);
}

// The names for Python, so that it holds no copy of them.
template <size_t kCount>
py::tuple as_tuple(Names<kCount> names) {
  py::tuple all(kCount);
  for (size_t i = 0; i < kCount; ++i) all[i] = names[i];
  return all;
}

// At most kMaxRank dimensions.
void check_rank(const char* op, const char* argument, int64_t rank);

template <class T>
T* pointer(const TensorView& view) {
  return static_cast<T*>(view.data);
}

}  // namespace stepscore
