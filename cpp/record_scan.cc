#include "stepscore/record_scan.h"

#include <limits>
#include <optional>
#include <unordered_map>

#include "record_scan/json_cursor.h"

namespace stepscore {
namespace {

using Kind = JsonValue::Kind;

// Of one candidate: what is put into the columns once all of it has been read.
struct Candidate {
  std::optional<JsonText> text;
  std::optional<std::vector<JsonText>> steps;
  std::optional<double> score;
  std::optional<int64_t> answer;
  int64_t step_scores = 0;
  int8_t correct = -1;
  bool may_be_message = false;  // a chat message, or an object that holds one
};

class Scan {
 public:
  Scan(const RecordFields& fields, WantedScores wanted) : fields_(fields), wanted_(wanted) {
    out_.offsets.push_back(0);
    out_.step_offsets.push_back(0);
  }

  int64_t candidates() const { return static_cast<int64_t>(out_.answer.size()); }

  bool read_line(std::string_view line) {
    const size_t spellings = out_.answers.size(), solutions = out_.solutions.size();
    JsonCursor cursor(line);
    if (read_record(cursor)) {
      out_.offsets.push_back(candidates());
      return true;
    }
    forget_record(spellings, solutions);
    return false;
  }

  RecordScan take() { return std::move(out_); }

 private:
  bool read_record(JsonCursor& line) {
    JsonValue id, known;
    bool has_id = false, has_candidates = false;
    const bool whole = line.read_object([&](std::string_view key) {
      if (key == fields_.id) {
        has_id = true;
        return read_value(line, &id) && is_id(id);
      }
      if (key == fields_.candidates) {
        has_candidates = true;
        return line.read_list([&] { return read_candidate(line); });
      }
      if (key == fields_.answer) return read_value(line, &known);
      if (key == fields_.problem) return line.peek() == '"' && line.skip_value();
      return key != fields_.result && line.skip_value();
    });
    if (!whole || !line.at_end() || !has_id || !has_candidates ||
        candidates() == out_.offsets.back())
      return false;
    out_.ids.push_back(std::move(id));
    out_.known.push_back(std::move(known));
    return true;
  }

  static bool is_id(const JsonValue& value) {
    return value.kind == Kind::kInteger || (value.kind == Kind::kText && !value.text.empty());
  }

  bool read_candidate(JsonCursor& line) {
    Candidate candidate;
    if (line.peek() == '"') {
      candidate.text.emplace();
      return line.read_text(&*candidate.text) && put(candidate);
    }
    return line.read_object([&](std::string_view key) {
      return read_field(line, key, candidate);
    }) && put(candidate);
  }

  bool read_field(JsonCursor& line, std::string_view key, Candidate& candidate) {
    if (key == "step_scores") return read_step_scores(line, candidate);
    if (key == "answer") {
      candidate.answer.emplace();
      return read_answer(line, &*candidate.answer);
    }
    if (key == "correct") return read_flag(line, &candidate.correct);
    if (key == "message" || key == "content" || key == "value") candidate.may_be_message = true;
    if (key != "score" && key != "text" && key != "steps") return line.skip_value();
    if (line.peek() == 'n') return line.take_word("null");
    if (key == "score") {
      candidate.score.emplace();
      return read_double(line, &*candidate.score);
    }
    if (key == "text") {
      candidate.text.emplace();
      return line.read_text(&*candidate.text);
    }
    candidate.steps.emplace();
    return line.read_list([&] { return line.read_text(&candidate.steps->emplace_back()); });
  }

  bool read_step_scores(JsonCursor& line, Candidate& candidate) {
    if (line.peek() == 'n') return line.take_word("null");
    return line.read_list([&] {
      double value;
      if (!read_double(line, &value)) return false;
      ++candidate.step_scores;
      if (!wanted_.steps) return true;
      out_.step_scores.push_back(value);
      return !wanted_.bounded || (value >= 0 && value <= 1);
    }) && candidate.step_scores > 0;
  }

