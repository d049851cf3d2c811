// A whole answer: what may stand around a number, and what a number may belong to.
#include "answer_key/parser.h"
#include "answer_key/units.h"

namespace stepscore {

using exact::Number;
using exact::Rational;

namespace {

// A sign stands behind the first token, in no brackets.
bool is_sum(const Token* begin, const Token* end) {
  for (const Token* t = begin; t != end; ++t) {
    if (t->kind == Kind::kOpen) t += t->match;
    if (t != begin && (t->kind == Kind::kPlus || t->kind == Kind::kMinus)) return true;
  }
  return false;
}

bool is_percent(std::string_view word) {
  return word == "percent" || word == "pct" || word == "percentage";
}

}  // namespace

// square cm, cm^2, cm²
bool Parser::unit_factor(std::string& name) {
  int64_t power = 1;
  if (is(Kind::kWord) && (at_->spelling == "square" || at_->spelling == "sq")) power = 2;
  if (is(Kind::kWord) && at_->spelling == "cubic") power = 3;
  if (power > 1) ++at_;
  if (take(Kind::kDegree)) {
    name += "degree";
    return power == 1;
  }
  if (!is(Kind::kWord)) return false;
  // "5m" without \text could be a product with a variable.
  if (!at_->text && at_->spelling.size() == 1 && at_[-1].kind != Kind::kSlash) return false;
  const std::string_view known = unit_name(at_->spelling);
  if (known.empty()) return false;
  name += known;
  ++at_;
  if (is(Kind::kPower)) {
    Number two;
    ++at_;
    if (power > 1 || !argument(two) || !rest_.empty() || !two.is_rational() ||
        two.rational().den != 1) {
      return false;
    }
    power = two.rational().num;
    if (power < 2 || power > 4) return false;
  }
  if (power > 1) {
    name += '^';
    name += static_cast<char>('0' + power);
  }
  return true;
}

// €, £; Chinese units and measure words, as in 250千克: all signs to the end
bool Parser::written_sign(std::string& name) {
  if (!is(Kind::kOther)) return false;
  if (at_->spelling == "€" || at_->spelling == "£") {
    name = at_->spelling == "€" ? "euro" : "sterling";
    ++at_;
    return done();
  }
  constexpr std::ptrdiff_t kLongest = 8;
  if (end_ - at_ > kLongest) return false;
  std::string sign;
  for (const Token* t = at_; t != end_; ++t) {
    const auto lead = static_cast<unsigned char>(t->spelling[0]);
    if (t->kind != Kind::kOther || lead < 0xe4 || lead > 0xe9) return false;
    sign += t->spelling;
    // 3万 is 30000, 3千 is 3000 but 3千克 are kilograms, and 3个半 is 3.5.
    for (const std::string_view counts :
         {"万", "亿", "兆", "百", "十", "半", "多", "余", "几", "成", "分之"}) {
      if (sign.ends_with(counts)) return false;
    }
    const bool thousand = t->spelling == "千";
    const bool kilo = thousand && t + 1 != end_ &&
                      (t[1].spelling == "克" || t[1].spelling == "米" || t[1].spelling == "瓦");
    if (thousand && !kilo) return false;
  }
  at_ = end_;
  name = sign;
  return true;
}

// miles per hour, m/s; behind a dollar sign: "dollars", "per hour", or both
bool Parser::unit(std::string& name) {
  const auto per = [&] { return is(Kind::kSlash) || (is(Kind::kWord) && at_->spelling == "per"); };
  std::string first;
  if (name.empty() || !per()) {
    if (!unit_factor(first) || (!name.empty() && first != name)) return false;
    name = first;
  }
  if (!per()) return true;
  ++at_;
  name += '/';
  return unit_factor(name);
}

bool Parser::answer(std::string& key, std::string& bare) {
  std::string name;
  const int sign = is(Kind::kMinus) || is(Kind::kPlus);
  if (follows(Kind::kDollar, sign)) {
    if (sign == 1 && at_->kind == Kind::kMinus) key += '-';
    at_ += sign + 1;
    if (!is(Kind::kNumber)) return false;
    name = "dollar";
  } else if (is(Kind::kOther) && (at_->spelling == "€" || at_->spelling == "£") &&
             follows(Kind::kNumber, 1)) {
    name = at_->spelling == "€" ? "euro" : "sterling";
    ++at_;
  }
  if (is_list() || is(Kind::kEmptySet)) return union_of_items(key) && done();
  if (is(Kind::kBegin) || is(Kind::kInfinity) || follows(Kind::kInfinity, 1)) {
    return item(key) && done();
  }
  const Token* first = at_;
  Number value;
  if (!sum(value)) return false;
  if (key == "-") {
    key.clear();
    value.negate();
  }
  if (is(Kind::kPercent) || (is(Kind::kWord) && is_percent(at_->spelling))) {
    // 5 + 5% is rather 5.05 than 10%.
    if (!name.empty() || is_sum(first, at_)) return false;
    ++at_;
    bare.clear();
    value.append_to(bare);
    Number hundredth(Rational{1, 100});
    if (!value.multiply(hundredth)) return false;
  } else if (!done() && !(name.empty() && written_sign(name)) && !unit(name)) {
    return false;
  }
  value.append_to(key);
  if (!name.empty()) key += " [" + name + ']';
  return done();
}

}  // namespace stepscore
