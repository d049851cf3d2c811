#include "stepscore/path_attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "testing.h"

using namespace stepscore;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

size_t at(int64_t index) {
  return static_cast<size_t>(index);
}

// Numbers in memory that ends with its last element.
std::vector<float> normal(int64_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> draw;
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(draw(random));
  return values;
}

// One path of tokens, in one store or in one store for each of its segments.
struct Trace {
  Trace(int64_t tokens_, int64_t heads_, int64_t key_heads_, int64_t size_, int64_t value_size_)
      : tokens(tokens_),
        heads(heads_),
        key_heads(key_heads_),
        size(size_),
        value_size(value_size_),
        queries(normal(tokens * heads * size, 1)),
        keys(normal(tokens * key_heads * size, 2)),
        values(normal(tokens * key_heads * value_size, 3)) {}

  // The last `count` tokens as queries of one piece; the path is cut at `cuts`.
  std::vector<float> attend(int64_t count, const std::vector<int64_t>& cuts = {}) const {
    std::vector<std::vector<float>> held;
    std::vector<KeyStore> stores;
    std::vector<Segment> segments;
    int64_t begin = 0;
    for (size_t c = 0; c <= cuts.size(); ++c) {
      const int64_t end = c == cuts.size() ? tokens : cuts[c];
      held.emplace_back(keys.begin() + begin * key_heads * size,
                        keys.begin() + end * key_heads * size);
      held.emplace_back(values.begin() + begin * key_heads * value_size,
                        values.begin() + end * key_heads * value_size);
      segments.push_back({static_cast<int64_t>(c), 0, end - begin});
      begin = end;
    }
    for (size_t c = 0; c < segments.size(); ++c) {
      stores.push_back({{held[2 * c].data(), key_heads * size, size},
                        {held[2 * c + 1].data(), key_heads * value_size, value_size}});
    }
    const int64_t offsets[] = {0, count};
    const int64_t segment_offsets[] = {0, static_cast<int64_t>(segments.size())};
    const Attention attention{
        {queries.data() + (tokens - count) * heads * size, heads * size, size},
        stores.data(),
        heads,
        key_heads,
        size,
        value_size,
        scale,
        window,
        soft_cap};
    std::vector<float> out(at(count * heads * value_size), -1.0f);
    path_attention(attention, {offsets, segment_offsets, segments.data(), 1}, out.data());
    return out;
  }

  double expected(int64_t token, int64_t head, int64_t column) const {
    const int64_t key_head = head / (heads / key_heads);
    std::vector<double> logits;
    double highest = -HUGE_VAL, total = 0.0, sum = 0.0;
    const int64_t first = std::max<int64_t>(0, token - window + 1);
    for (int64_t j = first; j <= token; ++j) {
      double logit = 0.0;
      for (int64_t k = 0; k < size; ++k) {
        logit += static_cast<double>(queries[at((token * heads + head) * size + k)]) *
                 static_cast<double>(keys[at((j * key_heads + key_head) * size + k)]);
      }
      logit *= static_cast<double>(scale);
      const double cap = static_cast<double>(soft_cap);
      if (soft_cap != kNoSoftCap) logit = cap * std::tanh(logit / cap);
      logits.push_back(logit);
      highest = std::max(highest, logit);
    }
    for (int64_t j = first; j <= token; ++j) {
      const double weight = std::exp(logits[at(j - first)] - highest);
      total += weight;
      sum += weight *
             static_cast<double>(values[at((j * key_heads + key_head) * value_size + column)]);
    }
    return sum / total;
  }

  int64_t tokens, heads, key_heads, size, value_size;
  std::vector<float> queries, keys, values;
  float scale = 0.25f;
  int64_t window = kNoWindow;
  float soft_cap = kNoSoftCap;
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// The results of the last queries, however many there are.
bool ends_with(const std::vector<float>& whole, const std::vector<float>& end) {
  const std::vector<float> tail(whole.end() - static_cast<int64_t>(end.size()), whole.end());
  return same_bits(tail, end);
}

}  // namespace

TEST(attention_is_the_mean_by_softmax) {
  for (const int64_t tokens : {1, 8, 63, 64, 65, 130}) {
    for (const int64_t size : {1, 5, 16, 33, 64}) {
      for (const int64_t window : {kNoWindow, int64_t{1}, int64_t{20}}) {
        for (const float cap : {kNoSoftCap, 2.0f}) {
          Trace trace(tokens, 6, 2, size, size % 7 + 1);
          trace.window = window;
          trace.soft_cap = cap;
          const std::vector<float> got = trace.attend(tokens);
          double worst = 0.0;
          for (int64_t i = 0; i < static_cast<int64_t>(got.size()); ++i) {
            const int64_t row = i / trace.value_size;
            const double expected =
                trace.expected(row / trace.heads, row % trace.heads, i % trace.value_size);
            worst = std::max(worst, std::fabs(static_cast<double>(got[at(i)]) - expected));
          }
          EXPECT(worst < 3e-6, tokens, " ", size, " ", window, " ", cap, ": ", worst);
        }
      }
    }
  }
}

