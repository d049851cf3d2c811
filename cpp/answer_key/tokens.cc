#include "answer_key/tokens.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace stepscore {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// What a command stands for. Spaces and \left are read and forgotten; a command that is not in the
// table is a sign of its own.
enum class Meaning : uint8_t { kToken, kNothing, kSpace, kText, kSet, kEndSet, kBegin, kEnd };

struct Command {
  std::string_view name;
  Meaning meaning;
  Kind kind = Kind::kOther;
  std::string_view spelling = {};
};

constexpr Command kCommands[] = {
    // sorted by name
    {"!", Meaning::kNothing},
    {"$", Meaning::kToken, Kind::kDollar, "\\$"},
    {"%", Meaning::kToken, Kind::kPercent, "%"},
    {"&", Meaning::kToken, Kind::kOther, "\\&"},
    {"(", Meaning::kNothing},
    {")", Meaning::kNothing},
    {",", Meaning::kSpace},
    {":", Meaning::kSpace},
    {";", Meaning::kSpace},
    {"Big", Meaning::kNothing},
    {"Bigl", Meaning::kNothing},
    {"Bigr", Meaning::kNothing},
    {"[", Meaning::kNothing},
    {"\\", Meaning::kToken, Kind::kRow, "\\\\"},
    {"]", Meaning::kNothing},
    {"alpha", Meaning::kToken, Kind::kLetter, "α"},
    {"approx", Meaning::kToken, Kind::kApprox, "≈"},
    {"bar", Meaning::kToken, Kind::kOverline, "\\overline"},
    {"begin", Meaning::kBegin},
    {"beta", Meaning::kToken, Kind::kLetter, "β"},
    {"big", Meaning::kNothing},
    {"bigl", Meaning::kNothing},
    {"bigr", Meaning::kNothing},
    {"cdot", Meaning::kToken, Kind::kTimes, "\\cdot"},
    {"cfrac", Meaning::kToken, Kind::kFraction, "\\frac"},
    {"cup", Meaning::kToken, Kind::kUnion, "\\cup"},
    {"degree", Meaning::kToken, Kind::kDegree, "°"},
    {"delta", Meaning::kToken, Kind::kLetter, "δ"},
    {"dfrac", Meaning::kToken, Kind::kFraction, "\\frac"},
    {"displaystyle", Meaning::kSpace},
    {"div", Meaning::kToken, Kind::kSlash, "\\div"},
    {"emptyset", Meaning::kToken, Kind::kEmptySet, "∅"},
    {"end", Meaning::kEnd},
    {"frac", Meaning::kToken, Kind::kFraction, "\\frac"},
    {"gamma", Meaning::kToken, Kind::kLetter, "γ"},
    {"ge", Meaning::kToken, Kind::kRelation, "\\ge"},
    {"geq", Meaning::kToken, Kind::kRelation, "\\ge"},
    {"geqslant", Meaning::kToken, Kind::kRelation, "\\ge"},
    {"gt", Meaning::kToken, Kind::kRelation, ">"},
    {"hbox", Meaning::kText},
    {"in", Meaning::kToken, Kind::kElement, "\\in"},
    {"infty", Meaning::kToken, Kind::kInfinity, "∞"},
    {"lambda", Meaning::kToken, Kind::kLetter, "λ"},
    {"lbrace", Meaning::kSet},
    {"le", Meaning::kToken, Kind::kRelation, "\\le"},
    {"left", Meaning::kNothing},
    {"leq", Meaning::kToken, Kind::kRelation, "\\le"},
    {"leqslant", Meaning::kToken, Kind::kRelation, "\\le"},
    {"lt", Meaning::kToken, Kind::kRelation, "<"},
    {"mathbf", Meaning::kText},
    {"mathrm", Meaning::kText},
    {"mbox", Meaning::kText},
    {"mu", Meaning::kToken, Kind::kLetter, "μ"},
    {"ne", Meaning::kToken, Kind::kOther, "\\ne"},
    {"neq", Meaning::kToken, Kind::kOther, "\\ne"},
    {"overline", Meaning::kToken, Kind::kOverline, "\\overline"},
    {"phi", Meaning::kToken, Kind::kLetter, "φ"},
    {"pi", Meaning::kToken, Kind::kPi, "π"},
    {"qquad", Meaning::kSpace},
    {"quad", Meaning::kSpace},
    {"rbrace", Meaning::kEndSet},
    {"right", Meaning::kNothing},
    {"sqrt", Meaning::kToken, Kind::kRoot, "\\sqrt"},
    {"text", Meaning::kText},
    {"textbf", Meaning::kText},
    {"textit", Meaning::kText},
    {"textnormal", Meaning::kText},
    {"textrm", Meaning::kText},
    {"textstyle", Meaning::kSpace},
    {"tfrac", Meaning::kToken, Kind::kFraction, "\\frac"},
    {"theta", Meaning::kToken, Kind::kLetter, "θ"},
    {"times", Meaning::kToken, Kind::kTimes, "\\times"},
    {"varnothing", Meaning::kToken, Kind::kEmptySet, "∅"},
    {"{", Meaning::kSet},
    {"}", Meaning::kEndSet},
};
static_assert(std::ranges::is_sorted(kCommands, {}, &Command::name));

