// A cursor over one line of JSON. Everything returns false for what is not plain: wrong, or a form
// that is too rare to be worth reading here.
#pragma once

#include <algorithm>
#include <list>
#include <string>
#include <string_view>
#include <vector>

namespace stepscore {

struct JsonText {
  std::string_view raw;  // between the quotes; UTF-8, with pairs of surrogates alone
  bool escaped = false;

  std::string decoded() const;
};

struct JsonNumber {
  std::string_view raw;
  bool whole = false;

  // The nearest double, as Python's float() has it; false where it is none, and for a whole -0.
  bool as_double(double* value) const;
  bool as_integer(int64_t* value) const;
};

class JsonCursor {
 public:
  explicit JsonCursor(std::string_view line) : at_(line.data()), end_(line.data() + line.size()) {}

  const char* at() const { return at_; }

  // The next byte that is no white space; 0 at the end.
  char peek() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
    return at_ == end_ ? '\0' : *at_;
  }
  bool at_end() { return peek() == '\0' && at_ == end_; }

  // Takes the byte that peek() sees, if it is this one.
  bool take(char byte) {
    if (peek() != byte) return false;
    ++at_;
    return true;
  }
  // Takes true, false or null.
  bool take_word(std::string_view word) {
    if (static_cast<size_t>(end_ - at_) < word.size()) return false;
    if (std::string_view(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  bool read_text(JsonText* text);
  bool read_number(JsonNumber* number);
  bool skip_value(int depth = 0);

  // Calls read_field(key) for every field; it reads the value.
  template <class ReadField>
  bool read_object(ReadField read_field) {
    if (!take('{')) return false;
    if (take('}')) return true;
    const size_t first = keys_.size();
    do {
      JsonText text;
      if (!read_text(&text)) return false;
      const std::string_view key =
          text.escaped ? decoded_keys_.emplace_back(text.decoded()) : text.raw;
      if (!is_new_key(first, key) || !take(':') || !read_field(key)) return false;
    } while (take(','));
    keys_.resize(first);
    return take('}');
  }

  // Calls read_item() for every item.
  template <class ReadItem>
  bool read_list(ReadItem read_item) {
    if (!take('[')) return false;
    if (take(']')) return true;
    do {
      if (!read_item()) return false;
    } while (take(','));
    return take(']');
  }

 private:
  static constexpr size_t kMostKeys = 64;

  bool is_new_key(size_t first, std::string_view key) {
    if (keys_.size() - first == kMostKeys) return false;  // they are compared one by one
    if (std::find(keys_.begin() + first, keys_.end(), key) != keys_.end()) return false;
    keys_.push_back(key);
    return true;
  }
  bool skip_escape();
  bool skip_utf8();
  bool read_hex(unsigned* code);

  const char* at_;
  const char* end_;
  std::vector<std::string_view> keys_;  // of the objects that are open
  std::list<std::string> decoded_keys_;
};

}  // namespace stepscore
