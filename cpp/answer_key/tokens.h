// An answer as tokens: LaTeX, Unicode and plain spellings of one sign are one kind.
#pragma once

#include <cstdint>
#include <string_view>

namespace stepscore {

enum class Kind : uint8_t {
  kNumber,    // digits, perhaps with one point inside or before them
  kVulgar,    // one sign for a fraction
  kWord,      // ASCII letters
  kLetter,    // a Greek letter
  kFraction,  // \frac
  kRoot,
  kPi,
  kInfinity,
  kPlus,
  kMinus,
  kTimes,
  kSlash,
  kPower,
  kIndex,  // _
  kEquals,
  kElement,   // \in
  kRelation,  // < > \le \ge
  kApprox,
  kComma,
  kSemicolon,
  kThousands,  // a comma that separates thousands alone: {,} or ,\!
  kDot,
  kUnion,
  kEmptySet,
  kPercent,
  kDegree,
  kDollar,
  kOverline,
  kOpen,  // ( [ { or \{, see Token::bracket
  kClose,
  kBegin,  // \begin{spelling}
  kEnd,
  kCell,  // &
  kRow,   // two backslashes
  kOther,
};

struct Token {
  std::string_view spelling;  // canonical where one sign has several
  Kind kind = Kind::kOther;
  char bracket = 0;    // of kOpen and kClose: one of ( [ { S, where S is the brace of a set
  bool space = false;  // white space stands before it
  bool text = false;   // inside \text{...}
  bool lists = false;  // of kOpen: a comma stands directly inside
  uint8_t over = 0;    // of kVulgar: spelling is its numerator, this its denominator
  int32_t match = 0;   // of kOpen and kClose: how far the other one is, signed
};

class Tokens {
 public:
  // False for what is too long or too deep to be taken apart.
  bool read(std::string_view answer);

  const Token* begin() const { return tokens_; }
  const Token* end() const { return tokens_ + count_; }
  bool balanced() const { return balanced_; }
  bool empty() const { return count_ == 0; }
  void drop_last() { --count_; }

 private:
  static constexpr int kMost = 512;
  static constexpr int kDeepest = 32;

  bool push(Kind kind, std::string_view spelling);
  bool open(char bracket, std::string_view spelling);
  bool close(char bracket, std::string_view spelling);
  bool next(std::string_view rest, size_t& taken);
  bool number(std::string_view rest, size_t& taken);
  bool word(std::string_view rest, size_t& taken);
  bool backslash(std::string_view rest, size_t& taken);
  bool punctuation(std::string_view rest, size_t& taken);
  bool raised(std::string_view rest, size_t& taken);
  bool comma(std::string_view rest, size_t& taken);
  bool comparison(std::string_view rest, size_t& taken);
  bool command(std::string_view name, std::string_view whole, std::string_view rest, size_t& taken);
  bool wide(std::string_view rest, size_t& taken);
  bool superscript(std::string_view digit);
  bool after_script() const;

  Token tokens_[kMost];
  int count_ = 0;
  bool space_ = false;
  bool balanced_ = true;
  bool text_next_ = false;  // the next { opens \text
  int32_t open_[kDeepest];  // index of the token, or -1 for the unseen brace of \text
  bool was_text_[kDeepest];
  bool in_text_ = false;
  bool environment_ = false;  // \begin was read
  int depth_ = 0;
  int64_t dollars_ = 0;  // in pairs they enclose mathematics; one without a partner is money
};

}  // namespace stepscore