// Where the commands begin that have this first letter, or a later one.
constexpr auto kFirstCommand = [] {
  std::array<uint8_t, 129> first{};
  for (size_t letter = 0; letter < first.size(); ++letter) {
    first[letter] = static_cast<uint8_t>(std::ranges::count_if(
        kCommands, [&](const Command& c) { return static_cast<size_t>(c.name[0]) < letter; }));
  }
  return first;
}();

const Command* known_command(std::string_view name) {
  const auto letter = static_cast<unsigned char>(name[0]);
  if (letter >= 128) return nullptr;
  const auto* end = kCommands + kFirstCommand[letter + 1u];
  const auto* found = std::find_if(kCommands + kFirstCommand[letter], end,
                                   [&](const Command& c) { return c.name == name; });
  return found == end ? nullptr : found;
}

struct Sign {
  std::string_view bytes;  // UTF-8
  Kind kind;
  std::string_view spelling;
  uint8_t over = 0;
};

constexpr Sign kSigns[] = {
    {"−", Kind::kMinus, "-"},       {"×", Kind::kTimes, "\\times"}, {"·", Kind::kTimes, "\\cdot"},
    {"⋅", Kind::kTimes, "\\cdot"},  {"÷", Kind::kSlash, "\\div"},   {"⁄", Kind::kSlash, "/"},
    {"√", Kind::kRoot, "√"},        {"π", Kind::kPi, "π"},          {"∞", Kind::kInfinity, "∞"},
    {"∪", Kind::kUnion, "\\cup"},   {"°", Kind::kDegree, "°"},      {"∅", Kind::kEmptySet, "∅"},
    {"∈", Kind::kElement, "\\in"},  {"α", Kind::kLetter, "α"},      {"β", Kind::kLetter, "β"},
    {"γ", Kind::kLetter, "γ"},      {"δ", Kind::kLetter, "δ"},      {"θ", Kind::kLetter, "θ"},
    {"λ", Kind::kLetter, "λ"},      {"μ", Kind::kLetter, "μ"},      {"φ", Kind::kLetter, "φ"},
    {"€", Kind::kOther, "€"},       {"±", Kind::kOther, "\\pm"},    {"≤", Kind::kRelation, "\\le"},
    {"≥", Kind::kRelation, "\\ge"}, {"≠", Kind::kOther, "\\ne"},    {"≈", Kind::kApprox, "≈"},
    {"½", Kind::kVulgar, "1", 2},   {"⅓", Kind::kVulgar, "1", 3},   {"⅔", Kind::kVulgar, "2", 3},
    {"¼", Kind::kVulgar, "1", 4},   {"¾", Kind::kVulgar, "3", 4},   {"⅕", Kind::kVulgar, "1", 5},
    {"⅖", Kind::kVulgar, "2", 5},   {"⅗", Kind::kVulgar, "3", 5},   {"⅘", Kind::kVulgar, "4", 5},
    {"⅙", Kind::kVulgar, "1", 6},   {"⅚", Kind::kVulgar, "5", 6},   {"⅛", Kind::kVulgar, "1", 8},
    {"⅜", Kind::kVulgar, "3", 8},   {"⅝", Kind::kVulgar, "5", 8},   {"⅞", Kind::kVulgar, "7", 8},
};

