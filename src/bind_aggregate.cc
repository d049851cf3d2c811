#include "backend.h"
#include "bindings.h"
#include "stepscore/aggregate.h"

namespace stepscore {
namespace {

constexpr const char* kAggregations[] = {"min",        "max",       "mean",   "sum",
                                         "prod",       "last",      "first",  "geometric_mean",
                                         "logit_mean", "odds_mean", "softmin"};

// empty: None raises at an empty segment, a number is what it gets.
void bound_aggregate(const TensorView& values, const TensorView& offsets,
                     const std::vector<std::string>& how, std::optional<double> empty,
                     bool propagate_nan, double clip, double temperature, const TensorView& out,
                     const Queue& queue) {
  check_view("aggregate", "values", values, 1, {DType::kFloat32, DType::kFloat64});
  const int64_t n = values.shape[0];
  const int64_t segments = check_offsets("aggregate", offsets, "values", n);
  check(!how.empty(), "aggregate", "how", " must name at least one aggregation; got an empty list");
  std::vector<Reduction> reductions;
  for (const std::string& name : how) {
    reductions.push_back(named<Reduction>("aggregate", "how", name, kAggregations, "aggregation"));
  }
  const int64_t count = static_cast<int64_t>(reductions.size());
  // One aggregation may be written as [segments].
  check_view("aggregate", "out", out, out.rank == 1 && count == 1 ? 1 : 2, {values.dtype});
  const int64_t width = out.rank == 1 ? 1 : out.shape[1];
  check(out.shape[0] == segments && width == count, "aggregate", "out", " must have shape [",
        segments, ", ", count, "]; got ", shape_of(out));
  if (out.rank == 2) check_contiguous_rows("aggregate", "out", out);
  check_apart("aggregate", out, {&values, &offsets});
  AggregateOptions options;
  options.empty = empty.has_value() ? EmptyPolicy::kValue : EmptyPolicy::kError;
  options.empty_value = empty.value_or(kNaN);
  options.propagate_nan = propagate_nan;
  options.clip = clip;
  options.temperature = temperature;
  // Only raw pointers below; the arrays belong to the caller's frame, which outlives the scope.
  py::gil_scoped_release unlocked;
  if (values.dtype == DType::kFloat32) {
    backend::aggregate(pointer<const float>(values), n, pointer<const int64_t>(offsets), segments,
                       reductions.data(), count, options, pointer<float>(out), queue);
  } else {
    backend::aggregate(pointer<const double>(values), n, pointer<const int64_t>(offsets), segments,
                       reductions.data(), count, options, pointer<double>(out), queue);
  }
}

}  // namespace

void bind_aggregate(py::module_& module) {
  if constexpr (backend::kOnHost) {
    module.attr("AGGREGATIONS") = as_tuple(kAggregations);
    module.attr("SOFTMIN_TEMPERATURE") = AggregateOptions{}.temperature;
  }
  module.def("aggregate", bound_aggregate, py::arg("values"), py::arg("offsets"), py::arg("how"),
             py::arg("empty").none(true), py::arg("propagate_nan"), py::arg("clip"),
             py::arg("temperature"), py::arg("out"), py::arg("queue"));
}

}  // namespace stepscore
