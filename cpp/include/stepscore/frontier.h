// What searches that go level by level do with the scores of a level: keep, copy, allot, resample.
// GPU: no sense: a level has a few hundred numbers per problem, and the trees stand on the host
//
// Items of a problem stand between its offsets; indices that come out are into the flat items.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace stepscore {

struct Level {
  const double* values;    // [n], scores or weights
  const int64_t* offsets;  // [problems + 1]
  int64_t problems;
};

// The k greatest of each problem, greatest first, equal ones in their order; all where there are
// fewer.
std::vector<int64_t> top_k(const Level& scores, const int64_t* k,  // [problems]
                           int64_t* out_offsets);                  // [problems + 1]

// Fills the places of each problem by going round its items: 0, 1, 2, 0, 1 ...
void replicate(const int64_t* offsets, int64_t problems,
               const int64_t* out_offsets,  // [problems + 1]; no places where there are no items
               int64_t* indices);

enum class Arithmetic { kFloat32, kFloat64, kExact };

// With e_j = exp(s_j / T), best first, of equal scores the later: k_j = ceil(W e_j / S), W -= k_j,
// S -= e_j, from S = sum e.
void rebase_allotment(const Level& scores, const int64_t* width,  // [problems]
                      double temperature, Arithmetic arithmetic,
                      int64_t* counts);  // [n]

enum class Resampling { kMultinomial, kStratified, kSystematic, kResidual };

// Draw number `draw` of the random numbers of (seed, keys[p]).
struct RandomSource {
  uint64_t seed;
  const int64_t* keys;  // [problems], or null: the index
  uint32_t draw;
};

void resample(const Level& weights, const int64_t* counts,  // [problems]
              Resampling method, const RandomSource& random,
              const int64_t* out_offsets,  // [problems + 1], running sums of counts
              int64_t* indices);

void effective_sample_size(const Level& weights, double* sizes);  // [problems]

enum class Tempering { kEss, kEntropy, kBase, kLinear };

struct TemperingRule {
  Tempering how;
  double progress;    // t / T
  double threshold;   // kEss, kEntropy, kBase: of ESS / N, below which they act
  double early;       // and of the progress
  double start, end;  // kLinear
};

void tempering(const Level& weights, const TemperingRule& rule, double* temperatures);

// The first of equal texts within a problem.
std::vector<int64_t> drop_duplicates(const std::string_view* texts, const int64_t* offsets,
                                     int64_t problems, int64_t* out_offsets);

}  // namespace stepscore