constexpr std::string_view kSpaces[] = {"\u00a0", "\u2002", "\u2003", "\u2007", "\u2009", "\u200a",
                                        "\u200b", "\u202f", "\u2060", "\u3000", "\ufeff"};

struct Superscript {
  std::string_view bytes, digit;
};
constexpr Superscript kSuperscripts[] = {
    {"⁰", "0"}, {"¹", "1"}, {"²", "2"}, {"³", "3"}, {"⁴", "4"},
    {"⁵", "5"}, {"⁶", "6"}, {"⁷", "7"}, {"⁸", "8"}, {"⁹", "9"},
};

template <class Table>
auto* starting(const Table& table, std::string_view rest) {
  const auto found =
      std::ranges::find_if(table, [&](const auto& entry) { return rest.starts_with(entry.bytes); });
  return found == std::end(table) ? nullptr : &*found;
}

// Bytes of the sign that begins here; a byte that begins none is one of its own.
size_t width(std::string_view rest) {
  const auto lead = static_cast<unsigned char>(rest[0]);
  const size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
  if (size > rest.size()) return 1;
  for (size_t i = 1; i < size; ++i) {
    if ((static_cast<unsigned char>(rest[i]) & 0xc0) != 0x80) return 1;
  }
  return size;
}

// Letters at the beginning.
size_t letters(std::string_view rest) {
  size_t count = 0;
  while (count < rest.size() && is_letter(rest[count])) ++count;
  return count;
}

int64_t dollar_signs(std::string_view answer) {
  int64_t signs = 0;
  for (size_t i = 0; i < answer.size(); ++i) {
    if (answer[i] == '\\') {
      ++i;
    } else if (answer[i] == '$') {
      ++signs;
    }
  }
  return signs;
}

Kind kind_of(char sign) {
  switch (sign) {
    case '+':
      return Kind::kPlus;
    case '-':
      return Kind::kMinus;
    case '*':
      return Kind::kTimes;
    case '/':
      return Kind::kSlash;
    case '_':
      return Kind::kIndex;
    case '=':
      return Kind::kEquals;
    case '%':
      return Kind::kPercent;
    case '&':
      return Kind::kCell;
    case '.':
      return Kind::kDot;
    case ';':
      return Kind::kSemicolon;
    default:
      return Kind::kOther;
  }
}

// "{pmatrix}" -> "pmatrix"
std::string_view braced_word(std::string_view rest) {
  if (rest.empty() || rest[0] != '{') return {};
  const size_t end = 1 + letters(rest.substr(1));
  return end < rest.size() && rest[end] == '}' ? rest.substr(1, end - 1) : std::string_view{};
}

}  // namespace

bool Tokens::push(Kind kind, std::string_view spelling) {
  if (count_ == kMost) return false;
  text_next_ = false;
  tokens_[count_++] = {spelling, kind, 0, space_, in_text_, false, 0, 0};
  space_ = false;
  return true;
}

// After these a brace holds what belongs to them, \text or not.
bool Tokens::after_script() const {
  if (count_ == 0) return false;
  const Token& last = tokens_[count_ - 1];
  const auto takes_arguments = [](const Token& token) {
    return token.kind == Kind::kPower || token.kind == Kind::kIndex ||
           (token.spelling[0] == '\\' && token.kind != Kind::kTimes);
  };
  const int32_t opened = count_ - 1 + last.match;  // for the second argument of \frac
  const bool group = last.kind == Kind::kClose && last.bracket == '{' && last.match < 0;
  return takes_arguments(last) ||
         (group && opened > 0 && takes_arguments(tokens_[opened - 1]) &&
          tokens_[opened - 1].kind != Kind::kPower && tokens_[opened - 1].kind != Kind::kRoot);
}

bool Tokens::open(char bracket, std::string_view spelling) {
  if (depth_ == kDeepest) return false;
  was_text_[depth_] = in_text_;
  if (text_next_ && bracket == '{') {
    text_next_ = false;
    in_text_ = true;
    if (!after_script()) {
      open_[depth_++] = -1;
      return true;
    }
  }
  if (!push(Kind::kOpen, spelling)) return false;
  tokens_[count_ - 1].bracket = bracket;
  open_[depth_++] = count_ - 1;
  return true;
}

