#include <pybind11/typing.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "backend.h"
#include "bindings.h"
#include "stepscore/vote.h"

namespace stepscore {
namespace {

constexpr const char* kTies[] = {"first", "best_score"};
constexpr const char* kConsensus[] = {"share", "entropy"};
constexpr const char* kReward[] = {"max", "mean", "sum"};
constexpr const char* kNormalize[] = {"minmax", "sum"};
constexpr const char* kScale[] = {"none", "minmax"};

// `given` holds what the caller passed; ops/vote.py has seen to it that nothing is missing.
VoteParameters parameters_of(const py::dict& given) {
  VoteParameters found;
  const auto number = [&](const char* name, auto& field) {
    if (given.contains(name)) field = given[name].cast<std::remove_reference_t<decltype(field)>>();
  };
  const auto choice = [&]<class Kind>(const char* name, Kind& field, const auto& names) {
    if (given.contains(name))
      field = named<Kind>("vote", name, given[name].cast<std::string>(), names);
  };
  number("temperature", found.temperature);
  number("eps", found.eps);
  number("power", found.power);
  number("tau", found.tau);
  number("reward_weight", found.reward_weight);
  choice("consensus", found.consensus, kConsensus);
  choice("reward", found.reward, kReward);
  choice("normalize", found.normalize, kNormalize);
  choice("scale", found.scale, kScale);
  if (given.contains("prior")) {
    found.loglik_constant =
        loglik_constant(given["prior"].cast<double>(), given["reliability"].cast<double>(),
                        given["answers"].cast<int64_t>());
  }
  return found;
}

// The weights of the columns, one for each.
void set_objectives(VoteParameters& parameters, const py::dict& given, int64_t columns) {
  if (!given.contains("objective_weights")) return;
  const auto weights = given["objective_weights"].cast<std::vector<double>>();
  check(static_cast<int64_t>(weights.size()) == columns, "vote: objective_weights must hold ",
        columns, " numbers, one for each column of scores; got ", weights.size());
  check(columns <= kMaxObjectives, "vote: scores must have at most ", kMaxObjectives,
        " columns; got ", columns);
  std::copy(weights.begin(), weights.end(), parameters.objective_weights);
}

int64_t elements(const TensorView& view) {
  return std::accumulate(view.shape, view.shape + view.rank, int64_t{1},
                         std::multiplies<int64_t>());
}

// The outputs are contiguous: [problems, rules, prefixes], class_scores [n, rules, prefixes].
void bound_vote(const std::optional<TensorView>& answer_ids,
                const std::optional<TensorView>& scores, const TensorView& offsets,
                const std::vector<std::string>& names,
                const py::typing::Dict<py::str, py::object>& given, const std::string& ties,
                bool drop_nan, const std::optional<std::vector<int64_t>>& prefixes,
                const TensorView& winner, const TensorView& answer_id, const TensorView& score,
                const TensorView& tied, const TensorView& margin,
                const std::optional<TensorView>& class_scores,
                const std::optional<TensorView>& workspace, const Queue& queue) {
  check(answer_ids.has_value() || scores.has_value(),
        "vote: answer_ids and scores must not both be None");
  Ballot ballot{};
  if (answer_ids.has_value()) {
    check_view("vote", "answer_ids", *answer_ids, 1, {DType::kInt64});
    ballot.answer_ids = pointer<const int64_t>(*answer_ids);
  }
  if (scores.has_value()) {
    check_view("vote", "scores", *scores, scores->rank == 2 ? 2 : 1, {DType::kFloat64});
    // An empty tensor has no address, and null says that there are no scores.
    static const double kNothing = 0.0;
    ballot.scores = scores->shape[0] == 0 ? &kNothing : pointer<const double>(*scores);
    ballot.columns = scores->rank == 2 ? scores->shape[1] : 1;
  }
  const int64_t n = answer_ids.has_value() ? answer_ids->shape[0] : scores->shape[0];
  check(!scores.has_value() || scores->shape[0] == n, "vote: scores must have shape [", n,
        "] to match answer_ids; got ", scores.has_value() ? shape_of(*scores) : "none");
  ballot.problems = check_offsets("vote", offsets, "candidates", n);
  ballot.offsets = pointer<const int64_t>(offsets);
  ballot.ties = named<Ties>("vote", "ties", ties, kTies);
  ballot.drop_nan = drop_nan;
  if (prefixes.has_value()) {
    check(!prefixes->empty(), "vote: prefixes must hold at least one size; got an empty list");
    ballot.prefixes = prefixes->data();
    ballot.prefix_count = static_cast<int64_t>(prefixes->size());
  }
  check(!names.empty(), "vote: rule must name at least one rule; got an empty list");
  std::vector<Rule> kinds;
  for (const std::string& name : names)
    kinds.push_back(named<Rule>("vote", "rule", name, kRuleNames));
  RuleSet rules{kinds.data(), static_cast<int64_t>(kinds.size()), parameters_of(given)};
  set_objectives(rules.parameters, given, ballot.columns);
  const int64_t votes = rules.count * ballot.prefix_count;
  for (const TensorView* view : {&winner, &answer_id, &score, &tied, &margin}) {
    check(elements(*view) == ballot.problems * votes, "vote: outputs must have ",
          ballot.problems * votes, " elements; got shape ", shape_of(*view));
  }
  check(!class_scores.has_value() || elements(*class_scores) == n * votes,
        "vote: class_scores must have ", n * votes, " elements");
  const int64_t scratch_size = n * backend::kVoteWorkspace;
  check((workspace.has_value() ? elements(*workspace) : 0) == scratch_size,
        "vote: workspace must have ", scratch_size, " elements");
  const VoteOutput out{pointer<int64_t>(winner),
                       pointer<int64_t>(answer_id),
                       pointer<double>(score),
                       pointer<bool>(tied),
                       pointer<double>(margin),
                       class_scores.has_value() ? pointer<double>(*class_scores) : nullptr};
  double* const scratch = workspace.has_value() ? pointer<double>(*workspace) : nullptr;
  // Only raw pointers below; the arrays belong to the caller's frame, which outlives the scope.
  py::gil_scoped_release unlocked;
  backend::vote(ballot, n, rules, out, scratch, queue);
}

}  // namespace

void bind_vote(py::module_& module) {
  module.def("vote", bound_vote, py::arg("answer_ids").none(true), py::arg("scores").none(true),
             py::arg("offsets"), py::arg("rules"), py::arg("parameters"), py::arg("ties"),
             py::arg("drop_nan"), py::arg("prefixes").none(true), py::arg("winner"),
             py::arg("answer_id"), py::arg("score"), py::arg("tied"), py::arg("margin"),
             py::arg("class_scores").none(true), py::arg("workspace").none(true), py::arg("queue"));
}

}  // namespace stepscore
