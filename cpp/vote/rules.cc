#include "vote/rules.h"

#include <iterator>

#include "stepscore/check.h"

namespace stepscore {
namespace {

// --- how a parameter is set ---------------------------------------------------------------------

template <class Field>
void store(Field& field, double number) {
  field = static_cast<Field>(number);
}
template <auto kField>
void set_parameter(RuleDraft& into, std::span<const double> value) {
  store(into.rule.parameters.*kField, value[0]);
}
template <auto kField>
void set_in_draft(RuleDraft& into, std::span<const double> value) {
  store(into.*kField, value[0]);
}
template <auto kField, auto kCount>
void set_objectives(RuleDraft& into, std::span<const double> value) {
  Objectives& objectives = into.rule.objectives;
  for (size_t i = 0; i < value.size(); ++i) store((objectives.*kField)[i], value[i]);
  objectives.*kCount = static_cast<int64_t>(value.size());
}

// --- the parameters -----------------------------------------------------------------------------

constexpr NumberRange kFinite = {};
constexpr NumberRange kPositive = {0.0, kInfinity, true, true};
constexpr NumberRange kShare = {0.0, 1.0, false, false};
constexpr NumberRange kInside = {0.0, 1.0, true, true};

constexpr double kFirst[] = {0.0};  // of the choices
constexpr double kTenth[] = {0.1}, kHalf[] = {0.5}, kMost[] = {0.6};
constexpr double kOne[] = {1.0}, kTwo[] = {2.0}, kTen[] = {10.0};
constexpr double kEps[] = {1e-7};
constexpr double kWeights[] = {0.5, 0.3, 0.2}, kTwoColumns[] = {0.0, 2.0};

constexpr const char* kConsensusNames[] = {"share", "entropy"};
constexpr const char* kRewardNames[] = {"max", "mean", "sum"};
constexpr const char* kNormalizeNames[] = {"minmax", "sum"};
constexpr const char* kScaleNames[] = {"none", "minmax"};

using P = VoteParameters;
using K = ParameterKind;
// Between the smallest number that 1 - eps can tell from 1, and half.
constexpr ParameterInfo kClip = {"eps", K::kReal, set_parameter<&P::eps>,     kEps,
                                 kEps,  false,    {0x1p-52, 0.5, false, true}};
constexpr ParameterInfo kColumns = {
    .name = "columns",
    .kind = K::kCounts,
    .set = set_objectives<&Objectives::columns, &Objectives::column_count>,
    .example = kTwoColumns,
    .required = false,
    .range = {0.0, kInfinity, false, true}};

constexpr ParameterInfo kOfSoftmax[] = {
    {.name = "temperature",
     .kind = K::kReal,
     .set = set_parameter<&P::temperature>,
     .example = kTenth,
     .range = kPositive},
};
constexpr ParameterInfo kOfLogodds[] = {kClip};
constexpr ParameterInfo kOfLoglik[] = {
    {.name = "prior",
     .kind = K::kReal,
     .set = set_in_draft<&RuleDraft::prior>,
     .example = kHalf,
     .range = kInside},
    {.name = "reliability",
     .kind = K::kReal,
     .set = set_in_draft<&RuleDraft::reliability>,
     .example = kMost,
     .range = kInside},
    {.name = "answers",
     .kind = K::kCount,
     .set = set_in_draft<&RuleDraft::answers>,
     .example = kTen,
     .range = {2.0, kInfinity, false, true}},
    kClip,
};
constexpr ParameterInfo kOfBorda[] = {
    {"power", K::kCount, set_parameter<&P::power>, kTwo, kOne, false, {1.0, 16.0, false, false}},
};
constexpr ParameterInfo kOfHybrid[] = {
    {.name = "tau",
     .kind = K::kReal,
     .set = set_parameter<&P::tau>,
     .example = kHalf,
     .range = kShare},
    {.name = "consensus",
     .kind = K::kChoice,
     .set = set_parameter<&P::consensus>,
     .example = kFirst,
     .choices = kConsensusNames},
    {.name = "reward",
     .kind = K::kChoice,
     .set = set_parameter<&P::reward>,
     .example = kFirst,
     .choices = kRewardNames},
};
constexpr ParameterInfo kOfFrequency[] = {
    {.name = "reward_weight",
     .kind = K::kReal,
     .set = set_parameter<&P::reward_weight>,
     .example = kHalf,
     .range = kShare},
    {.name = "normalize",
     .kind = K::kChoice,
     .set = set_parameter<&P::normalize>,
     .example = kFirst,
     .choices = kNormalizeNames},
};
constexpr ParameterInfo kOfPareto[] = {kColumns};
constexpr ParameterInfo kOfObjectives[] = {
    {.name = "objective_weights",
     .kind = K::kReals,
     .set = set_objectives<&Objectives::weights, &Objectives::weight_count>,
     .example = kWeights,
     .range = kFinite},
    {.name = "scale",
     .kind = K::kChoice,
     .set = set_parameter<&P::scale>,
     .example = kFirst,
     .choices = kScaleNames},
    kColumns,
};

// --- the rules ----------------------------------------------------------------------------------

constexpr RuleInfo kRules[] = {
    {RuleKind::kMajority, "majority", Reads::kNothing, ScoreKind::kAny,
     "how many candidates gave it"},
    {RuleKind::kWeighted, "weighted", Reads::kColumn, ScoreKind::kFinite,
     "the sum of their scores"},
    {RuleKind::kWeightedMean, "weighted_mean", Reads::kColumn, ScoreKind::kFinite,
     "the mean of their scores"},
    {RuleKind::kBestOfN, "best_of_n", Reads::kColumn, ScoreKind::kAny,
     "the highest of their scores"},
    {RuleKind::kMinmaxWeighted, "minmax_weighted", Reads::kColumn, ScoreKind::kFinite,
     "the sum of their scores, scaled to [0, 1] over the problem"},
    {RuleKind::kSoftmaxWeighted, "softmax_weighted", Reads::kColumn, ScoreKind::kFinite,
     "the sum of their shares in a softmax of the scores over temperature", kOfSoftmax},
    {RuleKind::kLogoddsWeighted, "logodds_weighted", Reads::kColumn, ScoreKind::kProbability,
     "the sum of the log odds of their scores, clipped to [eps, 1 - eps]", kOfLogodds},
    {RuleKind::kLoglikWeighted, "loglik_weighted", Reads::kColumn, ScoreKind::kProbability,
     "its log likelihood, for candidates of a reliability and scores calibrated on a prior",
     kOfLoglik},
    {RuleKind::kConfidenceWeighted, "confidence_weighted", Reads::kColumn,
     ScoreKind::kLogProbability, "the sum of exp of their scores, which are log probabilities"},
    {RuleKind::kCrew, "crew", Reads::kColumn, ScoreKind::kProbability,
     "the highest of their scores, which are mean token probabilities of the answer"},
    {RuleKind::kBorda, "borda", Reads::kColumn, ScoreKind::kAny,
     "the sum of what their scores beat, each to a power", kOfBorda},
    {RuleKind::kHybridMajorityReward, "hybrid_majority_reward", Reads::kColumn, ScoreKind::kFinite,
     "majority where there is consensus up to tau, else the reward of their scores", kOfHybrid},
    {RuleKind::kWeightedRewardFrequency,
     "weighted_reward_frequency",
     Reads::kColumn,
     ScoreKind::kFinite,
     "reward_weight times its normalized mean score, and the rest times its share of candidates",
     kOfFrequency,
     {"normalize", "sum", ScoreKind::kNotNegative,
      [](const VoteParameters& given) { return given.normalize == Normalize::kSum; }}},
    {RuleKind::kPareto, "pareto", Reads::kColumns, ScoreKind::kAny,
     "how many of them nobody dominates, as good in every column and better in one", kOfPareto},
    {RuleKind::kMultiObjective, "multi_objective", Reads::kColumns, ScoreKind::kFinite,
     "the sum of their columns, scaled and weighted", kOfObjectives},
};

constexpr bool stands_in_order() {
  for (size_t r = 0; r < std::size(kRules); ++r) {
    if (kRules[r].kind != static_cast<RuleKind>(r)) return false;
  }
  return std::ssize(kRules) == kRuleKinds;
}
static_assert(stands_in_order(), "a row for every RuleKind, in their order");

// --- reading the table --------------------------------------------------------------------------

const char* noun_of(const ParameterInfo& parameter) {
  const bool ends = parameter.range.high < kInfinity;
  switch (parameter.kind) {
    case ParameterKind::kReal:
      return ends ? "a number" : "a finite number";
    case ParameterKind::kCount:
      return "a whole number";
    case ParameterKind::kReals:
      return ends ? "a list of numbers" : "a list of finite numbers";
    case ParameterKind::kCounts:
      return "a list of whole numbers";
    default:
      return "one of ";
  }
}

bool lies_in(const NumberRange& range, double number) {
  return (range.low_open ? number > range.low : number >= range.low) &&
         (range.high_open ? number < range.high : number <= range.high);
}

void check_value(const RuleInfo& info, const ParameterInfo& parameter,
                 std::span<const double> value) {
  const bool several =
      parameter.kind == ParameterKind::kReals || parameter.kind == ParameterKind::kCounts;
  const size_t most = several ? kMaxObjectives : 1;
  check(!value.empty() && value.size() <= most, "vote", About{"rule"}, info.name, ": ",
        parameter.name, " must hold ", several ? message("1 to ", most, " numbers") : "1 number",
        "; got ", value.size());
  for (const double number : value) {
    check(lies_in(parameter.range, number), "vote", About{"rule"}, info.name, ": ", parameter.name,
          " must be ", words_for(parameter), "; got ", number);
  }
}

}  // namespace

ScoreRange range_of(ScoreKind kind) {
  switch (kind) {
    case ScoreKind::kAny:
      return {-kInfinity, kInfinity};
    case ScoreKind::kFinite:
      return {-kLargest, kLargest};
    case ScoreKind::kNotNegative:
      return {0.0, kLargest};
    case ScoreKind::kProbability:
      return {0.0, 1.0};
    default:
      return {-kInfinity, 0.0};  // kLogProbability
  }
}

const char* words_for(ScoreKind kind) {
  switch (kind) {
    case ScoreKind::kAny:
      return "any scores";
    case ScoreKind::kFinite:
      return "finite scores";
    case ScoreKind::kNotNegative:
      return "finite scores of at least 0";
    case ScoreKind::kProbability:
      return "scores in [0, 1]";
    default:
      return "log probabilities, at most 0";
  }
}

std::string words_for(const ParameterInfo& parameter) {
  const std::string noun = noun_of(parameter);
  if (parameter.kind == ParameterKind::kChoice) {
    std::string words = noun;
    for (const char* const& choice : parameter.choices) {
      words += (&choice == parameter.choices.data() ? "" : ", ") + std::string(choice);
    }
    return words;
  }
  const NumberRange& range = parameter.range;
  const bool has_low = range.low > -kInfinity, has_high = range.high < kInfinity;
  if (has_low && has_high) {
    return message(noun, " in ", range.low_open ? "(" : "[", range.low, ", ", range.high,
                   range.high_open ? ")" : "]");
  }
  if (!has_low) return noun;
  return message(noun, range.low_open ? " above " : " of at least ", range.low);
}

std::span<const RuleInfo> rule_table() {
  return kRules;
}

const RuleInfo& info_of(RuleKind kind) {
  return kRules[static_cast<size_t>(kind)];
}

const RuleInfo& info_of(const std::string& name) {
  std::string known;
  for (const RuleInfo& info : kRules) {
    if (name == info.name) return info;
    known += (known.empty() ? "" : ", ") + std::string(info.name);
  }
  refuse("vote", About{"rule"}, "unknown rule '", name, "'; choose from ", known);
}

Reads reads_of(RuleKind kind) {
  return info_of(kind).reads;
}

ScoreKind scores_of(const Rule& rule) {
  const RuleInfo& info = info_of(rule.kind);
  const bool narrowed =
      info.narrowing.applies != nullptr && info.narrowing.applies(rule.parameters);
  return narrowed ? info.narrowing.scores : info.scores;
}

ScoreRange range_of(const Rule& rule) {
  return range_of(scores_of(rule));
}

Rule make_rule(const std::string& name, const std::vector<RuleArgument>& arguments) {
  const RuleInfo& info = info_of(name);
  RuleDraft draft{{info.kind}};
  size_t used = 0;
  for (const ParameterInfo& parameter : info.parameters) {
    std::span<const double> value = parameter.standard;
    for (const RuleArgument& argument : arguments) {
      if (argument.name != parameter.name) continue;
      value = argument.value;
      check_value(info, parameter, value);
      ++used;
    }
    check(!value.empty() || !parameter.required, "vote", About{"rule"}, name, " needs ",
          parameter.name);
    if (!value.empty()) parameter.set(draft, value);
  }
  check(used == arguments.size(), "vote", About{"rule"}, name,
        " has fewer parameters than were given");
  draft.rule.parameters.loglik_constant =
      loglik_constant(draft.prior, draft.reliability, draft.answers);
  return draft.rule;
}

double loglik_constant(double prior, double reliability, int64_t answers) {
  const double others = static_cast<double>(answers - 1);
  return logarithm(reliability * others / (1.0 - reliability)) - logarithm(prior / (1.0 - prior));
}

}  // namespace stepscore
