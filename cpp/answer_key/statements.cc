#include "answer_key/statements.h"

#include <utility>

#include "answer_key/ascii.h"
#include "answer_key/values.h"

namespace stepscore {
namespace {

using namespace ascii;

constexpr std::string_view kResults[] = {"result", "results", "solution", "solutions",
                                         "sum",    "total",   "value"};
constexpr std::string_view kVerbs[] = {"are", "be", "equals", "is", "was"};
constexpr std::string_view kModals[] = {"also", "can",   "comes",  "could", "have",      "has",
                                        "here", "hence", "may",    "might", "must",      "needs",
                                        "now",  "out",   "should", "then",  "therefore", "thus",
                                        "to",   "turns", "will",   "would"};
constexpr std::string_view kMore[] = {"at", "expressed", "for",  "from", "given",   "i",
                                      "in", "obtained",  "of",   "on",   "rounded", "that",
                                      "to", "we",        "with", "you"};
constexpr std::string_view kStops[] = {"answer", "answers", "because", "but",   "find", "if",
                                       "since",  "what",    "when",    "where", "which"};
constexpr std::string_view kAdjectives[] = {"best",     "chosen",    "correct", "exact",    "final",
                                            "my",       "numerical", "our",     "required", "right",
                                            "selected", "short",     "the",     "your"};
constexpr std::string_view kDoubts[] = {"assume",  "check",  "confirm", "if",
                                        "suppose", "verify", "what",    "whether"};

// A word for the answer in another language, with what stands for "is".
struct Abroad {
  std::string_view word;
  std::string_view verbs[2];
};
constexpr Abroad kAbroad[] = {{"antwort", {"ist", "lautet"}},
                              {"respuesta", {"es"}},
                              {"resposta", {"é"}},
                              {"risposta", {"è"}},
                              {"réponse", {"est"}},
                              {"jawaban", {"adalah"}},
                              {"ответ", {}},
                              {"Ответ", {}},
                              {"정답", {"은", "는"}},
                              {"답", {"은", "는"}},
                              {"回答", {"是", "为"}},
                              {"答え", {"は"}}};
constexpr size_t kFirstForeign = 6;  // those before begin with a letter of ASCII

constexpr std::string_view kChinese[] = {"答案", "最终结果", "正确选项"};
constexpr std::string_view kChineseVerbs[] = {"是", "为", "即"};
constexpr std::string_view kChineseNo[] = {"否", "何", "什么"};
constexpr std::string_view kChosen[] = {"故选", "应选", "因此选", "所以选", "答案选"};
constexpr std::string_view kChineseSaid[] = {"是", "为", "即", "选", "择"};

enum class Kind : uint8_t { kAnswer, kChoice, kResult, kA, kOtherLanguage, kChineseWords };

// By the first letter of a word that may begin a statement, its second.
constexpr std::string_view kSecond[26] = {"n",  "",  "h", "",  "", "",  "", "", "",
                                          "a",  "",  "",  "",  "", "p", "", "", "e",
                                          "ou", "o", "",  "a", "", "",  "", ""};

// Whether the first letters are those of a cue; most words go no further.
bool may_begin_cue(std::string_view word) {
  const char first = static_cast<char>(word[0] | 0x20);
  if (word.size() == 1) return word[0] == 'A' || first == 'r';
  return contains(kSecond[first - 'a'], static_cast<char>(word[1] | 0x20));
}

// A word that may begin a statement.
struct Cue {
  size_t begin, end;
  Kind kind;
  bool plural = false;
  const Abroad* abroad = nullptr;
};

// Past the begin of a line that is a quote, a heading, a bullet or a number, and emphasis.
size_t behind_markup(std::string_view line) {
  const size_t size = line.size();
  size_t at = skip(line, 0, size, " \t>");
  if (has(line, at, "#")) at = skip(line, skip(line, at, size, "#"), size, " \t");
  const size_t digits = skip(line, at, size, "0123456789");
  size_t bullet = has(line, at, "•")                                             ? at + 3
                  : at < size && contains("-*+", line[at])                       ? at + 1
                  : digits > at && digits < size && contains(".)", line[digits]) ? digits + 1
                                                                                 : at;
  const size_t item = skip(line, bullet, size, " \t");
  if (bullet > at && item > bullet) {
    at = item;
  } else if (at + 2 < size && line[at] == '(' && line[at + 2] == ')' &&
             (is_digit(line[at + 1]) || (line[at + 1] >= 'a' && line[at + 1] <= 'z'))) {
    at = skip(line, at + 3, size, " \t");
  }
  return skip(line, at, size, "*_");
}

bool is_markup(std::string_view line) {
  return behind_markup(line) == line.size();
}

// Past 答案是 and its like; 0 where they do not begin.
size_t behind_chinese(std::string_view text, size_t at, size_t end) {
  text = text.substr(0, end);
  const std::string_view chosen = starting(kChosen, text, at);
  if (!chosen.empty()) {
    const size_t behind = at + chosen.size();
    return has(text, behind, "择") ? behind + 3 : behind;
  }
  const std::string_view word = starting(kChinese, text, at);
  if (!word.empty()) {
    const size_t bare = at + word.size();
    size_t behind = skip(text, bare, end, "*_");
    const size_t stars = behind;
    behind += has(text, behind, "应该") ? 6 : has(text, behind, "应") ? 3 : 0;
    const size_t modal = behind;
    behind += starting(kChineseVerbs, text, behind).size();
    // 答案是否 asks; as far as it does not, the word stands alone.
    for (const size_t candidate : {behind, modal, stars}) {
      if (starting(kChineseNo, text, candidate).empty()) return candidate;
    }
    return 0;
  }
  if (has(text, at, "答:") || has(text, at, "答：")) return at + 3;
  return 0;
}

class Statements {
 public:
  Statements(std::string_view text, const std::vector<Fence>& blocks)
      : text_(text), values_(text, blocks), cues_(kept()) {}

