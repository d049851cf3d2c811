#include "backend.h"
#include "bindings.h"
#include "stepscore/vote.h"

namespace stepscore {
namespace {

Rule rule_of(const std::string& name) {
  if (name == "majority") return Rule::kMajority;
  if (name == "weighted") return Rule::kWeighted;
  if (name == "best_of_n") return Rule::kBestOfN;
  throw InvalidArgument(
      message("vote: unknown rule '", name, "'; choose from majority, weighted, best_of_n"));
}

Ties ties_of(const std::string& name) {
  if (name == "first") return Ties::kFirst;
  if (name == "best_score") return Ties::kBestScore;
  throw InvalidArgument(message("vote: ties must be first or best_score; got '", name, "'"));
}

// winner, answer_id: int64; score: float64; tied: bool. All [problems, rules].
void bound_vote(const std::optional<TensorView>& answer_ids,
                const std::optional<TensorView>& scores, const TensorView& offsets,
                const std::vector<std::string>& rules, const std::string& ties, bool drop_nan,
                const TensorView& winner, const TensorView& answer_id, const TensorView& score,
                const TensorView& tied, const Queue& queue) {
  check(answer_ids.has_value() || scores.has_value(),
        "vote: answer_ids and scores must not both be None");
  Ballot ballot{};
  if (answer_ids.has_value()) {
    check_view("vote", "answer_ids", *answer_ids, 1, {DType::kInt64});
    ballot.answer_ids = pointer<const int64_t>(*answer_ids);
  }
  if (scores.has_value()) {
    check_view("vote", "scores", *scores, 1, {DType::kFloat64});
    // An empty tensor has no address, and null says that there are no scores.
    static const double kNothing = 0.0;
    ballot.scores = scores->shape[0] == 0 ? &kNothing : pointer<const double>(*scores);
  }
  const int64_t n = answer_ids.has_value() ? answer_ids->shape[0] : scores->shape[0];
  check(!scores.has_value() || scores->shape[0] == n, "vote: scores must have shape [", n,
        "] to match answer_ids; got ", scores.has_value() ? shape_of(*scores) : "none");
  ballot.problems = check_offsets("vote", offsets, "candidates", n);
  ballot.offsets = pointer<const int64_t>(offsets);
  ballot.ties = ties_of(ties);
  ballot.drop_nan = drop_nan;
  check(!rules.empty(), "vote: rule must name at least one rule; got an empty list");
  std::vector<Rule> kinds;
  for (const std::string& name : rules) kinds.push_back(rule_of(name));
  const int64_t count = static_cast<int64_t>(kinds.size());
  for (const TensorView* view : {&winner, &answer_id, &score, &tied}) {
    check(view->rank == 2 && view->shape[0] == ballot.problems && view->shape[1] == count,
          "vote: outputs must have shape [", ballot.problems, ", ", count, "]; got ",
          shape_of(*view));
  }
  const VoteOutput out{pointer<int64_t>(winner), pointer<int64_t>(answer_id),
                       pointer<double>(score), pointer<bool>(tied)};
  // Only raw pointers below; the arrays belong to the caller's frame, which outlives the scope.
  py::gil_scoped_release unlocked;
  backend::vote(ballot, n, kinds.data(), count, out, queue);
}

}  // namespace

void bind_vote(py::module_& module) {
  module.def("vote", bound_vote, py::arg("answer_ids").none(true), py::arg("scores").none(true),
             py::arg("offsets"), py::arg("rules"), py::arg("ties"), py::arg("drop_nan"),
             py::arg("winner"), py::arg("answer_id"), py::arg("score"), py::arg("tied"),
             py::arg("queue"));
}

}  // namespace stepscore
