// Packed token ids -> the flat trie of their unique prefixes.
// GPU: no sense: token ids come from a tokenizer on the host, and the walk is sequential
#pragma once

#include <cstdint>

namespace stepscore {

constexpr int64_t kNoNode = -1;
constexpr int64_t kNoStem = -1;

// Traces of one group share a node for every common prefix; traces of different groups share none.
template <class Id>  // int32_t or int64_t
struct GroupedTraces {
  const Id* token_ids;     // [tokens]
  const int64_t* offsets;  // [traces + 1], over tokens
  const int64_t* groups;   // [group_count + 1], over traces
  int64_t group_count;

  int64_t traces() const { return groups[group_count]; }
  int64_t tokens() const { return offsets[traces()]; }
};

// A trie is made of what each trace adds. A trace walks along nodes of earlier traces as far as it
// can, and the rest of its tokens become nodes of its own, with consecutive numbers: node = parent
// + 1 but for the first of them. Numbers are given in the order of the traces.
struct Branches {
  int64_t* node_offsets;  // [traces + 1]: the nodes that trace t adds
  int64_t* stem;          // [traces]: the trace that added the last node which trace t shares, or
                          // kNoStem when it shares none
};

template <class Id>
struct TrieNodes {
  Id* token;               // [nodes]
  int64_t* parent;         // [nodes], kNoNode at a first token
  int64_t* depth;          // [nodes], position of the token in its trace
  int64_t* count;          // [nodes], traces through the node
  int64_t* node_of_token;  // [tokens]
  int64_t* last_node;      // [traces], kNoNode for an empty trace
};

// nodes = node_offsets[traces].
template <class Id>
void share_prefixes(const GroupedTraces<Id>& traces, const Branches& branches);

template <class Id>
void prefix_trie(const GroupedTraces<Id>& traces,
                 const Branches& branches,  // as share_prefixes left them
                 const TrieNodes<Id>& nodes);

}  // namespace stepscore