  std::string last(const std::vector<Fence>& skipped) {
    std::string judged;
    const bool one_line = text_.find('\n') == kNone;
    size_t end = text_.size(), fences = skipped.size();
    for (;;) {
      const size_t newline = end == 0 || one_line ? kNone : text_.rfind('\n', end - 1);
      size_t begin = newline == kNone ? 0 : newline + 1;
      if (fences > 0 && begin < skipped[fences - 1].end && end > skipped[fences - 1].begin) {
        begin = skipped[--fences].begin;
      } else {
        find_cues(begin, end);
        for (auto cue = cues_.rbegin(); cue != cues_.rend(); ++cue) {
          std::string value = stated(*cue, begin, end);
          if (value.empty()) continue;
          if (!values_.is_judgement()) return value;
          if (judged.empty()) judged = std::move(value);
        }
      }
      if (begin == 0) return judged;
      end = begin - 1;
    }
  }

 private:
  // Kept between texts, as an allocation costs as much as a short text.
  static std::vector<Cue>& kept() {
    static thread_local std::vector<Cue> cues;
    return cues;
  }

  void find_cues(size_t begin, size_t end) {
    cues_.clear();
    for (size_t at = begin; at < end;) {
      if (is_letter(text_[at])) {
        at = read_word(at, begin, end);
      } else if (is_foreign(text_[at])) {
        at = read_foreign(at, end);
      } else {
        ++at;
      }
    }
  }

  size_t read_word(size_t at, size_t begin, size_t end) {
    size_t after = word_end(text_, at, end);
    const std::string_view spelled = text_.substr(at, after - at);
    if (!may_begin_cue(spelled)) return after;
    const Lower lower(spelled);
    const std::string_view word = lower.view();
    if (word == "answer" || word == "answers" || word == "ans") {
      cues_.push_back({at, after, Kind::kAnswer, word == "answers"});
    } else if (word == "option" || word == "options" || word == "choice" || word == "choices") {
      cues_.push_back({at, after, Kind::kChoice, word.ends_with('s')});
    } else if (in(kResults, word)) {
      const bool final = at >= begin + 6 && Lower(text_.substr(at - 6, 5)).view() == "final" &&
                         (text_[at - 1] == ' ' || text_[at - 1] == '\t');
      cues_.push_back({at, after, final ? Kind::kAnswer : Kind::kResult, word.ends_with('s')});
    } else if (spelled == "A") {
      cues_.push_back({at, after, Kind::kA});
    } else {
      for (const Abroad& abroad : kAbroad) {
        const bool french = word == "r" && abroad.word == "réponse" && has(text_, after, "éponse");
        if (!french && abroad.word != word) continue;
        if (french) after += abroad.word.size() - 1;
        cues_.push_back({at, after, Kind::kOtherLanguage, false, &abroad});
        break;
      }
    }
    return after;
  }

  size_t read_foreign(size_t at, size_t end) {
    const size_t chinese = behind_chinese(text_, at, end);
    if (chinese > 0) {
      cues_.push_back({at, chinese, Kind::kChineseWords});
      return chinese;
    }
    for (size_t i = kFirstForeign; i < std::size(kAbroad); ++i) {
      if (!has(text_, at, kAbroad[i].word)) continue;
      const size_t after = at + kAbroad[i].word.size();
      cues_.push_back({at, after, Kind::kOtherLanguage, false, &kAbroad[i]});
      return after;
    }
    return at + 1;
  }

  // The value that the words at a cue state.
  std::string stated(const Cue& cue, size_t begin, size_t end) {
    const auto [before_end, doubted] = before(begin, cue.begin);
    const std::string_view line = text_.substr(begin, before_end - begin);
    if (cue.kind == Kind::kA) {
      const size_t at = skip(text_, cue.end, end, "*");
      const size_t colon = has(text_, at, ":") ? 1 : has(text_, at, "：") ? 3 : 0;
      if (colon == 0 || before_end != cue.begin || !is_markup(line) || is_list_of_choices(end)) {
        return {};
      }
      return values_.behind(at + colon, end, true, Only::kAny);
    }
    if (doubted) return {};
    const auto [at, label] = verb(cue, line, end);
    if (at == kNone) {
      if (cue.kind == Kind::kChoice) return values_.choice(text_.substr(cue.end, end - cue.end));
      const bool last = cue.kind == Kind::kResult && end == text_.size() &&
                        is_blank(text_.substr(cue.end, end - cue.end));
      return cue.kind == Kind::kAnswer || last ? values_.in_front(line) : std::string();
    }
    if (cue.kind == Kind::kChoice) {
      if (label && (cue.plural || before_end == cue.begin)) return {};
      return values_.behind(at, end, false, Only::kChoice);
    }
    if (cue.kind == Kind::kResult) {
      return end < text_.size() ? std::string() : values_.behind(at, end, false, Only::kLast);
    }
    return values_.behind(at, end, label, Only::kAny);
  }

