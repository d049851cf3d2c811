#include "stepscore/record_scan.h"

#include <algorithm>
#include <memory>
#include <random>

#include "testing.h"

using namespace stepscore;

namespace {

constexpr RecordFields kFields{"id", "problem", "candidates", "answer", "stepscore"};
constexpr WantedScores kSteps{true, false, true};
constexpr int64_t kAll = int64_t{1} << 62;

const std::vector<std::string> kLines{
    R"({"id": 1, "answer": 4.5, "candidates": [{"answer": "4", "step_scores": [0.25, 1]}]})",
    R"({"id": "a\u00e9\ud83d\ude00", "problem": "p", "x": [{"y": [1e5, null, "\\\""]}], "candidates": )"
    R"([{"text": "t\n", "step_scores": [1e-3]}, {"steps": ["a", "b"], "step_scores": [0, 0.5]}]})",
};

RecordScan scan(const std::vector<std::string>& lines, WantedScores wanted = kSteps) {
  const std::vector<std::string_view> views(lines.begin(), lines.end());
  return scan_records(views.data(), static_cast<int64_t>(views.size()), kFields, wanted, kAll);
}

// Every column fits the others, whatever was read.
bool is_whole(const RecordScan& scan, WantedScores wanted) {
  const size_t records = scan.ids.size(), candidates = scan.answer.size();
  return scan.known.size() == records && scan.offsets.size() == records + 1 &&
         scan.offsets.back() == static_cast<int64_t>(candidates) &&
         scan.step_offsets.size() == candidates + 1 &&
         scan.step_offsets.back() == static_cast<int64_t>(scan.step_scores.size()) &&
         scan.scores.size() == (wanted.given ? candidates : 0) &&
         scan.correct.size() == candidates && scan.solution.size() == candidates;
}

}  // namespace

TEST(records_become_columns) {
  const RecordScan read = scan(kLines);
  EXPECT(read.ids.size() == 2);
  EXPECT(read.ids[1].text == "a\u00e9\U0001f600", read.ids[1].text);
  EXPECT(read.known[0].real == 4.5);
  EXPECT((read.offsets == std::vector<int64_t>{0, 1, 3}));
  EXPECT((read.step_scores == std::vector<double>{0.25, 1, 1e-3, 0, 0.5}));
  EXPECT((read.step_offsets == std::vector<int64_t>{0, 2, 3, 5}));
  EXPECT((read.answer == std::vector<int64_t>{0, -1, -1}));
  EXPECT((read.solution == std::vector<int64_t>{-1, 0, 1}));
  EXPECT((read.solutions == std::vector<std::string>{"t\n", "a\nb"}));
  EXPECT(is_whole(read, kSteps));
}

TEST(what_follows_a_line_that_is_not_plain_is_left) {
  for (const char* odd :
       {"", "{", "[]", "{}", "{\"id\": 1, \"candidates\": [{\"step_scores\": [2]}]}",
        "{\"id\": 1, \"candidates\": [{\"step_scores\": [1]}]} x"}) {
    const RecordScan read = scan({kLines[0], kLines[1], odd, kLines[0]});
    EXPECT(read.ids.size() == 2, odd);
    EXPECT(is_whole(read, kSteps), odd);
  }
}

// Under the sanitizers: no byte behind a line is looked at, and columns fit after every fault.
TEST(changed_bytes_do_no_harm) {
  std::mt19937 random(1);
  const std::string bytes = "\"\\{}[],:0-.eu\n\xff\xc3\xed\xf4 tn";
  for (int round = 0; round < 20'000; ++round) {
    std::string line = kLines[random() % 2];
    for (unsigned changes = random() % 4; changes-- > 0;) {
      line[random() % line.size()] = bytes[random() % bytes.size()];
    }
    line.resize(random() % 2 == 0 ? line.size() : random() % (line.size() + 1));
    // Of its exact size, so that the address sanitizer guards its end.
    const std::unique_ptr<char[]> exact(new char[line.size()]);
    std::copy(line.begin(), line.end(), exact.get());
    const std::string_view views[] = {kLines[0], {exact.get(), line.size()}};
    for (const WantedScores wanted : {kSteps, WantedScores{false, false, false}}) {
      EXPECT(is_whole(scan_records(views, 2, kFields, wanted, kAll), wanted), line);
    }
  }
}

TEST(from_several_threads) {
  testing::from_several_callers([] { EXPECT(scan(kLines).ids.size() == 2); });
}
