#include "answer_key/extract.h"

#include <algorithm>
#include <vector>

#include "answer_key/ascii.h"
#include "answer_key/boxes.h"
#include "answer_key/conclusion.h"
#include "answer_key/markup.h"
#include "answer_key/statements.h"
#include "answer_key/values.h"

namespace stepscore {
namespace {

using namespace ascii;
using Fences = std::vector<Fence>;

constexpr std::string_view kReasoned[] = {"</think>", "</thinking>", "</thought>", "</reasoning>",
                                          "</seed:think>"};
constexpr std::string_view kReasoning[] = {"<think>", "<thinking>", "<thought>", "<reasoning>",
                                           "<seed:think>"};
constexpr std::string_view kOtherReasoned[] = {"<|end_of_thought|>", "[/THINK]",
                                               "<|channel|>final<|message|>", "◁/think▷"};
constexpr std::string_view kOtherReasoning[] = {"<|begin_of_thought|>", "[THINK]", "◁think▷"};
constexpr std::string_view kOpen[] = {"<answer>"}, kClose[] = {"</answer>"};
constexpr std::string_view kAnswers[] = {"yes", "no", "true", "false"};
constexpr std::string_view kSeparatorSigns[] = {";", "、", "，", "。", "\\\\"};
constexpr std::string_view kSeparatorWords[] = {"and", "but", "or", "so", "then"};
constexpr std::string_view kOperators[] = {"times", "cdot", "div", "pm", "frac", "dfrac",  "tfrac",
                                           "sqrt",  "le",   "leq", "ge", "geq",  "approx", "left"};
constexpr std::string_view kAssumed[] = {"assume", "let", "suppose"};
constexpr std::string_view kAssumedClause[] = {"because", "first", "given", "if",   "note",
                                               "recall",  "since", "when",  "where"};
constexpr std::string_view kValueSigns[] = {"−", "√", "π", "∞", "€", "£", "¥", "（"};

constexpr std::string_view kNextSentences[] = {"。", "因此", "所以", "इसलिए", "لذا"};

// The size of a tag at a place, whose letters may be of any case; 0 without.
template <class Table>
size_t tag_size(const Table& tags, std::string_view text, size_t at) {
  if (at + 1 >= text.size()) return 0;
  for (const std::string_view tag : tags) {
    if (tag[1] != text[at + 1] && tag[1] != (text[at + 1] | 0x20)) continue;
    if (Lower(text.substr(at, tag.size())).view() == tag) return tag.size();
  }
  return 0;
}

template <class Table, class Other>
size_t mark_size(const Table& tags, const Other& others, std::string_view text, size_t at) {
  const size_t size = text[at] == '<' ? tag_size(tags, text, at) : 0;
  return size > 0 ? size : starting(others, text, at).size();
}

// The next place that could be a mark of reasoning.
size_t next_mark(std::string_view text, size_t at) {
  while (at < text.size() && text[at] != '<' && text[at] != '[' && text[at] != '\xe2') ++at;
  return at;
}

struct Body {
  std::string_view text;
  bool reasoned = false;  // behind marked reasoning
};

// Without the reasoning of a model that marks it, and the end of its turn.
Body body_of(std::string_view text) {
  text = clean_end(text);
  if (text.find('<') == kNone && text.find("THINK]") == kNone && text.find("◁") == kNone) {
    return {strip(text)};
  }
  size_t begin = 0;
  for (size_t at = next_mark(text, 0); at < text.size(); at = next_mark(text, at + 1)) {
    const size_t size = mark_size(kReasoned, kOtherReasoned, text, at);
    if (size > 0) begin = at + size;
  }
  text = text.substr(begin);
  for (size_t at = next_mark(text, 0); at < text.size(); at = next_mark(text, at + 1)) {
    if (mark_size(kReasoning, kOtherReasoning, text, at) == 0) continue;
    size_t line = at;
    while (line > 0 && (text[line - 1] == ' ' || text[line - 1] == '\t')) --line;
    if (line == 0 || text[line - 1] == '\n') {
      return {strip(text.substr(0, line)), begin > 0};
    }
  }
  return {strip(text), begin > 0};
}

bool is_in(const Fences& fences, size_t at) {
  return std::any_of(fences.begin(), fences.end(),
                     [&](const Fence& f) { return f.begin <= at && at < f.end; });
}

bool is_heading(std::string_view content, bool is_last) {
  int64_t words = 0;
  for (size_t at = 0; at < content.size(); ++at) {
    if (!is_letter(content[at])) continue;
    const size_t end = word_end(content, at, content.size());
    words += end - at > 1 && (at == 0 || content[at - 1] != '\\');
    at = end - 1;
  }
  const size_t digits = skip(content, 0, content.size(), "0123456789");
  if (digits > 0 && digits < content.size() && contains(".)", content[digits])) {
    const size_t title = skip(content, digits + 1, content.size(), " \t");
    if (title > digits + 1 && letter_at(content, title)) return true;
  }
  const bool foreign = is_foreign(content[0]) && starting(kValueSigns, content, 0).empty();
  if (foreign || (is_letter(content[0]) && letter_at(content, 1))) {
    if (in(kAnswers, Lower(content).view())) return false;
    return !is_last || words > 3 || content.ends_with(':') || content.ends_with("：");
  }
  size_t letter = is_upper(content[0]) ? 1 : 0;
  if (letter > 0 && (has(content, 1, ".") || has(content, 1, ")"))) letter = 2;
  const bool titled = letter > 0 && (has(content, letter, " ") || has(content, letter, "\t"));
  return !is_last && words > (titled ? 0 : 6);
}

// What stands behind the last #### that is no heading.
std::string marked_value(std::string_view text, const Fences& skipped, const Fences& blocks) {
  if (text.find("####") == kNone) return {};
  Values values(text, blocks);
  for (size_t later = text.size(); later >= 4;) {  // where the next one begins
    const size_t at = text.rfind("####", later - 4);
    if (at == kNone) return {};
    const size_t behind = at + 4;
    size_t begin = at, end = later;
    while (begin > 0 && text[begin - 1] == '#') --begin;
    later = begin;
    if (is_in(skipped, at)) continue;
    const size_t newline = text.substr(0, end).find('\n', behind);
    if (newline == kNone && end < text.size() && is_blank(text.substr(behind, end - behind))) {
      continue;
    }
    end = std::min(newline, end);
    const std::string_view content = text.substr(behind, end - behind);
    if (has_answer_word(content)) return {};
    const size_t before = begin == 0 ? kNone : text.rfind('\n', begin - 1);
    const size_t line = before == kNone ? 0 : before + 1;
    const bool heading = strip(text.substr(line, begin - line), " \t>*").empty();
    if (is_blank(content)) {
      std::string value = heading && behind - begin <= 6 ? values.below(end + 1) : std::string();
      if (!value.empty()) return value;
      continue;
    }
    std::string value = finished(strip_end(content, " \t\n\v\f\r#"));
    if (is_blank(value)) continue;
    if (!heading || !is_heading(value, is_blank(text.substr(end)))) return value;
  }
  return {};
}

std::string stated_in(std::string_view text, const Fences& skipped, const Fences& blocks) {
  std::string answer;
  if (text.find('\\') != kNone) answer = boxed_values(text, skipped);
  if (answer.empty()) answer = marked_value(text, skipped, blocks);
  return answer.empty() ? statement_value(text, skipped, blocks) : answer;
}

// The answer in the last <answer>...</answer> that says something.
std::string tagged_value(std::string_view text) {
  size_t end = text.size();
  for (size_t at = text.size(); at > 0;) {
    at = text.rfind('<', at - 1);
    if (at == kNone) return {};
    if (tag_size(kClose, text, at) > 0) {
      end = at;
    } else if (tag_size(kOpen, text, at) > 0 && end != kNone) {
      const std::string_view content = text.substr(at + 8, end - at - 8);
      if (!says_nothing(content)) {
        const Fences blocks = fences_of(content);
        std::string value = stated_in(content, blocks, blocks);
        if (value.empty()) value = finished(content);
        if (!is_blank(value)) return value;
      }
      end = kNone;
    }
  }
  return {};
}

// The last line, or all of the display that ends there.
std::string_view last_line(std::string_view text) {
  const size_t newline = text.rfind('\n');
  const std::string_view line = text.substr(newline == kNone ? 0 : newline + 1);
  const std::string_view last = strip(line);
  if (last != "\\]" && last != "$$") return line;
  const size_t closer = text.rfind(last);
  if (closer < 2) return line;
  const size_t opened = text.rfind(last == "$$" ? "$$" : "\\[", closer - 2);
  return opened == kNone ? line : text.substr(opened);
}

// Two values, not a chain of equal ones, stand on the sides of this.
bool separates(std::string_view between) {
  for (size_t at = 0; at < between.size(); ++at) {
    const char c = between[at], next = at + 1 < between.size() ? between[at + 1] : '\0';
    if (is_letter(c)) {
      const size_t end = word_end(between, at, between.size());
      if (in(kSeparatorWords, Lower(between.substr(at, end - at)).view())) return true;
      at = end - 1;
    } else if (c == ',') {
      if (next == ' ' || next == '\t' || next == '\\' || next == '$' || is_letter(next))
        return true;
    } else if (c == '.') {
      if (next == ' ' || next == '\t' || next == '\n') return true;
    } else if (!starting(kSeparatorSigns, between, at).empty()) {
      return true;
    } else if (c == '\\') {
      const size_t end = word_end(between, at + 1, between.size());
      const std::string_view command = between.substr(at + 1, end - at - 1);
      if (command == "quad" || command == "qquad") return true;
    }
  }
  return false;
}

// Without the end of a formula that begins in front of a value.
std::string unpaired(std::string value) {
  size_t dollars = 0, first = kNone;
  for (size_t at = 0; at < value.size(); ++at) {
    if (value[at] != '$' || (at > 0 && value[at - 1] == '\\')) continue;
    if (dollars++ == 0) first = at;
  }
  if (dollars % 2 == 1 && first > 0) value.erase(first, 1);
  const size_t closer = value.find("\\)");
  if (closer != kNone && value.find("\\(") == kNone) value.erase(closer, 2);
  if (value.ends_with(')') &&
      std::count(value.begin(), value.end(), ')') > std::count(value.begin(), value.end(), '(')) {
    value.pop_back();
  }
  if (value.ends_with("\\]")) value.resize(value.size() - 2);
  return finished(value);
}

bool asks_for_more(std::string_view value) {
  if (contains("+-*/^_([{,=<>&:?", value.back())) return true;
  size_t begin = value.size();
  while (begin > 0 && is_letter(value[begin - 1])) --begin;
  if (begin > 0 && value[begin - 1] == '\\' && in(kOperators, value.substr(begin))) return true;
  for (size_t at = 0; at < value.size(); ++at) {
    if (value[at] == '.' && at + 1 < value.size() && contains(" \t\n", value[at + 1])) return true;
    if (has(value, at, "\\]")) return true;
    if (!starting(kNextSentences, value, at).empty()) return true;
    if (value[at] == ',' && letter_at(value, skip(value, at + 1, value.size(), " \t"))) return true;
  }
  return false;
}

// What the last line computes: the answers of models that only calculate.
std::string computed_value(std::string_view text, const Fences& blocks) {
  if (!blocks.empty() && blocks.back().end == text.size()) return {};
  const std::string_view line = last_line(text);
  if (line.find('=') == kNone) return {};
  const std::string equation = finished(line);
  const std::string_view whole = equation;
  const size_t equals = whole.rfind('=');
  if (equals == kNone) {
    const bool rows = line.find("\\begin{") != kNone && whole.find(", ") == kNone;
    return rows && !is_blank(whole) ? equation : std::string();
  }
  const std::string_view before = whole.substr(0, equals);
  std::string_view right = whole.substr(equals + 1);
  if ((!before.empty() && contains("<>!", before.back())) || right.starts_with('>')) return {};
  const size_t first = skip(before, 0, before.size(), " \t");
  const Lower begins(before.substr(first, word_end(before, first, before.size()) - first));
  if (in(kAssumed, begins.view()) ||
      (in(kAssumedClause, begins.view()) && !contains(before, ','))) {
    return {};
  }
  const size_t earlier = before.find('=');
  if (earlier != kNone && separates(before.substr(earlier + 1))) return {};
  const size_t annotated = right.rfind(">>");
  if (annotated != kNone && before.find("<<") != kNone) right = right.substr(annotated + 2);
  std::string value = unpaired(finished(right));
  if (is_blank(value) || is_cut_off(whole) || !is_complete(value, 3) || asks_for_more(value)) {
    return {};
  }
  return value;
}

// The few words that follow the reasoning of a model that marks it.
std::string short_value(std::string_view text) {
  std::string value = finished(text);
  if (value.size() > 60 || contains(value, '\n')) return {};
  int64_t words = 0;
  for (size_t at = 0; at < value.size(); ++at) {
    words += is_letter(value[at]) && !letter_at(value, at + 1);
  }
  const bool unsure = has_answer_word(value) || value.ends_with('?') || value.ends_with(':') ||
                      value.ends_with("...") || is_cut_off(value);
  return words == 0 || words > 4 || unsure || !is_complete(value, 4) ? std::string() : value;
}

}  // namespace

std::string stated_answer(std::string_view solution) {
  const auto [text, reasoned] = body_of(solution);
  std::string answer;
  if (text.find('<') != kNone) {
    answer = tagged_value(text);
    if (!answer.empty()) return answer;
  }
  const Fences blocks = fences_of(text);
  answer = stated_in(text, blocks, blocks);
  if (!answer.empty()) return answer;
  Fences code = blocks;
  std::erase_if(code, [](const Fence& f) { return f.is_text; });
  if (code.size() < blocks.size()) answer = stated_in(text, code, blocks);
  if (answer.empty()) answer = computed_value(text, blocks);
  if (answer.empty()) answer = concluded_value(text, blocks);
  return answer.empty() && reasoned ? short_value(text) : answer;
}

std::string solution_alone(std::string_view solution) {
  std::string text = finished(body_of(solution).text);
  // Lines that begin as choices do are what could be chosen, not what was.
  const size_t letter = has(text, 0, "(") ? 1 : 0;
  const bool choice =
      text.size() > letter + 1 && is_upper(text[letter]) && contains(").:", text[letter + 1]);
  return choice && text.find('\n') != std::string::npos ? std::string() : text;
}

}  // namespace stepscore