  struct Before {
    size_t end;
    bool doubted;
  };
  // The end of the line before a cue without "the final" and its like, and whether the word before
  // those says that this is no statement.
  Before before(size_t begin, size_t end) const {
    size_t at = end;
    for (int i = 0; i < 5; ++i) {
      size_t back = at;
      while (back > begin && contains(" \t*_", text_[back - 1])) --back;
      const size_t after = back;
      while (back > begin && is_letter(text_[back - 1])) --back;
      const Lower word(text_.substr(back, after - back));
      if (!in(kAdjectives, word.view())) return {at, in(kDoubts, word.view())};
      at = back;
    }
    return {at, false};
  }

  struct Verb {
    size_t end;  // kNone without
    bool label;
  };
  // Where the value begins behind a cue, and whether a colon or a heading says so.
  Verb verb(const Cue& cue, std::string_view line, size_t end) const {
    size_t at = cue.end;
    if (cue.kind == Kind::kAnswer && has(text_, at, "(s)")) at += 3;
    at = skip(text_, at, end, "*_ \t");
    if (at < end && has(text_, at, ":")) return {at + 1, true};
    if (at < end && has(text_, at, "：")) return {at + 3, true};
    if (has(text_, at, "=") && !has(text_, at, "==") && cue.kind != Kind::kResult) {
      return {at + 1, false};
    }
    if (cue.kind == Kind::kChineseWords) {
      const std::string_view last = text_.substr(cue.end - 3, 3);
      const bool said =
          in(kChineseSaid, last) || (is_blank(text_.substr(at, end - at)) && is_markup(line));
      return {said ? at : kNone, false};
    }
    if (cue.kind == Kind::kOtherLanguage) {
      for (const std::string_view verb : cue.abroad->verbs) {
        if (verb.empty() || !has(text_, at, verb)) continue;
        return {letter_at(text_, at + verb.size()) ? kNone : at + verb.size(), false};
      }
      return {kNone, false};
    }
    if (cue.kind == Kind::kAnswer && is_blank(text_.substr(at, end - at))) {
      const size_t first = skip(line, 0, line.size(), " \t>");
      const bool heading = (first < line.size() && contains("#*_", line[first])) || is_markup(line);
      return {heading ? end : kNone, true};
    }
    if (cue.kind == Kind::kAnswer &&
        (has(text_, at, "$") || has(text_, at, "\\(") || has(text_, at, "\\["))) {
      return {is_markup(line) ? at : kNone, true};
    }
    return {verb_in_words(at, end), false};
  }

  // The end of the verb of "answer to the question is", "answer must be", ...
  size_t verb_in_words(size_t at, size_t end) const {
    bool anything = has(text_, at, ",");
    for (int i = 0; i < 16; ++i) {
      for (; at < end && !is_letter(text_[at]); ++at) {
        if (anything && text_[at] == ':') return at + 1;
        if (anything && has(text_, at, "：")) return at + 3;
        if (contains(".;?!", text_[at]) || !(anything || contains(" \t*_", text_[at]))) {
          return kNone;
        }
      }
      const size_t after = word_end(text_, at, end);
      const Lower lower(text_.substr(at, after - at));
      const std::string_view word = lower.view();
      if (in(kVerbs, word)) return after;
      if (anything ? in(kStops, word) : !in(kModals, word) && !in(kMore, word)) return kNone;
      anything = anything || in(kMore, word);
      at = after;
    }
    return kNone;
  }

  // The next line is that of choice B.
  bool is_list_of_choices(size_t end) const {
    size_t at = skip(text_, end, text_.size(), kWhite);
    const size_t bullet = has(text_, at, "•")                               ? at + 3
                          : at < text_.size() && contains("-*+", text_[at]) ? at + 1
                                                                            : at;
    const size_t item = skip(text_, bullet, text_.size(), " \t");
    if (bullet > at && item > bullet) at = item;
    at = skip(text_, at, text_.size(), "*_");
    if (!has(text_, at, "B")) return false;
    at = skip(text_, at + 1, text_.size(), "*_");
    return has(text_, at, ":") || has(text_, at, "：");
  }

  std::string_view text_;
  Values values_;
  std::vector<Cue>& cues_;  // of a line
};

}  // namespace

std::string statement_value(std::string_view text, const std::vector<Fence>& skipped,
                            const std::vector<Fence>& blocks) {
  return Statements(text, blocks).last(skipped);
}

}  // namespace stepscore
