#include "bindings.h"
#include "stepscore/gated_activation.h"

namespace stepscore {
namespace {

constexpr const char* kActivations[] = {"silu", "gelu", "gelu_tanh"};

void check_matrix(const char* argument, const TensorView& view) {
  check_view("gated_activation", argument, view, 2, {DType::kFloat32});
}

void bound_gated_activation(const TensorView& gate, const std::optional<TensorView>& up,
                            const std::string& activation, const TensorView& out) {
  check_matrix("gate", gate);
  check_matrix("out", out);
  const auto same_shape = [&](const char* argument, const TensorView& view) {
    check(view.shape[0] == gate.shape[0] && view.shape[1] == gate.shape[1], "gated_activation",
          argument, " must have shape ", shape_of(gate), " to match gate; got ", shape_of(view));
  };
  MatrixView factor{};
  if (up.has_value()) {
    check_matrix("up", *up);
    same_shape("up", *up);
    factor = as_matrix(*up);
  }
  same_shape("out", out);
  check_contiguous_rows("gated_activation", "out", out);
  check_apart("gated_activation", out, {&gate, up.has_value() ? &*up : nullptr});
  const GateActivation kind =
      named<GateActivation>("gated_activation", "activation", activation, kActivations);
  // Only raw pointers below; the arrays belong to the caller's frame, which outlives the scope.
  py::gil_scoped_release unlocked;
  gated_activation(as_matrix(gate), factor, kind, pointer<float>(out));
}

}  // namespace

void bind_gated_activation(py::module_& module) {
  module.attr("GATE_ACTIVATIONS") = as_tuple(kActivations);
  module.def("gated_activation", bound_gated_activation, py::arg("gate"), py::arg("up").none(true),
             py::arg("activation"), py::arg("out"));
}

}  // namespace stepscore
