#include "answer_key/conclusion.h"

#include <algorithm>
#include <cstdint>

#include "answer_key/ascii.h"
#include "answer_key/values.h"

namespace stepscore {
namespace {

using namespace ascii;

// What comes before them led to the result, which comes behind.
constexpr std::string_view kConcluding[] = {"conclusion", "donc",      "hence",
                                            "so",         "therefore", "thus"};
constexpr std::string_view kConcludingSigns[] = {"因此", "所以", "结论", "इसलिए", "لذا"};
constexpr std::string_view kFinders[] = {"conclude", "find", "get", "have", "obtain"};  // "we"
constexpr std::string_view kVerbs[] = {"are", "equals", "est", "is"};
constexpr std::string_view kVerbSigns[] = {"هو", "是", "为"};
constexpr std::string_view kNoResult[] = {
    "add",      "assume",  "check", "consider", "could",   "divide", "each",
    "first",    "if",      "let",   "may",      "maybe",   "might",  "multiply",
    "need",     "needs",   "next",  "or",       "perhaps", "should", "step",
    "subtract", "suppose", "try",   "verify",   "wait",    "want",   "would"};
constexpr std::string_view kNoResultSigns[] = {"如果", "假设", "需要", "？", "?"};
constexpr std::string_view kHedges[] = {"about", "also",      "de",   "donc", "now",
                                        "only",  "therefore", "then", "thus"};
constexpr std::string_view kOperators[] = {"+", "-", "*", "/", "=", "×", "÷", "·"};
constexpr std::string_view kBrackets[] = {" ", "\t", "(", ")", "（", "）"};
constexpr std::string_view kStops[] = {"。", "！", "।"};
constexpr std::string_view kCurrencies[] = {"$", "€", "£"};

// Past the formula that begins at a place; 0 where none does. What is not closed once is not
// closed later either, which is remembered.
class Formulas {
 public:
  explicit Formulas(std::string_view text) : text_(text) {}

  size_t behind(size_t at) {
    if (text_[at] == '$') {
      const size_t size = has(text_, at, "$$") ? 2 : 1;
      const size_t closed = text_.find(text_.substr(at, size), at + size);
      if (closed == kNone) return 0;
      // Between two amounts of money a sentence may end.
      for (size_t i = at + 1; size == 1 && i < closed; ++i) {
        if (text_[i] != '.') continue;
        const size_t next = skip(text_, i + 1, closed, " \t");
        if (next > i + 1 && next < closed && is_upper(text_[next])) return 0;
      }
      return closed + size;
    }
    const bool round = has(text_, at, "\\(");
    if ((!round && !has(text_, at, "\\[")) || open_[round]) return 0;
    const size_t closed = text_.find(round ? "\\)" : "\\]", at + 2);
    open_[round] = closed == kNone;
    return closed == kNone ? 0 : closed + 2;
  }

