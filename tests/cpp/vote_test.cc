#include "stepscore/vote.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include "testing.h"

using namespace stepscore;

namespace {

const std::vector<Rule> kRules = {Rule::kMajority, Rule::kWeighted, Rule::kBestOfN};
const double kInf = std::numeric_limits<double>::infinity();

struct Election {
  std::vector<int64_t> ids;
  std::vector<double> scores;
  std::vector<int64_t> offsets;
  Ties ties = Ties::kFirst;
  bool drop_nan = false;

  Ballot ballot() const {
    return {ids.empty() ? nullptr : ids.data(),
            scores.empty() ? nullptr : scores.data(),
            offsets.data(),
            static_cast<int64_t>(offsets.size()) - 1,
            ties,
            drop_nan};
  }
};

struct Outcome {
  int64_t winner = kNoWinner;
  int64_t answer_id = kNoAnswer;
  double score = kNaN;
  bool tied = false;

  bool operator==(const Outcome& other) const {
    return winner == other.winner && answer_id == other.answer_id && tied == other.tied &&
           (score == other.score || (std::isnan(score) && std::isnan(other.score)));
  }
};

std::vector<Outcome> run(const Election& election, const std::vector<Rule>& rules = kRules) {
  const size_t size = (election.offsets.size() - 1) * rules.size();
  std::vector<int64_t> winner(size), answer_id(size);
  std::vector<double> score(size);
  const auto tied = std::make_unique<bool[]>(size);
  vote(election.ballot(), rules.data(), static_cast<int64_t>(rules.size()),
       {winner.data(), answer_id.data(), score.data(), tied.get()});
  std::vector<Outcome> outcomes;
  for (size_t i = 0; i < size; ++i)
    outcomes.push_back({winner[i], answer_id[i], score[i], tied[i]});
  return outcomes;
}

Outcome decide(const Election& election, size_t problem, Rule rule) {
  std::vector<int64_t> order;  // answers as they were seen
  std::map<int64_t, std::vector<size_t>> members;
  const size_t begin = static_cast<size_t>(election.offsets[problem]);
  const size_t end = static_cast<size_t>(election.offsets[problem + 1]);
  for (size_t i = begin; i < end; ++i) {
    const int64_t id = election.ids[i];
    if (id == kNoAnswer || std::isnan(election.scores[i])) continue;
    if (members[id].empty()) order.push_back(id);
    members[id].push_back(i);
  }
  const auto best_of = [&](int64_t id) {
    size_t best = members[id][0];
    for (const size_t i : members[id]) best = election.scores[i] > election.scores[best] ? i : best;
    return best;
  };
  const auto score_of = [&](int64_t id) {
    if (rule == Rule::kMajority) return static_cast<double>(members[id].size());
    if (rule == Rule::kBestOfN) return election.scores[best_of(id)];
    double sum = election.scores[members[id][0]];
    for (size_t m = 1; m < members[id].size(); ++m) sum += election.scores[members[id][m]];
    return sum;
  };
  Outcome out;
  for (const int64_t id : order) {
    const double score = score_of(id);
    const bool leads = out.winner == kNoWinner || score > out.score;
    if (!leads && score == out.score) out.tied = true;
    const bool takes =
        leads || (score == out.score && election.ties == Ties::kBestScore &&
                  election.scores[best_of(id)] > election.scores[best_of(out.answer_id)]);
    if (!takes) continue;
    out = {static_cast<int64_t>(rule == Rule::kBestOfN ? best_of(id) : members[id][0]), id, score,
           leads ? false : out.tied};
  }
  return out;
}

Election random_election(uint64_t seed, int problems, uint64_t most) {
  std::mt19937_64 random(seed);
  Election election;
  election.offsets = {0};
  election.drop_nan = true;
  for (int p = 0; p < problems; ++p) {
    const uint64_t size = random() % (most + 1), spread = random() % 6 + 1;
    const int shift = random() % 3 == 0 ? 55 : 0;  // sparse ids
    for (uint64_t i = 0; i < size; ++i) {
      const int64_t id = static_cast<int64_t>(random() % spread << shift);
      election.ids.push_back(random() % 9 == 0 ? kNoAnswer : id);
      election.scores.push_back(random() % 20 == 0 ? kNaN
                                                   : static_cast<double>(random() % 9) / 8 - 0.5);
    }
    election.offsets.push_back(static_cast<int64_t>(election.ids.size()));
  }
  return election;
}

std::vector<Outcome> expected_of(const Election& election) {
  std::vector<Outcome> outcomes;
  for (size_t p = 0; p + 1 < election.offsets.size(); ++p) {
    for (const Rule rule : kRules) outcomes.push_back(decide(election, p, rule));
  }
  return outcomes;
}

}  // namespace

TEST(any_election_is_the_dictionary) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Election election = random_election(seed, 100, seed < 35 ? 20 : 3000);
    for (const Ties ties : {Ties::kFirst, Ties::kBestScore}) {
      election.ties = ties;
      EXPECT(run(election) == expected_of(election), "seed ", seed);
    }
  }
}

TEST(levels_and_threads_agree) {
  const Election election = random_election(99, 2000, 15);
  const std::vector<Outcome> expected = expected_of(election);
  testing::for_each_setting(
      [&](const std::string& setting) { EXPECT(run(election) == expected, setting); });
}

