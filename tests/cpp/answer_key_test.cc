#include "stepscore/answer_key.h"

#include <algorithm>
#include <ctime>
#include <cstdlib>
#include <random>

#include "testing.h"

using namespace stepscore;

namespace {

struct Case {
  const char* answer;
  const char* key;
};

// Spellings with the key that each must have; the fuzzer mutates them.
constexpr Case kCases[] = {
    {"42", "42"},
    {"-7", "-7"},
    {"\u22127", "-7"},
    {"+7", "7"},
    {"-0", "0"},
    {"007", "text:007"},
    {"5.", "5"},
    {".5", "1/2"},
    {"0.50", "1/2"},
    {"52 000", "52000"},
    {"1\\,234\\,567.5", "2469135/2"},
    {"1 000 4/9", "9004/9"},
    {"1 2", "text:1 2"},
    {"2 n", "text:2n"},
    {"1e-05", "1/100000"},
    {"2.5E+3", "2500"},
    {"3.2 \\times 10^{20}", "320000000000000000000"},
    {"1e", "text:1e"},
    {"28 pct", "7/25"},
    {"5cm", "5 [cm]"},
    {"5m", "text:5m"},
    {"250\u5343\u514b", "250 [\u5343\u514b]"},
    {"3\u5343", "text:3\u5343"},
    {"(C) 12", "choice:C [12]"},
    {"\\textbf{(D)}\\ Alina", "choice:D [alina]"},
    {"(A)+1", "text:(A)+1"},
    {"1, 2", "{1,2}"},
    {"x = 2 or x = 1", "{1,2}"},
    {"1, 1", "text:1,1"},
    {"0 < x \\le 2", "(0,2]"},
    {"f(x) = 5", "5"},
    {"x = 1/3 \\approx 0.33", "1/3"},
    {"N/A", ""},
    {"\\frac12", "1/2"},
    {"\\dfrac{1}{2}", "1/2"},
    {"1/2", "1/2"},
    {"\u00bd", "1/2"},
    {"50\\%", "1/2"},
    {"50 percent", "1/2"},
    {"\\frac123", "text:\\frac123"},
    {"1,234", "1234"},
    {"1{,}234", "1234"},
    {"3,\\!250", "3250"},
    {"1,23", "text:1,23"},
    {"1,234,567.5", "2469135/2"},
    {"(1,234)", "(1,234)"},
    {"\\frac{1,234}{5}", "1234/5"},
    {"12\\frac{3}{5}", "63/5"},
    {"-1\\frac{1}{2}", "-3/2"},
    {"1 1/2", "3/2"},
    {"1\u00bd", "3/2"},
    {"2\\frac{5}{3}", "text:2\\frac{5}{3}"},
    {"2\\frac{\\sqrt{3}}{2}", "text:2\\frac{\\sqrt{3}}{2}"},
    {"0.\\overline{3}", "1/3"},
    {"0.1\\overline{6}", "1/6"},
    {"\\sqrt{12}", "2*sqrt(3)"},
    {"\u221a12", "2*sqrt(3)"},
    {"\\sqrt12", "text:\\sqrt12"},
    {"\\frac{1}{\\sqrt{2}}", "1/2*sqrt(2)"},
    {"\\sqrt[3]{-27}", "-3"},
    {"\\sqrt[3]{2}", "text:\\sqrt[3]{2}"},
    {"\\sqrt{-1}", "text:\\sqrt{-1}"},
    {"(1+\\sqrt{2})(1-\\sqrt{2})", "-1"},
    {"\\frac{1+\\sqrt5}{2}", "1/2+1/2*sqrt(5)"},
    {"\\sqrt{1000000016000000063}", "text:\\sqrt{1000000016000000063}"},
    {"2^{10}", "1024"},
    {"-2^2", "-4"},
    {"(-2)^2", "4"},
    {"10^{-3}", "1/1000"},
    {"2^{3^2}", "512"},
    {"2^{64}", "text:2^{64}"},
    {"0^0", "text:0^{0}"},
    {"1/0", "text:1/0"},
    {"3\\times10^8", "300000000"},
    {"\\frac{3\\pi}{2}", "3/2*pi"},
    {"1.5\u03c0", "3/2*pi"},
    {"\\frac{2}{\\pi}", "2*pi^-1"},
    {"1/2\\pi", "text:1/2\u03c0"},
    {"2/3/4", "text:2/3/4"},
    {"2(3)", "text:2(3)"},
    {"101_2", "text:101_{2}"},
    {"5!", "text:5!"},
    {"120^\\circ", "120 [degree]"},
    {"\\$6", "6 [dollar]"},
    {"$1,000.50", "2001/2 [dollar]"},
    {"$6$", "6"},
    {"\\$5 per hour", "5 [dollar/hour]"},
    {"5\\text{ cm}^2", "5 [cm^2]"},
    {"5 square cm", "5 [cm^2]"},
    {"\\frac{3}{4}\\text{ miles per hour}", "3/4 [mile/hour]"},
    {"12 hours", "12 [hour]"},
    {"12 million", "text:12million"},
    {"5m", "text:5m"},
    {"(1, 2)", "(1,2)"},
    {"(2, 1)", "(2,1)"},
    {"\\left[0,\\infty\\right)", "[0,inf)"},
    {"(-\u221e,1)\u222a(2,\u221e)", "(-inf,1) U (2,inf)"},
    {"(2,\\infty)\\cup(-\\infty,1)", "(-inf,1) U (2,inf)"},
    {"\\{2, 1, 2\\}", "{1,2}"},
    {"\\{(1,2),(0,1)\\}", "{(0,1),(1,2)}"},
    {"{1,234}", "text:{1,234}"},
    {"\\varnothing", "{}"},
    {"\\{1\\}\\cup\\{2,1\\}\\cup\\emptyset", "{1,2}"},
    {"\\{3\\}\\cup(1,2)", "(1,2) U {3}"},
    {"(-2,\\infty)\\cup(-3,0]", "(-3,inf)"},
    {"[3,4]\\cup(1,2)\\cup\\{2,3\\}", "(1,2] U [3,4]"},
    {"(1,2)\\cup(2,3)", "(1,2) U (2,3)"},
    {"(\\sqrt{2},\\pi)\\cup[3,4)", "(sqrt(2),4)"},
    {"[-\\infty,\\infty]", "(-inf,inf)"},
    {"(2,1)\\cup(3,4)", "text:(2,1)\\cup(3,4)"},
    {"(1,2)\\cup(665857/470832,\\sqrt{2})", "text:(1,2)\\cup(665857/470832,\\sqrt{2})"},
    {"(0,1393/985)\\cup(\\sqrt{2},2)", "(0,1393/985) U (sqrt(2),2)"},
    {"(0,886731088897/627013566048)\\cup(\\sqrt{2},2)",
     "text:(0,886731088897/627013566048)\\cup(\\sqrt{2},2)"},
    {"3-5", "text:3-5"},
    {"5-3=2", "2"},
    {"\\begin{pmatrix} 1 & 0.5 \\\\ -3 & 4 \\end{pmatrix}", "matrix[1,1/2;-3,4]"},
    {"\\left(\\begin{array}{cc}1&2\\\\3&4\\end{array}\\right)", "matrix[1,2;3,4]"},
    {"\\begin{vmatrix}1&2\\\\3&4\\end{vmatrix}", "text:\\begin{vmatrix}1&2\\\\3&4\\end{vmatrix}"},
    {"(B)", "choice:B"},
    {"\\text{(B)}", "choice:B"},
    {"Option B", "choice:B"},
    {"x = 5", "5"},
    {"x_{1} = 5", "5"},
    {"3 + 4 = 7", "7"},
    {"3 + 4 = 8", "text:3+4=8"},
    {"x \\in [0,1]", "[0,1]"},
    {"Yes", "text:yes"},
    {"\\text{Even}", "text:even"},
    {"Ab", "text:Ab"},
    {"4a - 2", "text:4a-2"},
    {"a_1^n", "text:a_{1}^{n}"},
    {"x \u2264 3", "(-inf,3]"},
    {"B)", "choice:B"},
    {"\u20135", "-5"},
    {"0.333...", "text:0.333.."},
    {"x\u00b2", "text:x^{2}"},
    {"a \\times b", "text:a\\times b"},
    {"a \\cdot b", "text:a\\cdot b"},
    {"12345678901234567890123", "12345678901234567890123"},
    {"12,345,678,901,234,567,890,123", "12345678901234567890123"},
    {"9223372036854775808/2", "text:9223372036854775808/2"},
    {"", ""},
    {"$$", ""},
    {" . ", ""},
};

constexpr Case kSolutions[] = {
    {"so \\boxed{5} and \\fbox{\\frac{1}{2}}.", "5, \\frac{1}{2}"},
    {"so \\boxed{5} and then \\fbox{\\frac{1}{2}}.", "\\frac{1}{2}"},
    {"\\boxed{{a}{b}} #### 7", "{a}{b}"},
    {"\\boxed{\\left\\{1\\right.}", "\\left\\{1\\right"},
    {"first \\boxed{1}, then \\boxed{2", "1"},
    {"} \\boxed{1} \\boxed{2 \\boxed{3}", "3"},
    {"#### 1\n#### $1,000\nbye", "$1,000"},
    {"The answer is 3.5. I hope it is correct.", "3.5"},
    {"the final answer is $x=2$.", "x=2"},
    {"A: 5\nAnswer: 6", "6"},
    {"**Answer:**\n\n **5**", "5"},
    {"The correct answer is (B).", "(B)"},
    {"so it is 4\n\n# Answer\n\n4", "4"},
    {"#### Final Answer\n5", "5"},
    {"The answer is 0.333...", "0.333..."},
    {"69+15=84\n84-75=9\n", "9"},
    {"DATA: 5", nullptr},
    {"y >= x + 5", nullptr},
    {"0.5", "0.5"},
    {"<think>\\boxed{9}</think> The answer is 12.<|im_end|>", "12"},
    {"<think>The answer is 9", nullptr},
    {"<answer>17</answer>", "17"},
    {"$x=\\boxed{2}$ or $x=\\boxed{5}$", "2, 5"},
    {"\\boxed 7\\%", "7\\%"},
    {"The answer is:\n\\[\n\\begin{aligned}x&=3+4\\\\&=7\\end{aligned}\n\\]", "7"},
    {"Answer:\n```\n7\n```", "7"},
    {"> **Final Answer**\n>\n> - 2\n> - 3", "2, 3"},
    {"The answer is 6. The answer is correct.", "6"},
    {"The answer, in metres, must be therefore approximately 11, which is odd.", "11"},
    {"So $12$ is the final answer \u2705", "12"},
    {"the correct option is **C**", "C"},
    {"#### Conclusion\n\u7b54\u6848\u662f\uff1a42\u3002", "42"},
    {"\u6545\u9009\uff1aC", "C"},
    {"x = 1, y = 2", nullptr},
    {"x = 5 +", nullptr},
    {"13+5=<<13+5=18>>18 \u043a\u0438", "18"},
    {"\\boxed{}", nullptr},
    {"", nullptr},
};

// A copy that ends where it ends: a read beyond is a fault.
struct Exact {
  explicit Exact(const std::string& text) : bytes(text.begin(), text.end()) {}
  std::string_view view() const { return {bytes.data(), bytes.size()}; }
  std::vector<char> bytes;
};

class Fuzzer {
 public:
  std::string next() {
    std::string text = random_() % 4 == 0 ? bytes(24) : corpus();
    for (uint64_t left = random_() % 4; left > 0; --left) mutate(text);
    return text;
  }