 private:
  std::string_view text_;
  bool open_[2] = {false, false};
};

size_t last_sentence(std::string_view line) {
  Formulas formulas(line);
  size_t begin = 0, at = 0, end = line.size();
  while (end > 0) {
    if (contains(" \t*_.!", line[end - 1])) {
      --end;
      continue;
    }
    const std::string_view last = line.substr(0, end);
    if (!last.ends_with("。") && !last.ends_with("！") && !last.ends_with("।")) break;
    end -= 3;
  }
  while (at < end) {
    const size_t formula = formulas.behind(at);
    if (formula > 0) {
      at = formula;
    } else if (has(line, at, "。") || has(line, at, "！") || has(line, at, "।") ||
               has(line, at, "？")) {
      begin = at += 3;
    } else {
      const char c = line[at++];
      if (contains(".!?", c) && at < line.size() && is_white(line[at])) begin = at;
    }
  }
  return begin;
}

// Past numbers in brackets, (0, 5); 0 without.
size_t behind_pair(std::string_view text, size_t at) {
  if (at >= text.size() || !contains("([", text[at])) return 0;
  for (bool comma = false;; comma = true) {
    const size_t begin = ++at;
    at = skip(text, at, text.size(), "-+0123456789./ ");
    if (at == begin || at == text.size()) return 0;
    if (text[at] != ',') return comma && contains(")]", text[at]) ? at + 1 : 0;
  }
}

// Past a number with its currency and percent sign, or numbers in brackets; 0 without.
size_t behind_number(std::string_view text, size_t at) {
  const size_t begin = at;
  if (begin > 0 && (is_letter(text[begin - 1]) || contains("_^{\\", text[begin - 1]))) return 0;
  if (const size_t pair = behind_pair(text, at); pair > 0) return pair;
  at += has(text, at, "-") || has(text, at, "+");
  at += starting(kCurrencies, text, at).size();
  at += has(text, at, "-");
  at += has(text, at, ".");
  const auto digit = [&](size_t place) { return place < text.size() && is_digit(text[place]); };
  if (!digit(at)) return 0;
  while (digit(at) || (at < text.size() && contains(".,/", text[at]) && digit(at + 1))) ++at;
  const size_t sign = at + has(text, at, " ");
  for (const std::string_view behind : {"%", "\\%", "€", "£"}) {
    if (has(text, sign, behind)) return sign + behind.size();
  }
  return at;
}

// Past a capital letter with which the text ends; 0 without.
size_t behind_choice(std::string_view text, size_t at) {
  at += has(text, at, "(");
  if (at >= text.size() || text[at] < 'A' || text[at] > 'J') return 0;
  at += 1;
  at += has(text, at, ")");
  return skip(text, at, text.size(), ".*") == text.size() ? at : 0;
}

// One or two Chinese characters.
std::string_view chinese_unit(std::string_view text) {
  size_t size = 0;
  while (size + 2 < text.size()) {
    const auto lead = static_cast<unsigned char>(text[size]);
    const auto second = static_cast<unsigned char>(text[size + 1]);
    if (lead < 0xe4 || lead > 0xe9 || (lead == 0xe4 && second < 0xb8)) break;
    size += 3;
  }
  return size <= 6 ? text.substr(0, size) : std::string_view();
}

bool stops(std::string_view text) {
  text = strip_end(text, " \t\n\v\f\r*_");
  if (text.ends_with('.')) return true;
  return std::ranges::any_of(kStops, [&](std::string_view stop) { return text.ends_with(stop); });
}

// Whether a sentence ends in a text.
bool has_stop(std::string_view text) {
  for (size_t at = 0; at < text.size(); ++at) {
    const bool ascii = contains(".!?", text[at]) && at + 1 < text.size() && is_white(text[at + 1]);
    if (ascii || !starting(kStops, text, at).empty() || has(text, at, "？")) return true;
  }
  return false;
}

enum class Gap : uint8_t { kWords, kOperation, kEquation };

// Whether two values are parts of one calculation.
Gap gap_of(std::string_view gap) {
  Gap found = Gap::kWords;
  for (size_t at = 0; at < gap.size();) {
    const std::string_view sign = starting(kOperators, gap, at);
    if (sign == "=") {
      found = Gap::kEquation;
    } else if (!sign.empty() && found == Gap::kWords) {
      found = Gap::kOperation;
    }
    const size_t size = sign.empty() ? starting(kBrackets, gap, at).size() : sign.size();
    if (size == 0) return Gap::kWords;
    at += size;
  }
  return found;
}

// The values of a sentence, and what its words say of them.
class Sentence {
 public:
  Sentence(std::string_view text, bool is_alone)
      : text_(text), formulas_(text), is_alone_(is_alone) {}

  // Its value, if it states one; the sentence may be unfinished.
  std::string result(bool unfinished) {
    for (size_t at = 0; at < text_.size();) {
      at = is_letter(text_[at]) ? read_word(at) : read_sign(at);
    }
    if (count_ == 0 || is_none_ || is_open_ || said_ > 1) return {};
    const std::string_view rest = text_.substr(last_.end);
    const bool ends = finished(strip(rest, "*_ \t)]")).empty();
    if (unfinished && !is_sure_) return {};
    const bool last = ends || (is_complete(rest, 2) && rest.find('=') == kNone && words_ > 1);
    if (last_.said && last) return with_unit(ends);
    if (count_ > 1) return {};
    if (concludes_ && (ends || stops(text_))) return with_unit(ends);
    const std::string_view before = strip_end(text_.substr(0, last_.begin), " \t");
    const bool labels = before.ends_with(':') || before.ends_with("：");
    return labels && last_.is_formula && is_alone_ && ends ? with_unit(ends) : std::string();
  }

 private:
  struct Value {
    size_t begin = 0, end = 0;
    bool said = false;  // right behind a verb
    bool is_formula = false;
  };

  std::string with_unit(bool ends) const {
    const std::string_view rest = text_.substr(last_.end), chinese = chinese_unit(rest);
    const bool words = chinese.empty() && chinese_unit(rest.substr(0, 3)).empty() && !ends &&
                       last_.said && is_complete(rest, 1);
    const size_t end = words ? text_.size() : last_.end + chinese.size();
    return finished(text_.substr(last_.begin, end - last_.begin));
  }