bool Tokens::close(char bracket, std::string_view spelling) {
  const auto round = [](char c) { return c == '(' || c == '['; };  // may face each other
  int32_t opened = count_;
  if (depth_ > 0) {
    opened = open_[depth_ - 1];
    const char facing = opened < 0 ? '{' : tokens_[opened].bracket;
    if (facing == bracket || (round(facing) && round(bracket))) {
      in_text_ = was_text_[--depth_];
      if (opened < 0) return true;
      tokens_[opened].match = count_ - opened;
    } else {
      balanced_ = false;
    }
  } else {
    balanced_ = false;
  }
  if (!push(Kind::kClose, spelling)) return false;
  tokens_[count_ - 1].bracket = bracket;
  tokens_[count_ - 1].match = opened - (count_ - 1);
  return true;
}

bool Tokens::superscript(std::string_view digit) {
  return push(Kind::kPower, "^") && open('{', "{") && push(Kind::kNumber, digit) && close('{', "}");
}

bool Tokens::command(std::string_view name, std::string_view whole, std::string_view rest,
                     size_t& taken) {
  const Command* found = known_command(name);
  if (found == nullptr) return push(Kind::kOther, whole);
  switch (found->meaning) {
    case Meaning::kToken:
      return push(found->kind, found->spelling);
    case Meaning::kNothing:
      return true;
    case Meaning::kSpace:
      space_ = true;
      return true;
    case Meaning::kText:
      text_next_ = rest.starts_with('{');
      return text_next_ || push(Kind::kOther, whole);
    case Meaning::kSet:
      return open('S', "\\{");
    case Meaning::kEndSet:
      return close('S', "\\}");
    case Meaning::kBegin:
    case Meaning::kEnd:
      break;
  }
  const std::string_view environment = braced_word(rest);
  if (environment.empty()) return push(Kind::kOther, whole);
  taken += environment.size() + 2;
  environment_ = true;
  return push(found->meaning == Meaning::kBegin ? Kind::kBegin : Kind::kEnd, environment);
}

bool Tokens::wide(std::string_view rest, size_t& taken) {
  taken = width(rest);
  const std::string_view sign = rest.substr(0, taken);
  if (std::ranges::find(kSpaces, sign) != std::end(kSpaces)) {
    space_ = true;
    return true;
  }
  // A dash is a minus where nothing stands before it to begin a range.
  const Kind before = count_ == 0 ? Kind::kComma : tokens_[count_ - 1].kind;
  if (sign == "–" && (before == Kind::kComma || before == Kind::kOpen || before == Kind::kEquals)) {
    return push(Kind::kMinus, "-");
  }
  if (const Superscript* raised = starting(kSuperscripts, sign)) {
    const std::string_view next = rest.substr(taken);
    const bool single = starting(kSuperscripts, next) == nullptr &&
                        (count_ == 0 || tokens_[count_ - 1].kind != Kind::kOther);
    return single ? superscript(raised->digit) : push(Kind::kOther, sign);
  }
  if (const Sign* known = starting(kSigns, sign)) {
    if (!push(known->kind, known->spelling)) return false;
    tokens_[count_ - 1].over = known->over;
    return true;
  }
  return push(Kind::kOther, sign);
}

// [digits] [. digits]
bool Tokens::number(std::string_view rest, size_t& taken) {
  taken = 0;
  while (taken < rest.size() && is_digit(rest[taken])) ++taken;
  if (taken + 1 < rest.size() && rest[taken] == '.' && is_digit(rest[taken + 1])) {
    for (++taken; taken < rest.size() && is_digit(rest[taken]);) ++taken;
  }
  return push(Kind::kNumber, rest.substr(0, taken));
}

bool Tokens::word(std::string_view rest, size_t& taken) {
  taken = letters(rest);
  const std::string_view spelling = rest.substr(0, taken);
  const bool is_pi = spelling == "pi" && !in_text_;
  return is_pi ? push(Kind::kPi, "π") : push(Kind::kWord, spelling);
}

