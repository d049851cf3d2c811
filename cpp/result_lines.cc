#include "stepscore/result_lines.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

namespace stepscore {
namespace {

constexpr int kLongestNumber = 32;

// Returns the end of what it writes.
char* write_number(double value, char* to) {
  // d.ddde-xx: the digits and the place of the point, which Python sets by rules of its own.
  char buffer[kLongestNumber];
  const char* end =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific).ptr;
  char* at = buffer;
  if (*at == '-') *to++ = *at++;
  const char* mark = std::find(static_cast<const char*>(at), end, 'e');
  int exponent = 0;
  std::from_chars(mark + (mark[1] == '+' ? 2 : 1), end, exponent);
  if (exponent < -4 || exponent >= 16) {
    return std::copy(static_cast<const char*>(at), end, to);
  }
  // The digits without a gap: the first one moves over the point.
  const char* digits = at;
  if (mark - at > 1) {
    at[1] = at[0];
    digits = at + 1;
  }
  const auto count = static_cast<int>(mark - digits);
  const int whole = exponent + 1;  // digits in front of the point
  if (whole <= 0) {
    constexpr std::string_view kZeros = "0.000";  // the exponent is -4 at least
    to = std::copy_n(kZeros.begin(), 2 - whole, to);
    return std::copy(digits, mark, to);
  }
  to = std::copy(digits, digits + std::min(whole, count), to);
  if (whole >= count) {
    to = std::fill_n(to, whole - count, '0');
    *to++ = '.';
    *to++ = '0';
    return to;
  }
  *to++ = '.';
  return std::copy(digits + whole, mark, to);
}

void append_integer(int64_t value, std::string* text) {
  char digits[24];
  text->append(digits, std::to_chars(digits, digits + sizeof(digits), value).ptr);
}

void append_number_or_null(double value, std::string* text) {
  if (std::isfinite(value)) {
    append_number(value, text);
  } else {
    text->append("null");
  }
}

// Writes `, ` in front of everything but the first.
class Commas {
 public:
  explicit Commas(std::string* text) : text_(text) {}
  std::string* next() {
    if (!first_) text_->append(", ");
    first_ = false;
    return text_;
  }

 private:
  std::string* text_;
  bool first_ = true;
};

// The names as they stand in front of every value: `"min": `.
std::vector<std::string> keys_of(const std::string_view* names, int64_t count) {
  std::vector<std::string> keys(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    append_text(names[i], &keys[static_cast<size_t>(i)]);
    keys[static_cast<size_t>(i)] += ": ";
  }
  return keys;
}

class Writer {
 public:
  Writer(const CandidateResults& candidates, const VoteResults& votes, const ResultNames& names)
      : all_(candidates),
        votes_(votes),
        result_(keys_of(&names.result, 1).front()),
        columns_(keys_of(names.columns, names.column_count)),
        rules_(keys_of(names.rules, names.rule_count)) {}

  void write_record(std::string_view line, std::string_view provenance, int64_t record) {
    line.remove_suffix(1);  // the brace
    line = line.substr(0, line.find_last_not_of(" \t\r\n") + 1);
    out_.append(line).append(", ").append(result_).append("{\"candidates\": [");
    Commas commas(&out_);
    for (int64_t i = all_.offsets[record]; i < all_.offsets[record + 1]; ++i) {
      commas.next();
      write_candidate(i);
    }
    out_ += ']';
    if (votes_.winner != nullptr) write_votes(record);
    out_.append(", \"provenance\": ").append(provenance).append("}}\n");
  }

  std::string take() { return std::move(out_); }

