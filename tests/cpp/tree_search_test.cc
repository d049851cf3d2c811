#include "stepscore/tree_search.h"

#include <algorithm>
#include <limits>
#include <mutex>
#include <random>

#include "testing.h"

using namespace stepscore;

namespace {

constexpr int32_t kSamples = 4;

TreeSearch make(int64_t problems, int64_t max_nodes, bool deterministic = true) {
  TreeSearchOptions options{problems, max_nodes};
  options.deterministic = deterministic;
  return make_tree_search(options, nullptr, nullptr, nullptr, nullptr);
}

double value_of(const TreeSearch& search, int32_t node) {
  const uint64_t number = static_cast<uint64_t>(node % search.max_nodes);
  const uint64_t key = search.problem[search.problem_of(node)].key;
  return static_cast<double>((number * 7919 + key * 104729) % 1009) / 1009.0;
}

void tell_expansion(TreeSearch& search, const std::vector<int64_t>& tickets) {
  std::vector<int64_t> offsets{0};
  std::vector<double> logprob;
  std::vector<char> text;
  std::vector<int64_t> text_offsets{0};
  for (const int64_t t : tickets) {
    for (int32_t i = 0; i < search.tickets[t].samples; ++i) {
      logprob.push_back(value_of(search, search.tickets[t].first + i) - 0.5);
      text.push_back(static_cast<char>('a' + i));
      text_offsets.push_back(static_cast<int64_t>(text.size()));
    }
    offsets.push_back(static_cast<int64_t>(logprob.size()));
  }
  tell_expand(search, tickets.data(), static_cast<int64_t>(tickets.size()),
              {offsets.data(), logprob.data(), nullptr, nullptr, nullptr, text.data(),
               text_offsets.data()});
}

void tell_scores(TreeSearch& search, const std::vector<int64_t>& tickets) {
  std::vector<double> values;
  for (const int64_t t : tickets) values.push_back(value_of(search, search.tickets[t].node));
  tell_score(search, tickets.data(), static_cast<int64_t>(tickets.size()), values.data(), nullptr);
}

// Answers in random portions and orders.
void run(TreeSearch& search, const Selection& selection, int32_t leaves, uint64_t order) {
  std::mt19937_64 random(order);
  std::vector<int64_t> expand, score;
  const auto some = [&](std::vector<int64_t>& waiting, RequestKind kind) {
    for (const int32_t t : ask(search, kind, static_cast<int64_t>(1 + random() % 50), 9)) {
      waiting.push_back(t);
    }
    std::shuffle(waiting.begin(), waiting.end(), random);
    const auto half = waiting.begin() + static_cast<int64_t>((waiting.size() + 1) / 2);
    const std::vector<int64_t> now(waiting.begin(), half);
    waiting.erase(waiting.begin(), half);
    return now;
  };
  for (;;) {
    const bool begun = select(search, selection, leaves) > 0;
    const bool queued = search.queues[0].total + search.queues[1].total > 0;
    if (!begun && !queued && expand.empty() && score.empty()) return;
    tell_expansion(search, some(expand, RequestKind::kExpand));
    tell_scores(search, some(score, RequestKind::kScore));
  }
}

Selection selection_of(SelectRule rule) {
  Selection selection;
  selection.rule = rule;
  selection.simulations = 40;
  selection.samples = kSamples;
  if (rule == SelectRule::kMuZero || rule == SelectRule::kGumbel) {
    selection.evaluate = Evaluate::kLeaf;
  }
  return selection;
}

// As rest_mcts has it: the best child rolls forward, a gate ends the search.
Selection rolling() {
  Selection selection = selection_of(SelectRule::kUct);
  selection.prior = Prior::kOne;
  selection.unvisited = Unvisited::kBonus;
  selection.bonus = 1.0;
  selection.backup = Backup::kWeighted;
  selection.backup_from = BackupFrom::kBestChild;
  selection.duplicates = Duplicates::kMerge;
  selection.root = RootExpansion::kCounted;
  selection.roll_steps = 2;
  selection.gate = 0.9;
  return selection;
}

constexpr SelectRule kAllRules[] = {SelectRule::kPuct, SelectRule::kMuZero, SelectRule::kUct,
                                    SelectRule::kGumbel};

}  // namespace

TEST(any_order_and_any_threads_give_one_tree) {
  for (const SelectRule rule : kAllRules) {
    TreeSearch expected = make(30, 400);
    run(expected, selection_of(rule), 3, 0);
    testing::for_each_setting([&](const std::string& setting) {
      TreeSearch search = make(30, 400);
      run(search, selection_of(rule), 3, 1 + setting.size());
      EXPECT(search.nodes.visits == expected.nodes.visits, setting);
      EXPECT(search.nodes.value_sum == expected.nodes.value_sum, setting);
      EXPECT(search.nodes.parent == expected.nodes.parent, setting);
    });
  }
}

TEST(select_splits_over_threads) {
  set_num_threads(1);
  TreeSearch expected = make(2000, 60);
  run(expected, selection_of(SelectRule::kPuct), 2, 0);
  set_num_threads(4);
  TreeSearch search = make(2000, 60);
  run(search, selection_of(SelectRule::kPuct), 2, 0);
  set_num_threads(1);
  EXPECT(search.nodes.visits == expected.nodes.visits);
}

