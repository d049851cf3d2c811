#include "answer_key/values.h"

#include <algorithm>
#include <utility>

#include "answer_key/ascii.h"
#include "answer_key/boxes.h"
#include "answer_key/value_words.h"

namespace stepscore {
namespace {

using namespace ascii;

// Whether a text has this ASCII piece at a place, in any case.
bool has_folded(std::string_view text, size_t at, size_t end, std::string_view lower) {
  if (end < at || end - at < lower.size()) return false;
  return std::equal(
      lower.begin(), lower.end(), text.begin() + static_cast<std::ptrdiff_t>(at),
      [](char l, char c) { return l == (is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c); });
}

// The size of the hedge that begins at a place; 0 without.
template <class Table>
size_t hedge_size(const Table& hedges, std::string_view text, size_t at, size_t end) {
  if (!letter_at(text, at)) return 0;
  for (const std::string_view hedge : hedges) {
    if (has_folded(text, at, end, hedge) && !letter_at(text, at + hedge.size())) {
      return hedge.size();
    }
  }
  return 0;
}

bool is_no_value(std::string_view sentence) {
  const size_t article = word_end(sentence, 0, sentence.size());
  const std::string_view first = sentence.substr(0, article);
  if (!in(kArticles, first)) return !starting(kChineseJudgements, sentence, 0).empty();
  const size_t next = skip(sentence, article, sentence.size(), " \t");
  if (next == article) return false;
  if (first == "not" && next < sentence.size()) {
    const bool choice = has(sentence, next, "(") && next + 2 < sentence.size() &&
                        is_upper(sentence[next + 1]) && sentence[next + 2] == ')' &&
                        !has(sentence, next + 3, ",");
    if (choice || is_digit(sentence[next]) || contains("$\\-", sentence[next])) return true;
  }
  return in(kNoValues, sentence.substr(next, word_end(sentence, next, sentence.size()) - next));
}

enum class Judged : uint8_t { kValue, kJudgement, kNoValue };

// What is said of the answer.
Judged judged(std::string_view sentence) {
  size_t at = skip(sentence, 0, sentence.size(), "*_");
  if (at < sentence.size() && !is_letter(sentence[at]) && !is_foreign(sentence[at])) {
    return Judged::kValue;
  }
  const size_t end = word_end(sentence, at, sentence.size());
  const Lower word(sentence.substr(at, end - at));
  at = skip(sentence, end, sentence.size(), "*_");
  at = skip(sentence, at, sentence.size(), kWhite);
  const Lower following(sentence.substr(at, word_end(sentence, at, sentence.size()) - at));
  const bool last = at == sentence.size();
  const bool stop = has(sentence, at, "。");
  const bool goes_on =
      last || stop || contains(".,;:!?(", sentence[at]) || in(kGoesOn, following.view());
  if (in(kJudgements, word.view()) && goes_on) {
    return last || stop || contains(".!", sentence[at]) ? Judged::kJudgement : Judged::kNoValue;
  }
  if ((in(kDeeds, word.view()) && goes_on) || in(kQuestions, word.view()) ||
      is_no_value(sentence)) {
    return Judged::kNoValue;
  }
  return Judged::kValue;
}

bool has_digit(std::string_view text) {
  return std::any_of(text.begin(), text.end(), is_digit);
}

// A capital letter behind brackets and commands.
bool begins_with_choice(std::string_view value) {
  size_t at = 0;
  while (at < value.size()) {
    if (contains("($*[{ ", value[at])) {
      ++at;
    } else if (value[at] == '\\' && letter_at(value, at + 1)) {
      at = word_end(value, at + 1, value.size());
    } else {
      break;
    }
  }
  return at < value.size() && is_upper(value[at]) && !letter_at(value, at + 1);
}

// "Let us", "There were" and their like, with more than five words.
bool is_prose(std::string_view sentence) {
  const Lower first(sentence.substr(0, word_end(sentence, 0, sentence.size())));
  if (!in(kProse, first.view())) return false;
  int64_t words = 0;
  for (size_t at = 0; at < sentence.size() && words < 6; ++at) {
    if (!is_letter(sentence[at])) continue;
    ++words;
    at = word_end(sentence, at, sentence.size());
  }
  return words > 5;
}

// Past the formula that begins at a place; 0 where none does.
size_t behind_formula(std::string_view text, size_t at, size_t end) {
  if (text[at] == '\\') {
    const bool round = has(text, at, "\\(");
    if (!round && !has(text, at, "\\[")) return 0;
    const size_t closed = text.substr(0, end).find(round ? "\\)" : "\\]", at + 2);
    return closed == kNone ? 0 : closed + 2;
  }
  const std::string_view sign = has(text, at, "$$") ? "$$" : "$";
  const size_t begin = at + sign.size(), closed = text.substr(0, end).find(sign, begin);
  if (closed == kNone) return 0;
  // Two amounts of money are no formula: a sentence ends between them.
  for (size_t i = begin; i < closed; ++i) {
    if (text[i] != '.') continue;
    const size_t next = skip(text, i + 1, closed, " \t\n");
    if (next > i + 1 && next < closed && is_upper(text[next])) return 0;
  }
  return closed + sign.size();
}

// The size of what opens a display at a place; 0 where nothing does.
size_t opener_size(std::string_view text, size_t at) {
  if (at >= text.size() || (text[at] != '$' && text[at] != '\\')) return 0;
  if (has(text, at, "$$") || has(text, at, "\\[") || has(text, at, "\\(")) return 2;
  if (!has(text, at, "\\begin{")) return 0;
  size_t name = at + 7;
  while (name < text.size() && text[name] >= 'a' && text[name] <= 'z') ++name;
  if (name == at + 7) return 0;
  name += has(text, name, "*");
  return has(text, name, "}") ? name + 1 - at : 0;
}

// Past a comma or a space, a clause that is no part of the answer.
bool clause_begins(std::string_view text, size_t at, size_t end) {
  const char sign = text[at];
  size_t word = at + 1;
  if (sign == ',') {
    if (!has(text, word, " ")) return false;
    ++word;
  }
  const bool bracket = sign == ' ' && has(text, word, "(");
  word += bracket;
  const size_t after = word_end(text, word, end);
  if (after <= word || after >= end || !contains(" \t.", text[after])) return false;
  const std::string_view found = text.substr(word, after - word);
  return sign == ',' ? in(kClauses, found) : bracket ? in(kAsides, found) : in(kCauses, found);
}

}  // namespace

bool has_answer_word(std::string_view text) {
  if (text.find("答案") != kNone) return true;
  for (size_t at = 0; at < text.size(); ++at) {
    if (!is_letter(text[at])) continue;
    const size_t end = word_end(text, at, text.size());
    const std::string_view word = text.substr(at, end - at);
    if (word[0] == 'a' || word[0] == 'A') {
      const std::string_view rest = word.substr(1);
      if (rest == "nswer" || rest == "nswers" || rest == "ns" || word == "ANSWER" ||
          word == "ANSWERS" || word == "ANS") {
        return true;
      }
    }
    at = end - 1;
  }
  return false;
}

bool is_cut_off(std::string_view sentence) {
  if (sentence == "(" || sentence == "[" || sentence == "{") return true;
  bool says = false, money = false;
  int64_t braces = 0, brackets = 0, formulas = 0, dollars = 0;
  for (size_t at = 0; at < sentence.size(); ++at) {
    const char c = sentence[at];
    switch (c) {
      case '\\':
        says = true;
        formulas += has(sentence, at, "\\(");
        formulas -= has(sentence, at, "\\)");
        ++at;
        break;
      case '$':
        says = true;
        if (dollars == 0) money = at + 1 < sentence.size() && is_digit(sentence[at + 1]);
        ++dollars;
        break;
      case '{':
        ++braces;
        break;
      case '}':
        --braces;
        break;
      case '(':
      case '[':
        ++brackets;
        break;
      case ')':
      case ']':
        --brackets;
        break;
      default:
        says = says || is_digit(c) || is_letter(c);
    }
  }
  // Without anything else brackets are the answer.
  return says && (braces > 0 || brackets > 0 || formulas > 0 || (dollars % 2 == 1 && !money));
}

bool is_complete(std::string_view value, int64_t most_words) {
  int64_t words = 0;
  std::string_view last;
  for (size_t at = 0; at < value.size(); ++at) {
    if (!is_letter(value[at])) continue;
    const size_t end = word_end(value, at, value.size());
    if (end - at > 1 && (at == 0 || value[at - 1] != '\\')) {
      last = value.substr(at, end - at);
      ++words;
    }
    at = end - 1;
  }
  return words <= most_words && (last.empty() || !in(kUnfinished, Lower(last).view()));
}

std::string Values::in_front(std::string_view before) {
  is_judgement_ = false;
  before = strip_end(before, " \t*_");
  if (!before.ends_with("is") || before.size() < 3 ||
      !contains(" \t*$)", before[before.size() - 3])) {
    return {};
  }
  before = strip_end(before.substr(0, before.size() - 2), " \t*");
  size_t at = before.size();
  if (before.ends_with('$')) {
    at = before.size() > 1 ? before.rfind('$', before.size() - 2) : kNone;
  } else if (before.ends_with("\\)")) {
    at = before.rfind("\\(");
  } else {
    while (at > 0 && before[at - 1] != ' ' && before[at - 1] != '\t') --at;
  }
  if (at == kNone) return {};
  std::string value = finished(before.substr(at));
  if (has_digit(value)) return value;
  std::string_view letter = value;
  if (letter.starts_with('(')) letter.remove_prefix(1);
  if (letter.ends_with(')')) letter.remove_suffix(1);
  return letter.size() == 1 && letter[0] >= 'A' && letter[0] <= 'J' ? value : std::string();
}

std::string Values::choice(std::string_view behind) {
  is_judgement_ = false;
  size_t at = skip(behind, 0, behind.size(), " \t*");
  at += has(behind, at, "(");
  const size_t letter = at;
  if (letter >= behind.size() || !is_upper(behind[letter])) return {};
  at += 1;
  at += has(behind, at, ")");
  at = skip(behind, at, behind.size(), " \t*");
  if (!has(behind, at, "is")) return {};
  const size_t next = skip(behind, at + 2, behind.size(), " \t");
  if (next == at + 2) return {};
  at = next;
  if (has(behind, at, "the")) {
    const size_t adjective = skip(behind, at + 3, behind.size(), " \t");
    if (adjective > at + 3) at = adjective;
  }
  const std::string_view word = behind.substr(at, word_end(behind, at, behind.size()) - at);
  return in(kCorrect, word) ? std::string(1, behind[letter]) : std::string();
}

std::string Values::behind(size_t at, size_t end, bool label, Only only) {
  is_judgement_ = false;
  at = skip(text_, at, end, "*_");
  const size_t colon = has(text_, at, ":") ? 1 : has(text_, at, "：") ? 3 : 0;
  if (colon > 0) at = skip(text_, at + colon, end, "*_");
  at = skip(text_, at, end, kWhite);
  const size_t first = behind_hedges(at, end);
  if (opener_size(text_, first) == 0 && is_blank(text_.substr(first, end - first))) {
    return only == Only::kAny ? below(end + 1) : std::string();
  }
  return value(first, end, label, only);
}

std::string Values::below(size_t begin) {
  is_judgement_ = false;
  --tries_;
  while (begin < text_.size() && tries_ >= 0) {
    const size_t end = line_end(begin);
    size_t at = skip(text_, begin, end, " \t\n\v\f\r>");
    const auto fence = std::lower_bound(fences_.begin(), fences_.end(), begin,
                                        [](const Fence& f, size_t b) { return f.begin < b; });
    if (fence != fences_.end() && fence->begin == begin) return in_fence(*fence);
    const std::string_view line = text_.substr(at, end - at);
    if (opener_size(text_, at) == 0 && is_blank(line)) {
      begin = end + 1;
      continue;
    }
    if (has_answer_word(line) || line.starts_with('|')) return {};
    if (line.starts_with('#')) {
      at = skip(text_, skip(text_, at, end, "#"), end, kWhite);
    }
    const char c = at < end ? text_[at] : '\0';
    const size_t bullet = contains("-*+", c)                             ? 1
                          : has(text_, at, "•")                          ? 3
                          : has(text_, at, "1.") || has(text_, at, "1)") ? 2
                                                                         : 0;
    const size_t item = skip(text_, at + bullet, end, " \t");
    if (bullet > 0 && at + bullet < end && item > at + bullet) return listed(item, end, c);
    return value(at, end, true, Only::kAny);
  }
  return {};
}

std::string Values::in_fence(const Fence& fence) const {
  std::string_view only, rest = fence.content;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest = rest.substr(std::min(end + 1, rest.size()));
    if (strip(line).empty()) continue;
    if (!only.empty()) return {};
    only = line;
  }
  const std::string box = boxed_values(only, {});
  return box.empty() ? finished(only) : box;
}

