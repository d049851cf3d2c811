#include "bindings.h"

#include <pybind11/numpy.h>

#include <algorithm>
#include <vector>

#include "backend.h"

namespace stepscore {
namespace {

DType dtype_of(const std::string& name) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16, DType::kFloat64,
                            DType::kInt32, DType::kInt64, DType::kBool}) {
    if (name == name_of(dtype)) return dtype;
  }
  throw py::type_error(message("unsupported dtype ", name));
}

DType dtype_of(const py::dtype& dtype) {
  const char kind = dtype.kind();
  const auto size = dtype.itemsize();
  if (kind == 'f' && size == 4) return DType::kFloat32;
  if (kind == 'f' && size == 8) return DType::kFloat64;
  if (kind == 'f' && size == 2) return DType::kFloat16;
  if (kind == 'i' && size == 8) return DType::kInt64;
  if (kind == 'i' && size == 4) return DType::kInt32;
  if (kind == 'b') return DType::kBool;
  return dtype_of(py::str(dtype.attr("name")).cast<std::string>());  // bfloat16 of ml_dtypes
}

py::object core_attribute(const char* name) {
  return py::module_::import("stepscore._core").attr(name);
}

TensorView view_of(const py::array& array) {
  TensorView view;
  view.dtype = dtype_of(array.dtype());
  check_rank("TensorView", "array", array.ndim());
  view.data = const_cast<void*>(array.data());
  view.rank = static_cast<int>(array.ndim());
  for (int d = 0; d < view.rank; ++d) {
    check(array.strides(d) % array.itemsize() == 0, "TensorView", About{"array"},
          "strides must be multiples of the ", array.itemsize(),
          " bytes of an item; pass a contiguous copy");
    view.shape[d] = array.shape(d);
    view.stride[d] = array.strides(d) / array.itemsize();
  }
  return view;
}

// The bytes from the first to behind the last that a view reaches; none where it has no items.
std::pair<uintptr_t, uintptr_t> extent_of(const TensorView& view) {
  const int64_t item = item_size(view.dtype);
  int64_t low = 0, high = item;
  for (int d = 0; d < view.rank; ++d) {
    if (view.shape[d] == 0) return {0, 0};
    const int64_t reach = (view.shape[d] - 1) * view.stride[d] * item;
    (reach < 0 ? low : high) += reach;
  }
  const auto data = reinterpret_cast<uintptr_t>(view.data);
  return {data + static_cast<uintptr_t>(low), data + static_cast<uintptr_t>(high)};
}

}  // namespace

void bind_tensor_view(py::module_& module) {
  py::class_<TensorView>(module, "TensorView")
      .def(py::init([](uintptr_t data, const std::string& dtype, const py::tuple& shape,
                       const py::tuple& stride) {
             check_rank("TensorView", "shape", static_cast<int64_t>(shape.size()));
             check(shape.size() == stride.size(), "TensorView", "stride",
                   " must have an entry for each of ", shape.size(), " dimensions; got ",
                   stride.size());
             TensorView view;
             view.data = reinterpret_cast<void*>(data);
             view.dtype = dtype_of(dtype);
             view.rank = static_cast<int>(shape.size());
             for (int d = 0; d < view.rank; ++d) {
               view.shape[d] = py::cast<int64_t>(shape[static_cast<size_t>(d)]);
               view.stride[d] = py::cast<int64_t>(stride[static_cast<size_t>(d)]);
             }
             return view;
           }),
           py::arg("data"), py::arg("dtype"), py::arg("shape"), py::arg("stride"))
      .def_static("of_numpy", view_of, py::arg("array").noconvert())
      .def_property_readonly("dtype", [](const TensorView& view) { return name_of(view.dtype); })
      .def_property_readonly("shape", [](const TensorView& view) {
        return py::tuple(py::cast(std::vector<int64_t>(view.shape, view.shape + view.rank)));
      });
}

void bind_queue(py::module_& module) {
  py::class_<Queue>(module, "Queue")
      .def(py::init([](uintptr_t stream, int device, bool checked) {
             return Queue{stream, device, checked};
           }),
           py::arg("stream") = 0, py::arg("device") = -1, py::arg("checked") = false);
}

