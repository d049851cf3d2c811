#include "answer_key/markup.h"

#include <array>
#include <cstdint>
#include <utility>

#include "answer_key/ascii.h"

namespace stepscore {
namespace {

using namespace ascii;

constexpr std::string_view kEndsOfTurns[] = {"</s>",
                                             "<s>",
                                             "<eos>",
                                             "<bos>",
                                             "<pad>",
                                             "<unk>",
                                             "<end_of_turn>",
                                             "<extra_0>",
                                             "[/INST]",
                                             "</answer>",
                                             "<｜end▁of▁sentence｜>"};
constexpr std::string_view kNextTurns[] = {"|>user", "|>assistant", "|>system", "|>human"};
constexpr std::string_view kShepherd = "ки";
constexpr size_t kLongestToken = 40;
constexpr std::string_view kLayouts[] = {"align",  "aligned",  "displaymath", "equation", "flalign",
                                         "gather", "gathered", "math",        "multline", "split"};
// Characters of ASCII that say nothing alone.
constexpr auto kBlank = [] {
  std::array<bool, 256> blank{};
  for (const char c : std::string_view(" \t\n\v\f\r*_`#$:~.?|-")) {
    blank[static_cast<unsigned char>(c)] = true;
  }
  return blank;
}();
constexpr std::string_view kBlankSigns[] = {"–", "—", "…", "：", "。"};
constexpr std::string_view kBlankCommands[] = {"Box",   "cdots", "displaystyle", "dots",
                                               "ldots", "qquad", "quad",         "square"};
constexpr std::string_view kPlaceholders[] = {
    "answer",           "your answer", "final answer",     "your final answer", "the answer",
    "the final answer", "answer here", "your answer here", "final answer here", "and"};
constexpr std::string_view kTextFences[] = {"text", "txt",  "markdown",  "md",    "latex",
                                            "tex",  "math", "plaintext", "output"};
constexpr std::string_view kLengths[] = {"pt", "em", "ex", "mm", "cm"};

// The code point that ends a text, and its bytes; 0 where that is not UTF-8.
std::pair<uint32_t, size_t> last_code_point(std::string_view text) {
  size_t size = 1;
  while (size < 4 && size < text.size() &&
         (static_cast<unsigned char>(text[text.size() - size]) & 0xC0) == 0x80) {
    ++size;
  }
  const auto byte = [&](size_t i) {
    return static_cast<uint32_t>(static_cast<unsigned char>(text[text.size() - size + i]));
  };
  if (size == 2 && byte(0) >> 5 == 6) return {(byte(0) & 31) << 6 | (byte(1) & 63), size};
  if (size == 3 && byte(0) >> 4 == 14) {
    return {(byte(0) & 15) << 12 | (byte(1) & 63) << 6 | (byte(2) & 63), size};
  }
  if (size == 4 && byte(0) >> 3 == 30) {
    return {(byte(0) & 7) << 18 | (byte(1) & 63) << 12 | (byte(2) & 63) << 6 | (byte(3) & 63),
            size};
  }
  return {0, size};
}

// Emoji, ticks, ends of proofs, and white space beyond ASCII.
bool is_pictogram(uint32_t c) {
  return c == 0xA0 || (c >= 0x200B && c <= 0x200D) || c == 0x220E || c == 0x25A0 || c == 0x25A1 ||
         (c >= 0x2600 && c <= 0x27BF) || c == 0x2B1B || c == 0x2B1C || c == 0x2B50 || c == 0x2B55 ||
         c == 0x3000 || c == 0xFE0F || c == 0xFEFF || (c >= 0x1F000 && c <= 0x1FAFF);
}

// Where the token <|...|> begins that ends a text.
size_t token_begin(std::string_view text) {
  if (!text.ends_with("|>")) return kNone;
  size_t at = text.size() - 2;
  const size_t inner_end = at;
  while (at > 0 && inner_end - at <= kLongestToken) {
    const char c = text[at - 1];
    if (!is_letter(c) && !is_digit(c) && !contains("_./-", c)) break;
    --at;
  }
  const size_t size = inner_end - at;
  if (size == 0 || size > kLongestToken || at < 2 || !has(text, at - 2, "<|")) return kNone;
  return at - 2;
}

std::string_view unquoted(std::string_view text) {
  if (text.ends_with("。")) text.remove_suffix(3);
  if (text.ends_with(',')) text.remove_suffix(1);
  if (text.ends_with(';')) text.remove_suffix(1);
  while (text.ends_with('\\')) text.remove_suffix(1);
  const size_t letters = text.size() < 4 ? 0 : text.size() - 4;
  // Of a word: 42! and n! are numbers.
  if (text.ends_with('!') && word_end(text, letters, text.size()) == letters + 3) {
    text.remove_suffix(1);
  }
  if (text.starts_with("**")) text.remove_prefix(2);
  if (text.ends_with("**")) text.remove_suffix(2);
  text = strip(text);
  for (const std::string_view sign : {"*", "`", "__"}) {
    if (text.size() > 2 * sign.size() && text.starts_with(sign) && text.ends_with(sign)) {
      return text.substr(sign.size(), text.size() - 2 * sign.size());
    }
  }
  for (const auto& [begin, end] : {std::pair<std::string_view, std::string_view>{"\"", "\""},
                                   std::pair<std::string_view, std::string_view>{"“", "”"}}) {
    if (text.size() <= begin.size() + end.size() || !text.starts_with(begin) ||
        !text.ends_with(end)) {
      continue;
    }
    const std::string_view inner =
        text.substr(begin.size(), text.size() - begin.size() - end.size());
    if (inner.find(begin) == kNone) return inner;
  }
  return text;
}

// Past the space of \\[4pt].
size_t behind_row_space(std::string_view text, size_t at) {
  if (!has(text, at, "[")) return at;
  const size_t digits = skip(text, at + 1, text.size(), "0123456789.");
  const std::string_view length = starting(kLengths, text, digits);
  const bool closed = !length.empty() && has(text, digits + length.size(), "]");
  return digits > at + 1 && closed ? digits + length.size() + 1 : at;
}

std::vector<std::string> rows_of(std::string_view inner) {
  std::vector<std::string> rows(1);
  for (size_t at = 0; at < inner.size();) {
    if (has(inner, at, "\\\\")) {
      rows.emplace_back();
      at = behind_row_space(inner, at + 2);
    } else if (inner[at] == '\\') {
      rows.back() += inner.substr(at, 2);
      at += 2;
    } else {
      if (inner[at] != '&') rows.back() += inner[at];
      ++at;
    }
  }
  for (std::string& row : rows) row = std::string(strip(strip_end(strip(row), ",;")));
  return rows;
}

// The values of rows: a row that begins with = goes on with the one before.
std::string listed_rows(std::string_view inner) {
  struct Value {
    std::string head, value;  // the left side with its sign, and the last right side
  };
  std::vector<Value> values;
  for (const std::string_view row : rows_of(inner)) {
    if (row.starts_with('=') && !values.empty()) {
      Value& last = values.back();
      if (last.head.empty()) last.head = last.value.substr(0, last.value.find('=') + 1);
      if (last.head.empty()) last.head = last.value;
      last.value = strip(row.substr(1));
    } else if (!row.empty()) {
      values.push_back({"", std::string(strip(row.substr(row.starts_with('='))))});
    }
  }
  if (values.size() == 1) return values[0].value;
  std::string list;
  for (const auto& [head, value] : values) {
    if (!list.empty()) list += ", ";
    list += head.empty() ? value : head + " " + value;
  }
  return list;
}

// What an environment that only lays out has inside; `made` holds it where it has to be made.
std::string_view uncovered(std::string_view text, std::string& made) {
  if (!text.starts_with("\\begin{")) return text;
  const size_t name_begin = 7;
  size_t name_end = name_begin;
  while (name_end < text.size() && text[name_end] >= 'a' && text[name_end] <= 'z') ++name_end;
  const std::string_view name = text.substr(name_begin, name_end - name_begin);
  if (!in(kLayouts, name)) return text;
  const size_t begin = name_end + (has(text, name_end, "*") ? 2 : 1);
  if (!has(text, begin - 1, "}")) return text;
  std::string end = "\\end{";
  end += text.substr(name_begin, begin - name_begin);
  if (!text.ends_with(end) || text.size() < begin + end.size()) return text;
  const std::string_view inner = text.substr(begin, text.size() - begin - end.size());
  if (inner.find("\\begin{") != kNone ||
      (inner.find('&') == kNone && inner.find("\\\\") == kNone)) {
    return inner;
  }
  std::string list = listed_rows(inner);  // inner may be part of `made`
  made = std::move(list);
  return made;
}

// Whether both ends are plainly those of an answer: for most it saves a round.
bool is_finished(std::string_view text) {
  if (text.empty()) return false;
  const char first = text.front(), last = text.back();
  const bool begins = is_letter(first) || is_digit(first) ||
                      (first == '\\' && letter_at(text, 1) && !text.starts_with("\\begin"));
  const bool ends = is_digit(last) || last == '}' ||
                    (is_letter(last) && text.find('>') == kNone);  // no <|...|>user
  return begins && ends;
}

}  // namespace

std::string_view trimmed(std::string_view answer) {
  answer = strip(answer);
  if (answer.ends_with('.') && !answer.ends_with("..")) {
    answer = strip(answer.substr(0, answer.size() - 1));
  }
  if (answer.empty() || (answer[0] != '$' && answer[0] != '\\')) return answer;
  if (answer[0] == '\\' && letter_at(answer, 1)) return answer;  // a command
  struct Pair {
    std::string_view open, close;
  };
  for (const auto& [open, close] :
       {Pair{"$$", "$$"}, Pair{"$", "$"}, Pair{"\\(", "\\)"}, Pair{"\\[", "\\]"}}) {
    if (answer.size() < open.size() + close.size() || !answer.starts_with(open) ||
        !answer.ends_with(close)) {
      continue;
    }
    const std::string_view inner = answer.substr(open.size(), answer.size() - 2 * open.size());
    if (inner.find(open) != kNone || inner.ends_with('\\')) continue;
    answer = strip(inner);
    break;
  }
  return answer;
}

std::string_view clean_end(std::string_view text) {
  for (;;) {
    std::string_view rest = strip_end(text);
    if (rest.empty()) return rest;
    const char last = rest.back();
    if (is_foreign(last)) {
      const auto [code_point, size] = last_code_point(rest);
      const bool tag =
          rest.ends_with(kShepherd) &&
          (rest.size() == kShepherd.size() || is_white(rest[rest.size() - kShepherd.size() - 1]));
      if (is_pictogram(code_point)) {
        rest.remove_suffix(size);
      } else if (tag) {
        rest.remove_suffix(kShepherd.size());
      }
    } else if (is_letter(last)) {
      for (const std::string_view turn : kNextTurns) {
        if (rest.ends_with(turn)) rest.remove_suffix(turn.size() - 2);
      }
    } else if (last == '>' || last == ']') {
      const size_t token = token_begin(rest);
      if (token != kNone) {
        rest = rest.substr(0, token);
      } else {
        for (const std::string_view end : kEndsOfTurns) {
          if (!rest.ends_with(end)) continue;
          rest.remove_suffix(end.size());
          break;
        }
      }
    }
    if (rest.size() == text.size()) return text;
    text = rest;
  }
}

std::string finished(std::string_view text) {
  std::string made;
  for (;;) {
    if (is_finished(text)) return std::string(text);
    const std::string_view before = text;
    text = uncovered(unquoted(trimmed(clean_end(text))), made);
    if (text.size() == before.size() && text.data() == before.data()) return std::string(text);
  }
}

std::string_view without_closer(std::string_view text, size_t at, size_t end) {
  const std::string_view sentence = text.substr(at, end - at);
  const std::string_view inner = strip_end(sentence, " \t.!");
  const char closer = inner.empty() ? '\0' : inner.back();
  if (closer != '*' && closer != '_' && closer != '#') return sentence;
  const std::string_view content = strip_end(inner, {&closer, 1});
  const size_t size = inner.size() - content.size();
  const size_t newline = at == 0 ? kNone : text.rfind('\n', at - 1);
  std::string_view before = text.substr(newline + 1, at - newline - 1);  // kNone + 1 is 0
  before.remove_prefix(skip(before, 0, before.size(), " \t>"));
  if (closer == '#') {
    const bool heading = before.starts_with('#') && !content.empty() && is_white(content.back());
    return heading ? without_closer(text, at, at + strip_end(content).size()) : sentence;
  }
  if (before.starts_with("* ")) before.remove_prefix(1);  // a bullet
  const auto open = static_cast<size_t>(std::ranges::count(before, closer));
  return open % (2 * size) == size ? content : sentence;
}

bool is_blank(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    if (kBlank[static_cast<unsigned char>(text[at])]) {
      ++at;
    } else if (text[at] == '\\') {
      if (at + 1 < text.size() && contains("[](),;! ", text[at + 1])) {
        at += 2;
        continue;
      }
      const size_t end = word_end(text, at + 1, text.size());
      if (!in(kBlankCommands, text.substr(at + 1, end - at - 1))) return false;
      at = end;
    } else {
      const std::string_view sign = starting(kBlankSigns, text, at);
      if (sign.empty()) return false;
      at += sign.size();
    }
  }
  return true;
}