// The values of a list, one a line, joined by commas; `bullet` is its first byte, a digit 1.
std::string Values::listed(size_t at, size_t end, char bullet) {
  std::string list;
  for (;;) {
    const std::string found = value(at, end, true, Only::kAny);
    if (found.empty()) return {};
    if (!list.empty()) list += ", ";
    list += found;
    at = skip(text_, end + 1, text_.size(), " \t>");
    if (at >= text_.size() || is_judgement_) return list;
    end = line_end(at);
    size_t sign = text_[at] == bullet ? (bullet == '\xe2' ? (has(text_, at, "•") ? 3 : 0) : 1) : 0;
    if (bullet == '1') {
      const size_t digits = skip(text_, at, end, "0123456789");
      sign = digits > at && digits < end && contains(".)", text_[digits]) ? digits + 1 - at : 0;
    }
    const size_t item = skip(text_, at + sign, end, " \t");
    if (sign == 0 || item <= at + sign) return list;
    at = item;
  }
}

std::string Values::value(size_t at, size_t end, bool label, Only only) {
  is_judgement_ = false;
  if (--tries_ < 0) return {};
  at = behind_hedges(at, end);
  const size_t begin = behind_display(at);
  if (begin == kNone) return {};
  end = std::max(end, line_end(begin));
  const Judged judgement = judged(text_.substr(at, end - at));
  if (judgement == Judged::kNoValue) return {};
  const size_t cut = sentence_end(begin, end);
  const std::string_view sentence = without_closer(text_, at, cut);
  const bool last = is_blank(text_.substr(cut));
  if (last && is_cut_off(sentence)) return {};
  if (label) {
    std::string found = told(at, at + sentence.size());
    if (!found.empty()) return found;
    if (!last && is_prose(sentence)) return {};
  }
  std::string found = finished(sentence);
  if (is_blank(found)) return {};
  if (only != Only::kAny) {
    const bool formula = only == Only::kLast && contains(found, '\\');
    if (!has_digit(found) && !begins_with_choice(found) && !formula) return {};
    if (only == Only::kLast && (!last || !is_complete(found, 2) || contains(found, '='))) return {};
  }
  is_judgement_ = judgement == Judged::kJudgement;
  return found;
}