  size_t read_word(size_t at) {
    size_t end = word_end(text_, at, text_.size());
    const Lower lower(text_.substr(at, end - at));
    const std::string_view word = lower.view();
    const size_t apostrophe = has(text_, end, "'") ? 1 : has(text_, end, "’") ? 3 : 0;
    const size_t behind = end + apostrophe;
    ++words_;
    if (in(kConcluding, word) || (behind_we_ && in(kFinders, word))) {
      conclude();
    } else if (word == "which") {
      count_ = said_ = 0;
    } else if (in(kVerbs, word)) {
      verb_ = behind_hedges(end);
    } else if (word == "it" && apostrophe > 0 && has(text_, behind, "s")) {
      end = behind + 1;
      verb_ = behind_hedges(end);
    } else if (word == "not" || word == "no") {
      denied_ = true;
    } else if (in(kNoResult, word) || (apostrophe > 0 && has(text_, behind, "t"))) {
      is_none_ = true;
    }
    behind_we_ = word == "we";
    if (at == verb_) read_choice(at);
    return end;
  }

  bool read_choice(size_t at) {
    const size_t end = behind_choice(text_, at);
    if (end > 0 && !denied_) {
      push({at, end, true, false});
      is_sure_ = true;
    }
    return end > 0;
  }

  size_t behind_hedges(size_t at) const {
    for (;;) {
      const size_t word = word_end(text_, at, text_.size());
      if (at < text_.size() && contains(" \t*_:", text_[at])) {
        ++at;
      } else if (has(text_, at, "：")) {
        at += 3;
      } else if (word < text_.size() && contains(" \t", text_[word]) &&
                 in(kHedges, text_.substr(at, word - at))) {
        at = word;
      } else {
        return at;
      }
    }
  }

  void conclude() {
    count_ = said_ = 0;
    concludes_ = true;
    denied_ = is_none_ = is_open_ = false;
  }

  size_t read_sign(size_t at) {
    const size_t formula = formulas_.behind(at);
    if (formula > 0) {
      const std::string_view inner = text_.substr(at, formula - at);
      const bool number = std::any_of(inner.begin(), inner.end(), is_digit);
      if (number || inner.find("\\begin{") != kNone) add(at, formula, true);
      return formula;
    }
    if (at == verb_ && read_choice(at)) return at + 1;
    if (text_[at] == '\\') return at + 2;
    const size_t number = behind_number(text_, at);
    if (number > 0) {
      add(at, number, false);
      return number;
    }
    if (const auto sign = starting(kConcludingSigns, text_, at); !sign.empty()) {
      conclude();
      return at + sign.size();
    }
    if (const auto sign = starting(kNoResultSigns, text_, at); !sign.empty()) {
      is_none_ = true;
      return at + sign.size();
    }
    if (has(text_, at, "不")) {
      denied_ = true;
      return at + (has(text_, at + 3, "是") ? 6 : 3);
    }
    if (const auto sign = starting(kVerbSigns, text_, at); !sign.empty()) {
      verb_ = behind_hedges(at + sign.size());
      return at + sign.size();
    }
    return at + 1;
  }

  void push(Value value) {
    last_ = value;
    ++count_;
    said_ += value.said;
  }

  void add(size_t begin, size_t end, bool is_formula) {
    if (denied_) {
      denied_ = false;
      return;
    }
    is_sure_ = false;
    if (count_ > 0) {
      const std::string_view gap = strip(text_.substr(last_.end, begin - last_.end), " \t");
      const Gap kind = gap_of(gap);
      const bool sum = gap.empty() && !is_formula && contains("+-", text_[begin]);  // 5 +3
      if (kind != Gap::kWords || sum) {
        is_sure_ = kind == Gap::kEquation;
        is_open_ = !is_sure_;
        last_ = {begin, end, last_.said, is_formula};
        return;
      }
      if (is_open_) {  // what is computed, in front of its value
        --count_;
        said_ -= last_.said;
        is_open_ = false;
      }
    }
    push({begin, end, begin == verb_, is_formula});
  }

  std::string_view text_;
  Formulas formulas_;
  bool is_alone_;  // the text has no other line
  Value last_;
  int64_t count_ = 0, said_ = 0, words_ = 0;  // of values, of those said, of words
  bool concludes_ = false, denied_ = false, is_none_ = false, is_open_ = false;
  bool is_sure_ = false;  // the last value is a choice or the right side of an equation
  bool behind_we_ = false;
  size_t verb_ = kNone;  // where a value that is said begins
};

}  // namespace

std::string concluded_value(std::string_view text, const std::vector<Fence>& blocks) {
  if (!blocks.empty() && blocks.back().end == text.size()) return {};
  const size_t newline = text.rfind('\n');
  std::string_view line = text.substr(newline == kNone ? 0 : newline + 1);
  const size_t hope = line.rfind(". I hope");
  if (hope != kNone) line = line.substr(0, hope + 1);
  line = line.substr(last_sentence(line));
  if (is_cut_off(line)) return {};
  // Where other sentences end in a period, one that does not is cut off.
  const auto before = static_cast<size_t>(line.data() - text.data());
  const bool unfinished = !stops(line) && has_stop(text.substr(0, before + 1));
  return Sentence(line, newline == kNone).result(unfinished);
}

}  // namespace stepscore
