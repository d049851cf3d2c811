// The value behind the words that state an answer, or below them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "answer_key/markup.h"

namespace stepscore {

// What kind of value counts: kAny; a choice or a number; or the last thing that the text says.
enum class Only : uint8_t { kAny, kChoice, kLast };

// "answer" or its like in a text.
bool has_answer_word(std::string_view text);

// The end of the text came before the end of a formula or a bracket.
bool is_cut_off(std::string_view sentence);

// A value has but a unit of some words behind it, and no word that asks for more.
bool is_complete(std::string_view value, int64_t most_words);

// What stands at a place of a text; empty where that is no value.
class Values {
 public:
  Values(std::string_view text, const std::vector<Fence>& fences) : text_(text), fences_(fences) {}

  // From a place to the end of its line; below, where there is nothing. With a label, "Answer:", it
  // is not the begin of an explanation.
  std::string behind(size_t at, size_t end, bool label, Only only);

  // In the first line from a place on that has more than markup.
  std::string below(size_t begin);

  // The value of "12 is the answer": before, "12 is".
  std::string in_front(std::string_view before);

  // The choice of "option C is correct": behind, " C is correct".
  std::string choice(std::string_view behind);

  // The value is but "correct" or its like, which may be said of the answer.
  bool is_judgement() const { return is_judgement_; }

 private:
  // A text that goes on to judge its answers states none; a bound, so that time is linear.
  static constexpr int64_t kMostTries = 32;

  std::string value(size_t at, size_t end, bool label, Only only);
  std::string listed(size_t at, size_t end, char bullet);
  std::string in_fence(const Fence& fence) const;
  std::string told(size_t at, size_t end) const;
  size_t behind_display(size_t at) const;
  size_t behind_hedges(size_t at, size_t end) const;
  size_t sentence_end(size_t at, size_t end) const;
  size_t line_end(size_t at) const;

  std::string_view text_;
  const std::vector<Fence>& fences_;
  int64_t tries_ = kMostTries;
  bool is_judgement_ = false;
};

}  // namespace stepscore
