#include "answer_key/extract.h"

#include <algorithm>
#include <array>
#include <vector>

namespace stepscore {
namespace {

constexpr auto kNone = std::string_view::npos;
constexpr std::string_view kWhite = " \t\n\v\f\r";

std::string_view strip(std::string_view text, std::string_view characters = kWhite) {
  const size_t first = text.find_first_not_of(characters);
  if (first == kNone) return text.substr(0, 0);
  return text.substr(first, text.find_last_not_of(characters) - first + 1);
}

// Empty means that nothing is stated, too.
std::string_view or_none(std::string_view answer) {
  return answer.empty() ? std::string_view{} : answer;
}

std::string_view plain(std::string_view text) {
  text = strip(text);
  if (text.starts_with("**")) text.remove_prefix(2);
  if (text.ends_with("**")) text.remove_suffix(2);
  text = strip(text);
  if (text.size() > 2 && text.front() == '*' && text.back() == '*') {
    text = text.substr(1, text.size() - 2);
  }
  return text;
}

// What stands in the box that opens last, of those that are closed. One pass, braces on a stack.
std::string_view last_box(std::string_view text) {
  const size_t first = std::min(text.find("\\boxed"), text.find("\\fbox"));
  if (first == kNone) return {};
  std::vector<size_t> open;  // where the content begins; the highest bit marks a box
  constexpr size_t kBox = ~(kNone >> 1);
  size_t begin = 0, end = 0;
  bool box = false;  // \boxed has just been read
  for (size_t at = first; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '\\') {
      const std::string_view rest = text.substr(at);
      const size_t size = rest.starts_with("\\boxed") ? 6 : rest.starts_with("\\fbox") ? 5 : 0;
      box = size > 0;
      at += box ? size - 1 : 1;  // an escaped brace is no brace
      continue;
    }
    if (c == '{') {
      open.push_back((at + 1) | (box ? kBox : 0));
    } else if (c == '}' && !open.empty()) {
      const size_t opened = open.back();
      open.pop_back();
      if ((opened & kBox) != 0 && (opened & ~kBox) > begin) {
        begin = opened & ~kBox;
        end = at;
      }
    }
    box = box && kWhite.find(c) != kNone;
  }
  return begin == 0 ? std::string_view{} : text.substr(begin, end - begin);
}

bool equal_folded(char a, char lower) {
  return a == lower || (a >= 'A' && a <= 'Z' && a - 'A' + 'a' == lower);
}

bool starts_folded(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() &&
         std::equal(lower.begin(), lower.end(), text.begin(),
                    [](char l, char c) { return equal_folded(c, l); });
}

std::string_view without_stars(std::string_view text) {
  const size_t first = text.find_first_not_of('*');
  return first == kNone ? text.substr(text.size()) : text.substr(first);
}

// Behind "A:", "Answer:" or "Final answer:" at the begin of a line, or the heading "# Answer".
std::string_view labelled(std::string_view line) {
  const size_t hashes = std::min(line.find_first_not_of('#'), line.size());
  line = without_stars(strip(line.substr(hashes)));
  if (line.starts_with("A") && without_stars(line.substr(1)).starts_with(':')) {
    return without_stars(line.substr(1)).substr(1);
  }
  if (starts_folded(line, "final ")) line.remove_prefix(6);
  if (!starts_folded(line, "answer")) return {};
  line = without_stars(line.substr(6));
  if (hashes > 0 && line.empty()) return line;
  return line.starts_with(':') ? line.substr(1) : std::string_view{};
}

// Behind the last "answer is" of a line.
std::string_view said(std::string_view line) {
  constexpr std::string_view kPhrase = "nswer is";
  for (size_t at = line.rfind(kPhrase); at != kNone && at > 0;) {
    const char before = at > 1 ? line[at - 2] : ' ';
    const bool word = (before >= 'a' && before <= 'z') || (before >= 'A' && before <= 'Z');
    const std::string_view rest = without_stars(line.substr(at + kPhrase.size()));
    const bool ends = rest.empty() || !((rest[0] >= 'a' && rest[0] <= 'z'));
    if (equal_folded(line[at - 1], 'a') && !word && ends) {
      return rest.starts_with(':') ? rest.substr(1) : rest;
    }
    at = line.rfind(kPhrase, at - 1);
  }
  return {};
}

std::string_view stated_in(std::string_view line) {
  const std::string_view found = said(line);
  return found.data() != nullptr ? found : labelled(line);
}

std::string_view sentence(std::string_view text) {
  for (size_t at = text.find('.'); at != kNone; at = text.find('.', at + 1)) {
    if (at > 0 && text[at - 1] == '.') continue;  // 0.333... goes on
    const std::string_view rest = without_stars(text.substr(at + 1));
    if (rest.empty() || kWhite.find(rest[0]) != kNone) return text.substr(0, at);
  }
  return text;
}

std::string_view first_line(std::string_view text) {
  text = strip(text);
  return text.substr(0, text.find('\n'));
}

// The last line that states an answer; where the line ends there, the answer is on the next one.
bool last_statement(std::string_view text, std::string_view& answer) {
  size_t end = text.size();
  for (;;) {
    const size_t newline = end == 0 ? kNone : text.rfind('\n', end - 1);
    const size_t begin = newline == kNone ? 0 : newline + 1;
    const std::string_view line = text.substr(begin, end - begin);
    std::string_view found = stated_in(line);
    if (found.data() != nullptr) {
      if (plain(found).empty()) found = first_line(text.substr(end));
      answer = plain(sentence(plain(found)));
      return true;
    }
    if (newline == kNone) return false;
    end = newline;
  }
}

}  // namespace

std::string_view trimmed(std::string_view answer) {
  answer = strip(answer);
  if (answer.ends_with('.') && !answer.ends_with("..")) {
    answer = strip(answer.substr(0, answer.size() - 1));
  }
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

std::string_view stated_answer(std::string_view solution) {
  const std::string_view text = strip(solution);
  const std::string_view box = last_box(text);
  if (box.data() != nullptr) return or_none(trimmed(box));
  const size_t marker = text.rfind("####");
  if (marker != kNone) {
    const std::string_view rest = text.substr(marker);
    const bool heading = stated_in(rest.substr(0, rest.find('\n'))).data() != nullptr;
    if (!heading) return or_none(trimmed(first_line(rest.substr(4))));
  }
  std::string_view answer;
  if (last_statement(text, answer)) return or_none(trimmed(answer));
  // What the last line computes: the answers of models that only calculate.
  const std::string_view line = text.substr(text.rfind('\n') + 1);
  const size_t equals = line.rfind('=');
  if (equals == kNone || (equals > 0 && std::string_view("<>!").find(line[equals - 1]) != kNone)) {
    return {};
  }
  return or_none(trimmed(line.substr(equals + 1)));
}

}  // namespace stepscore
