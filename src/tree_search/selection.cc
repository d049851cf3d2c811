#include "tree_search/selection.h"

#include <string>

#include "stepscore/tree_search.h"

namespace stepscore {
namespace {

constexpr const char* kRules[] = {"puct", "muzero", "uct", "gumbel"};
constexpr const char* kPriors[] = {
    "one", "exp", "softmax", "softmax_of_value", "exp_of_mean", "softmax_of_mean"};
constexpr const char* kUnvisited[] = {"zero", "parent", "least", "value", "bonus", "first"};
constexpr const char* kBackups[] = {"mean", "max", "weighted"};
constexpr const char* kBackupsFrom[] = {"leaf", "best_child", "children", "rollout"};
constexpr const char* kEvaluates[] = {"leaf", "children"};
constexpr const char* kTerminals[] = {"revisit", "once"};
constexpr const char* kExhausted[] = {"elsewhere", "stop"};
constexpr const char* kDuplicates[] = {"keep", "merge"};
constexpr const char* kEnds[] = {"score", "outcome"};
constexpr const char* kRoots[] = {"before", "counted"};
constexpr const char* kVirtualLosses[] = {"count", "constant"};

Selection make_selection(const std::string& rule, const std::string& prior,
                         const std::string& unvisited, const std::string& backup,
                         const std::string& backup_from, const std::string& evaluate,
                         const std::string& terminals, const std::string& exhausted,
                         const std::string& duplicates, const std::string& ends,
                         const std::string& root, const std::string& virtual_loss, double loss,
                         double c, double c_base, double log_factor, double count_offset,
                         double bonus, double discount, double value_count, double mean_epsilon,
                         double depth_value, double gate, double roll_weight, double value_scale,
                         double visit_offset, double gumbel_scale, int32_t considered,
                         int32_t simulations, int32_t samples, int32_t roll_steps,
                         int32_t roll_samples, int32_t max_depth) {
  return {
      .rule = named<SelectRule>("select", "rule", rule, kRules),
      .prior = named<Prior>("select", "prior", prior, kPriors),
      .unvisited = named<Unvisited>("select", "unvisited", unvisited, kUnvisited),
      .backup = named<Backup>("select", "backup", backup, kBackups),
      .backup_from = named<BackupFrom>("select", "backup_from", backup_from, kBackupsFrom),
      .evaluate = named<Evaluate>("select", "evaluate", evaluate, kEvaluates),
      .terminals = named<Terminals>("select", "terminals", terminals, kTerminals),
      .exhausted = named<Exhausted>("select", "exhausted", exhausted, kExhausted),
      .duplicates = named<Duplicates>("select", "duplicates", duplicates, kDuplicates),
      .ends = named<Ends>("select", "ends", ends, kEnds),
      .root = named<RootExpansion>("select", "root", root, kRoots),
      .virtual_loss = named<VirtualLoss>("select", "virtual_loss", virtual_loss, kVirtualLosses),
      .loss = loss,
      .c = c,
      .c_base = c_base,
      .log_factor = log_factor,
      .count_offset = count_offset,
      .bonus = bonus,
      .discount = discount,
      .value_count = value_count,
      .mean_epsilon = mean_epsilon,
      .depth_value = depth_value,
      .gate = gate,
      .roll_weight = roll_weight,
      .value_scale = value_scale,
      .visit_offset = visit_offset,
      .gumbel_scale = gumbel_scale,
      .considered = considered,
      .simulations = simulations,
      .samples = samples,
      .roll_steps = roll_steps,
      .roll_samples = roll_samples,
      .max_depth = max_depth,
  };
}

template <class Kind, size_t kCount>
const char* name_of(Kind kind, Names<kCount> names) {
  return names[static_cast<size_t>(kind)];
}

// What a rule that says nothing else takes; simulations and samples have no default.
py::dict selection_defaults() {
  const Selection plain;
  py::dict fields;
  fields["rule"] = name_of(plain.rule, kRules);
  fields["prior"] = name_of(plain.prior, kPriors);
  fields["unvisited"] = name_of(plain.unvisited, kUnvisited);
  fields["backup"] = name_of(plain.backup, kBackups);
  fields["backup_from"] = name_of(plain.backup_from, kBackupsFrom);
  fields["evaluate"] = name_of(plain.evaluate, kEvaluates);
  fields["terminals"] = name_of(plain.terminals, kTerminals);
  fields["exhausted"] = name_of(plain.exhausted, kExhausted);
  fields["duplicates"] = name_of(plain.duplicates, kDuplicates);
  fields["ends"] = name_of(plain.ends, kEnds);
  fields["root"] = name_of(plain.root, kRoots);
  fields["virtual_loss"] = name_of(plain.virtual_loss, kVirtualLosses);
  fields["loss"] = plain.loss;
  fields["c"] = plain.c;
  fields["c_base"] = plain.c_base;
  fields["log_factor"] = plain.log_factor;
  fields["count_offset"] = plain.count_offset;
  fields["bonus"] = plain.bonus;
  fields["discount"] = plain.discount;
  fields["value_count"] = plain.value_count;
  fields["mean_epsilon"] = plain.mean_epsilon;
  fields["depth_value"] = plain.depth_value;
  fields["gate"] = plain.gate;
  fields["roll_weight"] = plain.roll_weight;
  fields["value_scale"] = plain.value_scale;
  fields["visit_offset"] = plain.visit_offset;
  fields["gumbel_scale"] = plain.gumbel_scale;
  fields["considered"] = plain.considered;
  fields["roll_steps"] = plain.roll_steps;
  fields["roll_samples"] = plain.roll_samples;
  fields["max_depth"] = plain.max_depth;
  return fields;
}

// The flags of nodes that Python reads.
py::dict node_flags() {
  constexpr std::pair<const char*, NodeFlag> kFlags[] = {
      {"EXISTS", kExists},       {"TERMINAL", kTerminal}, {"PRUNED", kPruned},
      {"DUPLICATE", kDuplicate}, {"EXPANDED", kExpanded}, {"SCORED", kScored},
      {"JUDGED", kJudged},       {"CORRECT", kCorrect},   {"SCATTERED", kScattered}};
  py::dict flags;
  for (const auto& [name, flag] : kFlags) flags[name] = static_cast<int32_t>(flag);
  return flags;
}

}  // namespace

void bind_selection(py::module_& module) {
  py::class_<Selection>(module, "Selection")
      .def(py::init(&make_selection), py::arg("rule"), py::arg("prior"), py::arg("unvisited"),
           py::arg("backup"), py::arg("backup_from"), py::arg("evaluate"), py::arg("terminals"),
           py::arg("exhausted"), py::arg("duplicates"), py::arg("ends"), py::arg("root"),
           py::arg("virtual_loss"), py::arg("loss"), py::arg("c"), py::arg("c_base"),
           py::arg("log_factor"), py::arg("count_offset"), py::arg("bonus"), py::arg("discount"),
           py::arg("value_count"), py::arg("mean_epsilon"), py::arg("depth_value"), py::arg("gate"),
           py::arg("roll_weight"), py::arg("value_scale"), py::arg("visit_offset"),
           py::arg("gumbel_scale"), py::arg("considered"), py::arg("simulations"),
           py::arg("samples"), py::arg("roll_steps"), py::arg("roll_samples"),
           py::arg("max_depth"));
  module.attr("SELECTION_DEFAULTS") = selection_defaults();
  module.attr("NODE_FLAGS") = node_flags();
}

}  // namespace stepscore
