// Lines of JSON, one record each -> what a vote reads of them, as columns.
// GPU: no sense: text lives on the host
//
// A line is plain if it is JSON with every key once, holds the fields below with values of the most
// frequent types, and its candidates carry the scores that are wanted. What is
// not plain need not be wrong: the caller reads it in another way, which also finds the words for
// what is. A number is the double nearest to its decimal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stepscore {

// The names of fields, in UTF-8; a record that has the one of `result` is not plain.
struct RecordFields {
  std::string_view id, problem, candidates, answer, result;
};

// The scores that every candidate must have. Without both of them none has any.
struct WantedScores {
  bool steps;    // "step_scores"
  bool given;    // "score"
  bool bounded;  // all step scores lie in [0, 1]
};

struct JsonValue {
  enum class Kind { kNull, kText, kInteger, kReal } kind = Kind::kNull;
  std::string text;
  int64_t integer = 0;
  double real = 0;
};

struct RecordScan {
  std::vector<JsonValue> ids;          // [records]: a text that is not empty, or a whole number
  std::vector<JsonValue> known;        // [records]: the known answer; null where there is none
  std::vector<int64_t> offsets;        // [records + 1], of the candidates
  std::vector<double> step_scores;     // [steps]; none unless wanted
  std::vector<int64_t> step_offsets;   // [candidates + 1]
  std::vector<double> scores;          // [candidates]; none unless wanted
  std::vector<int8_t> correct;         // [candidates]: 1, 0, or -1 where it is not said
  std::vector<int64_t> answer;         // [candidates]: into `answers`; -1 = not stated
  std::vector<JsonValue> answers;      // every spelling once
  std::vector<int64_t> solution;       // [candidates]: into `solutions`; -1 = none, or not needed
  std::vector<std::string> solutions;  // the texts of candidates that state no answer
};

// Reads lines until one is not plain, or until there are `most` candidates or more. As many lines
// were read as there are records.
RecordScan scan_records(const std::string_view* lines,  // [count]
                        int64_t count, const RecordFields& fields, WantedScores wanted,
                        int64_t most);

}  // namespace stepscore
