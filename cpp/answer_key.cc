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

// The key of a text, and of a percentage that of the number before the sign.
struct Key {
  std::string key, bare;
};

// The classes of one problem.
class Classes {
 public:
  // keys: of the different texts of the problem, in the order of their first candidates.
  // text_of: of each candidate its place among them.
  void group(const std::vector<const Key*>& keys, const std::vector<int64_t>& text_of, int64_t* ids,
             Decided* decided) {
    clear();
    class_of_.resize(keys.size());
    opens_.resize(keys.size());
    for (size_t t = 0; t < keys.size(); ++t) {
      const auto& [key, bare] = *keys[t];
      opens_[t] = false;
      class_of_[t] = key.empty() ? kNone : find(key);
      if (key.empty()) continue;
      if (class_of_[t] == kNone) {
        class_of_[t] = open(key, bare);
        opens_[t] = true;
      } else if (bare.empty()) {
        bare_[at(class_of_[t])] = {};  // 0.5 stands beside 50%
      } else {
        percent_[at(class_of_[t])] = true;
      }
    }
    const bool joined = join_units();
    for (size_t i = 0; i < text_of.size(); ++i) {
      const size_t t = at(text_of[i]);
      const int64_t c = class_of_[t];
      ids[i] = c == kNone || !joined ? c : renumbered_[at(c)];
      decided[i] = c == kNone                              ? Decided::kNoAnswer
                   : joined && target_[at(c)] != kNone     ? Decided::kUnit
                   : opens_[t]                             ? Decided::kFirst
                   : keys[t]->key.starts_with(kUnresolved) ? Decided::kSameText
                                                           : Decided::kSameKey;
      opens_[t] = false;  // the further candidates with that text
    }
  }

 private:
  // The key that class c is without its unit or its percent sign; empty where it has none.
  std::string_view bare_key(size_t c) const {
    const std::string_view bare = without_unit(first_[c]);
    return bare.size() < first_[c].size() ? bare : bare_[c];
  }

  static size_t at(int64_t i) { return static_cast<size_t>(i); }

  void clear() {
    first_.clear();
    bare_.clear();
    percent_.clear();
    if (!number_.empty()) number_.clear();
    may_join_ = false;
  }

  // The class of a key; kNone where there is none yet.
  int64_t find(std::string_view key) const {
    const size_t few = std::min(first_.size(), kFew);
    for (size_t c = 0; c < few; ++c) {
      if (first_[c] == key) return static_cast<int64_t>(c);
    }
    if (first_.size() <= kFew) return kNone;
    const auto found = number_.find(key);
    return found == number_.end() ? kNone : found->second;
  }

  int64_t open(std::string_view key, std::string_view bare) {
    const int64_t c = static_cast<int64_t>(first_.size());
    if (first_.size() >= kFew) number_.emplace(key, c);
    first_.push_back(key);
    bare_.push_back(bare);
    percent_.push_back(!bare.empty());
    may_join_ |= !bare.empty() || key.ends_with(']');
    return c;
  }

  // A number joins the same number with a unit or percent sign, if there is just one such class; a
  // choice joins that with a text. Leaves the class that each is joined into, and the new numbers.
  bool join_units() {
    if (!may_join_) return false;
    const int64_t classes = static_cast<int64_t>(first_.size());
    into_.assign(first_.size(), kNone);
    bool joined = false;
    for (int64_t c = 0; c < classes; ++c) {
      const std::string_view bare = bare_key(at(c));
      if (bare.empty()) continue;
      const int64_t found = find(bare);
      // Whoever writes 5000% means 50, and not 50%.
      if (found == kNone || percent_[at(found)]) continue;
      int64_t& other = into_[at(found)];
      other = other == kNone ? c : kSeveral;
      joined = true;
    }
    if (!joined) return false;
    // From pairs (number, its unit's class) to new numbers, first seen first.
    target_.assign(first_.size(), kNone);
    renumbered_.assign(first_.size(), kNone);
    for (int64_t c = 0; c < classes; ++c) {
      const int64_t unit = into_[at(c)];
      if (unit < 0) continue;
      target_[at(std::max(c, unit))] = std::min(c, unit);
    }
    int64_t next = 0;
    for (int64_t c = 0; c < classes; ++c) {
      const int64_t earlier = target_[at(c)];
      renumbered_[at(c)] = earlier == kNone ? next++ : renumbered_[at(earlier)];
    }
    return true;
  }

