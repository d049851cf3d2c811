// Causal attention of packed pieces over paths of segments, each result with bits of its own.
// GPU: no sense: frameworks have kernels over pages there, which promise equal bits where asked
//
// A path is segments one behind the other; its positions count from 0. The queries of a piece are
// the last tokens of its path.
#pragma once

#include <cstdint>

namespace stepscore {

// Rows are contiguous; tokens and heads stand at any distance.
struct HeadsView {
  const float* data;     // [tokens, heads, size]
  int64_t token_stride;  // in elements
  int64_t head_stride;
};

// Slots for keys and values of tokens.
struct KeyStore {
  HeadsView keys;    // [slots, key_heads, key_size]
  HeadsView values;  // [slots, key_heads, value_size]
};

struct Segment {
  int64_t store, begin, length;
};

constexpr int64_t kNoWindow = int64_t{1} << 62;
constexpr float kNoSoftCap = 0.0f;

struct Paths {
  const int64_t* offsets;          // [pieces + 1], the queries of each piece
  const int64_t* segment_offsets;  // [pieces + 1]
  const Segment* segments;         // a path is no shorter than the queries of its piece
  int64_t pieces;
};

struct Attention {
  HeadsView queries;       // [tokens, heads, key_size]
  const KeyStore* stores;  // as many as segments name
  int64_t heads,
      key_heads;  // heads is a multiple; query head h reads key head h / (heads / key_heads)
  int64_t key_size, value_size;
  float scale;
  int64_t window;  // a query sees as many tokens at most, itself included
  float soft_cap;  // c of c tanh(logit / c)
};

// out[i, h] = sum_j softmax_j(scale queries[i, h] . keys[j]) values[j], in float32, over the
// positions of the path up to the query's own.
//
// Keys come in blocks of 64 positions, ascending. A logit is one chain of fused multiply-adds; a
// block's weights are added in eight chains, folded in halves; a result is one chain over the keys.
// A key that is not seen has weight 0, which changes no chain.
void path_attention(const Attention& attention, const Paths& paths,
                    float* out);  // [tokens, heads, value_size]

}  // namespace stepscore