 private:
  size_t below(size_t end) { return end == 0 ? 0 : random_() % end; }
  std::string corpus() {
    const size_t which = below(std::size(kCases) + std::size(kSolutions));
    return which < std::size(kCases) ? kCases[which].answer
                                     : kSolutions[which - std::size(kCases)].answer;
  }
  std::string bytes(size_t most) {
    static constexpr std::string_view kLikely = "0123456789\\{}()[],.+-*/^_$%&= \nA:#|\xc2\xe2\x88";
    std::string text;
    for (size_t left = below(most); left > 0; --left) {
      text += random_() % 3 == 0 ? static_cast<char>(random_()) : kLikely[below(kLikely.size())];
    }
    return text;
  }
  void mutate(std::string& text) {
    const size_t at = below(text.size() + 1), size = below(std::min<size_t>(8, text.size() - at));
    switch (random_() % 5) {
      case 0:
        text.insert(at, bytes(4));
        break;
      case 1:
        text.erase(at, size);
        break;
      case 2:
        text.insert(at, corpus());
        break;
      case 3:
        text.insert(at, text.substr(at, size));
        break;
      default:
        if (at < text.size()) text[at] = static_cast<char>(random_());
    }
  }
  std::mt19937_64 random_{7};
};

bool is_scalar(const std::string& key) {
  return !key.empty() && key.find_first_not_of("0123456789+-*/^sqrtpi()") == std::string::npos;
}

// Of the processor, which other work on the machine does not lengthen.
double milliseconds(const std::string& text) {
  const std::clock_t begin = std::clock();
  answer_key(text);
  std::string key;
  const std::string_view view = text;
  answer_keys(&view, 1, Holds::kSolution, &key);
  return 1e3 * static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double kSlower = 30;
#else
constexpr double kSlower = 1;
#endif

}  // namespace

TEST(keys_by_hand) {
  for (const auto& [answer, key] : kCases) {
    EXPECT(answer_key(answer) == key, answer, " gives ", answer_key(answer), ", not ", key);
  }
}

TEST(solutions_by_hand) {
  for (const auto& [solution, answer] : kSolutions) {
    const std::string found = extract_answer(solution);
    EXPECT(found == (answer == nullptr ? "" : answer), solution, " gives ", found);
  }
}

// STEPSCORE_FUZZ names the number of inputs.
TEST(any_bytes) {
  const char* wanted = std::getenv("STEPSCORE_FUZZ");
  Fuzzer fuzzer;
  for (int64_t left = wanted == nullptr ? 50'000 : std::atoll(wanted); left > 0; --left) {
    const std::string text = fuzzer.next();
    const Exact exact(text);
    const std::string key = answer_key(exact.view());
    EXPECT(answer_key(" " + text + "\n") == key, text);
    // A key is a spelling of its value.
    if (is_scalar(key)) EXPECT(answer_key(key) == key, text, " gives ", key);
    // What ends a turn says nothing.
    const std::string found = extract_answer(exact.view());
    EXPECT(extract_answer(text + "\n<|im_end|></s>") == found, text, " gives ", found);
  }
}

TEST(time_is_linear) {
  for (const std::string unit : {"{",         "}",          "(",
                                 "(1,",       "[1,",        "\\{1,",
                                 "\\boxed{",  "\\boxed ",   "\\boxed{1}",
                                 ".",         ".*",         "*",
                                 "#",         "answer is",  "answer is\n",
                                 "Answer:\n", "A:",         "# Answer\n",
                                 "=",         "x=",         "\n",
                                 " ",         "$",          "1",
                                 "1,",        "1 ",         "\\frac1",
                                 "\\sqrt{",   "-",          "^",
                                 "\\text{",   "\\cup",      "\\begin{pmatrix}",
                                 "\xe2\x88",  "a",          "\xc2\xb2",
                                 "\\",        "<answer>",   "</think>",
                                 "```\n",     "#### a\n",   "the answer is correct. ",
                                 "- 1\n",     "\\[ ",       "answer is \\( ",
                                 "answer, ",  "\\boxed 1 ", "is the answer "}) {
    std::string text;
    while (text.size() < 100'000) text += unit;
    double best = milliseconds(text);
    for (int again = 0; again < 2; ++again) best = std::min(best, milliseconds(text));
    // Linear takes 1 to 10, quadratic thousands.
    EXPECT(best < 50 * kSlower, "100 kB of ", unit, " take ", best, " ms");
    milliseconds(text.substr(0, 999));  // short enough to be taken apart
  }
}

TEST(deep_brackets_are_refused) {
  for (const std::string open : {"(", "{", "\\sqrt{", "\\{", "[1,"}) {
    for (const int depth : {10, 23, 24, 25, 31, 32, 33, 100}) {
      std::string text;
      for (int i = 0; i < depth; ++i) text += open;
      text += '1';
      const char close = open == "(" ? ')' : open == "[1," ? ']' : '}';
      for (int i = 0; i < depth; ++i) {
        if (open == "\\{") text += '\\';
        text += close;
      }
      EXPECT(answer_key(text).starts_with(kUnresolved) == (depth > 24), open, " x ", depth);
    }
  }
}

TEST(a_batch_is_its_single_calls) {
  Fuzzer fuzzer;
  std::vector<std::string> texts;
  for (int i = 0; i < 5000; ++i) texts.push_back(fuzzer.next());
  std::vector<std::string_view> views(texts.begin(), texts.end());
  views[17] = {};
  std::vector<std::string> expected;
  for (const std::string_view text : views) {
    expected.push_back(text.data() == nullptr ? "" : answer_key(text));
  }
  testing::for_each_setting([&](const std::string& setting) {
    std::vector<std::string> keys(views.size(), "stale");
    answer_keys(views.data(), static_cast<int64_t>(views.size()), Holds::kAnswer, keys.data());
    EXPECT(keys == expected, setting);
  });
}

TEST(groups_by_hand) {
  const std::vector<std::string_view> texts{"0.5",  "12",    "1/2",      {},     "12 hours",
                                            "x+1",  "x + 1", "12",       "5 cm", "5",
                                            "5 km", "",      "12 hours", "12"};
  const std::vector<int64_t> offsets{0, 8, 8, 12, 14};
  std::vector<int64_t> ids(texts.size());
  std::vector<Decided> decided(texts.size());
  group_answers(texts.data(), 14, nullptr, offsets.data(), 4, Holds::kAnswer, ids.data(),
                decided.data());
  EXPECT((ids == std::vector<int64_t>{0, 1, 0, -1, 1, 2, 2, 1, 0, 1, 2, -1, 0, 0}));
  using enum Decided;
  EXPECT((decided == std::vector<Decided>{kFirst, kFirst, kSameKey, kNoAnswer, kUnit, kFirst,
                                          kSameText, kSameKey, kFirst, kFirst, kFirst, kNoAnswer,
                                          kFirst, kUnit}));
}

// Whether candidates share texts makes no difference, not even beyond what is compared one by one.
TEST(shared_texts_are_those_of_their_candidates) {
  Fuzzer fuzzer;
  std::vector<std::string> spelled{"12", "12 hours", "50%", "50", "0.5", "B", "(B) 12", "x+1", ""};
  for (int i = 0; i < 91; ++i) spelled.push_back(i % 2 == 0 ? fuzzer.next() : std::to_string(i));
  const std::vector<std::string_view> texts(spelled.begin(), spelled.end());
  std::mt19937_64 draw(7);
  std::vector<int64_t> places, offsets{0};
  for (int64_t problem = 0; problem < 300; ++problem) {
    const int64_t size = static_cast<int64_t>(draw() % (problem % 10 == 0 ? 90 : 12));
    const uint64_t least = draw() % 90, width = 1 + draw() % (problem % 2 == 0 ? 10 : 90);
    for (int64_t i = 0; i < size; ++i) {
      const uint64_t place = (least + draw() % width) % (texts.size() + 1);
      places.push_back(static_cast<int64_t>(place) - 1);
    }
    offsets.push_back(static_cast<int64_t>(places.size()));
  }
  std::vector<std::string_view> own;
  for (const int64_t place : places) {
    own.push_back(place < 0 ? std::string_view() : texts[static_cast<size_t>(place)]);
  }
  const auto count = static_cast<int64_t>(places.size());
  std::vector<int64_t> expected(places.size()), ids(places.size());
  std::vector<Decided> expected_decided(places.size()), decided(places.size());
  group_answers(own.data(), count, nullptr, offsets.data(), 300, Holds::kAnswer, expected.data(),
                expected_decided.data());
  testing::for_each_setting([&](const std::string& setting) {
    std::fill(ids.begin(), ids.end(), -7);
    group_answers(texts.data(), static_cast<int64_t>(texts.size()), places.data(), offsets.data(),
                  300, Holds::kAnswer, ids.data(), decided.data());
    EXPECT(ids == expected, setting);
    EXPECT(decided == expected_decided, setting);
  });
}

TEST(from_several_threads) {
  testing::from_several_callers([] {
    for (const auto& [answer, key] : kCases) EXPECT(answer_key(answer) == key, answer);
  });
}
