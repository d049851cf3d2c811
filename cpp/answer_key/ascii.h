// The characters of ASCII, and words of them, as the extraction of answers reads texts.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace stepscore::ascii {

constexpr auto kNone = std::string_view::npos;
constexpr std::string_view kWhite = " \t\n\v\f\r";

constexpr bool is_white(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
constexpr auto kLetters = [] {
  std::array<bool, 256> letters{};
  for (int i = 0; i < 26; ++i) letters[size_t('a' + i)] = letters[size_t('A' + i)] = true;
  return letters;
}();
constexpr bool is_letter(char c) {
  return kLetters[static_cast<unsigned char>(c)];
}
constexpr bool is_foreign(char c) {
  return static_cast<unsigned char>(c) >= 0x80;
}

// A loop that is unrolled for the few characters of a constant; memchr is a call.
constexpr bool contains(std::string_view characters, char c) {
  for (const char known : characters) {
    if (known == c) return true;
  }
  return false;
}

// Whether a text has a piece at a place; false beyond its end.
constexpr bool has(std::string_view text, size_t at, std::string_view piece) {
  return at <= text.size() && text.substr(at).starts_with(piece);
}

constexpr bool letter_at(std::string_view text, size_t at) {
  return at < text.size() && is_letter(text[at]);
}

constexpr std::string_view strip(std::string_view text, std::string_view characters = kWhite) {
  while (!text.empty() && contains(characters, text.front())) text.remove_prefix(1);
  while (!text.empty() && contains(characters, text.back())) text.remove_suffix(1);
  return text;
}

constexpr std::string_view strip_end(std::string_view text, std::string_view characters = kWhite) {
  while (!text.empty() && contains(characters, text.back())) text.remove_suffix(1);
  return text;
}

// Past the characters of a set.
constexpr size_t skip(std::string_view text, size_t at, size_t end, std::string_view characters) {
  while (at < end && contains(characters, text[at])) ++at;
  return at;
}

constexpr size_t word_end(std::string_view text, size_t at, size_t end) {
  while (at < end && is_letter(text[at])) ++at;
  return at;
}

// A word in lower case, for tables of words; empty where it is longer than any of them.
class Lower {
 public:
  explicit constexpr Lower(std::string_view word) {
    if (word.size() > letters_.size()) return;
    for (const char c : word) {
      letters_[size_++] = is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  constexpr std::string_view view() const { return {letters_.data(), size_}; }

 private:
  std::array<char, 20> letters_{};
  size_t size_ = 0;
};

// Whether a word, which is not empty, is in a table.
template <class Table>
constexpr bool in(const Table& table, std::string_view word) {
  if (word.empty()) return false;
  // The first letters part most words, without a call.
  return std::any_of(std::begin(table), std::end(table), [word](std::string_view known) {
    return known.size() == word.size() && known[0] == word[0] && known == word;
  });
}

// The entry of a table of pieces that a text has at a place; empty where it has none.
template <class Table>
constexpr std::string_view starting(const Table& table, std::string_view text, size_t at) {
  if (at >= text.size()) return {};
  for (const std::string_view piece : table) {
    if (piece[0] == text[at] && has(text, at, piece)) return piece;
  }
  return {};
}

}  // namespace stepscore::ascii
