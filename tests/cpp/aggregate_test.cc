#include "stepscore/aggregate.h"

#include <cmath>
#include <cstring>
#include <random>

#include "testing.h"

using namespace stepscore;

namespace {

const std::vector<Reduction> kAll = {
    Reduction::kMin,       Reduction::kMax,      Reduction::kMean,   Reduction::kSum,
    Reduction::kProd,      Reduction::kLast,     Reduction::kFirst,  Reduction::kGeometricMean,
    Reduction::kLogitMean, Reduction::kOddsMean, Reduction::kSoftmin};
const double kInf = std::numeric_limits<double>::infinity();

template <class T>
struct Traces {
  std::vector<T> values;
  std::vector<int64_t> offsets{0};

  void add(const std::vector<T>& trace) {
    values.insert(values.end(), trace.begin(), trace.end());
    offsets.push_back(static_cast<int64_t>(values.size()));
  }
  size_t size() const { return offsets.size() - 1; }
};

template <class T>
std::vector<T> run(const Traces<T>& traces, const std::vector<Reduction>& how = kAll,
                   const AggregateOptions& options = {}) {
  std::vector<T> out(traces.size() * how.size());
  aggregate(traces.values.data(), static_cast<int64_t>(traces.values.size()), traces.offsets.data(),
            static_cast<int64_t>(traces.size()), how.data(), static_cast<int64_t>(how.size()),
            options, out.data());
  return out;
}

long double plainly(Reduction how, const std::vector<long double>& r, const AggregateOptions& o) {
  const long double n = static_cast<long double>(r.size());
  long double low = r[0], high = r[0], sum = 0, logs = 0, logits = 0, odds = 0, w = 0, wr = 0;
  for (const long double x : r) {
    low = std::min(low, x);
    high = std::max(high, x);
    sum += x;
    logs += std::log(x);
    const long double p = std::min(std::max(x, static_cast<long double>(o.clip)),
                                   1 - static_cast<long double>(o.clip));
    logits += std::log(p) - std::log1p(-p);
    odds += p / (1 - p);
  }
  for (const long double x : r) {
    const long double weight = std::exp((low - x) / static_cast<long double>(o.temperature));
    w += weight;
    wr += weight * x;
  }
  switch (how) {
    case Reduction::kMin:
      return low;
    case Reduction::kMax:
      return high;
    case Reduction::kMean:
      return sum / n;
    case Reduction::kSum:
      return sum;
    case Reduction::kProd:
      return std::exp(logs);
    case Reduction::kLast:
      return r.back();
    case Reduction::kFirst:
      return r.front();
    case Reduction::kGeometricMean:
      return std::exp(logs / n);
    case Reduction::kLogitMean:
      return 1 / (1 + std::exp(-logits / n));
    case Reduction::kOddsMean:
      return odds / n;
    default:
      return wr / w;
  }
}

template <class T>
Traces<T> random_traces(uint64_t seed, const std::vector<int>& sizes) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> scores(0.01, 0.99);
  Traces<T> traces;
  for (const int size : sizes) {
    std::vector<T> trace;
    for (int i = 0; i < size; ++i) trace.push_back(static_cast<T>(scores(random)));
    traces.add(trace);
  }
  return traces;
}

std::vector<int> random_sizes(uint64_t seed, int count, uint64_t most) {
  std::mt19937_64 random(seed);
  std::vector<int> sizes;
  for (int i = 0; i < count; ++i) sizes.push_back(static_cast<int>(random() % (most + 1)));
  return sizes;
}

template <class T>
void expect_plain(double tolerance) {
  // Both sides of the 8 lanes and of the 100 chunks between normalisations. The last trace ends
  // where the memory ends.
  const Traces<T> traces =
      random_traces<T>(1, {1, 2, 7, 8, 9, 0, 15, 16, 17, 100, 799, 800, 801, 1601, 3000, 3});
  AggregateOptions options;
  options.clip = 0.05;
  options.temperature = 0.3;
  testing::for_each_setting([&](const std::string& setting) {
    const std::vector<T> got = run(traces, kAll, options);
    for (size_t s = 0; s < traces.size(); ++s) {
      const std::vector<long double> trace(traces.values.begin() + traces.offsets[s],
                                           traces.values.begin() + traces.offsets[s + 1]);
      for (size_t r = 0; r < kAll.size(); ++r) {
        const double value = static_cast<double>(got[s * kAll.size() + r]);
        if (trace.empty()) {
          EXPECT(std::isnan(value), setting);
          continue;
        }
        const double exact = static_cast<double>(plainly(kAll[r], trace, options));
        // A product of thousands of scores lies below every float: then both are 0.
        EXPECT(std::fabs(value - exact) <= tolerance * std::fabs(exact) + 1e-44, setting,
               ": reduction ", r, " of ", trace.size(), " is ", value, ", not ", exact);
      }
    }
  });
}

}  // namespace

