// An answer's tokens -> the key of its value.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "answer_key/exact.h"
#include "answer_key/intervals.h"
#include "answer_key/tokens.h"

namespace stepscore {

// Reads from the left and never goes back: the kind of the next token and what stands directly
// inside a bracket decide. What is ambiguous is refused.
class Parser {
 public:
  Parser(const Token* begin, const Token* end) : at_(begin), begin_(begin), end_(end) {}

  // An item with what may stand around it: a currency, a percent sign, a unit. Of a percentage
  // `bare` is the key of the number before the sign.
  bool answer(std::string& key, std::string& bare);

  // A member of a list without brackets.
  bool member(std::string& key) { return item(key) && done(); }

  // An end of an interval, and nothing else.
  bool only_bound(Cut& out) { return !done() && bound(out) && done(); }

 private:
  bool done() const { return at_ == end_; }
  bool is(Kind kind) const { return at_ != end_ && at_->kind == kind; }
  bool follows(Kind kind, int ahead) const { return end_ - at_ > ahead && at_[ahead].kind == kind; }
  bool opens(char bracket) const { return is(Kind::kOpen) && at_->bracket == bracket; }
  bool closes(char bracket) const { return is(Kind::kClose) && at_->bracket == bracket; }
  bool take(Kind kind) {
    const bool there = is(kind);
    at_ += there;
    return there;
  }

  // parse_collection.cc
  bool is_list() const;
  bool is_set() const {
    return is(Kind::kEmptySet) || (is_list() && at_->bracket != '(' && at_->bracket != '[');
  }
  bool union_of_items(std::string& key);
  bool union_of_sets(std::string& key);
  bool pieces(std::vector<Piece>& out);
  bool bound(Cut& out);
  bool item(std::string& key);
  bool list(std::string& key);
  bool set(std::vector<std::string>& members);
  bool matrix(std::string& key);
  bool infinity(std::string& key);

  // parse_number.cc
  bool sum(exact::Number& out);
  bool product(exact::Number& out);
  bool chain(exact::Number& out, bool single);
  bool factor(exact::Number& out, bool& is_literal);
  bool primary(exact::Number& out, bool& is_literal);
  bool group(exact::Number& out);
  bool hides_operator() const;
  bool argument(exact::Number& out);
  bool fraction(exact::Number& out);
  bool root(exact::Number& out);
  bool exponent(exact::Number& base);
  char grouping() const;
  bool number(exact::Number& out);
  bool scientific(exact::Rational& value);
  bool repeating(std::string_view before, exact::Number& out);
  bool mixed(exact::Number& out, bool& found);

  // parse_answer.cc
  bool unit(std::string& name);
  bool written_sign(std::string& name);
  bool unit_factor(std::string& name);

  const Token* at_;
  const Token* begin_;
  const Token* end_;
  std::string_view rest_;  // digits of *at_ that \frac12 has left
  int depth_ = 0;
  bool commas_separate_ = false;  // inside a list; outside, they group thousands
};

// One bracket deeper, until the end of the scope.
class Deeper {
 public:
  explicit Deeper(int& depth) : depth_(depth) { ++depth_; }
  ~Deeper() { --depth_; }
  bool too_deep() const { return depth_ > kDeepest; }

 private:
  static constexpr int kDeepest = 24;
  int& depth_;
};

}  // namespace stepscore
