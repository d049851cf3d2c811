#include "record_scan/json_cursor.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace stepscore {
namespace {

constexpr int kDeepest = 64;
constexpr size_t kLongestNumber = 1000;  // Python refuses whole numbers of more than 4300 digits

bool is_digit(char byte) {
  return byte >= '0' && byte <= '9';
}

// The first byte of a text that ends it, begins an escape, or is not plain ASCII.
const char* skip_plain(const char* at, const char* end) {
  constexpr uint64_t kOnes = 0x0101010101010101, kHighs = 0x8080808080808080;
  for (; end - at >= 8; at += 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    const uint64_t quote = word ^ (kOnes * '"'), escape = word ^ (kOnes * '\\');
    const uint64_t hits = (word - kOnes * 0x20) | (quote - kOnes) | (escape - kOnes) | word;
    if ((hits & kHighs) != 0) break;
  }
  for (; at != end; ++at) {
    const auto byte = static_cast<unsigned char>(*at);
    if (byte < 0x20 || byte >= 0x80 || byte == '"' || byte == '\\') break;
  }
  return at;
}

void append_utf8(unsigned code, std::string* text) {
  const auto add = [text](unsigned byte) { text->push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    add(code);
  } else if (code < 0x800) {
    add(0xc0 | code >> 6);
    add(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    add(0xe0 | code >> 12);
    add(0x80 | (code >> 6 & 0x3f));
    add(0x80 | (code & 0x3f));
  } else {
    add(0xf0 | code >> 18);
    add(0x80 | (code >> 12 & 0x3f));
    add(0x80 | (code >> 6 & 0x3f));
    add(0x80 | (code & 0x3f));
  }
}

bool is_high_surrogate(unsigned code) {
  return code >= 0xd800 && code < 0xdc00;
}

bool is_low_surrogate(unsigned code) {
  return code >= 0xdc00 && code < 0xe000;
}

unsigned joined(unsigned high, unsigned low) {
  return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

unsigned hex4(const char* digits) {
  unsigned code = 0;
  std::from_chars(digits, digits + 4, code, 16);
  return code;
}

}  // namespace

std::string JsonText::decoded() const {
  if (!escaped) return std::string(raw);
  std::string text;
  text.reserve(raw.size());
  for (size_t i = 0; i < raw.size();) {
    const size_t next = std::min(raw.find('\\', i), raw.size());
    text.append(raw, i, next - i);
    if (next == raw.size()) break;
    const char kind = raw[next + 1];
    i = next + 2;
    switch (kind) {
      case 'b':
        text.push_back('\b');
        break;
      case 'f':
        text.push_back('\f');
        break;
      case 'n':
        text.push_back('\n');
        break;
      case 'r':
        text.push_back('\r');
        break;
      case 't':
        text.push_back('\t');
        break;
      case 'u': {
        unsigned code = hex4(raw.data() + i);
        i += 4;
        if (is_high_surrogate(code)) {
          code = joined(code, hex4(raw.data() + i + 2));
          i += 6;
        }
        append_utf8(code, &text);
        break;
      }
      default:
        text.push_back(kind);  // a quote, a slash, a backslash
    }
  }
  return text;
}

bool JsonNumber::as_double(double* value) const {
  if (whole && raw == "-0") return false;  // to Python's int it is 0
  const auto [end, fault] = std::from_chars(raw.data(), raw.data() + raw.size(), *value);
  if (fault != std::errc() || end != raw.data() + raw.size() || !std::isfinite(*value))
    return false;
  // Implementations differ in what they make of a number that is too small for a double.
  const std::string_view digits = raw.substr(0, raw.find_first_of("eE"));
  return *value != 0 || digits.find_first_of("123456789") == std::string_view::npos;
}

bool JsonNumber::as_integer(int64_t* value) const {
  if (!whole || raw == "-0") return false;
  const auto [end, fault] = std::from_chars(raw.data(), raw.data() + raw.size(), *value);
  return fault == std::errc() && end == raw.data() + raw.size();
}

bool JsonCursor::read_text(JsonText* text) {
  if (!take('"')) return false;
  const char* begin = at_;
  for (text->escaped = false;;) {
    at_ = skip_plain(at_, end_);
    if (at_ == end_) return false;
    if (*at_ == '"') break;
    if (*at_ == '\\') {
      text->escaped = true;
      if (!skip_escape()) return false;
    } else if (!skip_utf8()) {
      return false;
    }
  }
  text->raw = {begin, static_cast<size_t>(at_ - begin)};
  ++at_;
  return true;
}

// Half a pair of surrogates is no text.
bool JsonCursor::skip_escape() {
  ++at_;
  if (at_ == end_) return false;
  const char kind = *at_++;
  if (kind != 'u') return std::string_view("\"\\/bfnrt").find(kind) != std::string_view::npos;
  unsigned code = 0, low = 0;
  if (!read_hex(&code) || is_low_surrogate(code)) return false;
  if (!is_high_surrogate(code)) return true;
  return take_word("\\u") && read_hex(&low) && is_low_surrogate(low);
}

bool JsonCursor::read_hex(unsigned* code) {
  if (end_ - at_ < 4) return false;
  const auto is_hex = [](char byte) {
    return is_digit(byte) || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
  };
  if (!std::all_of(at_, at_ + 4, is_hex)) return false;
  *code = hex4(at_);
  at_ += 4;
  return true;
}

// The well-formed sequences of the Unicode standard, table 3-7; a control byte is none.
bool JsonCursor::skip_utf8() {
  const auto byte = [this](int i) {
    return end_ - at_ > i ? static_cast<unsigned>(static_cast<unsigned char>(at_[i])) : 0u;
  };
  const auto follows = [&byte](int i, unsigned low = 0x80, unsigned high = 0xbf) {
    return byte(i) >= low && byte(i) <= high;
  };
  const unsigned first = byte(0);
  int length = 0;
  if (first >= 0xc2 && first <= 0xdf && follows(1)) {
    length = 2;
  } else if (first >= 0xe0 && first <= 0xef && follows(2) &&
             follows(1, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf)) {
    length = 3;
  } else if (first >= 0xf0 && first <= 0xf4 && follows(2) && follows(3) &&
             follows(1, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf)) {
    length = 4;
  }
  at_ += length;
  return length > 0;
}

bool JsonCursor::read_number(JsonNumber* number) {
  peek();
  const char* begin = at_;
  const auto skip_digits = [this] {
    const char* first = at_;
    while (at_ != end_ && is_digit(*at_)) ++at_;
    return at_ != first;
  };
  const auto take_byte = [this](char byte) { return at_ != end_ && *at_ == byte && ++at_; };
  take_byte('-');
  if (!take_byte('0') && !skip_digits()) return false;
  number->whole = true;
  if (take_byte('.')) {
    number->whole = false;
    if (!skip_digits()) return false;
  }
  if (take_byte('e') || take_byte('E')) {
    number->whole = false;
    if (!take_byte('+')) take_byte('-');
    if (!skip_digits()) return false;
  }
  number->raw = {begin, static_cast<size_t>(at_ - begin)};
  return number->raw.size() <= kLongestNumber;
}

bool JsonCursor::skip_value(int depth) {
  if (depth == kDeepest) return false;
  switch (peek()) {
    case '"': {
      JsonText text;
      return read_text(&text);
    }
    case '{':
      return read_object([this, depth](std::string_view) { return skip_value(depth + 1); });
    case '[':
      return read_list([this, depth] { return skip_value(depth + 1); });
    case 't':
      return take_word("true");
    case 'f':
      return take_word("false");
    case 'n':
      return take_word("null");
    default: {
      JsonNumber number;
      return read_number(&number);
    }
  }
}

}  // namespace stepscore