TEST(float32_is_the_formula) {
  expect_plain<float>(0x1p-23);
}
TEST(float64_is_the_formula) {
  expect_plain<double>(1e-12);
}

template <class T>
void expect_same_bits_everywhere() {
  const Traces<T> traces = random_traces<T>(2, random_sizes(3, 20'000, 30));
  std::vector<T> expected;
  testing::for_each_setting([&](const std::string& setting) {
    const std::vector<T> got = run(traces);
    if (expected.empty()) expected = got;
    EXPECT(std::memcmp(got.data(), expected.data(), got.size() * sizeof(T)) == 0, setting);
  });
  // One reduction alone runs other instances of the loops.
  for (size_t r = 0; r < kAll.size(); ++r) {
    testing::for_each_setting([&](const std::string& setting) {
      const std::vector<T> got = run(traces, {kAll[r]});
      for (size_t s = 0; s < traces.size(); ++s) {
        EXPECT(std::memcmp(&got[s], &expected[s * kAll.size() + r], sizeof(T)) == 0, setting);
      }
    });
  }
}

TEST(float32_has_the_same_bits_everywhere) {
  expect_same_bits_everywhere<float>();
}
TEST(float64_has_the_same_bits_everywhere) {
  expect_same_bits_everywhere<double>();
}

TEST(several_callers_agree) {
  set_num_threads(3);
  const Traces<float> traces = random_traces<float>(4, random_sizes(5, 10'000, 12));
  const std::vector<float> expected = run(traces);
  testing::from_several_callers([&] {
    const std::vector<float> got = run(traces);
    EXPECT(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)) == 0);
  });
}

TEST(long_products_do_not_underflow_on_the_way) {
  Traces<double> traces;
  for (const double score : {0.01, 1e-300, 0.999, 1.0, 0x1p-1022}) {
    traces.add(std::vector<double>(10'000, score));
  }
  const std::vector<double> got = run(traces, {Reduction::kGeometricMean, Reduction::kProd});
  for (size_t s = 0; s < traces.size(); ++s) {
    const double score = traces.values[s * 10'000];
    EXPECT(std::fabs(got[2 * s] - score) <= 1e-12 * score, got[2 * s], " of ", score);
  }
  EXPECT(got[1] == 0.0 && got[3] == 0.0);
  EXPECT(std::fabs(got[5] - std::pow(0.999, 10'000)) <= 1e-12 * got[5]);
  EXPECT(got[7] == 1.0);
}

TEST(zeros_make_products_zero) {
  for (const double zero : {0.0, -0.0, 0x1p-1074}) {
    Traces<double> traces;
    traces.add({0.5, zero, 0.5});
    traces.add({0.5, 0.5});
    const std::vector<double> got = run(traces, {Reduction::kProd, Reduction::kGeometricMean});
    EXPECT(got[0] == 0.0 && got[1] == 0.0);
    EXPECT(got[2] == 0.25 && std::fabs(got[3] - 0.5) < 1e-15);
  }
  Traces<float> subnormal;  // a subnormal float is a normal double
  subnormal.add({0x1p-149f, 0x1p-149f});
  EXPECT(run(subnormal, {Reduction::kGeometricMean})[0] == 0x1p-149f);
}

TEST(empty_segments_follow_their_policy) {
  Traces<double> traces;
  for (const auto& trace : {std::vector<double>{}, {0.5}, {}, {}, {0.25}, {}}) traces.add(trace);
  AggregateOptions options;
  options.empty_value = -3.0;
  const std::vector<double> got = run(traces, kAll, options);
  for (size_t s = 0; s < traces.size(); ++s) {
    for (size_t r = 0; r < kAll.size(); ++r) {
      EXPECT((got[s * kAll.size() + r] == -3.0) == (s != 1 && s != 4), s, " ", r);
    }
  }
  options.empty = EmptyPolicy::kError;
  EXPECT_FAULT(run(traces, kAll, options), "aggregate: segment 0 is empty");
  EXPECT(run(Traces<double>{}).empty());
}

TEST(nan_is_an_error_or_goes_through) {
  Traces<float> traces = random_traces<float>(6, {3, 9, 20});
  traces.values[5] = static_cast<float>(kNaN);
  EXPECT_FAULT(run(traces, {Reduction::kMin}), "aggregate: values[5] (segment 1) is NaN");
  AggregateOptions options;
  options.propagate_nan = true;
  testing::for_each_setting([&](const std::string& setting) {
    const std::vector<float> got = run(traces, kAll, options);
    for (size_t s = 0; s < 3; ++s) {
      for (size_t r = 0; r < kAll.size(); ++r) {
        const bool end = kAll[r] == Reduction::kLast || kAll[r] == Reduction::kFirst;
        EXPECT(std::isnan(got[s * kAll.size() + r]) == (s == 1 && !end), setting, " ", s, " ", r);
      }
    }
  });
}

TEST(the_first_fault_is_named) {
  const auto with = [](double score, const std::vector<Reduction>& how, AggregateOptions o = {}) {
    Traces<double> traces = random_traces<double>(7, std::vector<int>(30'000, 3));
    traces.values[50'000] = traces.values[70'000] = traces.values[89'999] = score;
    run(traces, how, o);
  };
  AggregateOptions clipped;
  clipped.clip = 1e-7;
  for (const int threads : {1, 7}) {
    set_num_threads(threads);
    const std::string place = "aggregate: values[50000] (segment 16666) is ";
    EXPECT_FAULT(with(kNaN, kAll), place + "NaN");
    EXPECT_FAULT(with(1.5, {Reduction::kProd}), place + "1.5; prod, geometric_mean");
    EXPECT_FAULT(with(-0.5, {Reduction::kGeometricMean}), place + "-0.5");
    EXPECT_FAULT(with(2.0, {Reduction::kOddsMean}, clipped), place + "2");
    EXPECT_FAULT(with(0.0, {Reduction::kLogitMean}), place + "0; its odds are not finite");
    EXPECT_FAULT(with(1.0, {Reduction::kOddsMean}), place + "1; its odds are not finite");
    EXPECT_FAULT(with(kInf, {Reduction::kSoftmin}), place + "inf; softmin needs finite scores");
    with(1.0, {Reduction::kOddsMean}, clipped);
    with(kInf, {Reduction::kSum, Reduction::kMin, Reduction::kMax, Reduction::kMean});
  }
}

TEST(options_are_checked) {
  Traces<double> one;
  one.add({0.5});
  const auto with = [&](double clip, double temperature) {
    AggregateOptions options;
    options.clip = clip;
    options.temperature = temperature;
    run(one, kAll, options);
  };
  for (const double clip : {-0.1, 0.5, 1.0, 1e-17, kNaN}) {
    EXPECT_FAULT(with(clip, 0.1), "aggregate: clip must");
  }
  for (const double temperature : {0.0, -1.0, 1e-310, kNaN}) {
    EXPECT_FAULT(with(0.0, temperature), "aggregate: temperature must be positive");
  }
  with(0.0, kInf);
  with(0x1p-53, 1e-300);
}

// --- the arithmetic that both devices share, in the order of the kernel ------------------------

// What eight lanes of a warp do: each walks every eighth score, then pairs of lanes exchange.
Statistics reduce_as_on_a_gpu(const std::vector<double>& scores, const Needs& needs) {
  constexpr size_t kLanes = 8;
  double low[kLanes], high[kLanes], sum[kLanes] = {}, odds[kLanes] = {};
  double weight[kLanes] = {}, weighted[kLanes] = {};
  ScaledProduct product[kLanes], right[kLanes], wrong[kLanes];
  bool has_nan = false;
  for (size_t lane = 0; lane < kLanes; ++lane) {
    low[lane] = kInf;
    high[lane] = -kInf;
    int64_t until_normalise = kNormaliseEvery;
    for (size_t i = lane; i < scores.size(); i += kLanes) {
      const double x = scores[i];
      low[lane] = x < low[lane] ? x : low[lane];
      high[lane] = x > high[lane] ? x : high[lane];
      sum[lane] += x;
      has_nan |= x != x;
      const double floored = needs.clip > x ? needs.clip : x;
      const double p = 1.0 - needs.clip < floored ? 1.0 - needs.clip : floored;
      multiply(product[lane], x);
      multiply(right[lane], p);
      multiply(wrong[lane], 1.0 - p);
      odds[lane] += p / (1.0 - p);
      if (--until_normalise == 0) {
        until_normalise = kNormaliseEvery;
        for (ScaledProduct* each : {&product[lane], &right[lane], &wrong[lane]}) normalise(*each);
      }
    }
  }
  const auto fold = [](auto* lanes, auto combine) {
    for (size_t apart = kLanes / 2; apart >= 1; apart /= 2) {
      for (size_t lane = 0; lane < apart; ++lane) {
        lanes[lane] = combine(lanes[lane], lanes[lane + apart]);
      }
    }
    return lanes[0];
  };
  const auto add = [](double a, double b) { return a + b; };
  const auto join = [](const ScaledProduct& a, const ScaledProduct& b) {
    return ScaledProduct{a.mantissa * b.mantissa, a.exponent + b.exponent};
  };
  Statistics s{};
  s.size = static_cast<int64_t>(scores.size());
  s.first = scores.front();
  s.last = scores.back();
  s.min = fold(low, [](double a, double b) { return b < a ? b : a; });
  s.max = fold(high, [](double a, double b) { return b > a ? b : a; });
  s.sum = fold(sum, add);
  s.has_nan = has_nan;
  s.odds = fold(odds, add);
  s.product = fold(product, join);
  s.right = fold(right, join);
  s.wrong = fold(wrong, join);
  for (ScaledProduct* each : {&s.product, &s.right, &s.wrong}) normalise(*each);
  const double inverse = 1.0 / needs.temperature;
  for (size_t i = 0; i < scores.size(); ++i) {
    const double w = exponential((s.min - scores[i]) * inverse);
    weight[i % kLanes] += w;
    weighted[i % kLanes] += w * scores[i];
  }
  s.weight = fold(weight, add);
  s.weighted = fold(weighted, add);
  return s;
}

TEST(the_order_of_the_kernel_gives_the_same_bits) {
  std::mt19937_64 random(5);
  std::uniform_real_distribution<double> uniform(0.0, 1.0);
  AggregateOptions options;
  options.clip = 1e-6;
  const Rules rules = rules_of(kAll.data(), static_cast<int64_t>(kAll.size()), options);
  for (const size_t size : {1, 2, 7, 8, 9, 30, 799, 800, 801, 1601, 5000}) {
    std::vector<double> scores(size);
    for (double& score : scores) score = uniform(random);
    if (size > 20) scores[size / 2] = -0.0, scores[size / 3] = 0.0, scores[5] = 1.0;
    Traces<double> trace;
    trace.add(scores);
    const std::vector<double> expected = run(trace, kAll, options);
    const Statistics s = reduce_as_on_a_gpu(scores, rules.needs);
    EXPECT(!breaks(s, rules));
    for (size_t r = 0; r < kAll.size(); ++r) {
      const double got = finish(kAll[r], s);
      EXPECT(std::memcmp(&got, &expected[r], sizeof(got)) == 0, "size ", size, " reduction ", r,
             ": ", got, ", not ", expected[r]);
    }
  }
}

TEST(what_breaks_the_rules_of_a_segment) {
  AggregateOptions options;
  const auto broken = [&](const std::vector<double>& scores, Reduction reduction) {
    const Rules rules = rules_of(&reduction, 1, options);
    return breaks(reduce_as_on_a_gpu(scores, rules.needs), rules);
  };
  EXPECT(broken({0.5, kNaN}, Reduction::kMin));
  EXPECT(broken({0.5, 1.5}, Reduction::kProd) && !broken({0.5, 1.5}, Reduction::kSum));
  EXPECT(broken({0.5, -0.5}, Reduction::kGeometricMean));
  EXPECT(broken({0.5, 0.0}, Reduction::kLogitMean) && !broken({0.5, 0.0}, Reduction::kProd));
  EXPECT(broken({0.5, kInf}, Reduction::kSoftmin) && !broken({0.5, kInf}, Reduction::kMax));
  Statistics empty{};
  Rules rules;
  EXPECT(!breaks(empty, rules));
  rules.no_empty = true;
  EXPECT(breaks(empty, rules));
}
