// What surrounds an answer without being one: markup, ends of turns, code, displays.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace stepscore {

// White space, a final period, $...$, \(...\) and \[...\] taken off the ends.
std::string_view trimmed(std::string_view answer);

// White space, ends of turns, the tag of Math-Shepherd, emoji and ticks taken off the end.
std::string_view clean_end(std::string_view text);

// Everything taken off both ends of an answer that is not part of it; rows of \begin{align} become
// a list.
std::string finished(std::string_view text);

// A sentence of a text without what closes the emphasis, or the heading, that begins in front of
// it: *Answer: 8*, ### The answer is 8 ###.
std::string_view without_closer(std::string_view text, size_t at, size_t end);

// Nothing but markup, dots and white space.
bool is_blank(std::string_view text);

// The content of a box or of tags that is blank, or only says what goes there.
bool says_nothing(std::string_view text);

// A block of code, with its fences; what is between them; and whether that is text.
struct Fence {
  size_t begin, end;
  std::string_view content;
  bool is_text;
};

// In order; one that is not closed goes to the end of the text.
std::vector<Fence> fences_of(std::string_view text);

}  // namespace stepscore
