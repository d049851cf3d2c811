#include "stepscore/prefix_trie.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <random>
#include <vector>

#include "stepscore/parallel.h"

namespace stepscore {
namespace {

// Of a pass: over the tokens of traces, or over their nodes, of which there are at most as many.
template <class Id>
Work work_of(const GroupedTraces<Id>& traces) {
  return {static_cast<double>(traces.tokens()) + 30.0 * static_cast<double>(traces.traces())};
}

// The first i in [begin, end) with a[i] != b[i], or end. Whole blocks are compared without a
// branch, which compilers turn into vector instructions.
template <class Id>
int64_t mismatch(const Id* a, const Id* b, int64_t begin, int64_t end) {
  constexpr int64_t kBlock = 16;
  int64_t i = begin;
  for (; i + kBlock <= end; i += kBlock) {
    Id difference = 0;
    for (int64_t j = 0; j < kBlock; ++j) difference |= a[i + j] ^ b[i + j];
    if (difference != 0) break;
  }
  while (i < end && a[i] == b[i]) ++i;
  return i;
}

// Drawn once per process, so that nobody can prepare token ids that collide in every slot. It
// decides where an entry lies, never what is found.
uint64_t hash_seed() {
  static const uint64_t seed = [] {
    std::random_device device;
    return uint64_t{device()} << 32 | device();
  }();
  return seed;
}

// The finalizer of splitmix64: every bit of x reaches every bit of the result.
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// Where a trace left the nodes of earlier traces, and with which token: an open-addressing table
// with one entry per trace at most. What a trace does along its own nodes needs no entry.
class Forks {
 public:
  void reset(int64_t traces) {
    slots_.assign(std::bit_ceil(2 * static_cast<uint64_t>(traces) + 1), Slot{});
  }

  // The trace that took this token at this node first: an earlier one, or else `trace` itself.
  int64_t first_taker(int64_t node, int64_t token, int64_t trace) {
    const uint64_t mask = slots_.size() - 1;
    uint64_t hash = mix(seed_ + static_cast<uint64_t>(node));
    hash = mix(hash ^ static_cast<uint64_t>(token));
    for (uint64_t i = hash & mask;; i = (i + 1) & mask) {
      Slot& slot = slots_[i];
      if (slot.trace == kFree) slot = {node, token, trace};
      if (slot.node == node && slot.token == token) return slot.trace;
    }
  }

