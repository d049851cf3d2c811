#include "stepscore/answer_key.h"

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "answer_key/canonical.h"
#include "answer_key/extract.h"
#include "answer_key/markup.h"
#include "answer_key/tokens.h"
#include "stepscore/parallel.h"

namespace stepscore {
namespace {

constexpr size_t kLongest = 1000;  // of an answer that is taken apart; longer ones are prose
constexpr int64_t kNone = -1;

// Most answers by far: up to 18 digits, perhaps with a minus sign.
bool is_plain_integer(std::string_view text) {
  const std::string_view digits = text.substr(text.starts_with('-'));
  if (digits.empty() || digits.size() > 18 || digits[0] < '1' || digits[0] > '9') {
    return text == "0";
  }
  for (const char c : digits) {
    if (c < '0' || c > '9') return false;
  }
  return true;
}

void append_words(std::string_view text, std::string& key) {
  bool space = false;
  for (const char c : text) {
    const bool white = c == ' ' || (c >= '\t' && c <= '\r');
    if (!white && space) key += ' ';
    if (!white) key += c;
    space = white;
  }
}

// What pipelines write where a model gave no answer.
bool is_missing(std::string_view text) {
  constexpr std::string_view kMissing[] = {
      "none", "null", "nan", "n/a", "[invalid]", "[invalidanswer]", "[no answer]"};
  const auto folded = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  if (text.size() > 15 || std::string_view("nN[").find(text[0]) == text.npos) return false;
  return std::ranges::any_of(
      kMissing, [&](std::string_view word) { return std::ranges::equal(text, word, {}, folded); });
}

void key_of_answer(std::string_view answer, std::string& key, std::string& bare) {
  static thread_local Tokens tokens;
  key.clear();
  bare.clear();
  const std::string_view text = trimmed(answer);
  if (is_plain_integer(text)) {
    key = text;
    return;
  }
  if (text.empty() || is_missing(text)) return;
  if (text.size() > kLongest || !tokens.read(text)) {
    key = kUnresolved;
    append_words(text, key);
    return;
  }
  if (!tokens.empty() && tokens.end()[-1].kind == Kind::kDot) tokens.drop_last();
  if (tokens.empty()) return;
  if (value_key(tokens, key, bare)) return;
  bare.clear();
  key = kUnresolved;
  append_spelling(tokens.begin(), tokens.end(), key);
}

// A text that states no answer may be one itself, if it is understood.
void key_of_solution(std::string_view solution, std::string& key, std::string& bare) {
  const std::string stated = stated_answer(solution);
  if (!stated.empty()) {
    key_of_answer(stated, key, bare);
    return;
  }
  key_of_answer(solution_alone(solution), key, bare);
  if (key.starts_with(kUnresolved)) key.clear();
}

void key_of(std::string_view text, Holds holds, std::string& key, std::string& bare) {
  if (text.data() == nullptr) {
    key.clear();
    bare.clear();
  } else if (holds == Holds::kSolution) {
    key_of_solution(text, key, bare);
  } else {
    key_of_answer(text, key, bare);
  }
}

// "12" of "12 [hour]", "choice:B" of "choice:B [12]"; all of a key without such an addition.
std::string_view without_unit(std::string_view key) {
  if (!key.ends_with(']') || key.starts_with(kUnresolved)) return key;
  return key.substr(0, key.find(" ["));
}

// The classes of one problem.
class Classes {
 public:
  // bare: of a percentage the key of the number before the sign.
  void group(const std::string* keys, const std::string* bare, int64_t count, int64_t* ids,
             Decided* decided) {
    number_.clear();
    first_.clear();
    bare_.clear();
    percent_.clear();
    for (int64_t i = 0; i < count; ++i) {
      if (keys[i].empty()) {
        ids[i] = kNone;
        decided[i] = Decided::kNoAnswer;
        continue;
      }
      const int64_t next = static_cast<int64_t>(first_.size());
      const auto [found, added] = number_.try_emplace(keys[i], next);
      if (added) {
        first_.push_back(keys[i]);
        bare_.push_back(bare[i]);
        percent_.push_back(!bare[i].empty());
      } else if (bare[i].empty()) {
        bare_[static_cast<size_t>(found->second)] = {};  // 0.5 stands beside 50%
      } else {
        percent_[static_cast<size_t>(found->second)] = true;
      }
      ids[i] = found->second;
      decided[i] = added                              ? Decided::kFirst
                   : keys[i].starts_with(kUnresolved) ? Decided::kSameText
                                                      : Decided::kSameKey;
    }
    join_units(count, ids, decided);
  }

 private:
  // The key that class c is without its unit or its percent sign; empty where it has none.
  std::string_view bare_key(size_t c) const {
    const std::string_view bare = without_unit(first_[c]);
    return bare.size() < first_[c].size() ? bare : bare_[c];
  }