  static constexpr int64_t kSeveral = -2;
  static constexpr size_t kFew = 16;     // up to here comparing all is faster than hashing
  std::vector<std::string_view> first_;  // key of each class
  std::vector<std::string_view> bare_;   // of a class that is written as a percentage throughout
  std::vector<bool> percent_;            // of a class: somebody writes it as a percentage
  std::unordered_map<std::string_view, int64_t> number_;  // of the classes from kFew on
  bool may_join_ = false;      // whether a class has an addition that another may lack
  std::vector<int64_t> into_;  // of a class: the one class that adds a unit to it
  std::vector<int64_t> target_, renumbered_;  // of a class, where some are joined
  std::vector<int64_t> class_of_;             // of a text
  std::vector<char> opens_;                   // of a text, whether it opens its class
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

void group_answers(const std::string_view* texts, int64_t count, const int64_t* places,
                   const int64_t* offsets, int64_t problems, Holds holds, int64_t* ids,
                   Decided* decided) {
  // Texts that candidates share are read once for all problems, others where they stand.
  std::vector<Key> shared(places == nullptr ? 0 : static_cast<size_t>(count));
  parallel_for(static_cast<int64_t>(shared.size()), work_of(texts, count),
               [&](int64_t begin, int64_t end) {
                 for (int64_t t = begin; t < end; ++t) {
                   Key& key = shared[static_cast<size_t>(t)];
                   key_of(texts[t], holds, key.key, key.bare);
                 }
               });
  const Key none;
  const double each = 20.0 * static_cast<double>(offsets[problems]);
  const Work work = places == nullptr ? work_of(texts, count) : Work{each};
  parallel_for(problems, work, [&](int64_t begin, int64_t end) {
    Classes classes;
    std::vector<const Key*> keys;                         // of the different texts of a problem
    std::vector<int64_t> text_of;                         // of each candidate its place in `keys`
    std::vector<Key> own;                                 // those that are not shared
    std::vector<int64_t> seen(shared.size() + 1, kNone);  // of a shared text its place in `keys`
    for (int64_t p = begin; p < end; ++p) {
      const int64_t first = offsets[p], size = offsets[p + 1] - first;
      keys.clear();
      text_of.resize(static_cast<size_t>(size));
      if (own.size() < static_cast<size_t>(size) && places == nullptr) {
        own.resize(static_cast<size_t>(size));
      }
      for (int64_t i = 0; i < size; ++i) {
        int64_t& text = text_of[static_cast<size_t>(i)];
        const auto next = static_cast<int64_t>(keys.size());
        if (places != nullptr) {
          const int64_t place = places[first + i];
          int64_t& earlier = seen[static_cast<size_t>(place + 1)];  // the first is that of no text
          text = earlier == kNone ? next : earlier;
          if (earlier != kNone) continue;
          earlier = next;
          keys.push_back(place < 0 ? &none : &shared[static_cast<size_t>(place)]);
        } else {
          const int64_t same = same_place(texts + first, i);
          text = same == i ? next : text_of[static_cast<size_t>(same)];
          if (same != i) continue;
          Key& key = own[static_cast<size_t>(next)];
          key_of(texts[first + i], holds, key.key, key.bare);
          keys.push_back(&key);
        }
      }
      classes.group(keys, text_of, ids + first, decided + first);
      for (int64_t i = 0; places != nullptr && i < size; ++i) {
        seen[static_cast<size_t>(places[first + i] + 1)] = kNone;
      }
    }
  });
}

}  // namespace stepscore