 private:
  static constexpr int64_t kFree = -1;
  struct Slot {
    int64_t node = 0;
    int64_t token = 0;
    int64_t trace = kFree;
  };
  std::vector<Slot> slots_;
  const uint64_t seed_ = hash_seed();
};

// Until the nodes are numbered, the token that made a node stands for it. `stem` made the nodes
// from where it left its own stem to its end, at the same depths as in its tokens.
template <class Id>
void share_in_group(const GroupedTraces<Id>& traces, int64_t group, Forks& forks,
                    const Branches& branches) {
  const int64_t begin = traces.groups[group], end = traces.groups[group + 1];
  forks.reset(end - begin);
  for (int64_t t = begin; t < end; ++t) {
    const Id* tokens = traces.token_ids + traces.offsets[t];
    const int64_t length = traces.offsets[t + 1] - traces.offsets[t];
    int64_t stem = kNoStem, depth = 0, node = kNoNode;
    while (depth < length) {
      const int64_t next = forks.first_taker(node, static_cast<int64_t>(tokens[depth]), t);
      if (next == t) break;
      stem = next;
      const int64_t first = traces.offsets[stem];
      const int64_t stop = std::min(length, traces.offsets[stem + 1] - first);
      depth = mismatch(tokens, traces.token_ids + first, depth + 1, stop);
      node = first + depth - 1;
    }
    branches.stem[t] = stem;
    branches.node_offsets[t + 1] = length - depth;
  }
}

// Tokens of a trace that are nodes of earlier ones.
template <class Id>
int64_t shared_length(const GroupedTraces<Id>& traces, const Branches& branches, int64_t t) {
  const int64_t new_nodes = branches.node_offsets[t + 1] - branches.node_offsets[t];
  return traces.offsets[t + 1] - traces.offsets[t] - new_nodes;
}

template <class Id>
void write_trace(const GroupedTraces<Id>& traces, const Branches& branches, int64_t t,
                 const TrieNodes<Id>& nodes) {
  const Id* tokens = traces.token_ids + traces.offsets[t];
  int64_t* path = nodes.node_of_token + traces.offsets[t];
  const int64_t length = traces.offsets[t + 1] - traces.offsets[t];
  // From the end to the root: the nodes of the trace itself, then of its stem, of the stem's stem.
  for (int64_t from = t, end = length; end > 0; from = branches.stem[from]) {
    const int64_t begin = shared_length(traces, branches, from);
    std::iota(path + begin, path + end, branches.node_offsets[from]);
    end = begin;
  }
  nodes.last_node[t] = length == 0 ? kNoNode : path[length - 1];

  const int64_t shared = shared_length(traces, branches, t);
  if (shared == length) return;
  const int64_t first = branches.node_offsets[t], last = branches.node_offsets[t + 1];
  std::copy(tokens + shared, tokens + length, nodes.token + first);
  std::iota(nodes.depth + first, nodes.depth + last, shared);
  std::iota(nodes.parent + first, nodes.parent + last, first - 1);
  nodes.parent[first] = shared == 0 ? kNoNode : path[shared - 1];
  std::fill(nodes.count + first, nodes.count + last, 0);
}

// A node is passed by the traces that end there and those that go on to a child. Children have
// greater numbers, so one pass downwards meets them first.
template <class Id>
void count_in_group(const GroupedTraces<Id>& traces, int64_t group, const Branches& branches,
                    const TrieNodes<Id>& nodes) {
  const int64_t begin = traces.groups[group], end = traces.groups[group + 1];
  for (int64_t t = begin; t < end; ++t) {
    if (nodes.last_node[t] != kNoNode) ++nodes.count[nodes.last_node[t]];
  }
  for (int64_t t = end - 1; t >= begin; --t) {
    const int64_t first = branches.node_offsets[t], last = branches.node_offsets[t + 1];
    if (first == last) continue;
    int64_t through = 0;
    for (int64_t v = last - 1; v >= first; --v) through = nodes.count[v] += through;
    if (nodes.parent[first] != kNoNode) nodes.count[nodes.parent[first]] += through;
  }
}

}  // namespace

template <class Id>
void share_prefixes(const GroupedTraces<Id>& traces, const Branches& branches) {
  const int64_t group_count = traces.group_count;
  parallel_for(group_count, work_of(traces), [&](int64_t begin, int64_t end) {
    Forks forks;
    for (int64_t g = begin; g < end; ++g) share_in_group(traces, g, forks, branches);
  });
  branches.node_offsets[0] = 0;
  for (int64_t t = 0; t < traces.traces(); ++t) {
    branches.node_offsets[t + 1] += branches.node_offsets[t];
  }
}

template <class Id>
void prefix_trie(const GroupedTraces<Id>& traces, const Branches& branches,
                 const TrieNodes<Id>& nodes) {
  const int64_t trace_count = traces.traces(), group_count = traces.group_count;
  parallel_for(trace_count, work_of(traces), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) write_trace(traces, branches, t, nodes);
  });
  parallel_for(group_count, work_of(traces), [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) count_in_group(traces, g, branches, nodes);
  });
}

template void share_prefixes<int32_t>(const GroupedTraces<int32_t>&, const Branches&);
template void share_prefixes<int64_t>(const GroupedTraces<int64_t>&, const Branches&);
template void prefix_trie<int32_t>(const GroupedTraces<int32_t>&, const Branches&,
                                   const TrieNodes<int32_t>&);
template void prefix_trie<int64_t>(const GroupedTraces<int64_t>&, const Branches&,
                                   const TrieNodes<int64_t>&);

}  // namespace stepscore