bool Tokens::backslash(std::string_view rest, size_t& taken) {
  const std::string_view after = rest.substr(1);
  if (is_space(after[0])) {
    space_ = true;
    taken = 2;
    return true;
  }
  // \\frac, escaped twice as JSON in JSON has it; in a matrix the next row begins with a command.
  if (!environment_ && after.size() > 1 && after[0] == '\\' && is_letter(after[1])) return true;
  taken = 1 + (is_letter(after[0]) ? letters(after) : width(after));
  const std::string_view whole = rest.substr(0, taken);
  return command(whole.substr(1), whole, rest.substr(taken), taken);
}

// ^\circ and ^{\circ} are a degree, any other ^ is a power.
bool Tokens::raised(std::string_view rest, size_t& taken) {
  for (const std::string_view degree : {"^\\circ", "^{\\circ}"}) {
    const bool whole =
        rest.starts_with(degree) &&
        (degree.back() == '}' || rest.size() == degree.size() || !is_letter(rest[degree.size()]));
    if (whole) taken = degree.size();
  }
  return taken > 1 ? push(Kind::kDegree, "°") : push(Kind::kPower, rest.substr(0, 1));
}

// ,\! separates thousands; any other comma makes a list of the bracket around it.
bool Tokens::comma(std::string_view rest, size_t& taken) {
  if (rest.starts_with(",\\!")) {
    taken = 3;
    return push(Kind::kThousands, ",");
  }
  if (depth_ > 0 && open_[depth_ - 1] >= 0) tokens_[open_[depth_ - 1]].lists = true;
  return push(Kind::kComma, ",");
}

// < <= > >= != and !
bool Tokens::comparison(std::string_view rest, size_t& taken) {
  const char c = rest[0];
  taken = rest.size() > 1 && rest[1] == '=' ? 2 : 1;
  if (c == '!') return push(Kind::kOther, taken == 2 ? "\\ne" : rest.substr(0, 1));
  const bool less = c == '<';
  if (taken == 2) return push(Kind::kRelation, less ? "\\le" : "\\ge");
  return push(Kind::kRelation, rest.substr(0, 1));
}

bool Tokens::punctuation(std::string_view rest, size_t& taken) {
  const std::string_view sign = rest.substr(0, 1);
  switch (rest[0]) {
    case '~':
      space_ = true;
      return true;
    case '$':
      if (dollars_ % 2 != 0) return push(dollars_ == 1 ? Kind::kDollar : Kind::kOther, "\\$");
      space_ = true;
      return true;
    case '^':
      return raised(rest, taken);
    case '<':
    case '>':
    case '!':
      return comparison(rest, taken);
    case ',':
      return comma(rest, taken);
    case '(':
    case '[':
      return open(rest[0], sign);
    case ')':
      return close('(', sign);
    case ']':
      return close('[', sign);
    case '{':
      if (!rest.starts_with("{,}")) return open('{', sign);
      taken = 3;
      return push(Kind::kThousands, ",");
    case '}':
      return close('{', sign);
    default:
      return push(kind_of(rest[0]), sign);
  }
}

// Takes what stands at the beginning of rest: `taken` bytes, 1 unless it is said otherwise.
bool Tokens::next(std::string_view rest, size_t& taken) {
  const char c = rest[0];
  if (is_digit(c) || (c == '.' && rest.size() > 1 && is_digit(rest[1]))) {
    return number(rest, taken);
  }
  if (is_letter(c)) return word(rest, taken);
  if (is_space(c)) {
    space_ = true;
    return true;
  }
  if (c == '\\' && rest.size() > 1) return backslash(rest, taken);
  if (static_cast<unsigned char>(c) >= 0x80) return wide(rest, taken);
  return punctuation(rest, taken);
}

bool Tokens::read(std::string_view answer) {
  count_ = depth_ = 0;
  space_ = text_next_ = in_text_ = environment_ = false;
  balanced_ = true;
  dollars_ = dollar_signs(answer);
  for (size_t at = 0; at < answer.size();) {
    size_t taken = 1;
    if (!next(answer.substr(at), taken)) return false;
    at += taken;
  }
  balanced_ = balanced_ && depth_ == 0;
  return true;
}

}  // namespace stepscore
