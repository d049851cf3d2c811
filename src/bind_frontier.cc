#include <pybind11/numpy.h>

#include "bindings.h"
#include "stepscore/frontier.h"

namespace stepscore {
namespace {

using Ids = py::array_t<int64_t>;

constexpr const char* kArithmetics[] = {"float32", "float64", "exact"};
constexpr const char* kResamplings[] = {"multinomial", "stratified", "systematic", "residual"};
constexpr const char* kTemperings[] = {"ess", "entropy", "base", "linear"};

Level checked_level(const char* op, const char* argument, const TensorView& values,
                    const TensorView& offsets) {
  check_view(op, argument, values, 1, {DType::kFloat64});
  const int64_t problems = check_offsets(op, offsets, argument, values.shape[0]);
  return {pointer<const double>(values), pointer<const int64_t>(offsets), problems};
}

const int64_t* per_problem(const char* op, const char* argument, const TensorView& view,
                           int64_t problems) {
  check_view(op, argument, view, 1, {DType::kInt64});
  check(view.shape[0] == problems, op, argument, " must be a number or have shape [", problems,
        "]; got ", shape_of(view));
  return pointer<const int64_t>(view);
}

// 0, counts[0], counts[0] + counts[1], ...
Ids running_sums(const char* op, const char* argument, const int64_t* counts, int64_t problems) {
  Ids sums(problems + 1);
  int64_t* out = sums.mutable_data();
  out[0] = 0;
  for (int64_t p = 0; p < problems; ++p) {
    check(counts[p] >= 0, op, argument, "[", p, "] must be 0 or more; got ", counts[p]);
    out[p + 1] = out[p] + counts[p];
  }
  return sums;
}

Ids copied(const std::vector<int64_t>& values) {
  return Ids(static_cast<py::ssize_t>(values.size()), values.data());
}

std::pair<Ids, Ids> bound_top_k(const TensorView& scores, const TensorView& offsets,
                                const TensorView& k) {
  const Level level = checked_level("top_k", "scores", scores, offsets);
  const int64_t* most = per_problem("top_k", "k", k, level.problems);
  Ids out_offsets(level.problems + 1);
  int64_t* out = out_offsets.mutable_data();
  std::vector<int64_t> indices;
  {
    // Only raw pointers below; the arrays belong to the caller's frame, which outlives the scope.
    py::gil_scoped_release unlocked;
    indices = top_k(level, most, out);
  }
  return {copied(indices), out_offsets};
}

std::pair<Ids, Ids> bound_replicate(const TensorView& offsets, const TensorView& counts) {
  const int64_t total = offsets.rank == 1 && offsets.dtype == DType::kInt64 && offsets.shape[0] > 0
                            ? pointer<const int64_t>(offsets)[offsets.shape[0] - 1]
                            : 0;
  const int64_t problems = check_offsets("replicate", offsets, "items", total);
  const int64_t* begin = pointer<const int64_t>(offsets);
  const int64_t* wanted = per_problem("replicate", "counts", counts, problems);
  std::vector<int64_t> there(wanted, wanted + problems);
  for (int64_t p = 0; p < problems; ++p) {
    if (begin[p] == begin[p + 1]) there[p] = 0;
  }
  const Ids out_offsets = running_sums("replicate", "counts", there.data(), problems);
  Ids indices(out_offsets.at(problems));
  replicate(begin, problems, out_offsets.data(), indices.mutable_data());
  return {indices, out_offsets};
}

void bound_rebase_allotment(const TensorView& scores, const TensorView& offsets,
                            const TensorView& width, double temperature,
                            const std::string& arithmetic, const TensorView& counts) {
  const char* op = "rebase_allotment";
  const Level level = checked_level(op, "scores", scores, offsets);
  const int64_t* widths = per_problem(op, "width", width, level.problems);
  check_view(op, "counts", counts, 1, {DType::kInt64});
  check(counts.shape[0] == scores.shape[0], op, "counts", " must have shape [", scores.shape[0],
        "]; got ", shape_of(counts));
  const Arithmetic kind = named<Arithmetic>(op, "arith", arithmetic, kArithmetics);
  // Only raw pointers below; the arrays belong to the caller's frame, which outlives the scope.
  py::gil_scoped_release unlocked;
  rebase_allotment(level, widths, temperature, kind, pointer<int64_t>(counts));
}

std::pair<Ids, Ids> bound_resample(const TensorView& weights, const TensorView& offsets,
                                   const TensorView& counts, const std::string& method,
                                   uint64_t seed, const std::optional<TensorView>& keys,
                                   int64_t draw) {
  const char* op = "resample";
  const Level level = checked_level(op, "weights", weights, offsets);
  const int64_t* wanted = per_problem(op, "n", counts, level.problems);
  check(draw >= 0 && draw < int64_t{1} << 32, op, "draw", " must be 0 or more and below 2^32; got ",
        draw);
  const RandomSource random{
      seed, keys.has_value() ? per_problem(op, "keys", *keys, level.problems) : nullptr,
      static_cast<uint32_t>(draw)};
  const Resampling kind = named<Resampling>(op, "method", method, kResamplings);
  const Ids out_offsets = running_sums(op, "n", wanted, level.problems);
  Ids indices(out_offsets.at(level.problems));
  const int64_t* begin = out_offsets.data();
  int64_t* out = indices.mutable_data();
  {
    // Only raw pointers below; the arrays belong to the caller's frame, which outlives the scope.
    py::gil_scoped_release unlocked;
    resample(level, wanted, kind, random, begin, out);
  }
  return {indices, out_offsets};
}

void bound_effective_sample_size(const TensorView& weights, const TensorView& offsets,
                                 const TensorView& out) {
  const char* op = "effective_sample_size";
  const Level level = checked_level(op, "weights", weights, offsets);
  check_view(op, "out", out, 1, {DType::kFloat64});
  check(out.shape[0] == level.problems, op, "out", " must have shape [", level.problems, "]");
  effective_sample_size(level, pointer<double>(out));
}

void bound_tempering(const TensorView& weights, const TensorView& offsets, const std::string& how,
                     double progress, double threshold, double early, double start, double end,
                     const TensorView& out) {
  const char* op = "tempering";
  const Level level = checked_level(op, "weights", weights, offsets);
  check_view(op, "out", out, 1, {DType::kFloat64});
  check(out.shape[0] == level.problems, op, "out", " must have shape [", level.problems, "]");
  const Tempering kind = named<Tempering>(op, "how", how, kTemperings);
  tempering(level, {kind, progress, threshold, early, start, end}, pointer<double>(out));
}

std::pair<Ids, Ids> bound_drop_duplicates(const std::vector<py::bytes>& texts,
                                          const TensorView& offsets) {
  const int64_t problems =
      check_offsets("drop_duplicates", offsets, "texts", static_cast<int64_t>(texts.size()));
  std::vector<std::string_view> views;
  for (const py::bytes& text : texts) views.emplace_back(text);
  Ids out_offsets(problems + 1);
  const std::vector<int64_t> kept = drop_duplicates(views.data(), pointer<const int64_t>(offsets),
                                                    problems, out_offsets.mutable_data());
  return {copied(kept), out_offsets};
}

}  // namespace

void bind_frontier(py::module_& module) {
  module.def("top_k", bound_top_k, py::arg("scores"), py::arg("offsets"), py::arg("k"));
  module.def("replicate", bound_replicate, py::arg("offsets"), py::arg("counts"));
  module.def("rebase_allotment", bound_rebase_allotment, py::arg("scores"), py::arg("offsets"),
             py::arg("width"), py::arg("temperature"), py::arg("arithmetic"), py::arg("counts"));
  module.def("resample", bound_resample, py::arg("weights"), py::arg("offsets"), py::arg("counts"),
             py::arg("method"), py::arg("seed"), py::arg("keys").none(true), py::arg("draw"));
  module.def("effective_sample_size", bound_effective_sample_size, py::arg("weights"),
             py::arg("offsets"), py::arg("out"));
  module.def("tempering", bound_tempering, py::arg("weights"), py::arg("offsets"), py::arg("how"),
             py::arg("progress"), py::arg("threshold"), py::arg("early"), py::arg("start"),
             py::arg("end"), py::arg("out"));
  module.def("drop_duplicates", bound_drop_duplicates, py::arg("texts"), py::arg("offsets"));
}

}  // namespace stepscore
