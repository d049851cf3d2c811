#include "backend.h"
#include "bindings.h"
#include "stepscore/group_advantage.h"
#include "token_rows.h"

namespace stepscore {
namespace {

constexpr const char* kBaselines[] = {"mean", "leave_one_out", "none"};
constexpr const char* kSpreads[] = {"std", "leave_one_out", "batch", "batch_centred", "none"};
constexpr const char* kSingletons[] = {"zero", "reward", "nan", "error"};
constexpr const char* kNanRewards[] = {"error", "propagate", "drop"};

// `differences`: float64 [n], for scales of the whole batch.
void bound_group_advantage(const TensorView& rewards, const TensorView& groups,
                           const std::string& baseline, const std::string& scale, int64_t ddof,
                           double eps, const std::string& singleton,
                           std::optional<int64_t> group_size, const std::string& nan,
                           const Optional& differences, const TensorView& out, const Queue& queue) {
  constexpr const char* kOp = "group_advantage";
  check_view(kOp, "rewards", rewards, 1, {DType::kFloat32, DType::kFloat64});
  check_same_shape(kOp, "groups", groups, rewards, "rewards", {DType::kInt64});
  GroupOptions options;
  options.baseline = named<Baseline>(kOp, "baseline", baseline, kBaselines);
  options.spread = named<Spread>(kOp, "scale", scale, kSpreads);
  options.singleton = named<Singleton>(kOp, "singleton", singleton, kSingletons);
  options.nan = named<NanRewards>(kOp, "nan", nan, kNanRewards);
  check(ddof == 0 || ddof == 1, kOp, "ddof", " must be 0 or 1; got ", ddof);
  check(eps >= 0.0 && eps < kInfinity, kOp, "eps", " must be finite and at least 0; got ", eps);
  check(group_size.value_or(1) >= 1, kOp, "group_size", " must be at least 1; got ",
        group_size.value_or(1));
  options.ddof = ddof;
  options.eps = eps;
  options.group_size = group_size.value_or(0);
  check_output(kOp, out, rewards, "rewards", {&rewards, &groups});
  if (is_batch(options.spread)) {
    check(differences.has_value(), kOp, About{"scale"}, "a scale of the batch needs differences");
    check_same_shape(kOp, "differences", *differences, rewards, "rewards", {DType::kFloat64});
  }
  double* memory = differences.has_value() ? pointer<double>(*differences) : nullptr;
  // Only raw pointers below; the arrays belong to the caller's frame, which outlives the scope.
  py::gil_scoped_release unlocked;
  with_type_of(rewards, [&](auto number) {
    using T = decltype(number);
    backend::group_advantage(pointer<const T>(rewards), pointer<const int64_t>(groups),
                             rewards.shape[0], options, memory, pointer<T>(out), queue);
  });
}

}  // namespace

void bind_group_advantage(py::module_& module) {
  if constexpr (backend::kOnHost) {
    module.attr("BASELINES") = as_tuple(kBaselines);
    module.attr("SCALES") = as_tuple(kSpreads);
    module.attr("SINGLETONS") = as_tuple(kSingletons);
  }
  module.def("group_advantage", bound_group_advantage, py::arg("rewards"), py::arg("groups"),
             py::arg("baseline"), py::arg("scale"), py::arg("ddof"), py::arg("eps"),
             py::arg("singleton"), py::arg("group_size").none(true), py::arg("nan"),
             py::arg("differences").none(true), py::arg("out"), py::arg("queue"));
}

}  // namespace stepscore
