// The table of rules: all that is known of one beside its arithmetic, which stands in vote.h. The
// checks, the command line and the documentation derive from it.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "stepscore/vote.h"

namespace stepscore {

// Which scores a rule can use.
enum class ScoreKind { kAny, kFinite, kNotNegative, kProbability, kLogProbability };

ScoreRange range_of(ScoreKind kind);
const char* words_for(ScoreKind kind);  // "scores in [0, 1]"

enum class ParameterKind { kReal, kCount, kChoice, kReals, kCounts };

struct NumberRange {
  double low = -kInfinity, high = kInfinity;
  bool low_open = true, high_open = true;
};

// A rule that is being made.
struct RuleDraft {
  Rule rule;
  double prior = 0.5, reliability = 0.5;  // loglik_weighted: they make its constant
  int64_t answers = 2;
};

// The value of a parameter is a list of numbers: one but for kReals and kCounts, and of a choice
// its place among the choices.
struct ParameterInfo {
  const char* name;
  ParameterKind kind;
  void (*set)(RuleDraft& into, std::span<const double> value);
  std::span<const double> example;
  std::span<const double> standard = {};  // the default
  bool required = true;                   // false beside an empty default: all columns
  NumberRange range = {};
  std::span<const char* const> choices = {};
};
std::string words_for(const ParameterInfo& parameter);  // "a number in [0, 1]"

// Under one choice of a parameter a rule can use fewer scores.
struct Narrowing {
  const char* parameter = nullptr;
  const char* choice = nullptr;
  ScoreKind scores = ScoreKind::kAny;
  bool (*applies)(const VoteParameters& parameters) = nullptr;
};

struct RuleInfo {
  RuleKind kind;
  const char* name;
  Reads reads;
  ScoreKind scores;
  const char* phrase;  // what an answer reaches, in a line
  std::span<const ParameterInfo> parameters = {};
  Narrowing narrowing = {};
};

std::span<const RuleInfo> rule_table();  // in the order of RuleKind
const RuleInfo& info_of(RuleKind kind);
const RuleInfo& info_of(const std::string& name);  // InvalidArgument for an unknown one
ScoreKind scores_of(const Rule& rule);

struct RuleArgument {
  std::string name;
  std::vector<double> value;
};

// A rule with its parameters. InvalidArgument for one that is unknown, missing or out of range.
Rule make_rule(const std::string& name, const std::vector<RuleArgument>& arguments);

// ln[q (m - 1) / (1 - q)] - logit(prior), q the reliability of one vote among m answers.
double loglik_constant(double prior, double reliability, int64_t answers);

}  // namespace stepscore
