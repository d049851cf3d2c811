#include "answer_key/boxes.h"

#include <algorithm>
#include <cstdint>

#include "answer_key/ascii.h"

namespace stepscore {
namespace {

using namespace ascii;

// Between two boxes of a sentence they say that the later one replaces the earlier.
constexpr std::string_view kReplace[] = {
    "actually",   "approximately", "because",    "becomes", "but",   "check",  "corrected",
    "equal",      "equals",        "equivalent", "finally", "hence", "ie",     "implies",
    "instead",    "means",         "namely",     "no",      "not",   "rather", "rounded",
    "simplified", "simplifies",    "simplify",   "since",   "so",    "that",   "then",
    "therefore",  "thus",          "verify",     "wait",    "which", "yields"};
constexpr std::string_view kReplaceCommands[] = {"Leftrightarrow",
                                                 "Longrightarrow",
                                                 "Rightarrow",
                                                 "approx",
                                                 "boxed",
                                                 "equiv",
                                                 "fbox",
                                                 "iff",
                                                 "implies",
                                                 "longrightarrow",
                                                 "neq",
                                                 "rightarrow",
                                                 "therefore",
                                                 "to"};
constexpr std::string_view kReplaceSigns[] = {"⇒",    "→",    "≈",  "≡",  "∴", "。",
                                              "所以", "因此", "即", "故", "则"};
constexpr std::string_view kAnd[] = {"and", "or", "und", "oder", "ou", "et"};
constexpr std::string_view kAndSigns[] = {"或", "和", "且", "与", "及", "、", "，", "；"};
constexpr std::string_view kLayoutCommands[] = {"text", "mathrm", "textbf", "quad", "qquad",
                                                "left", "right",  "begin",  "end"};

struct Box {
  size_t command, begin, end, after;
};

// The size of \boxed or \fbox; 0 for anything else.
size_t command_size(std::string_view text, size_t at) {
  const size_t size = has(text, at, "\\boxed") ? 6 : has(text, at, "\\fbox") ? 5 : 0;
  return size == 0 || letter_at(text, at + size) ? 0 : size;
}

// The end of what \boxed 5 holds; where it begins if that is none.
size_t end_without_braces(std::string_view text, size_t begin, bool spaced) {
  const char first = begin < text.size() ? text[begin] : '\0';
  const char second = begin + 1 < text.size() ? text[begin + 1] : '\0';
  if (is_letter(first)) {
    const bool ends = begin + 1 >= text.size() || contains("$\\.,\n", second);
    return spaced && ends ? begin + 1 : begin;
  }
  const bool signed_digit = (first == '-' || first == '+' || first == '.') && is_digit(second);
  if (!is_digit(first) && !signed_digit && !(first == '\\' && is_letter(second))) return begin;
  size_t at = begin, depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '\\') {
      const std::string_view rest = text.substr(at + 1);
      if (rest.starts_with("boxed") || rest.starts_with("fbox") || rest.starts_with(')') ||
          rest.starts_with(']')) {
        break;
      }
      at += 2;
      continue;
    }
    if (c == '\n' || (depth == 0 && (c == '$' || is_white(c) || c == '}'))) break;
    depth += c == '{';
    depth -= c == '}';
    ++at;
  }
  if (depth > 0) return begin;
  at = std::min(at, text.size());
  while (at > begin && contains(".,;:", text[at - 1])) --at;
  return at;
}

// In the order in which they open, of those that are closed. One pass, braces on a stack.
std::vector<Box> boxes_of(std::string_view text, const std::vector<Fence>& skipped) {
  std::vector<Box> found;
  size_t at = std::min(text.find("\\boxed"), text.find("\\fbox"));
  if (at == kNone) return found;
  struct Open {
    size_t command, begin;
  };
  std::vector<Open> open;  // the command is kNone for other braces
  auto fence = skipped.begin();
  while (at < text.size()) {
    for (; fence != skipped.end() && at >= fence->begin; ++fence) at = std::max(at, fence->end);
    if (at >= text.size()) break;
    const char c = text[at];
    if (c == '\\') {
      const size_t size = command_size(text, at);
      if (size == 0) {
        at += 2;
        continue;
      }
      const size_t begin = skip(text, at + size, text.size(), kWhite);
      if (has(text, begin, "{")) {
        open.push_back({at, begin + 1});
        at = begin + 1;
        continue;
      }
      const size_t end = end_without_braces(text, begin, begin > at + size);
      if (end > begin) found.push_back({at, begin, end, end});
      at += size;
      continue;
    }
    if (c == '{') {
      open.push_back({kNone, at + 1});
    } else if (c == '}' && !open.empty()) {
      const Open last = open.back();
      open.pop_back();
      if (last.command != kNone) found.push_back({last.command, last.begin, at, at + 1});
    }
    ++at;
  }
  std::sort(found.begin(), found.end(),
            [](const Box& a, const Box& b) { return a.begin < b.begin; });
  return found;
}

bool percent_behind(std::string_view text, size_t at) {
  for (;;) {
    if (at < text.size() && contains(" \t$*", text[at])) {
      ++at;
    } else if (has(text, at, "\\)") || has(text, at, "\\,") || has(text, at, "\\;") ||
               has(text, at, "\\ ")) {
      at += 2;
    } else {
      break;
    }
  }
  if (has(text, at, "\\text{")) at = skip(text, at + 6, text.size(), " \t");
  if (has(text, at, "%") || has(text, at, "\\%")) return true;
  const size_t word = has(text, at, "percent") ? 7 : has(text, at, "pct") ? 3 : 0;
  return word > 0 && !letter_at(text, at + word);
}