// The value of a sentence, "The largest number is 34", that stands for an answer.
std::string Values::told(size_t at, size_t end) const {
  if (at >= end || !(is_foreign(text_[at]) || (is_letter(text_[at]) && letter_at(text_, at + 1)))) {
    return {};
  }
  size_t behind = kNone;
  for (size_t i = at; i < end;) {
    size_t next = i + 1;
    bool verb = false;
    if (is_letter(text_[i])) {
      next = word_end(text_, i, end);
      const std::string_view word = text_.substr(i, next - i);
      verb = word == "is" || word == "are";
    } else if (has(text_, i, "是")) {
      next = i + 3;
      verb = true;
    }
    if (verb && behind != kNone) return {};
    if (verb) behind = next;
    i = next;
  }
  if (behind == kNone) return {};
  const size_t begin = behind_hedges(behind, end);
  if (begin >= end || !(is_digit(text_[begin]) || contains("$\\(-[{", text_[begin]))) return {};
  std::string value = finished(text_.substr(begin, end - begin));
  return contains(value, '=') || !is_complete(value, 2) ? std::string() : value;
}

// Past the display that begins at a place, if one does; kNone where it is not closed.
size_t Values::behind_display(size_t at) const {
  const size_t size = opener_size(text_, at);
  if (size == 0) return at;
  std::string closer = text_[at] == '$' ? "$$" : "\\";
  if (size > 2) {
    closer += "end";
    closer += text_.substr(at + 6, size - 6);
  } else if (text_[at] == '\\') {
    closer += text_[at + 1] == '[' ? ']' : ')';
  }
  const size_t closed = text_.find(closer, at + size);
  return closed == kNone ? kNone : closed + closer.size();
}

