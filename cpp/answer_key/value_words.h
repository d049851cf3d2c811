// The words around the value of an answer, in lower case.
#pragma once

#include <string_view>

namespace stepscore {

// In front of a value they say nothing about it; the second kind only where a value follows.
constexpr std::string_view kHedges[] = {"as follows",    "be",        "certainly", "clearly",
                                        "definitely",    "equal to",  "for sure",  "found to be",
                                        "going to be",   "hence",     "in fact",   "indeed",
                                        "must be",       "obviously", "of course", "simply",
                                        "the following", "therefore", "thus",      "to be"};
constexpr std::string_view kHedgesOfValues[] = {
    "about",     "again",         "almost",  "also",   "approximately", "approx",
    "around",    "calculated as", "equal",   "equals", "exactly",       "finally",
    "given by",  "just",          "likely",  "nearly", "now",           "only",
    "precisely", "probably",      "roughly", "so",     "still",         "then"};
constexpr std::string_view kSignsOfHedges[] = {"\\approx", "≈", "=", "＝", ":", "："};
constexpr std::string_view kValueBegins = "0123456789$\\(-+*`\"[{.";
constexpr std::string_view kValueSigns[] = {"€", "£", "¥", "−", "√", "π", "∞", "“"};
// An answer is not what these say of it.
constexpr std::string_view kJudgements[] = {"correct", "incorrect", "invalid",
                                            "right",   "valid",     "wrong"};
constexpr std::string_view kDeeds[] = {
    "above",      "accurate",    "asked",    "based",       "below",       "boxed",
    "calculated", "checked",     "clear",    "computed",    "confirmed",   "consistent",
    "derived",    "determined",  "easy",     "expected",    "explained",   "expressed",
    "found",      "given",       "here",     "highlighted", "independent", "known",
    "left",       "needed",      "obtained", "obvious",     "plausible",   "reached",
    "reasonable", "represented", "required", "rounded",     "sensible",    "shown",
    "simple",     "simplified",  "stated",   "supported",   "unique",      "verified",
    "written"};
constexpr std::string_view kGoesOn[] = {
    "about",   "above", "according", "after", "and",      "as",    "at",   "based",
    "because", "below", "but",       "by",    "directly", "for",   "from", "given",
    "here",    "if",    "in",        "on",    "out",      "since", "so",   "that",
    "through", "to",    "under",     "using", "via",      "when",  "with"};
constexpr std::string_view kQuestions[] = {"because", "how", "what", "whether", "why"};
constexpr std::string_view kArticles[] = {"a", "an", "in", "not"};
constexpr std::string_view kNoValues[] = {
    "a",        "an",       "base",       "bit",      "cents",   "correct",  "decimal", "dollars",
    "form",     "fraction", "function",   "good",     "integer", "its",      "little",  "lowest",
    "matter",   "multiple", "natural",    "negative", "nice",    "number",   "our",     "positive",
    "rational", "real",     "reasonable", "right",    "simple",  "simplest", "single",  "terms",
    "the",      "this",     "valid",      "whole"};
constexpr std::string_view kChineseJudgements[] = {"正确", "错误", "对的", "错的",
                                                   "合理", "不是", "唯一"};
constexpr std::string_view kClauses[] = {
    "although", "as",     "because",   "but",  "corresponding", "giving", "hence", "i",
    "it",       "making", "meaning",   "not",  "rounded",       "she",    "since", "so",
    "that",     "there",  "therefore", "they", "this",          "though", "thus",  "we",
    "which",    "you"};
constexpr std::string_view kCauses[] = {"because", "since", "therefore", "which"};
constexpr std::string_view kAsides[] = {"approximately", "as",    "because", "i",
                                        "rounded",       "since", "which"};
constexpr std::string_view kChineseClauses[] = {"因", "所", "故", "即", "其", "也", "这", "但"};
constexpr std::string_view kProse[] = {"after", "because", "by",   "each",  "first", "for",
                                       "given", "he",      "i",    "if",    "in",    "it",
                                       "let",   "now",     "she",  "since", "so",    "the",
                                       "there", "they",    "this", "to",    "we",    "when"};
constexpr std::string_view kUnfinished[] = {
    "a",  "an",   "and", "are",   "as",   "at",   "because", "but", "by",    "for", "from",
    "he", "her",  "his", "in",    "is",   "it",   "of",      "on",  "or",    "she", "since",
    "so", "that", "the", "their", "then", "they", "to",      "we",  "which", "with"};
constexpr std::string_view kCorrect[] = {"correct", "right", "best", "answer"};

}  // namespace stepscore