TEST(several_callers_agree) {
  set_num_threads(3);
  const Election election = random_election(98, 1000, 10);
  const std::vector<Outcome> expected = expected_of(election);
  testing::from_several_callers([&] { EXPECT(run(election) == expected); });
}

TEST(ids_may_be_anything_from_zero) {
  const int64_t big = std::numeric_limits<int64_t>::max();
  const Election election{{big, 0, big, int64_t{1} << 62}, {1, 2, 3, 4}, {0, 4}};
  const std::vector<Outcome> got = run(election);
  EXPECT((got[0] == Outcome{0, big, 2.0, false}));
  EXPECT((got[1] == Outcome{0, big, 4.0, true}));
  EXPECT((got[2] == Outcome{3, int64_t{1} << 62, 4.0, false}));
}

TEST(without_ids_every_candidate_stands_alone) {
  const std::vector<Outcome> got = run({{}, {0.1, 0.9, 0.5, 0.5}, {0, 2, 4}});
  EXPECT((got[0] == Outcome{0, 0, 1.0, true}));
  EXPECT((got[1] == Outcome{1, 1, 0.9, false}));
  EXPECT((got[5] == Outcome{2, 0, 0.5, true}));
}

TEST(majority_needs_no_scores) {
  const Election election{{4, 2, 2}, {}, {0, 3}};
  EXPECT((run(election, {Rule::kMajority})[0] == Outcome{1, 2, 2.0, false}));
  EXPECT_FAULT(run(election), "vote: scores may be None only when every rule is 'majority'");
  Election by_score = election;
  by_score.ties = Ties::kBestScore;
  EXPECT_FAULT(run(by_score, {Rule::kMajority}), "vote: ties='best_score' needs scores");
}

TEST(nobody_wins_where_nobody_stands) {
  Election election{{-1, -1, 3}, {0.1, 0.2, kNaN}, {0, 0, 2, 3}};
  election.drop_nan = true;
  for (const Outcome& outcome : run(election)) EXPECT(outcome == Outcome{});
  EXPECT(run({{}, {}, {0}}, {Rule::kMajority}).empty());
}

TEST(the_first_fault_is_named) {
  for (const int threads : {1, 7}) {
    set_num_threads(threads);
    Election election;
    election.offsets = {0};
    for (int64_t p = 1; p <= 1000; ++p) election.offsets.push_back(p * 10);
    election.ids.assign(10'000, 1);
    election.scores.assign(10'000, 0.5);
    election.scores[5001] = election.scores[9999] = kNaN;
    EXPECT_FAULT(run(election), "vote: scores[5001] is NaN");
    election.ids[3000] = -2;
    EXPECT_FAULT(run(election), "vote: answer_ids[3000] is -2");
    election.scores[2000] = kInf;
    EXPECT_FAULT(run(election), "vote: scores[2000] is inf");
    EXPECT_FAULT(run(election, {Rule::kMajority}), "vote: answer_ids[3000] is -2");
    election.ids[3000] = election.ids[2000] = -1;
    EXPECT_FAULT(run(election), "vote: scores[5001] is NaN");
  }
}

// --- the arithmetic that both devices share, in the order of the kernel ------------------------

// The thread of an answer's first candidate adds the later ones to it.
TEST(classes_walked_from_their_first_candidate_have_the_same_sums) {
  std::mt19937_64 random(9);
  std::uniform_real_distribution<double> uniform(-1.0, 1.0);
  Election election;
  election.offsets = {0, 70};
  for (int i = 0; i < 70; ++i) {
    election.ids.push_back(static_cast<int64_t>(random() % 4));
    election.scores.push_back(uniform(random));
  }
  for (const Rule rule : kRules) {
    const Outcome expected = run(election, {rule})[0];
    bool found = false;
    for (size_t i = 0; i < 70; ++i) {
      const auto begin = election.ids.begin();
      if (std::find(begin, begin + static_cast<int64_t>(i), election.ids[i]) !=
          begin + static_cast<int64_t>(i)) {
        continue;
      }
      AnswerClass answer = class_of(election.ids[i], static_cast<int64_t>(i), election.scores[i]);
      for (size_t j = i + 1; j < 70; ++j) {
        if (election.ids[j] == answer.id) {
          add_candidate(answer, static_cast<int64_t>(j), election.scores[j]);
        }
      }
      EXPECT(class_score(rule, answer) <= expected.score);
      if (answer.id != expected.answer_id) continue;
      found = true;
      EXPECT(class_score(rule, answer) == expected.score);
      EXPECT((rule == Rule::kBestOfN ? answer.best : answer.first) == expected.winner);
    }
    EXPECT(found);
  }
}

TEST(the_sum_of_negative_zeros_is_zero_on_both_devices) {
  Election election;
  election.offsets = {0, 1};
  election.ids = {3};
  election.scores = {-0.0};
  const double expected = run(election, {Rule::kWeighted})[0].score;
  EXPECT(!std::signbit(expected));
  EXPECT(!std::signbit(class_score(Rule::kWeighted, class_of(3, 0, -0.0))));
}