bool says_nothing(std::string_view text) {
  if (is_blank(strip(text, " \t\n\v\f\r{}"))) return true;
  return in(kPlaceholders, Lower(strip(text, " \t\n\v\f\r[]<>{}.")).view());
}

std::vector<Fence> fences_of(std::string_view text) {
  std::vector<Fence> found;
  if (text.find('`') == kNone && text.find('~') == kNone) return found;
  if (text.find("```") == kNone && text.find("~~~") == kNone) return found;
  bool is_open = false, is_text = false;
  size_t opened = 0, content = 0;
  char opener = 0;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    const size_t first = skip(line, 0, line.size(), " \t\v\f\r>");
    const char sign = first < line.size() ? line[first] : '\0';
    if (sign == '`' || sign == '~') {
      const size_t behind = skip(line, first, line.size(), {&sign, 1});
      const std::string_view rest = line.substr(behind), info = strip(rest);
      if (behind - first >= 3) {
        if (!is_open && !(sign == '`' && contains(rest, '`'))) {
          is_open = true;
          opened = begin;
          content = std::min(end + 1, text.size());
          opener = sign;
          is_text = info.empty() || in(kTextFences, info);
        } else if (is_open && sign == opener && info.empty()) {
          found.push_back({opened, end, text.substr(content, begin - content), is_text});
          is_open = false;
        }
      }
    }
    begin = end + 1;
  }
  if (is_open) found.push_back({opened, text.size(), text.substr(content), is_text});
  return found;
}

}  // namespace stepscore