  // A number joins the same number with a unit or percent sign, if there is just one such class; a
  // choice joins that with a text.
  void join_units(int64_t count, int64_t* ids, Decided* decided) {
    const int64_t classes = static_cast<int64_t>(first_.size());
    into_.assign(first_.size(), kNone);
    bool joined = false;
    for (int64_t c = 0; c < classes; ++c) {
      const std::string_view bare = bare_key(static_cast<size_t>(c));
      if (bare.empty()) continue;
      const auto found = number_.find(bare);
      // Whoever writes 5000% means 50, and not 50%.
      if (found == number_.end() || percent_[static_cast<size_t>(found->second)]) continue;
      int64_t& other = into_[static_cast<size_t>(found->second)];
      other = other == kNone ? c : kSeveral;
      joined = true;
    }
    if (!joined) return;
    // From pairs (number, its unit's class) to new numbers, first seen first.
    std::vector<int64_t> target(first_.size(), kNone), renumbered(first_.size(), kNone);
    for (int64_t c = 0; c < classes; ++c) {
      const int64_t unit = into_[static_cast<size_t>(c)];
      if (unit < 0) continue;
      target[static_cast<size_t>(std::max(c, unit))] = std::min(c, unit);
    }
    int64_t next = 0;
    for (int64_t c = 0; c < classes; ++c) {
      const int64_t earlier = target[static_cast<size_t>(c)];
      renumbered[static_cast<size_t>(c)] =
          earlier == kNone ? next++ : renumbered[static_cast<size_t>(earlier)];
    }
    for (int64_t i = 0; i < count; ++i) {
      if (ids[i] == kNone) continue;
      const size_t c = static_cast<size_t>(ids[i]);
      if (target[c] != kNone) decided[i] = Decided::kUnit;
      ids[i] = renumbered[c];
    }
  }

  static constexpr int64_t kSeveral = -2;
  std::unordered_map<std::string_view, int64_t> number_;
  std::vector<std::string_view> first_;  // key of each class
  std::vector<std::string_view> bare_;   // of a class that is written as a percentage throughout
  std::vector<bool> percent_;            // of a class: somebody writes it as a percentage
  std::vector<int64_t> into_;            // of a class: the one class that adds a unit to it
};

Work work_of(const std::string_view* texts, int64_t count) {
  size_t bytes = 0;
  for (int64_t i = 0; i < count; ++i) bytes += texts[i].size();
  return {400.0 * static_cast<double>(count) + 1.5 * static_cast<double>(bytes)};
}

// The first of the texts before i that is kept where text i is, as of equal answers; else i.
int64_t same_place(const std::string_view* texts, int64_t i) {
  const int64_t least = std::max<int64_t>(0, i - 64);  // a look at more costs as much as a key
  for (int64_t k = least; k < i; ++k) {
    if (texts[k].data() == texts[i].data() && texts[k].size() == texts[i].size()) return k;
  }
  return i;
}

}  // namespace

std::string extract_answer(std::string_view solution) {
  std::string stated = stated_answer(solution);
  if (!stated.empty()) return stated;
  std::string alone = solution_alone(solution), key, bare;
  key_of_answer(alone, key, bare);
  return key.empty() || key.starts_with(kUnresolved) ? std::string() : alone;
}

std::string answer_key(std::string_view answer) {
  std::string key, bare;
  key_of_answer(answer, key, bare);
  return key;
}

void extract_answers(const std::string_view* texts, int64_t count, std::string* answers) {
  parallel_for(count, work_of(texts, count), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      answers[i] = texts[i].data() == nullptr ? std::string() : extract_answer(texts[i]);
    }
  });
}

void answer_keys(const std::string_view* texts, int64_t count, Holds holds, std::string* keys) {
  parallel_for(count, work_of(texts, count), [&](int64_t begin, int64_t end) {
    std::string bare;
    for (int64_t i = begin; i < end; ++i) key_of(texts[i], holds, keys[i], bare);
  });
}

void group_answers(const std::string_view* texts, const int64_t* offsets, int64_t problems,
                   Holds holds, int64_t* ids, Decided* decided) {
  const int64_t count = offsets[problems];
  parallel_for(problems, work_of(texts, count), [&](int64_t begin, int64_t end) {
    Classes classes;
    std::vector<std::string> keys, bare;
    for (int64_t p = begin; p < end; ++p) {
      const int64_t first = offsets[p], size = offsets[p + 1] - first;
      keys.resize(static_cast<size_t>(size));
      bare.resize(static_cast<size_t>(size));
      for (int64_t i = 0; i < size; ++i) {
        const auto here = static_cast<size_t>(i);
        const int64_t same = same_place(texts + first, i);
        if (same < i) {
          keys[here] = keys[static_cast<size_t>(same)];
          bare[here] = bare[static_cast<size_t>(same)];
        } else {
          key_of(texts[first + i], holds, keys[here], bare[here]);
        }
      }
      classes.group(keys.data(), bare.data(), size, ids + first, decided + first);
    }
  });
}

}  // namespace stepscore