size_t Values::behind_hedges(size_t at, size_t end) const {
  size_t certain = at;  // behind the hedges that need no value behind them
  for (;;) {
    at = skip(text_, at, end, kWhite);
    if (has(text_, at, "**")) at = skip(text_, at, end, "*");
    const std::string_view sign = starting(kSignsOfHedges, text_, at);
    if (!sign.empty()) {
      at += sign.size();
      continue;
    }
    const size_t always = hedge_size(kHedges, text_, at, end);
    const size_t size = always > 0 ? always : hedge_size(kHedgesOfValues, text_, at, end);
    if (size == 0) break;
    at += size;
    for (;;) {
      at = skip(text_, at, end, ",: \t*");
      if (at >= end || !has(text_, at, "：")) break;
      at += 3;
    }
    if (always > 0) certain = at;
  }
  const bool letter = letter_at(text_, at) && !letter_at(text_, at + 1);
  const bool follows = at < end && (contains(kValueBegins, text_[at]) || letter ||
                                    !starting(kValueSigns, text_, at).empty());
  return follows ? at : certain;
}

// The end of a sentence, or of its main clause; not within formulas.
size_t Values::sentence_end(size_t at, size_t end) const {
  const size_t begin = at;
  bool closes[2] = {true, true};  // \( and \[ find their end before `end`
  while (at < end) {
    const char c = text_[at];
    if (c == '$') {
      const size_t formula = behind_formula(text_, at, end);
      at = formula > 0 ? formula : at + 1;
    } else if (c == '\\') {
      const bool round = has(text_, at, "\\("), square = has(text_, at, "\\[");
      const bool tries = (round && closes[0]) || (square && closes[1]);
      const size_t formula = tries ? behind_formula(text_, at, end) : 0;
      if (tries && formula == 0) closes[square] = false;
      at = formula > 0 ? formula : at + 2;
    } else if (c == '.' && !(at > begin && text_[at - 1] == '.')) {
      const size_t after = skip(text_, at + 1, end, "*");
      if (after >= end || is_white(text_[after])) return at;
      ++at;
    } else if (c == '!' || c == '?') {
      const size_t after = skip(text_, at + 1, end, " \t");
      if (after > at + 1 && after < end && is_upper(text_[after])) return at + (c == '!');
      ++at;
    } else if (is_foreign(c)) {
      if (has(text_, at, "。")) return at;
      if (has(text_, at, "，") && at + 3 < end &&
          !starting(kChineseClauses, text_, at + 3).empty()) {
        return at;
      }
      ++at;
    } else if ((c == ',' || c == ' ') && clause_begins(text_, at, end)) {
      return at;
    } else {
      ++at;
    }
  }
  return end;
}

size_t Values::line_end(size_t at) const {
  return std::min(text_.find('\n', at), text_.size());
}

}  // namespace stepscore
