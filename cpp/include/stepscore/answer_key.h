// Solution texts -> final answers -> canonical keys -> classes of equal answers.
// GPU: no sense: texts live on the host
//
// Texts are UTF-8; bytes that are not are kept as they are and never understood. Time is linear in
// the length of a text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace stepscore {

// How a key begins whose answer was not understood. Equal keys of this kind are equal spellings.
constexpr std::string_view kUnresolved = "text:";

// What a text holds: a solution, which states its answer somewhere, or the answer alone.
enum class Holds { kSolution, kAnswer };

// How a candidate came into its class.
enum class Decided : int64_t {
  kNoAnswer,
  kFirst,     // it opened the class
  kSameKey,   // its key is that of the candidate that opened the class, and understood
  kSameText,  // the same, but not understood
  kUnit,      // 12 and 12 hours, 50 and 50%, B and (B) 12: the problem knows just one such addition
};

// The answer that a solution states, as it stands there; empty where it states none.
std::string extract_answer(std::string_view solution);

void extract_answers(const std::string_view* texts,  // [n]; data() may be null: no answer
                     int64_t count,
                     std::string* answers);  // [n], empty where there is no answer

// Empty for an answer without content, and for what stands for none, as N/A. Equal keys that are
// not kUnresolved are equal in value.
std::string answer_key(std::string_view answer);

void answer_keys(const std::string_view* texts,  // [n]; data() may be null: no answer
                 int64_t count, Holds holds,
                 std::string* keys);  // [n], empty where there is no answer

void group_answers(const std::string_view* texts,  // [count]
                   int64_t count,
                   const int64_t* places,  // [n]: that of a candidate's text, -1 = none; null: each
                                           // candidate has its own, and count is n
                   const int64_t* offsets,  // [problems + 1]
                   int64_t problems, Holds holds,
                   int64_t* ids,       // [n], first seen = 0 within a problem, -1 = no answer
                   Decided* decided);  // [n]

}  // namespace stepscore