 private:
  void write_candidate(int64_t i) {
    out_ += '{';
    Commas fields(&out_);
    if (next_head_ < all_.heads && all_.head_of[next_head_] == i) {
      fields.next()->append(all_.head[next_head_++]);
    }
    if (all_.step_scores != nullptr && !all_.skipped[i]) {
      fields.next()->append("\"step_scores\": [");
      Commas steps(&out_);
      for (int64_t s = all_.step_offsets[i]; s < all_.step_offsets[i + 1]; ++s) {
        append_number_or_null(all_.step_scores[s], steps.next());
      }
      out_ += ']';
    }
    if (all_.truncated[i] != 0) {
      append_integer(all_.truncated[i], &fields.next()->append("\"truncated\": "));
    }
    if (all_.scores != nullptr) {
      fields.next()->append("\"scores\": {");
      const auto count = static_cast<int64_t>(columns_.size());
      Commas columns(&out_);
      for (int64_t c = 0; c < count; ++c) {
        columns.next()->append(columns_[static_cast<size_t>(c)]);
        append_number_or_null(all_.scores[i * count + c], &out_);
      }
      out_ += '}';
    }
    if (all_.ranks != nullptr) {
      fields.next()->append("\"rank\": ");
      if (all_.skipped[i]) {
        out_.append("null");
      } else {
        append_integer(all_.ranks[i], &out_);
      }
    }
    if (all_.answers != nullptr) {
      fields.next()->append("\"answer\": ");
      write_answer(i);
      append_integer(all_.classes[i], &out_.append(", \"answer_class\": "));
    }
    out_ += '}';
  }

  void write_answer(int64_t candidate) {
    if (all_.answers[candidate].data() == nullptr) {
      out_.append("null");
    } else {
      append_text(all_.answers[candidate], &out_);
    }
  }

  void write_votes(int64_t record) {
    out_.append(", \"votes\": {");
    const auto rules = static_cast<int64_t>(rules_.size());
    const auto columns = static_cast<int64_t>(columns_.size());
    Commas by_rule(&out_);
    for (int64_t r = 0; r < rules; ++r) {
      by_rule.next()->append(rules_[static_cast<size_t>(r)]).append("{");
      Commas by_column(&out_);
      for (int64_t c = 0; c < columns; ++c) {
        by_column.next()->append(columns_[static_cast<size_t>(c)]);
        write_vote((record * rules + r) * columns + c, all_.offsets[record]);
      }
      out_ += '}';
    }
    out_ += '}';
  }

  void write_vote(int64_t at, int64_t first) {
    const int64_t winner = votes_.winner[at];
    if (winner < 0) {
      out_.append("null");
      return;
    }
    append_integer(winner - first, &out_.append("{\"winner\": "));
    out_.append(", \"answer\": ");
    write_answer(winner);
    append_number_or_null(votes_.score[at], &out_.append(", \"score\": "));
    out_.append(votes_.tied[at] ? ", \"tied\": true, \"margin\": "
                                : ", \"tied\": false, \"margin\": ");
    append_number_or_null(votes_.margin[at], &out_);
    out_ += '}';
  }

  const CandidateResults& all_;
  const VoteResults& votes_;
  std::string result_;
  std::vector<std::string> columns_, rules_;
  std::string out_;
  int64_t next_head_ = 0;
};

}  // namespace

void append_number(double value, std::string* text) {
  char buffer[kLongestNumber];
  text->append(buffer, write_number(value, buffer));
}

void append_text(std::string_view value, std::string* text) {
  constexpr char kHex[] = "0123456789abcdef";
  text->push_back('"');
  for (const char byte : value) {
    switch (byte) {
      case '"':
        text->append("\\\"");
        break;
      case '\\':
        text->append("\\\\");
        break;
      case '\b':
        text->append("\\b");
        break;
      case '\f':
        text->append("\\f");
        break;
      case '\n':
        text->append("\\n");
        break;
      case '\r':
        text->append("\\r");
        break;
      case '\t':
        text->append("\\t");
        break;
      default:
        if (static_cast<unsigned char>(byte) < 0x20) {
          text->append("\\u00").append({kHex[byte >> 4], kHex[byte & 15]});
        } else {
          text->push_back(byte);
        }
    }
  }
  text->push_back('"');
}

std::string result_lines(const std::string_view* lines, const std::string_view* provenance,
                         int64_t records, const CandidateResults& candidates,
                         const VoteResults& votes, const ResultNames& names) {
  Writer writer(candidates, votes, names);
  for (int64_t i = 0; i < records; ++i) writer.write_record(lines[i], provenance[i], i);
  return writer.take();
}

}  // namespace stepscore