std::string value_of(std::string_view text, const Box& box) {
  std::string value = finished(text.substr(box.begin, box.end - box.begin));
  if (value.empty()) return value;
  const bool degree = (has(text, box.after, "^\\circ") && !letter_at(text, box.after + 6)) ||
                      has(text, box.after, "^{\\circ}") || has(text, box.after, "°");
  if (degree) {
    value += "^\\circ";
  } else if (value.find('%') == kNone && value.find("percent") == kNone &&
             value.find("pct") == kNone && percent_behind(text, box.after)) {
    value += "\\%";
  }
  return value;
}

// A period that ends a sentence, and not the number of a line.
bool ends_sentence(std::string_view gap, size_t at) {
  if (!contains(".!?", gap[at]) || (at + 1 < gap.size() && !is_white(gap[at + 1]))) return false;
  size_t first = at;
  while (first > 0 && is_digit(gap[first - 1])) --first;
  if (first == at) return true;
  while (first > 0 && (gap[first - 1] == ' ' || gap[first - 1] == '\t')) --first;
  return first == 0 || gap[first - 1] != '\n';
}

// A line that begins with a bullet, a number or a letter in brackets.
bool is_item(std::string_view line) {
  line = line.substr(skip(line, 0, line.size(), " \t"));
  const size_t digits = skip(line, 0, line.size(), "0123456789");
  size_t sign = has(line, 0, "•") ? 3 : line.empty() || !contains("-*+", line[0]) ? 0 : 1;
  if (digits > 0 && (has(line, digits, ".") || has(line, digits, ")"))) sign = digits + 1;
  if (sign > 0) return sign < line.size() && (line[sign] == ' ' || line[sign] == '\t');
  return line.size() > 2 && line[0] == '(' && line[2] == ')' &&
         (is_digit(line[1]) || (line[1] >= 'a' && line[1] <= 'z'));
}

// What stands between two boxes, and what it says of them.
class Gap {
 public:
  explicit Gap(std::string_view gap) : gap_(gap) {}

  // Whether both boxes are values of one statement.
  bool joins() {
    for (size_t at = 0; at < gap_.size();) {
      const char c = gap_[at];
      if (is_letter(c) || (c == '\\' && letter_at(gap_, at + 1))) {
        if (!read_word(at)) return false;
      } else if (c == '\\') {
        named_ = named_ && !has(gap_, at, "\\\\");
        at += 2;
      } else if (!read_sign(at)) {
        return false;
      }
    }
    if (lines_ == 0) return true;
    const bool listed = lines_ == 1 && is_item(gap_.substr(gap_.find('\n') + 1));
    return !(words_ && !listed) && !(blank_line_ && !joined_);
  }

 private:
  bool read_word(size_t& at) {
    const bool command = gap_[at] == '\\';
    size_t end = word_end(gap_, at + command, gap_.size());
    const std::string_view word = gap_.substr(at + command, end - at - command);
    const Lower lower(word);
    if (command ? in(kReplaceCommands, word) : in(kReplace, lower.view())) return false;
    if (command && (word == "begin" || word == "end")) {
      size_t name = end + 1;
      while (name < gap_.size() && gap_[name] >= 'a' && gap_[name] <= 'z') ++name;
      name += has(gap_, name, "*");
      if (has(gap_, end, "{") && has(gap_, name, "}")) end = name + 1;
    } else if (!command && in(kAnd, lower.view())) {
      joined_ = true;
    } else if (!command || !in(kLayoutCommands, word)) {
      named_ = true;
      words_ = words_ || (!command && word.size() > 1);
    }
    at = end;
    return true;
  }

  bool read_sign(size_t& at) {
    const char c = gap_[at];
    if (has(gap_, at, "=>") || has(gap_, at, "->") || (c == '=' && !named_)) return false;
    if (ends_sentence(gap_, at)) return false;
    if (c == '\n') {
      ++lines_;
      named_ = false;
      const size_t next = skip(gap_, at + 1, gap_.size(), " \t");
      blank_line_ = blank_line_ || has(gap_, next, "\n");
    } else if (is_foreign(c)) {
      if (!starting(kReplaceSigns, gap_, at).empty()) return false;
      const std::string_view joining = starting(kAndSigns, gap_, at);
      const size_t size = joining.empty() ? (has(gap_, at, "•") ? 3 : 0) : joining.size();
      if (size > 0) {
        joined_ = joined_ || !joining.empty();
        at += size;
        return true;
      }
      words_ = named_ = true;
    }
    ++at;
    return true;
  }

  std::string_view gap_;
  bool named_ = false;  // something that an = could follow
  bool joined_ = false, words_ = false, blank_line_ = false;
  int64_t lines_ = 0;
};

}  // namespace

std::string boxed_values(std::string_view text, const std::vector<Fence>& skipped) {
  std::vector<Box> boxes = boxes_of(text, skipped);
  std::erase_if(boxes, [&](const Box& box) {
    return says_nothing(text.substr(box.begin, box.end - box.begin));
  });
  if (boxes.empty()) return {};
  size_t first = boxes.size() - 1;
  for (; first > 0; --first) {
    const Box &before = boxes[first - 1], &next = boxes[first];
    if (before.after > next.command ||
        !Gap(text.substr(before.after, next.command - before.after)).joins()) {
      break;
    }
  }
  if (first + 1 == boxes.size()) return value_of(text, boxes[first]);
  std::vector<std::string> values;
  std::string list;
  for (; first < boxes.size(); ++first) {
    const std::string value = value_of(text, boxes[first]);
    if (value.empty() || in(values, value)) continue;
    list += list.empty() ? value : ", " + value;
    values.push_back(value);
  }
  return list;
}

}  // namespace stepscore
