#include "stepscore/parallel.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "stepscore/check.h"

namespace stepscore {
namespace {

constexpr int kMaxThreads = 1024;
constexpr int kRangesPerThread = 4;

int processors() {
#if defined(__linux__)
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) return CPU_COUNT(&allowed);
#endif
  return std::max(1u, std::thread::hardware_concurrency());
}

int initial_threads() {
  const char* text = std::getenv("STEPSCORE_NUM_THREADS");
  if (text == nullptr || *text == '\0') return processors();
  char* end = nullptr;
  const long threads = std::strtol(text, &end, 10);
  if (*end != '\0' || threads < 1 || threads > kMaxThreads) {
    throw InvalidArgument("num_threads", "STEPSCORE_NUM_THREADS",
                          message("STEPSCORE_NUM_THREADS must be a number from 1 to ", kMaxThreads,
                                  "; got '", text, "'"));
  }
  return static_cast<int>(threads);
}

std::atomic<int>& thread_setting() {
  static std::atomic<int> threads{initial_threads()};
  return threads;
}

std::atomic<double>& least_work() {
  static std::atomic<double> nanoseconds{kLeastWork};
  return nanoseconds;
}

// Subnormal numbers as IEEE 754 has them, whatever mode the caller's thread is in: flushing them
// there (torch.set_flush_denormal) and not in the workers would make results depend on the cuts.
class SubnormalsKept {
 public:
#if defined(__x86_64__)
  SubnormalsKept() : mode_(_mm_getcsr()) { _mm_setcsr(mode_ & ~kFlush); }
  ~SubnormalsKept() { _mm_setcsr(mode_); }

 private:
  static constexpr unsigned kFlush = 0x8040;  // flush to zero, denormals are zero
  unsigned mode_;
#elif defined(__aarch64__)
  SubnormalsKept() {
    asm volatile("mrs %0, fpcr" : "=r"(mode_));
    asm volatile("msr fpcr, %0" : : "r"(mode_ & ~kFlush));
  }
  ~SubnormalsKept() { asm volatile("msr fpcr, %0" : : "r"(mode_)); }

 private:
  static constexpr uint64_t kFlush = uint64_t{1} << 24;
  uint64_t mode_;
#endif
};

void run_range(detail::RangeFunction function, void* context, int64_t begin, int64_t end) {
  [[maybe_unused]] const SubnormalsKept kept;
  function(context, begin, end);
}

// Waking a sleeping thread takes longer than many jobs, so a thread looks for some microseconds
// before it sleeps: calls that follow each other closely find the workers awake.
constexpr int kLooks = 4000;

template <class T>
void wait_while(const std::atomic<T>& value, T old) {
  for (int look = 0; look < kLooks; ++look) {
    if (value.load(std::memory_order_acquire) != old) return;
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
  value.wait(old);
}

// Whether this thread is inside a job: a parallel_for in its body runs in this thread alone.
thread_local bool inside_job = false;

// Workers sleep on `generation` and share the ranges of each job. One job at a time: a caller that
// finds the pool busy runs its whole job itself. A pool is never destroyed: its threads sleep until
// the process ends.
class Pool {
 public:
  // False when the pool is busy, or when the system refuses another thread.
  bool try_run(int64_t count, int threads, int ranges, detail::RangeFunction function,
               void* context) {
    std::unique_lock<std::mutex> only(mutex_, std::try_to_lock);
    if (!only.owns_lock()) return false;
    if (!grow(threads - 1)) return false;
    count_ = count;
    threads_ = threads;
    ranges_ = ranges;
    next_.store(0);
    function_ = function;
    context_ = context;
    pending_.store(workers_);
    generation_.fetch_add(1);
    generation_.notify_all();
    inside_job = true;
    run_ranges();
    inside_job = false;
    for (int left = pending_.load(); left != 0; left = pending_.load()) {
      wait_while(pending_, left);
    }
    const std::exception_ptr error = std::exchange(error_, nullptr);
    only.unlock();
    if (error != nullptr) std::rethrow_exception(error);
    return true;
  }

 private:
  bool grow(int workers) {
    try {
      for (int have = workers_; have < workers; ++have) {
        std::thread([this, number = have + 1, seen = generation_.load()] {
          serve(number, seen);
        }).detach();
        ++workers_;
      }
    } catch (const std::system_error&) {
      return false;
    }
    return true;
  }

  // Ranges are claimed, not dealt out: a thread that the system holds up delays nobody.
  void run_ranges() {
    try {
      for (int range = next_.fetch_add(1); range < ranges_; range = next_.fetch_add(1)) {
        run_range(function_, context_, count_ * range / ranges_, count_ * (range + 1) / ranges_);
      }
    } catch (...) {
      const std::lock_guard<std::mutex> one(error_mutex_);
      error_ = std::current_exception();
    }
  }

  void serve(int number, uint32_t seen) {
    inside_job = true;
    for (;;) {
      wait_while(generation_, seen);
      ++seen;
      if (number < threads_) run_ranges();
      if (pending_.fetch_sub(1) == 1) pending_.notify_all();
    }
  }

  std::mutex mutex_;
  int workers_ = 0;
  std::atomic<uint32_t> generation_{0};
  std::atomic<int> pending_{0};
  std::mutex error_mutex_;
  std::exception_ptr error_;
  int64_t count_ = 0;
  int threads_ = 0;
  int ranges_ = 0;
  std::atomic<int> next_{0};
  detail::RangeFunction function_ = nullptr;
  void* context_ = nullptr;
};

std::atomic<Pool*>& current_pool() {
  static std::atomic<Pool*> pool{nullptr};
  return pool;
}

Pool& pool() {
  Pool* existing = current_pool().load();
  if (existing != nullptr) return *existing;
#if defined(__unix__) || defined(__APPLE__)
  // Threads do not survive a fork. The child forgets the parent's pool (leaked on purpose: its
  // threads cannot be joined there) and makes its own at the next call.
  static std::once_flag registered;
  std::call_once(registered,
                 [] { pthread_atfork(nullptr, nullptr, [] { current_pool().store(nullptr); }); });
#endif
  auto made = std::make_unique<Pool>();
  if (current_pool().compare_exchange_strong(existing, made.get())) return *made.release();
  return *existing;
}

}  // namespace

int num_threads() {
  return thread_setting().load();
}

void set_num_threads(int threads) {
  check(threads >= 1 && threads <= kMaxThreads, "set_num_threads", "threads", " must be 1 to ",
        kMaxThreads, "; got ", threads);
  thread_setting().store(threads);
}

double set_least_work(double nanoseconds) {
  check(nanoseconds >= 0.0, "set_least_work", "nanoseconds", " must be 0 or more; got ",
        nanoseconds);
  return least_work().exchange(nanoseconds);
}

namespace detail {

void parallel_ranges(int64_t count, Work work, RangeFunction function, void* context) {
  if (count <= 0) return;
  const double shares = work.nanoseconds / least_work().load();
  const int64_t worthwhile = shares < static_cast<double>(count)
                                 ? std::max<int64_t>(1, static_cast<int64_t>(shares))
                                 : count;
  const int threads = static_cast<int>(std::min<int64_t>(num_threads(), worthwhile));
  const int64_t ranges = std::min<int64_t>(worthwhile, int64_t{threads} * kRangesPerThread);
  if (threads > 1 && !inside_job &&
      pool().try_run(count, threads, static_cast<int>(ranges), function, context)) {
    return;
  }
  run_range(function, context, 0, count);
}

}  // namespace detail
}  // namespace stepscore