void make_exceptions(py::module_& module) {
  const py::exception<InvalidArgument> invalid(module, "InvalidArgument", PyExc_ValueError);
  invalid.attr("op") = "";
  invalid.attr("argument") = py::none();
  const py::exception<DeviceError> device(module, "DeviceError", PyExc_RuntimeError);
  device.attr("__module__") = "stepscore";
}

void translate_exceptions() {
  py::register_local_exception_translator([](std::exception_ptr thrown) {
    try {
      if (thrown) std::rethrow_exception(thrown);
    } catch (const InvalidArgument& invalid) {
      const py::object kind = core_attribute("InvalidArgument");
      // The fields stand in the instance's __dict__, where pickle finds them.
      const py::object error = kind(invalid.what());
      error.attr("op") = invalid.op;
      if (!invalid.argument.empty()) error.attr("argument") = invalid.argument;
      PyErr_SetObject(kind.ptr(), error.ptr());
    } catch (const DeviceError& failure) {
      py::set_error(core_attribute("DeviceError"), failure.what());
    }
  });
}

std::string shape_of(const TensorView& view) {
  std::string text = "[";
  for (int d = 0; d < view.rank; ++d) {
    text += d == 0 ? "" : ", ";
    text += std::to_string(view.shape[d]);
  }
  return text + "]";
}

void check_rank(const char* op, const char* argument, int64_t rank) {
  check(rank >= 0 && rank <= kMaxRank, op, About{argument}, "at most ", kMaxRank,
        " dimensions; got ", rank);
}

void check_view(const char* op, const char* argument, const TensorView& view, int rank,
                std::initializer_list<DType> dtypes) {
  check(view.rank == rank, op, argument, " must have ", rank, " dimension", rank == 1 ? "" : "s",
        "; got shape ", shape_of(view));
  if (std::find(dtypes.begin(), dtypes.end(), view.dtype) == dtypes.end()) {
    std::string expected;
    for (const DType dtype : dtypes) {
      expected += (expected.empty() ? "" : " or ") + std::string(name_of(dtype));
    }
    throw py::type_error(
        message(op, ": ", argument, " must be ", expected, "; got ", name_of(view.dtype)));
  }
  const int last = rank - 1;
  // The strides of an array without items mean nothing (NumPy gives zeros).
  if (std::any_of(view.shape, view.shape + rank, [](int64_t size) { return size == 0; })) return;
  check(view.shape[last] <= 1 || view.stride[last] == 1, op, argument,
        " must be contiguous in its last dimension (stride 1, got ", view.stride[last],
        "); pass a contiguous copy of it");
}

void check_apart(const char* op, const TensorView& out,
                 std::initializer_list<const TensorView*> inputs) {
  const auto [begin, end] = extent_of(out);
  for (const TensorView* input : inputs) {
    if (input == nullptr) continue;
    const auto [first, last] = extent_of(*input);
    check(end <= first || last <= begin || begin == end || first == last, op, "out",
          " must share no memory with the inputs, which are read while it is written; pass an "
          "array of its own");
  }
}

void check_contiguous_rows(const char* op, const char* argument, const TensorView& view) {
  check(view.shape[0] <= 1 || view.shape[1] == 0 || view.stride[0] == view.shape[1], op, argument,
        " must be contiguous; pass a contiguous copy of it");
}

int64_t check_offsets(const char* op, const TensorView& offsets, const char* what, int64_t total,
                      const char* argument) {
  check_view(op, argument, offsets, 1, {DType::kInt64});
  const int64_t size = offsets.shape[0];
  check(size >= 1, op, argument, " must hold at least the leading 0; got none");
  if constexpr (!backend::kOnHost) return size - 1;
  const int64_t* offset = pointer<const int64_t>(offsets);
  check(offset[0] == 0, op, argument, " must begin at 0; got ", offset[0]);
  for (int64_t s = 1; s < size; ++s) {
    check(offset[s] >= offset[s - 1], op, argument, " must not decrease; ", argument, "[", s,
          "] is ", offset[s], " after ", offset[s - 1]);
  }
  check(offset[size - 1] == total, op, argument, " must end at ", total, " (the number of ", what,
        "); got ", offset[size - 1]);
  return size - 1;
}

MatrixView as_matrix(const TensorView& view) {
  return {view.data, view.dtype, view.shape[0], view.shape[1], view.stride[0]};
}

}  // namespace stepscore
