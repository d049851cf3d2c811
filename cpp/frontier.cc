#include "stepscore/frontier.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_set>

#include "stepscore/check.h"
#include "stepscore/parallel.h"
#include "stepscore/scalar_math.h"
#include "tree_search/random.h"

namespace stepscore {
namespace {

Work work_of(const Level& level) {
  return {40.0 * static_cast<double>(level.offsets[level.problems])};
}

void check_scores(const char* op, const Level& scores) {
  for (int64_t i = 0; i < scores.offsets[scores.problems]; ++i) {
    check(scores.values[i] == scores.values[i], op, "scores", "[", i, "] is NaN");
  }
}

// Weights are 0 or more, finite, and not all 0 where a problem has any.
void check_weights(const char* op, const Level& weights) {
  for (int64_t p = 0; p < weights.problems; ++p) {
    double sum = 0.0;
    for (int64_t i = weights.offsets[p]; i < weights.offsets[p + 1]; ++i) {
      const double w = weights.values[i];
      check(w >= 0.0 && w < kInfinity, op, "weights", "[", i, "] is ", w,
            "; it must be finite and 0 or more");
      sum += w;
    }
    check(sum > 0.0 || weights.offsets[p] == weights.offsets[p + 1], op, About{"weights"},
          "the weights of problem ", p, " are all 0");
  }
}

// Greatest first; `later_first` says which of equal scores.
void sort_by_score(const Level& scores, int64_t p, bool later_first, std::vector<int64_t>& order) {
  order.resize(static_cast<size_t>(scores.offsets[p + 1] - scores.offsets[p]));
  std::iota(order.begin(), order.end(), scores.offsets[p]);
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    if (scores.values[a] != scores.values[b]) return scores.values[a] > scores.values[b];
    return later_first ? a > b : a < b;
  });
}

// In the order of NumPy: below 8 one after the other, up to 128 in eight lanes, above in halves.
template <class Real>
Real pairwise_sum(const Real* values, int64_t n) {
  if (n < 8) {
    Real sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += values[i];
    return sum;
  }
  if (n <= 128) {
    Real lane[8];
    std::copy(values, values + 8, lane);
    int64_t i = 8;
    for (; i < n - n % 8; i += 8) {
      for (int64_t j = 0; j < 8; ++j) lane[j] += values[i + j];
    }
    Real sum =
        ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
    for (; i < n; ++i) sum += values[i];
    return sum;
  }
  const int64_t half = n / 2 - n / 2 % 8;
  return pairwise_sum(values, half) + pairwise_sum(values + half, n - half);
}

// e^x rounded correctly but for one value in some hundred: a unit in the last place decides whether
// a quotient is just above an integer.
double rounded_exponential(double x) {
  constexpr double kLog2e = 0x1.71547652b82fep+0;
  if (!(x > -700.0 && x < 700.0)) return exponential(x);
  const double k = (x * kLog2e + kRound) - kRound;
  const double high = x - k * kLn2High, low = -k * kLn2Low;
  const double r = high + low, r_error = (high - r) + low;
  double p = 1.0 / 6227020800.0;  // of (e^r - 1 - r - r^2 / 2) / r^3
  for (const double factorial :
       {479001600.0, 39916800.0, 3628800.0, 362880.0, 40320.0, 5040.0, 720.0, 120.0, 24.0, 6.0}) {
    p = p * r + 1.0 / factorial;
  }
  const double square = r * r, square_error = std::fma(r, r, -square);
  const double linear = 1.0 + r, linear_error = r - (linear - 1.0);
  const double sum = linear + 0.5 * square;
  const double sum_error = 0.5 * square - (sum - linear);
  const double rest = p * square * r + 0.5 * square_error + r_error * linear;
  return scale(sum + (sum_error + linear_error + rest), k);
}

template <class Real>
void allot_in(const Level& scores, const std::vector<int64_t>& order, int64_t width,
              double temperature, int64_t* counts) {
  std::vector<Real> e;
  for (const int64_t i : order) {
    const Real scaled = static_cast<Real>(scores.values[i]) / static_cast<Real>(temperature);
    e.push_back(static_cast<Real>(rounded_exponential(scaled)));
  }
  Real sum = pairwise_sum(e.data(), static_cast<int64_t>(e.size()));
  for (size_t j = 0; j < e.size(); ++j) {
    const Real share = std::ceil(static_cast<Real>(width) * e[j] / sum);
    // What is left of S may be nothing but rounding.
    const int64_t most = width + 1;
    const bool sane = share < static_cast<Real>(most);
    const int64_t count = !(share > 0) ? 0 : sane ? static_cast<int64_t>(share) : most;
    counts[order[j]] = count;
    width -= count;
    sum -= e[j];
  }
}

