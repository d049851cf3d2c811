#include "stepscore/result_lines.h"

#include <cmath>
#include <limits>

#include "testing.h"

using namespace stepscore;

namespace {

std::string number(double value) {
  std::string text;
  append_number(value, &text);
  return text;
}

std::string quoted(std::string_view value) {
  std::string text;
  append_text(value, &text);
  return text;
}

}  // namespace

TEST(numbers_are_those_of_python) {
  const std::pair<double, const char*> cases[] = {
      {0.0, "0.0"},
      {-0.0, "-0.0"},
      {1.0, "1.0"},
      {-1.5, "-1.5"},
      {0.1, "0.1"},
      {123.25, "123.25"},
      {1e-4, "0.0001"},
      {1.25e-4, "0.000125"},
      {1e-5, "1e-05"},
      {1.5e-7, "1.5e-07"},
      {1e15, "1000000000000000.0"},
      {1e16, "1e+16"},
      {1.5e16, "1.5e+16"},
      {5e-324, "5e-324"},
      {1e100, "1e+100"},
      {-2.5e-200, "-2.5e-200"},
      {9999999999999998.0, "9999999999999998.0"},
      {1.7976931348623157e308, "1.7976931348623157e+308"}};
  for (const auto& [value, text] : cases) EXPECT(number(value) == text, number(value));
}

TEST(texts_are_those_of_python) {
  EXPECT(quoted("a\"\\\n\t\r\b\f\x01\x1f/\x7f\u00e9") ==
         "\"a\\\"\\\\\\n\\t\\r\\b\\f\\u0001\\u001f/\x7f\u00e9\"");
}

TEST(a_line_by_hand) {
  const std::string_view lines[] = {"{\"id\": 1 }", "{\"id\": 2}"};
  const std::string_view provenance[] = {"null", "{}"};
  const std::string_view answers[] = {"4", {}, "x"}, columns[] = {"min"}, rules[] = {"majority"};
  const std::string_view heads[] = {"\"skipped\": \"?\", \"step_scores\": null"};
  const int64_t offsets[] = {0, 2, 3}, step_offsets[] = {0, 1, 1, 3}, truncated[] = {0, 0, 1};
  const int64_t ranks[] = {1, 2, 1}, classes[] = {0, -1, 0}, head_of[] = {1}, winner[] = {0, -1};
  const double infinity = std::numeric_limits<double>::infinity();
  const double steps[] = {0.5, 1, std::nan("")}, scores[] = {0.5, std::nan(""), infinity};
  const double score[] = {2, 0}, margin[] = {infinity, 0};
  const bool skipped[] = {false, true, false}, tied[] = {true, false};
  const CandidateResults candidates{offsets, steps,   step_offsets, truncated, skipped, scores,
                                    ranks,   answers, classes,      1,         head_of, heads};
  const std::string text = result_lines(lines, provenance, 2, candidates,
                                        {winner, score, tied, margin}, {"r", columns, 1, rules, 1});
  EXPECT(
      text ==
          R"({"id": 1, "r": {"candidates": [{"step_scores": [0.5], "scores": {"min": 0.5}, )"
          R"("rank": 1, "answer": "4", "answer_class": 0}, {"skipped": "?", "step_scores": null, )"
          R"("scores": {"min": null}, "rank": null, "answer": null, "answer_class": -1}], )"
          R"("votes": {"majority": {"min": {"winner": 0, "answer": "4", "score": 2.0, )"
          R"("tied": true, "margin": null}}}, "provenance": null}})"
          "\n"
          R"({"id": 2, "r": {"candidates": [{"step_scores": [1.0, null], "truncated": 1, )"
          R"("scores": {"min": null}, "rank": 1, "answer": "x", "answer_class": 0}], )"
          R"("votes": {"majority": {"min": null}}, "provenance": {}}})"
          "\n",
      text);
}
