#include "backend.h"
#include "bindings.h"
#include "stepscore/value_head.h"

namespace stepscore {
namespace {

constexpr const char* kActivations[] = {"identity", "sigmoid", "softmax", "difference", "tanh"};
constexpr const char* kInner[] = {"relu", "tanh", "silu"};

Layer layer_of(const char* op, const TensorView& weight, const std::optional<TensorView>& bias,
               int64_t width, const char* source) {
  check_view(op, "weight", weight, 2, kFloats);
  check(weight.shape[1] == width && weight.shape[0] >= 1, op, "weight", " must have shape [k, ",
        width, "] to match ", source, "; got ", shape_of(weight));
  if (!bias.has_value()) return {as_matrix(weight), nullptr};
  check_view(op, "bias", *bias, 1, {DType::kFloat32});
  check(bias->shape[0] == weight.shape[0], op, "bias", " must have shape [", weight.shape[0],
        "] to match weight; got ", shape_of(*bias));
  return {as_matrix(weight), pointer<const float>(*bias)};
}

Rows rows_of(const char* op, const TensorView& hidden, const std::optional<TensorView>& positions) {
  check_view(op, "hidden", hidden, 2, kFloats);
  if (!positions.has_value()) return {as_matrix(hidden), nullptr, hidden.shape[0]};
  check_view(op, "positions", *positions, 1, {DType::kInt64});
  return {as_matrix(hidden), pointer<const int64_t>(*positions), positions->shape[0]};
}

void check_out(const char* op, const TensorView& out, int64_t rows, int64_t width) {
  check_view(op, "out", out, 2, {DType::kFloat32});
  check(out.shape[0] == rows && out.shape[1] == width, op, "out", " must have shape [", rows, ", ",
        width, "]; got ", shape_of(out));
  check_contiguous_rows(op, "out", out);
}

const TensorView* given(const std::optional<TensorView>& view) {
  return view.has_value() ? &*view : nullptr;
}

Activation activation_of(const char* op, const std::string& name, int64_t outputs) {
  const Activation activation = named<Activation>(op, "activation", name, kActivations);
  check(activation != Activation::kDifference || outputs == 2, op, "activation",
        " 'difference' is p[1] - p[0] and needs 2 outputs; weight gives ", outputs);
  return activation;
}

void bound_value_head(const TensorView& hidden, const TensorView& weight,
                      const std::optional<TensorView>& bias,
                      const std::optional<TensorView>& positions, const std::string& activation,
                      const TensorView& out, const Queue& queue) {
  const Rows rows = rows_of("value_head", hidden, positions);
  const Layer layer = layer_of("value_head", weight, bias, hidden.shape[1], "hidden");
  const Activation kind = activation_of("value_head", activation, layer.weight.rows);
  check_out("value_head", out, rows.count, activated_width(kind, layer.weight.rows));
  check_apart("value_head", out, {&hidden, &weight, given(bias), given(positions)});
  // Only raw pointers below; the arrays belong to the caller's frame, which outlives the scope.
  py::gil_scoped_release unlocked;
  backend::value_head(rows, layer, kind, pointer<float>(out), queue);
}

void bound_mlp_head(const TensorView& hidden,
                    const std::vector<std::pair<TensorView, std::optional<TensorView>>>& layers,
                    const std::optional<TensorView>& positions, const std::string& inner,
                    const std::string& activation, const TensorView& out, const Queue& queue) {
  check(!layers.empty(), "mlp_head", "layers", " must hold at least one (weight, bias) pair");
  const Rows rows = rows_of("mlp_head", hidden, positions);
  std::vector<Layer> checked;
  int64_t width = hidden.shape[1];
  for (const auto& [weight, bias] : layers) {
    checked.push_back(layer_of("mlp_head", weight, bias, width,
                               checked.empty() ? "hidden" : "the layer before it"));
    width = weight.shape[0];
  }
  const Activation kind = activation_of("mlp_head", activation, width);
  const Inner between = named<Inner>("mlp_head", "inner", inner, kInner);
  check_out("mlp_head", out, rows.count, activated_width(kind, width));
  check_apart("mlp_head", out, {&hidden, given(positions)});
  for (const auto& [weight, bias] : layers) check_apart("mlp_head", out, {&weight, given(bias)});
  // Only raw pointers below; the arrays belong to the caller's frame, which outlives the scope.
  py::gil_scoped_release unlocked;
  backend::mlp_head(rows, checked.data(), static_cast<int64_t>(checked.size()), between, kind,
                    pointer<float>(out), queue);
}

}  // namespace

void bind_value_head(py::module_& module) {
  if constexpr (backend::kOnHost) {
    module.attr("ACTIVATIONS") = as_tuple(kActivations);
    module.attr("INNER_ACTIVATIONS") = as_tuple(kInner);
  }
  module.def("value_head", bound_value_head, py::arg("hidden"), py::arg("weight"),
             py::arg("bias").none(true), py::arg("positions").none(true), py::arg("activation"),
             py::arg("out"), py::arg("queue"));
  module.def("mlp_head", bound_mlp_head, py::arg("hidden"), py::arg("layers"),
             py::arg("positions").none(true), py::arg("inner"), py::arg("activation"),
             py::arg("out"), py::arg("queue"));
}

}  // namespace stepscore
