#include <pybind11/typing.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "backend.h"
#include "bindings.h"
#include "stepscore/vote.h"
#include "vote/rules.h"

namespace stepscore {
namespace {

constexpr const char* kTies[] = {"first", "best_score"};
constexpr const char* kUnfit[] = {"error", "nan"};

using Fields = py::typing::Dict<py::str, py::object>;
using NamedRule = std::pair<std::string, Fields>;  // with its parameters

bool is_list(const ParameterInfo& parameter) {
  return parameter.kind == ParameterKind::kReals || parameter.kind == ParameterKind::kCounts;
}

// --- a rule -------------------------------------------------------------------------------------

std::vector<double> numbers_of(const ParameterInfo& parameter, const py::handle& value) {
  if (is_list(parameter)) return value.cast<std::vector<double>>();
  if (parameter.kind != ParameterKind::kChoice) return {value.cast<double>()};
  const std::string word = value.cast<std::string>();
  const auto& choices = parameter.choices;
  const auto is_word = [&](const char* choice) { return word == choice; };
  const auto chosen = std::find_if(choices.begin(), choices.end(), is_word);
  check(chosen != choices.end(), "vote", About{"rule"}, parameter.name, " must be ",
        words_for(parameter), "; got '", word, "'");
  return {static_cast<double>(chosen - choices.begin())};
}

Rule rule_of(const NamedRule& named) {
  std::vector<RuleArgument> arguments;
  for (const ParameterInfo& parameter : info_of(named.first).parameters) {
    if (!named.second.contains(parameter.name)) continue;
    const py::object value = named.second[parameter.name];
    if (!value.is_none()) arguments.push_back({parameter.name, numbers_of(parameter, value)});
  }
  return make_rule(named.first, arguments);
}

// --- the table, as plain data -------------------------------------------------------------------

const char* name_of(ParameterKind kind) {
  constexpr const char* kNames[] = {"real", "count", "choice", "reals", "counts"};
  return kNames[static_cast<size_t>(kind)];
}
const char* name_of(Reads reads) {
  constexpr const char* kNames[] = {"nothing", "column", "columns"};
  return kNames[static_cast<size_t>(reads)];
}
const char* name_of(ScoreKind scores) {
  constexpr const char* kNames[] = {"any", "finite", "not_negative", "probability",
                                    "log_probability"};
  return kNames[static_cast<size_t>(scores)];
}

py::object value_of(const ParameterInfo& parameter, std::span<const double> numbers) {
  if (numbers.empty()) return py::none();
  const auto object_of = [&](double number) -> py::object {
    switch (parameter.kind) {
      case ParameterKind::kChoice:
        return py::str(parameter.choices[static_cast<size_t>(number)]);
      case ParameterKind::kCount:
      case ParameterKind::kCounts:
        return py::int_(static_cast<int64_t>(number));
      default:
        return py::float_(number);
    }
  };
  if (!is_list(parameter)) return object_of(numbers[0]);
  py::tuple values(numbers.size());
  for (size_t i = 0; i < numbers.size(); ++i) values[i] = object_of(numbers[i]);
  return values;
}

Fields described(const ParameterInfo& parameter) {
  py::tuple choices(parameter.choices.size());
  for (size_t i = 0; i < parameter.choices.size(); ++i) choices[i] = parameter.choices[i];
  const NumberRange& range = parameter.range;
  Fields fields;
  fields["name"] = parameter.name;
  fields["kind"] = name_of(parameter.kind);
  fields["required"] = parameter.required;
  fields["default"] = value_of(parameter, parameter.standard);
  fields["example"] = value_of(parameter, parameter.example);
  fields["choices"] = choices;
  fields["low"] = range.low;
  fields["high"] = range.high;
  fields["low_open"] = range.low_open;
  fields["high_open"] = range.high_open;
  fields["takes"] = words_for(parameter);
  return fields;
}

Fields described(ScoreKind scores) {
  const ScoreRange range = range_of(scores);
  Fields fields;
  fields["kind"] = name_of(scores);
  fields["low"] = range.low;
  fields["high"] = range.high;
  fields["words"] = words_for(scores);
  return fields;
}

// One dict per rule; ops/vote.py makes objects of them.
std::vector<Fields> vote_rules() {
  std::vector<Fields> rules;
  for (const RuleInfo& info : rule_table()) {
    py::list parameters;
    for (const ParameterInfo& parameter : info.parameters) parameters.append(described(parameter));
    Fields fields;
    fields["name"] = info.name;
    fields["phrase"] = info.phrase;
    fields["reads"] = name_of(info.reads);
    fields["scores"] = described(info.scores);
    fields["parameters"] = parameters;
    // Under any parameters, and so without the help of a tally.
    fields["argmax"] = is_argmax(info.kind, Tally{.consensus = true}, VoteParameters{});
    const Narrowing& narrowing = info.narrowing;
    fields["narrowed"] = py::none();
    if (narrowing.applies != nullptr) {
      fields["narrowed"] =
          py::make_tuple(narrowing.parameter, narrowing.choice, described(narrowing.scores));
    }
    rules.push_back(fields);
  }
  return rules;
}

// --- the call -----------------------------------------------------------------------------------

int64_t elements(const TensorView& view) {
  return std::accumulate(view.shape, view.shape + view.rank, int64_t{1},
                         std::multiplies<int64_t>());
}

// The outputs are contiguous: [problems, rules, columns, prefixes], class_scores
// [n, rules, columns, prefixes].
void bound_vote(const std::optional<TensorView>& answer_ids,
                const std::optional<TensorView>& scores, const TensorView& offsets,
                const std::vector<NamedRule>& named_rules, const std::string& ties, bool drop_nan,
                const std::string& unfit, const std::optional<std::vector<int64_t>>& prefixes,
                const TensorView& winner, const TensorView& answer_id, const TensorView& score,
                const TensorView& tied, const TensorView& margin,
                const std::optional<TensorView>& class_scores,
                const std::optional<TensorView>& workspace, const Queue& queue) {
  check(answer_ids.has_value() || scores.has_value(), "vote", "answer_ids",
        " and scores must not both be None");
  Ballot ballot{};
  if (answer_ids.has_value()) {
    check_view("vote", "answer_ids", *answer_ids, 1, {DType::kInt64});
    ballot.answer_ids = pointer<const int64_t>(*answer_ids);
  }
  if (scores.has_value()) {
    check(scores->rank == 1 || scores->rank == 2, "vote", "scores",
          " must have 1 dimension, or 2 with a column for each aggregation; got shape ",
          shape_of(*scores));
    check_view("vote", "scores", *scores, scores->rank == 2 ? 2 : 1, {DType::kFloat64});
    // An empty tensor has no address, and null says that there are no scores.
    static const double kNothing = 0.0;
    ballot.scores = scores->shape[0] == 0 ? &kNothing : pointer<const double>(*scores);
    ballot.columns = scores->rank == 2 ? scores->shape[1] : 1;
  }
  const int64_t n = answer_ids.has_value() ? answer_ids->shape[0] : scores->shape[0];
  check(!scores.has_value() || scores->shape[0] == n, "vote", "scores", " must have shape [", n,
        scores.has_value() && scores->rank == 2 ? message(", ", ballot.columns) : "",
        "] to match answer_ids; got ", scores.has_value() ? shape_of(*scores) : "none");
  ballot.problems = check_offsets("vote", offsets, "candidates", n);
  ballot.offsets = pointer<const int64_t>(offsets);
  ballot.ties = named<Ties>("vote", "ties", ties, kTies);
  ballot.unfit = named<Unfit>("vote", "unfit", unfit, kUnfit);
  ballot.drop_nan = drop_nan;
  if (prefixes.has_value()) {
    check(!prefixes->empty(), "vote", "prefixes",
          " must hold at least one size; got an empty list");
    ballot.prefixes = prefixes->data();
    ballot.prefix_count = static_cast<int64_t>(prefixes->size());
  }
  check(!named_rules.empty(), "vote", "rule", " must name at least one rule; got an empty list");
  std::vector<Rule> made;
  for (const NamedRule& named_rule : named_rules) made.push_back(rule_of(named_rule));
  const RuleSet rules{made.data(), static_cast<int64_t>(made.size())};
  const int64_t votes = rules.count * ballot.columns * ballot.prefix_count;
  for (const TensorView* view : {&winner, &answer_id, &score, &tied, &margin}) {
    check(elements(*view) == ballot.problems * votes, "vote", kNoArgument, "outputs must have ",
          ballot.problems * votes, " elements; got shape ", shape_of(*view));
  }
  check(!class_scores.has_value() || elements(*class_scores) == n * votes, "vote", "class_scores",
        " must have ", n * votes, " elements");
  const int64_t scratch_size = n * backend::kVoteWorkspace;
  check((workspace.has_value() ? elements(*workspace) : 0) == scratch_size, "vote", "workspace",
        " must have ", scratch_size, " elements");
  const VoteOutput out{
      .winner = pointer<int64_t>(winner),
      .answer_id = pointer<int64_t>(answer_id),
      .score = pointer<double>(score),
      .tied = pointer<bool>(tied),
      .margin = pointer<double>(margin),
      .class_scores = class_scores.has_value() ? pointer<double>(*class_scores) : nullptr};
  double* const scratch = workspace.has_value() ? pointer<double>(*workspace) : nullptr;
  // Only raw pointers below; the arrays belong to the caller's frame, which outlives the scope.
  py::gil_scoped_release unlocked;
  backend::vote(ballot, n, rules, out, scratch, queue);
}

}  // namespace

void bind_vote(py::module_& module) {
  module.attr("VOTE_WORKSPACE") = backend::kVoteWorkspace;  // numbers per candidate
  if constexpr (backend::kOnHost) module.def("vote_rules", vote_rules);
  module.def("vote", bound_vote, py::arg("answer_ids").none(true), py::arg("scores").none(true),
             py::arg("offsets"), py::arg("rules"), py::arg("ties"), py::arg("drop_nan"),
             py::arg("unfit"), py::arg("prefixes").none(true), py::arg("winner"),
             py::arg("answer_id"), py::arg("score"), py::arg("tied"), py::arg("margin"),
             py::arg("class_scores").none(true), py::arg("workspace").none(true), py::arg("queue"));
}

}  // namespace stepscore
