// The results of records -> their lines of JSON, as Python's json writes them (no ASCII escapes).
// GPU: no sense: text lives on the host
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace stepscore {

// Of every candidate; a null pointer: nothing of that kind is written.
struct CandidateResults {
  const int64_t* offsets;           // [records + 1]
  const double* step_scores;        // [steps]; what is not finite becomes null
  const int64_t* step_offsets;      // [candidates + 1]
  const int64_t* truncated;         // [candidates], written where it is not 0
  const bool* skipped;              // [candidates]: neither step scores nor a rank
  const double* scores;             // [candidates, columns]
  const int64_t* ranks;             // [candidates]
  const std::string_view* answers;  // [candidates]; data() null: none
  const int64_t* classes;           // [candidates], with the answers
  int64_t heads;                    // fields that stand first in some candidates
  const int64_t* head_of;           // [heads]: the candidate, ascending
  const std::string_view* head;     // [heads], JSON without the braces
};

// Winners, with the answers; a null pointer: no votes.
struct VoteResults {
  const int64_t* winner;  // [records, rules, columns], a candidate; -1 = none
  const double* score;    // [records, rules, columns]
  const bool* tied;
  const double* margin;
};

struct ResultNames {
  std::string_view result;          // the field that is added to a record
  const std::string_view* columns;  // [columns]
  int64_t column_count;
  const std::string_view* rules;  // [rules]
  int64_t rule_count;
};

// The line of every record with its result as one more field, and a line break.
std::string result_lines(const std::string_view* lines,       // [records]: objects with a field
                         const std::string_view* provenance,  // [records], JSON
                         int64_t records, const CandidateResults& candidates,
                         const VoteResults& votes, const ResultNames& names);

// The shortest decimal that is this number again, as Python's repr() writes it.
void append_number(double value, std::string* text);

// A text in quotes: escapes for quotes, backslashes and control characters alone.
void append_text(std::string_view value, std::string* text);

}  // namespace stepscore
