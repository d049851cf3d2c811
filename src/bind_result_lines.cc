#include "stepscore/result_lines.h"

#include <algorithm>

#include "texts.h"

namespace stepscore {
namespace {

constexpr const char* kOp = "result_lines";

// Null for what is not there.
template <class T>
const T* optional_pointer(const char* argument, const std::optional<TensorView>& view, DType dtype,
                          std::initializer_list<int64_t> shape) {
  if (!view.has_value()) return nullptr;
  check_view(kOp, argument, *view, static_cast<int>(shape.size()), {dtype});
  check(std::equal(shape.begin(), shape.end(), view->shape), kOp, argument,
        " does not fit the other arguments; got shape ", shape_of(*view));
  int64_t values = 1;
  for (int axis = view->rank; axis-- > 0; values *= view->shape[axis]) {
    check(view->shape[axis] <= 1 || view->stride[axis] == values, kOp, argument,
          " must be contiguous; pass a contiguous copy of it");
  }
  return pointer<const T>(*view);
}

py::bytes bound_result_lines(
    const Lines& lines, const Strings& provenance, const std::string& result,
    const TensorView& offsets, const std::optional<TensorView>& step_scores,
    const std::optional<TensorView>& step_offsets, const TensorView& truncated,
    const TensorView& skipped, const Strings& columns, const std::optional<TensorView>& scores,
    const std::optional<TensorView>& ranks, const std::optional<Strings>& answers,
    const std::optional<TensorView>& classes, const TensorView& head_of, const Strings& heads,
    const Strings& rules, const std::optional<TensorView>& winner,
    const std::optional<TensorView>& score, const std::optional<TensorView>& tied,
    const std::optional<TensorView>& margin) {
  const auto records = static_cast<int64_t>(lines.size());
  const int64_t candidates = skipped.rank == 1 ? skipped.shape[0] : 0;
  check(check_offsets(kOp, offsets, "candidates", candidates) == records, kOp, "offsets",
        " must have shape [", records + 1, "]; got ", shape_of(offsets));
  const std::vector<std::string_view> line_views = views_of(kOp, lines, 0, records);
  const Texts provenances(kOp, provenance, "provenance");
  const Texts column_names(kOp, columns, "columns"), rule_names(kOp, rules, "rules");
  const Texts answer_texts(kOp, answers.value_or(Strings(py::tuple())), "answers");
  const Texts head_texts(kOp, heads, "heads");
  check(provenances.size() == records, kOp, "provenance", " must have ", records, " items; got ",
        provenances.size());
  check(!answers || answer_texts.size() == candidates, kOp, "answers", " must have ", candidates,
        " items; got ", answer_texts.size());
  check(answers.has_value() || !winner.has_value(), kOp, "answers", " must be there with winners");
  if (step_scores.has_value()) {
    check_view(kOp, "step_scores", *step_scores, 1, {DType::kFloat64});
    check(step_offsets.has_value(), kOp, "step_offsets", " must be there with step_scores");
    check_offsets(kOp, *step_offsets, "step_scores", step_scores->shape[0], "step_offsets");
    optional_pointer<int64_t>("step_offsets", step_offsets, DType::kInt64, {candidates + 1});
  }
  const int64_t width = column_names.size(), count = rule_names.size();
  const CandidateResults results{
      pointer<const int64_t>(offsets),
      step_scores.has_value() ? pointer<const double>(*step_scores) : nullptr,
      step_offsets.has_value() ? pointer<const int64_t>(*step_offsets) : nullptr,
      optional_pointer<int64_t>("truncated", truncated, DType::kInt64, {candidates}),
      optional_pointer<bool>("skipped", skipped, DType::kBool, {candidates}),
      optional_pointer<double>("scores", scores, DType::kFloat64, {candidates, width}),
      optional_pointer<int64_t>("ranks", ranks, DType::kInt64, {candidates}),
      answers.has_value() ? answer_texts.data() : nullptr,
      optional_pointer<int64_t>("classes", classes, DType::kInt64, {candidates}),
      head_texts.size(),
      optional_pointer<int64_t>("head_of", head_of, DType::kInt64, {head_texts.size()}),
      head_texts.data()};
  check(!answers || results.classes != nullptr, kOp, "classes", " must be there with answers");
  const VoteResults votes{
      optional_pointer<int64_t>("winner", winner, DType::kInt64, {records, count, width}),
      optional_pointer<double>("score", score, DType::kFloat64, {records, count, width}),
      optional_pointer<bool>("tied", tied, DType::kBool, {records, count, width}),
      optional_pointer<double>("margin", margin, DType::kFloat64, {records, count, width})};
  check(votes.winner == nullptr || (votes.score && votes.tied && votes.margin), kOp, "winner",
        " must come with score, tied and margin");
  for (int64_t i = 0; votes.winner != nullptr && i < records * count * width; ++i) {
    check(votes.winner[i] >= -1 && votes.winner[i] < candidates, kOp, "winner",
          " must be places of candidates, or -1; got ", votes.winner[i]);
  }
  for (int64_t i = 0; i < records; ++i) {
    check(line_views[i].size() > 2 && line_views[i].back() == '}', kOp, About{"lines"}, "lines[", i,
          "] must be a JSON object with a field, without white space around it");
  }
  std::string text;
  {
    // Only raw pointers and views below; tuples and arrays outlive the scope.
    py::gil_scoped_release unlocked;
    text = result_lines(line_views.data(), provenances.data(), records, results, votes,
                        {result, column_names.data(), width, rule_names.data(), count});
  }
  return py::bytes(text);
}

}  // namespace

void bind_result_lines(py::module_& module) {
  module.def("result_lines", bound_result_lines, py::arg("lines"), py::arg("provenance"),
             py::arg("result"), py::arg("offsets"), py::arg("step_scores"), py::arg("step_offsets"),
             py::arg("truncated"), py::arg("skipped"), py::arg("columns"), py::arg("scores"),
             py::arg("ranks"), py::arg("answers"), py::arg("classes"), py::arg("head_of"),
             py::arg("heads"), py::arg("rules"), py::arg("winner"), py::arg("score"),
             py::arg("tied"), py::arg("margin"));
}

}  // namespace stepscore
