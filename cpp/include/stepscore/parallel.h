// Splitting work over threads.
//
// No result depends on where the cuts fall or on who works on which range, so the number of threads
// never changes a bit. A pool of our own rather than OpenMP: a second OpenMP runtime beside
// torch's oversubscribes the cores and can deadlock after a fork.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace stepscore {

// Threads that parallel_for may use, the caller included: STEPSCORE_NUM_THREADS, or the processors
// that this process may run on.
int num_threads();
void set_num_threads(int threads);  // InvalidArgument below 1

// How long all items together take in one thread: an estimate, from sizes that are known before.
// Each op has its own, in nanoseconds that were measured on one core with AVX2.
struct Work {
  double nanoseconds;
};

// What each thread should have to do at least. A sleeping one is awake after some microseconds, on
// a machine whose cores are all busy after hundreds: work this small is done before.
constexpr double kLeastWork = 50'000;  // nanoseconds
// For tests: 0 lets every item be worth a thread. Gives what it was.
double set_least_work(double nanoseconds);

namespace detail {
using RangeFunction = void (*)(void* context, int64_t begin, int64_t end);
void parallel_ranges(int64_t count, Work work, RangeFunction function, void* context);
}  // namespace detail

// Calls body(begin, end) over disjoint ranges that cover [0, count), in as many threads as there is
// work for. An exception of the body reaches the caller when all ranges have ended (one of them, if
// there are several).
template <class Body>
void parallel_for(int64_t count, Work work, Body&& body) {
  detail::parallel_ranges(
      count, work,
      [](void* context, int64_t begin, int64_t end) {
        (*static_cast<std::remove_reference_t<Body>*>(context))(begin, end);
      },
      &body);
}

// The smallest index that any thread reports, so that an error names the same item every time.
class FirstFault {
 public:
  void report(int64_t index) {
    int64_t seen = index_.load();
    while (index < seen && !index_.compare_exchange_weak(seen, index)) {
    }
  }
  bool none() const { return index() == std::numeric_limits<int64_t>::max(); }
  int64_t index() const { return index_.load(); }

 private:
  std::atomic<int64_t> index_{std::numeric_limits<int64_t>::max()};
};

}  // namespace stepscore
