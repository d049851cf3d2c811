#include "stepscore/prefix_trie.h"

#include <limits>
#include <map>
#include <random>

#include "testing.h"

using namespace stepscore;

namespace {

template <class Id>
struct Trie {
  std::vector<Id> token;
  std::vector<int64_t> parent, depth, count, node_of_token, last_node, node_offsets;
  bool operator==(const Trie&) const = default;
};

// Exactly as long as they must be: a write beyond is a fault.
template <class Id>
struct Traces {
  std::vector<Id> ids;
  std::vector<int64_t> offsets{0}, groups{0};

  void add(const std::vector<Id>& trace) {
    ids.insert(ids.end(), trace.begin(), trace.end());
    offsets.push_back(static_cast<int64_t>(ids.size()));
  }
  void end_group() { groups.push_back(count()); }
  int64_t count() const { return static_cast<int64_t>(offsets.size()) - 1; }
};

template <class Id>
Trie<Id> build(const Traces<Id>& traces) {
  const GroupedTraces<Id> grouped{traces.ids.data(), traces.offsets.data(), traces.groups.data(),
                                  static_cast<int64_t>(traces.groups.size()) - 1};
  Trie<Id> trie;
  std::vector<int64_t> stem(static_cast<size_t>(traces.count()));
  trie.node_offsets.resize(traces.offsets.size());
  const Branches branches{trie.node_offsets.data(), stem.data()};
  share_prefixes(grouped, branches);
  const size_t nodes = static_cast<size_t>(trie.node_offsets.back());
  trie.token.resize(nodes);
  for (auto* field : {&trie.parent, &trie.depth, &trie.count}) field->resize(nodes);
  trie.node_of_token.resize(traces.ids.size());
  trie.last_node.resize(stem.size());
  prefix_trie(grouped, branches,
              {trie.token.data(), trie.parent.data(), trie.depth.data(), trie.count.data(),
               trie.node_of_token.data(), trie.last_node.data()});
  return trie;
}

// One look-up per token.
template <class Id>
Trie<Id> walk(const Traces<Id>& traces) {
  Trie<Id> trie;
  trie.node_offsets.push_back(0);
  for (size_t g = 0; g + 1 < traces.groups.size(); ++g) {
    std::map<std::pair<int64_t, Id>, int64_t> child;
    for (int64_t t = traces.groups[g]; t < traces.groups[g + 1]; ++t) {
      const int64_t begin = traces.offsets[static_cast<size_t>(t)];
      const int64_t end = traces.offsets[static_cast<size_t>(t) + 1];
      int64_t node = kNoNode;
      for (int64_t i = begin; i < end; ++i) {
        const Id id = traces.ids[static_cast<size_t>(i)];
        const int64_t next = static_cast<int64_t>(trie.token.size());
        const auto [found, added] = child.try_emplace({node, id}, next);
        if (added) {
          trie.token.push_back(id);
          trie.parent.push_back(node);
          trie.depth.push_back(i - begin);
          trie.count.push_back(0);
        }
        node = found->second;
        ++trie.count[static_cast<size_t>(node)];
        trie.node_of_token.push_back(node);
      }
      trie.last_node.push_back(node);
      trie.node_offsets.push_back(static_cast<int64_t>(trie.token.size()));
    }
  }
  return trie;
}

// Every trace goes along an earlier one for a while and then its own way.
template <class Id>
Traces<Id> random_traces(std::mt19937_64& random, int groups, uint64_t longest, uint64_t ids) {
  Traces<Id> traces;
  for (int g = 0; g < groups; ++g) {
    std::vector<std::vector<Id>> group;
    for (uint64_t left = random() % 12; left > 0; --left) {
      std::vector<Id> trace;
      if (!group.empty()) trace = group[random() % group.size()];
      trace.resize(random() % (trace.size() + 1));
      for (uint64_t own = random() % (longest + 1); own > 0; --own) {
        trace.push_back(static_cast<Id>(static_cast<int64_t>(random() % ids) - 1));
      }
      traces.add(trace);
      group.push_back(trace);
    }
    traces.end_group();
  }
  return traces;
}

template <class Id>
void expect_the_walk() {
  std::mt19937_64 random(1);
  for (int round = 0; round < 300; ++round) {
    const uint64_t longest = round % 3 == 0 ? 3 : 60;
    const Traces<Id> traces = random_traces<Id>(random, static_cast<int>(random() % 5), longest,
                                                round % 2 == 0 ? 2 : 1000);
    EXPECT(build(traces) == walk(traces), "round ", round);
  }
}

}  // namespace

