// The least that these tests need: expectations that print and count, a list of tests, and a walk
// over every CPU level and number of threads.
#pragma once

#include <atomic>
#include <cstdio>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include "simd/level.h"
#include "stepscore/check.h"
#include "stepscore/parallel.h"

namespace testing {

struct Test {
  const char* name;
  void (*body)();
};

inline std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}
inline bool add(const char* name, void (*body)()) {
  tests().push_back({name, body});
  return true;
}

inline std::atomic<int> failures{0};

inline void fail(const char* file, int line, const std::string& text) {
  if (failures++ < 20) std::fprintf(stderr, "%s:%d: %s\n", file, line, text.c_str());
}

inline std::vector<std::string> levels() {
  std::vector<std::string> usable;
  for (const char* name : {"baseline", "avx2", "avx512"}) {
    try {
      stepscore::simd::set_level(name);
      usable.emplace_back(name);
    } catch (const stepscore::InvalidArgument&) {  // this machine lacks it
    }
  }
  stepscore::simd::set_level("");
  return usable;
}

// Calls body(description) at every level with 1, 2, 3 and 7 threads; under the thread sanitizer
// with 3 alone, because one thread races with none and a level with no other.
template <class Body>
void for_each_setting(Body body) {
#if defined(__SANITIZE_THREAD__)
  const std::vector<int> counts{3};
#else
  const std::vector<int> counts{1, 2, 3, 7};
#endif
  const int before = stepscore::num_threads();
  for (const std::string& level : levels()) {
    stepscore::simd::set_level(level.c_str());
    for (const int threads : counts) {
      stepscore::set_num_threads(threads);
      body(level + " with " + std::to_string(threads) + " threads");
    }
  }
  stepscore::simd::set_level("");
  stepscore::set_num_threads(before);
}

// Calls body() from several threads at once, several times each.
template <class Body>
void from_several_callers(Body body) {
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      for (int i = 0; i < 5; ++i) body();
    });
  }
  for (std::thread& caller : callers) caller.join();
}

// What the exception of the statement says; "" when it throws none.
template <class Statement>
std::string what_of(Statement statement) {
  try {
    statement();
  } catch (const stepscore::InvalidArgument& error) {
    return error.what();
  }
  return "";
}

}  // namespace testing

#define TEST(NAME)                                                               \
  static void NAME();                                                            \
  [[maybe_unused]] static const bool NAME##_added = ::testing::add(#NAME, NAME); \
  static void NAME()

#define EXPECT(CONDITION, ...)                                                          \
  do {                                                                                  \
    if (!(CONDITION)) {                                                                 \
      ::testing::fail(__FILE__, __LINE__,                                               \
                      ::stepscore::message(#CONDITION " " __VA_OPT__(, ) __VA_ARGS__)); \
    }                                                                                   \
  } while (false)

#define EXPECT_FAULT(STATEMENT, FRAGMENT)                                              \
  do {                                                                                 \
    const std::string said = ::testing::what_of([&] { STATEMENT; });                   \
    if (said.find(FRAGMENT) == std::string::npos) {                                    \
      ::testing::fail(__FILE__, __LINE__,                                              \
                      "expected '" + std::string(FRAGMENT) + "'; got '" + said + "'"); \
    }                                                                                  \
  } while (false)

int main() {
  stepscore::set_least_work(0.0);  // the small inputs of tests are split too
  for (const testing::Test& test : testing::tests()) {
    const int before = testing::failures;
    try {
      test.body();
    } catch (const std::exception& error) {
      testing::fail(__FILE__, __LINE__, std::string("uncaught: ") + error.what());
    }
    if (testing::failures != before) std::fprintf(stderr, "FAILED %s\n", test.name);
  }
  std::printf("%zu tests, %d failures\n", testing::tests().size(), testing::failures.load());
  return testing::failures == 0 ? 0 : 1;
}