// The ceilings of real arithmetic: S is a sum of what is left, never a difference, and a quotient
// that is above an integer by rounding alone counts as that integer.
void allot_exactly(const Level& scores, const std::vector<int64_t>& order, int64_t width,
                   double temperature, int64_t* counts) {
  constexpr double kRounding = 1e-12;
  std::vector<double> e, left(order.size() + 1, 0.0);
  const double greatest = order.empty() ? 0.0 : scores.values[order[0]];
  for (const int64_t i : order) {
    e.push_back(exponential((scores.values[i] - greatest) / temperature));
  }
  for (size_t j = order.size(); j > 0; --j) left[j - 1] = left[j] + e[j - 1];
  for (size_t j = 0; j < order.size(); ++j) {
    const double quotient = static_cast<double>(width) * (e[j] / left[j]);
    const bool last = j + 1 == order.size();
    const double share = last ? static_cast<double>(width) : std::ceil(quotient * (1 - kRounding));
    const int64_t count = static_cast<int64_t>(share);
    counts[order[j]] = count;
    width -= count;
  }
}

// Finds the first index whose running sum exceeds a target, by a table that says near which index
// to begin.
struct Search {
  std::vector<double> running;
  std::vector<int32_t> begin;  // by u: its share of the table

  void prepare() {
    const size_t size = running.size();
    const double step = running.back() / static_cast<double>(size);
    begin.resize(size);
    for (size_t b = 0, j = 0; b < size; ++b) {
      while (j + 1 < size && running[j] <= static_cast<double>(b) * step) ++j;
      begin[b] = static_cast<int32_t>(j);
    }
  }
  int64_t index_at(double u) const {
    const double target = u * running.back();
    const size_t last = running.size() - 1;
    const size_t place = static_cast<size_t>(u * static_cast<double>(running.size()));
    size_t j = static_cast<size_t>(begin[std::min(place, last)]);
    while (j > 0 && running[j - 1] > target) --j;  // the place was rounded up
    while (j < last && running[j] <= target) ++j;
    return static_cast<int64_t>(j);
  }
};

void resample_problem(const Level& weights, int64_t p, int64_t count, Resampling method,
                      const RandomSource& random, Search& search, int64_t* out) {
  const int64_t begin = weights.offsets[p], size = weights.offsets[p + 1] - begin;
  const double n = static_cast<double>(count);
  const uint64_t key = static_cast<uint64_t>(random.keys == nullptr ? p : random.keys[p]);
  const auto uniform = [&](int64_t i) {
    return uniform_at(random.seed, key, static_cast<uint32_t>(i), random.draw);
  };
  std::vector<double>& running = search.running;
  running.assign(weights.values + begin, weights.values + begin + size);
  int64_t i = 0;
  if (method == Resampling::kResidual) {
    const double total = std::accumulate(running.begin(), running.end(), 0.0);
    for (int64_t j = 0; j < size; ++j) {
      const double wanted = n * (running[j] / total), copies = std::floor(wanted);
      for (double c = 0; c < copies && i < count; ++c) out[i++] = begin + j;
      running[j] = wanted - copies;
    }
  }
  std::partial_sum(running.begin(), running.end(), running.begin());
  search.prepare();
  for (; i < count; ++i) {
    const double step = static_cast<double>(i);
    const double at = method == Resampling::kSystematic   ? (step + uniform(0)) / n
                      : method == Resampling::kStratified ? (step + uniform(i)) / n
                                                          : uniform(i);
    out[i] = begin + search.index_at(at);
  }
}

// p clipped to [1e-7, 1 - 1e-7], as in its_hub
double clipped(double p) {
  return std::clamp(p, 1e-7, 1.0 - 1e-7);
}

double temperature_of(const double* weights, int64_t n, const TemperingRule& rule) {
  if (rule.how == Tempering::kLinear) {
    return rule.start - (rule.start - rule.end) * std::min(1.0, rule.progress);
  }
  if (n <= 1) return 1.0;
  const double total = std::accumulate(weights, weights + n, 0.0);
  double squares = 0.0, entropy = 0.0;
  for (int64_t i = 0; i < n; ++i) {
    const double p = clipped(weights[i] / total);
    squares += p * p;
    entropy -= p * logarithm(p);
  }
  const double ratio = 1.0 / squares / static_cast<double>(n);
  if (!(ratio < rule.threshold && rule.progress < rule.early)) return 1.0;
  if (n > 2) entropy /= logarithm(static_cast<double>(n));
  switch (rule.how) {
    case Tempering::kEss:
      return std::max(1.0, 1.0 / ratio * (1.0 - rule.progress));
    case Tempering::kEntropy:
      return std::max(1.0, 1.0 / (entropy + (1.0 - entropy) * rule.progress));
    default:
      return std::max(1.0, 2.0 - rule.progress);
  }
}

}  // namespace