  static bool read_double(JsonCursor& line, double* value) {
    JsonNumber number;
    return line.read_number(&number) && number.as_double(value);
  }

  static bool read_flag(JsonCursor& line, int8_t* flag) {
    switch (line.peek()) {
      case 't':
        *flag = 1;
        return line.take_word("true");
      case 'f':
        *flag = 0;
        return line.take_word("false");
      default:
        return line.take_word("null");
    }
  }

  // A text, a number or null.
  static bool read_value(JsonCursor& line, JsonValue* value) {
    if (line.peek() == 'n') return line.take_word("null");
    if (line.peek() == '"') {
      JsonText text;
      if (!line.read_text(&text)) return false;
      value->kind = Kind::kText;
      value->text = text.decoded();
      return true;
    }
    JsonNumber number;
    if (!line.read_number(&number)) return false;
    value->kind = number.whole ? Kind::kInteger : Kind::kReal;
    return number.whole ? number.as_integer(&value->integer) : number.as_double(&value->real);
  }

  // Most answers are given more than once: the value is made for the first of a spelling.
  bool read_answer(JsonCursor& line, int64_t* place) {
    line.peek();
    JsonCursor ahead = line;
    if (!line.skip_value()) return false;
    const std::string_view spelling(ahead.at(), static_cast<size_t>(line.at() - ahead.at()));
    const auto [known, is_new] = place_of_.try_emplace(spelling, out_.answers.size());
    *place = known->second;
    return !is_new || read_value(ahead, &out_.answers.emplace_back());
  }

  bool put(const Candidate& candidate) {
    const int64_t steps = candidate.step_scores;
    if (candidate.may_be_message && !candidate.text && !candidate.steps) return false;
    if (wanted_.steps && steps == 0) return false;
    if (wanted_.given && !candidate.score.has_value()) return false;
    if (!wanted_.steps && !wanted_.given && (steps > 0 || candidate.score.has_value())) {
      return false;
    }
    if (steps > 0 && candidate.steps.has_value() && !candidate.steps->empty() &&
        static_cast<int64_t>(candidate.steps->size()) != steps) {
      return false;
    }
    out_.step_offsets.push_back(static_cast<int64_t>(out_.step_scores.size()));
    if (wanted_.given) out_.scores.push_back(*candidate.score);
    out_.correct.push_back(candidate.correct);
    out_.answer.push_back(candidate.answer.value_or(-1));
    out_.solution.push_back(-1);
    if (!candidate.answer.has_value() && (candidate.text || candidate.steps)) {
      out_.solution.back() = static_cast<int64_t>(out_.solutions.size());
      out_.solutions.push_back(solution(candidate));
    }
    return true;
  }

  static std::string solution(const Candidate& candidate) {
    if (candidate.text.has_value()) return candidate.text->decoded();
    std::string text;
    for (size_t i = 0; i < candidate.steps->size(); ++i) {
      if (i > 0) text.push_back('\n');
      text += (*candidate.steps)[i].decoded();
    }
    return text;
  }

  void forget_record(size_t spellings, size_t solutions) {
    const int64_t kept = out_.offsets.back();
    out_.step_offsets.resize(kept + 1);
    out_.step_scores.resize(out_.step_offsets.back());
    if (wanted_.given) out_.scores.resize(kept);
    out_.correct.resize(kept);
    out_.answer.resize(kept);
    out_.solution.resize(kept);
    out_.answers.resize(spellings);
    out_.solutions.resize(solutions);
  }

  RecordFields fields_;
  WantedScores wanted_;
  RecordScan out_;
  std::unordered_map<std::string_view, int64_t> place_of_;  // of spellings, quotes included
};

}  // namespace

RecordScan scan_records(const std::string_view* lines, int64_t count, const RecordFields& fields,
                        WantedScores wanted, int64_t most) {
  Scan scan(fields, wanted);
  for (int64_t i = 0; i < count && scan.candidates() < most; ++i) {
    if (!scan.read_line(lines[i])) break;  // place_of_ is out of date, and not needed any more
  }
  return scan.take();
}

}  // namespace stepscore