TEST(int32_is_the_walk) {
  expect_the_walk<int32_t>();
}
TEST(int64_is_the_walk) {
  expect_the_walk<int64_t>();
}

TEST(traces_part_at_every_place) {
  for (int64_t length = 0; length < 70; ++length) {  // ids are compared in blocks of 16
    Traces<int32_t> traces;
    std::vector<int32_t> trace(static_cast<size_t>(length), 7);
    traces.add(trace);
    for (size_t at = 0; at < trace.size(); ++at) {
      trace[at] = std::numeric_limits<int32_t>::min();
      traces.add(trace);
      trace[at] = 7;
      traces.add({trace.begin(), trace.begin() + static_cast<int64_t>(at)});
    }
    traces.end_group();
    EXPECT(build(traces) == walk(traces), length);
  }
}

TEST(ids_that_differ_in_one_half_are_different) {
  Traces<int64_t> traces;
  for (const int64_t id : {int64_t{0}, int64_t{1} << 32, int64_t{-1}, int64_t{1} << 63,
                           std::numeric_limits<int64_t>::max(), int64_t{0xffffffff}}) {
    traces.add({id, id, 5});
  }
  traces.end_group();
  EXPECT(build(traces) == walk(traces));
  EXPECT(build(traces).token.size() == 18);
}

// The worst for a walk along stems: every trace leaves the one before it after one token more.
TEST(a_trace_over_many_stems) {
  Traces<int64_t> traces;
  std::vector<int64_t> trace;
  for (int64_t i = 0; i < 300; ++i) {
    trace.push_back(i);
    traces.add(trace);
  }
  traces.end_group();
  const Trie<int64_t> trie = build(traces);
  EXPECT(trie == walk(traces));
  EXPECT(trie.token.size() == 300 && trie.count[0] == 300 && trie.count[299] == 1);
}

TEST(threads_build_the_same) {
  std::mt19937_64 random(2);
  // Enough tokens that every pass is split.
  const Traces<int32_t> narrow = random_traces<int32_t>(random, 3000, 60, 50);
  Traces<int64_t> wide{{narrow.ids.begin(), narrow.ids.end()}, narrow.offsets, narrow.groups};
  const Trie<int32_t> narrow_walk = walk(narrow);
  const Trie<int64_t> wide_walk = walk(wide);
  EXPECT(narrow.ids.size() > 8 << 16);
  testing::for_each_setting([&](const std::string& setting) {
    EXPECT(build(narrow) == narrow_walk, setting);
    EXPECT(build(wide) == wide_walk, setting);
  });
}

TEST(several_callers_build_the_same) {
  std::mt19937_64 random(3);
  set_num_threads(3);
  const Traces<int32_t> traces = random_traces<int32_t>(random, 1000, 60, 50);
  const Trie<int32_t> expected = walk(traces);
  testing::from_several_callers([&] { EXPECT(build(traces) == expected); });
}

TEST(nothing_becomes_nothing) {
  Traces<int64_t> traces;
  EXPECT(build(traces).token.empty());  // no group
  traces.end_group();
  EXPECT(build(traces).token.empty());  // no trace
  traces.add({});
  traces.add({});
  traces.end_group();
  const Trie<int64_t> trie = build(traces);
  EXPECT(trie.token.empty() && trie.last_node == (std::vector<int64_t>{kNoNode, kNoNode}));
}