std::vector<int64_t> top_k(const Level& scores, const int64_t* k, int64_t* out_offsets) {
  check_scores("top_k", scores);
  out_offsets[0] = 0;
  for (int64_t p = 0; p < scores.problems; ++p) {
    check(k[p] >= 0, "top_k", "k", "[", p, "] must be 0 or more; got ", k[p]);
    out_offsets[p + 1] = out_offsets[p] + std::min(k[p], scores.offsets[p + 1] - scores.offsets[p]);
  }
  std::vector<int64_t> indices(static_cast<size_t>(out_offsets[scores.problems]));
  parallel_for(scores.problems, work_of(scores), [&](int64_t begin, int64_t end) {
    std::vector<int64_t> order;
    for (int64_t p = begin; p < end; ++p) {
      sort_by_score(scores, p, false, order);
      std::copy(order.begin(), order.begin() + (out_offsets[p + 1] - out_offsets[p]),
                indices.begin() + out_offsets[p]);
    }
  });
  return indices;
}

void replicate(const int64_t* offsets, int64_t problems, const int64_t* out_offsets,
               int64_t* indices) {
  for (int64_t p = 0; p < problems; ++p) {
    const int64_t size = offsets[p + 1] - offsets[p];
    for (int64_t i = out_offsets[p]; i < out_offsets[p + 1]; ++i) {
      indices[i] = offsets[p] + (i - out_offsets[p]) % size;
    }
  }
}

void rebase_allotment(const Level& scores, const int64_t* width, double temperature,
                      Arithmetic arithmetic, int64_t* counts) {
  check_scores("rebase_allotment", scores);
  check(temperature > 0.0 && temperature < kInfinity, "rebase_allotment", "temperature",
        " must be above 0; got ", temperature);
  for (int64_t p = 0; p < scores.problems; ++p) {
    check(width[p] >= 0, "rebase_allotment", "width", "[", p, "] must be 0 or more; got ",
          width[p]);
  }
  parallel_for(scores.problems, work_of(scores), [&](int64_t begin, int64_t end) {
    std::vector<int64_t> order;
    for (int64_t p = begin; p < end; ++p) {
      sort_by_score(scores, p, true, order);
      switch (arithmetic) {
        case Arithmetic::kFloat32:
          allot_in<float>(scores, order, width[p], temperature, counts);
          break;
        case Arithmetic::kFloat64:
          allot_in<double>(scores, order, width[p], temperature, counts);
          break;
        case Arithmetic::kExact:
          allot_exactly(scores, order, width[p], temperature, counts);
      }
    }
  });
}

void resample(const Level& weights, const int64_t* counts, Resampling method,
              const RandomSource& random, const int64_t* out_offsets, int64_t* indices) {
  check_weights("resample", weights);
  for (int64_t p = 0; p < weights.problems; ++p) {
    check(counts[p] == 0 || weights.offsets[p] < weights.offsets[p + 1], "resample",
          About{"weights"}, "problem ", p, " has nothing to draw from");
  }
  parallel_for(weights.problems, work_of(weights), [&](int64_t begin, int64_t end) {
    Search search;
    for (int64_t p = begin; p < end; ++p) {
      if (counts[p] == 0) continue;
      resample_problem(weights, p, counts[p], method, random, search, indices + out_offsets[p]);
    }
  });
}

void effective_sample_size(const Level& weights, double* sizes) {
  check_weights("effective_sample_size", weights);
  for (int64_t p = 0; p < weights.problems; ++p) {
    double sum = 0.0, squares = 0.0;
    for (int64_t i = weights.offsets[p]; i < weights.offsets[p + 1]; ++i) {
      sum += weights.values[i];
    }
    for (int64_t i = weights.offsets[p]; i < weights.offsets[p + 1]; ++i) {
      const double share = weights.values[i] / sum;
      squares += share * share;
    }
    sizes[p] = squares == 0.0 ? 0.0 : 1.0 / squares;
  }
}

void tempering(const Level& weights, const TemperingRule& rule, double* temperatures) {
  check_weights("tempering", weights);
  check(rule.progress >= 0.0 && rule.progress < kInfinity, "tempering", "progress",
        " must be 0 or more; got ", rule.progress);
  for (int64_t p = 0; p < weights.problems; ++p) {
    temperatures[p] = temperature_of(weights.values + weights.offsets[p],
                                     weights.offsets[p + 1] - weights.offsets[p], rule);
  }
}

std::vector<int64_t> drop_duplicates(const std::string_view* texts, const int64_t* offsets,
                                     int64_t problems, int64_t* out_offsets) {
  std::vector<int64_t> kept;
  std::unordered_set<std::string_view> seen;
  out_offsets[0] = 0;
  for (int64_t p = 0; p < problems; ++p) {
    seen.clear();
    for (int64_t i = offsets[p]; i < offsets[p + 1]; ++i) {
      if (seen.insert(texts[i]).second) kept.push_back(i);
    }
    out_offsets[p + 1] = static_cast<int64_t>(kept.size());
  }
  return kept;
}

}  // namespace stepscore