TEST(attention_has_the_same_bits_everywhere) {
  for (const int64_t size : {7, 64}) {
    Trace trace(150, 6, 2, size, size);
    trace.soft_cap = size == 7 ? 3.0f : kNoSoftCap;
    std::vector<float> expected;
    testing::for_each_setting([&](const std::string& setting) {
      const std::vector<float> got = trace.attend(trace.tokens);
      if (expected.empty()) expected = got;
      EXPECT(same_bits(got, expected), setting);
      EXPECT(same_bits(trace.attend(trace.tokens, {1, 60, 64, 64, 149}), expected), setting);
      for (const int64_t count : {1, 2, 22, 23, 86, 149}) {
        EXPECT(ends_with(expected, trace.attend(count, {70})), setting, " ", count);
      }
    });
  }
}

TEST(what_is_not_seen_leaves_no_trace) {
  for (const float fault : {std::numeric_limits<float>::quiet_NaN(), kInf, -kInf}) {
    Trace clean(140, 2, 1, 16, 16);
    clean.window = 30;
    for (const int64_t place : {0, 50, 64, 100, 139}) {
      Trace spoilt = clean;
      for (int64_t k = 0; k < 16; ++k) {
        spoilt.keys[at(place * 16 + k)] = fault;
        spoilt.values[at(place * 16 + k)] = fault;
      }
      testing::for_each_setting([&](const std::string& setting) {
        const std::vector<float> got = spoilt.attend(140), expected = clean.attend(140);
        for (int64_t token = 0; token < 140; ++token) {
          const bool seen = token >= place && token < place + 30;
          const bool same = std::memcmp(&got[at(token * 32)], &expected[at(token * 32)], 128) == 0;
          EXPECT(same != seen, setting, " ", place, " ", token);
        }
      });
    }
  }
}

TEST(siblings_read_what_they_share_together) {
  // Pieces behind one prefix of 200 tokens, in one call and alone.
  const int64_t prefix = 200, heads = 4, size = 24;
  const int64_t lengths[] = {1, 3, 40, 2, 70, 1, 0, 5};
  std::vector<int64_t> offsets = {0}, segment_offsets = {0};
  std::vector<Segment> segments;
  for (const int64_t length : lengths) {
    segments.push_back({0, 0, prefix});
    segments.push_back({1, offsets.back(), length});
    offsets.push_back(offsets.back() + length);
    segment_offsets.push_back(segment_offsets.back() + 2);
  }
  const int64_t tokens = offsets.back();
  const std::vector<float> queries = normal(tokens * heads * size, 1);
  std::vector<std::vector<float>> held;
  for (const int64_t count : {prefix, prefix, tokens, tokens}) {
    held.push_back(normal(count * size, 2 + held.size()));
  }
  const KeyStore stores[] = {{{held[0].data(), size, size}, {held[1].data(), size, size}},
                             {{held[2].data(), size, size}, {held[3].data(), size, size}}};
  Attention attention{{queries.data(), heads * size, size},
                      stores,
                      heads,
                      1,
                      size,
                      size,
                      0.2f,
                      kNoWindow,
                      kNoSoftCap};
  testing::for_each_setting([&](const std::string& setting) {
    for (const int64_t window : {kNoWindow, int64_t{90}}) {
      attention.window = window;
      std::vector<float> together(queries.size());
      path_attention(attention, {offsets.data(), segment_offsets.data(), segments.data(), 8},
                     together.data());
      std::vector<float> alone(queries.size());
      for (int64_t piece = 0; piece < 8; ++piece) {
        const int64_t own[] = {0, lengths[piece]}, parts[] = {0, 2};
        Attention single = attention;
        const int64_t begin = offsets[at(piece)] * heads * size;
        single.queries.data += begin;
        path_attention(single, {own, parts, segments.data() + 2 * piece, 1}, alone.data() + begin);
      }
      EXPECT(same_bits(together, alone), setting);
    }
  });
}

TEST(attention_may_be_called_from_several_threads) {
  const Trace trace(150, 4, 2, 16, 16);
  const std::vector<float> expected = trace.attend(150);
  testing::from_several_callers([&] { EXPECT(same_bits(trace.attend(150, {80}), expected)); });
}