TEST(nothing_stays_in_flight) {
  for (const bool deterministic : {true, false}) {
    for (const SelectRule rule : kAllRules) {
      TreeSearch search = make(5, 400, deterministic);
      run(search, selection_of(rule), 6, 3);
      for (size_t v = 0; v < search.nodes.visits.size(); ++v) {
        EXPECT(search.nodes.in_flight[v] == 0 && search.nodes.waiting[v] == 0);
        EXPECT((search.nodes.flags[v] & (kPending | kBlocked)) == 0);
      }
      for (int64_t p = 0; p < 5; ++p) {
        EXPECT(search.nodes.visits[search.root(p)] == 41, search.nodes.visits[search.root(p)]);
      }
    }
  }
}

TEST(a_batch_is_its_single_runs) {
  TreeSearch batch = make(9, 300);
  run(batch, selection_of(SelectRule::kGumbel), 2, 0);
  for (int64_t p = 0; p < 9; ++p) {
    TreeSearch single = make_tree_search({1, 300}, &p, nullptr, nullptr, nullptr);
    run(single, selection_of(SelectRule::kGumbel), 2, 0);
    const auto begin = batch.nodes.visits.begin() + batch.root(p);
    EXPECT(std::equal(single.nodes.visits.begin(), single.nodes.visits.end(), begin), p);
  }
}

TEST(a_snapshot_goes_on_to_the_same_tree) {
  TreeSearch expected = make(4, 300);
  run(expected, selection_of(SelectRule::kPuct), 3, 0);
  TreeSearch search = make(4, 300);
  select(search, selection_of(SelectRule::kPuct), 3);
  ask(search, RequestKind::kExpand, 2, 1);  // answers that never come
  TreeSearch again = restore(snapshot(search));
  run(again, selection_of(SelectRule::kPuct), 3, 5);
  EXPECT(again.nodes.visits == expected.nodes.visits);
  EXPECT(again.nodes.value_sum == expected.nodes.value_sum);
}

TEST(a_roll_forward_goes_on_after_a_snapshot_and_in_any_order) {
  TreeSearch expected = make(6, 600);
  run(expected, rolling(), 3, 0);
  bool passed = false, rolled = false;
  for (const Problem& problem : expected.problem) passed |= problem.found != kNoChild;
  for (const int32_t first : expected.nodes.rolled) rolled |= first != kNoChild;
  EXPECT(passed && rolled);
  for (uint64_t order = 1; order < 4; ++order) {
    TreeSearch search = make(6, 600);
    select(search, rolling(), 3);
    for (uint64_t answers = 0; answers < order; ++answers) {
      const std::vector<int32_t> asked = ask(search, RequestKind::kExpand, 7, 9);
      tell_expansion(search, std::vector<int64_t>(asked.begin(), asked.end()));
      const std::vector<int32_t> scores = ask(search, RequestKind::kScore, 100, 99);
      tell_scores(search, std::vector<int64_t>(scores.begin(), scores.end()));
    }
    TreeSearch again = restore(snapshot(search));
    run(again, rolling(), 3, order);
    EXPECT(again.nodes.visits == expected.nodes.visits, order);
    EXPECT(again.nodes.value_sum == expected.nodes.value_sum, order);
    EXPECT(again.nodes.rolled == expected.nodes.rolled, order);
    for (size_t p = 0; p < 6; ++p) EXPECT(again.problem[p].found == expected.problem[p].found);
  }
}

TEST(damaged_snapshots_are_refused) {
  TreeSearch search = make(2, 30);
  run(search, selection_of(SelectRule::kPuct), 1, 0);
  const std::string whole = snapshot(search);
  EXPECT(snapshot(restore(whole)) == whole);
  std::mt19937_64 random(1);
  for (int i = 0; i < 300; ++i) {
    std::string bytes = whole;
    bytes[random() % bytes.size()] ^= static_cast<char>(1u << random() % 8);
    EXPECT_FAULT(restore(bytes), "load: ");
    EXPECT_FAULT(restore(std::string_view(whole).substr(0, random() % whole.size())), "load: ");
  }
}

TEST(wrong_answers_change_nothing) {
  TreeSearch search = make(1, 50);
  select(search, selection_of(SelectRule::kPuct), 1);
  const std::string before = snapshot(search);
  const int64_t queued[] = {0}, unknown[] = {5};
  const double value[] = {0.5};
  EXPECT_FAULT(tell_score(search, queued, 1, value, nullptr), "ticket 0 was never asked");
  EXPECT_FAULT(tell_score(search, unknown, 1, value, nullptr), "ticket 5 was never asked");
  EXPECT_FAULT(fail(search, unknown, 1, true), "ticket 5 was never asked");
  EXPECT(snapshot(search) == before);
  EXPECT(ask(search, RequestKind::kExpand, 9, 9).size() == 1);
  const int64_t offsets[] = {0, kSamples + 1};
  const Children children{offsets, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};
  EXPECT_FAULT(tell_expand(search, queued, 1, children), "asks for 4 children at most; got 5");
  tell_expansion(search, {0});
  EXPECT_FAULT(tell_expand(search, queued, 1, children), "ticket 0 was told before");
}

TEST(the_path_is_what_was_told) {
  TreeSearch search = make(1, 50);
  run(search, selection_of(SelectRule::kPuct), 1, 0);
  int64_t deepest[] = {std::max_element(search.nodes.depth.begin(), search.nodes.depth.end()) -
                       search.nodes.depth.begin()};
  int64_t offsets[2];
  const std::vector<int64_t> path = paths(search, deepest, 1, offsets);
  const std::string text = path_payload(search, deepest, 1, offsets);
  EXPECT(text.size() + 1 == path.size() && path[0] == 0 && path.back() == deepest[0]);
  for (size_t i = 1; i < path.size(); ++i) {
    EXPECT(text[i - 1] == 'a' + (path[i] - 1) % kSamples);
    EXPECT(search.nodes.parent[path[i]] == path[i - 1]);
  }
}
