#include "grid.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <vector>

#include "cuda_runtime.h"
#include "fiber.h"

// The ends of the section that holds the static shared memory; null without any.
extern "C" {
extern char __start_emulated_shared[] __attribute__((weak));
extern char __stop_emulated_shared[] __attribute__((weak));
}

namespace emulated {

Coordinates here;

namespace {

constexpr unsigned kWarp = 32;

uint64_t seed() {
  static const uint64_t value = [] {
    const char* text = std::getenv("EMULATED_CUDA_SEED");
    return text == nullptr ? uint64_t{1} : std::strtoull(text, nullptr, 10);
  }();
  return value;
}

// NaN and -1, or numbers that look like numbers, of either sign.
unsigned char garbage() {
  constexpr unsigned char kBytes[] = {0xff, 0xa5, 0x5a};
  return kBytes[random_below(3)];
}

// By hand and volatile: memset() would be refused at the sanitizer's zones between the arrays.
__attribute__((no_sanitize("address"))) void fill_static_shared() {
  const char value = static_cast<char>(garbage());
  for (volatile char* byte = __start_emulated_shared; byte != __stop_emulated_shared; ++byte) {
    *byte = value;
  }
}

struct Collective {
  enum Kind { kNone, kWait, kBallot, kShuffleXor, kShuffle } kind = kNone;
  Site site;
  unsigned lanes = 0;
  int width = 0;
  int apart = 0;      // of kShuffle: the lane to read
  uint64_t bits = 0;  // what the lane brings
};

enum class State { kReady, kAtBarrier, kInCollective, kExited };

constexpr const char* kStateNames[] = {"can run", "waits at __syncthreads",
                                       "waits for the lanes of its warp", "has exited"};

struct Thread {
  unsigned index = 0;
  State state = State::kExited;
  Site site;               // of the barrier
  bool predicate = false;  // that it brings there
  Collective collective;
  uint64_t result = 0;  // of the collective, or of the barrier
  std::unique_ptr<Fiber> fiber;

  unsigned lane() const { return index % kWarp; }
};

bool same_site(const Site& a, const Site& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         std::strcmp(a.file_name(), b.file_name()) == 0;
}

std::string text_of(const Site& site) {
  return std::string(site.file_name()) + ":" + std::to_string(site.line());
}

std::string description_of(const Thread& thread) {
  const Site* site = thread.state == State::kAtBarrier      ? &thread.site
                     : thread.state == State::kInCollective ? &thread.collective.site
                                                            : nullptr;
  return "thread " + std::to_string(thread.index) + " " +
         kStateNames[static_cast<int>(thread.state)] +
         (site == nullptr ? "" : " (" + text_of(*site) + ")");
}

// The threads of the block that runs; there is one at a time.
class Block {
 public:
  void run(unsigned threads, const std::function<void()>& body) {
    body_ = &body;
    count_ = running_ = threads;
    waiting_.assign((threads + kWarp - 1) / kWarp, 0);
    while (threads_.size() < threads) add_thread();
    for (unsigned t = 0; t < threads; ++t) make_ready(*threads_[t]);
    while (running_ > 0) {
      if (ready_.empty()) release_barrier();
      resume_one();
    }
  }

  // Whether the predicate of any thread holds.
  bool wait_at_barrier(const Site& site, bool predicate = false) {
    Thread& thread = *current_;
    thread.site = site;
    thread.predicate = predicate;
    thread.state = State::kAtBarrier;
    thread.fiber->pause();
    return thread.result != 0;
  }

  uint64_t meet(const Collective& collective) {
    Thread& thread = *current_;
    thread.collective = collective;
    thread.state = State::kInCollective;
    const unsigned own = 1u << thread.lane();
    if ((collective.lanes & own) == 0) {
      stop("a collective at " + text_of(collective.site) + " does not name the lane that calls it");
    }
    unsigned& waiting = waiting_[thread.index / kWarp];
    waiting |= own;
    if ((waiting & collective.lanes) == collective.lanes) {
      waiting &= ~collective.lanes;
      complete(thread);
    }
    thread.fiber->pause();
    return thread.result;
  }

 private:
  void add_thread() {
    threads_.push_back(std::make_unique<Thread>());
    Thread& thread = *threads_.back();
    thread.index = static_cast<unsigned>(threads_.size()) - 1;
    thread.fiber = std::make_unique<Fiber>([this, &thread] {
      for (;;) {  // once per block
        (*body_)();
        thread.state = State::kExited;
        --running_;
        thread.fiber->pause();
      }
    });
  }

  void make_ready(Thread& thread) {
    thread.state = State::kReady;
    ready_.push_back(&thread);
  }

  void resume_one() {
    std::swap(ready_[random_below(ready_.size())], ready_.back());
    current_ = ready_.back();
    ready_.pop_back();
    here.thread = {current_->index, 0, 0};
    current_->fiber->resume();
  }

  Thread& thread_of(unsigned warp, unsigned lane) { return *threads_[warp * kWarp + lane]; }

  // Nothing can run: either all stand at one barrier, or the kernel hangs.
  void release_barrier() {
    for (unsigned t = 0; t < count_; ++t) {
      if (threads_[t]->state == State::kInCollective) stop_for_missing_lane(*threads_[t]);
    }
    // Not all have exited, or the block would be done.
    const auto waits = [](const auto& thread) { return thread->state == State::kAtBarrier; };
    const Thread& first = **std::find_if(threads_.begin(), threads_.end(), waits);
    for (unsigned t = 0; t < count_; ++t) {
      const Thread& thread = *threads_[t];
      if (thread.state != State::kAtBarrier || !same_site(thread.site, first.site)) {
        stop("the threads of a block part: " + description_of(first) + ", " +
             description_of(thread));
      }
    }
    const bool holds = std::any_of(threads_.begin(), threads_.begin() + count_,
                                   [](const auto& thread) { return thread->predicate; });
    for (unsigned t = 0; t < count_; ++t) {
      threads_[t]->result = holds ? 1 : 0;
      make_ready(*threads_[t]);
    }
  }

  [[noreturn]] void stop_for_missing_lane(const Thread& waiting) {
    const unsigned warp = waiting.index / kWarp;
    const unsigned missing = waiting.collective.lanes & ~waiting_[warp];
    const unsigned lane = static_cast<unsigned>(__builtin_ctz(missing));
    stop("a lane does not arrive: " + description_of(waiting) + ", " +
         (warp * kWarp + lane < count_ ? description_of(thread_of(warp, lane))
                                       : "and the block has no lane " + std::to_string(lane)));
  }

  // All lanes that `last` names have arrived.
  void complete(const Thread& last) {
    const Collective& met = last.collective;
    const unsigned warp = last.index / kWarp;
    unsigned ballot = 0;
    for (unsigned bits = met.lanes; bits != 0; bits &= bits - 1) {
      const unsigned lane = static_cast<unsigned>(__builtin_ctz(bits));
      const Collective& theirs = thread_of(warp, lane).collective;
      if (theirs.kind != met.kind || theirs.lanes != met.lanes || theirs.width != met.width ||
          !same_site(theirs.site, met.site)) {
        stop("the lanes of a warp part: " + description_of(last) + ", " +
             description_of(thread_of(warp, lane)));
      }
      ballot |= theirs.bits != 0 ? 1u << lane : 0;
    }
    for (unsigned bits = met.lanes; bits != 0; bits &= bits - 1) {
      Thread& thread = thread_of(warp, static_cast<unsigned>(__builtin_ctz(bits)));
      const bool shuffles = met.kind == Collective::kShuffleXor || met.kind == Collective::kShuffle;
      thread.result = shuffles ? thread_of(warp, source(thread)).collective.bits : ballot;
      make_ready(thread);
    }
  }

  // The lane that a shuffle reads. Earlier groups may be read; for later ones it is its own.
  unsigned source(const Thread& thread) {
    const Collective& met = thread.collective;
    const unsigned width = static_cast<unsigned>(met.width);
    const unsigned lane = thread.lane(), from = lane ^ static_cast<unsigned>(met.apart);
    const unsigned last_of_group = lane | (width - 1);
    const unsigned read = met.kind == Collective::kShuffle ? static_cast<unsigned>(met.apart)
                          : from > last_of_group           ? lane
                                                           : from;
    if (read >= kWarp || (met.lanes & 1u << read) == 0) {
      stop("a shuffle at " + text_of(met.site) + " reads lane " + std::to_string(read) +
           ", which takes no part");
    }
    return read;
  }

  const std::function<void()>* body_ = nullptr;
  unsigned count_ = 0, running_ = 0;
  Thread* current_ = nullptr;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<Thread*> ready_;
  std::vector<unsigned> waiting_;  // per warp, the lanes that wait in a collective
};

Block& block() {
  static Block the_block;
  return the_block;
}

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
std::unique_ptr<void, Free> dynamic;

}  // namespace

void stop(const std::string& why) {
  std::fprintf(stderr, "emulated CUDA, seed %llu, block %u, thread %u: %s\n",
               static_cast<unsigned long long>(seed()), here.block.x, here.thread.x, why.c_str());
  std::abort();
}

// SplitMix64.
uint64_t random_below(uint64_t bound) {
  static uint64_t state = seed();
  uint64_t z = state += 0x9e3779b97f4a7c15ull;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  return (z ^ z >> 31) % bound;
}

void fill_with_garbage(void* memory, size_t bytes) {
  if (bytes > 0) std::memset(memory, garbage(), bytes);
}

void run_grid(unsigned blocks, unsigned threads, size_t shared, const std::function<void()>& body) {
  here.blocks = dim3(blocks);
  here.threads = dim3(threads);
  std::vector<unsigned> order(blocks);
  std::iota(order.begin(), order.end(), 0u);
  for (unsigned b = 0; b < blocks; ++b) {
    std::swap(order[b], order[b + random_below(blocks - b)]);
    here.block = {order[b], 0, 0};
    void* memory = nullptr;
    if (posix_memalign(&memory, 16, shared) != 0) stop("no memory for shared memory");
    dynamic.reset(memory);  // of exactly this size, and new: AddressSanitizer knows its bounds
    fill_with_garbage(memory, shared);
    fill_static_shared();
    block().run(threads, body);
  }
  dynamic.reset();
}

void* dynamic_shared() {
  return dynamic.get();
}

void require_alignment(const void* address, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(address) % bytes != 0) {
    stop("an access of " + std::to_string(bytes) + " bytes is not aligned to its size");
  }
}

uint64_t shuffle_xor(unsigned lanes, uint64_t bits, int apart, int width, Site site) {
  if (width < 1 || width > static_cast<int>(kWarp) || (width & (width - 1)) != 0) {
    stop("a shuffle at " + text_of(site) + " has width " + std::to_string(width));
  }
  return block().meet({Collective::kShuffleXor, site, lanes, width, apart, bits});
}

uint64_t shuffle(unsigned lanes, uint64_t bits, int from, Site site) {
  const int width = static_cast<int>(kWarp);
  return block().meet({Collective::kShuffle, site, lanes, width, from, bits});
}

}  // namespace emulated

void __syncthreads(emulated::Site site) {
  emulated::block().wait_at_barrier(site);
}

int __syncthreads_or(int predicate, emulated::Site site) {
  return emulated::block().wait_at_barrier(site, predicate != 0) ? 1 : 0;
}

unsigned __ballot_sync(unsigned lanes, bool predicate, emulated::Site site) {
  using emulated::Collective;
  const Collective ballot{Collective::kBallot, site, lanes, 0, 0, predicate ? 1u : 0u};
  return static_cast<unsigned>(emulated::block().meet(ballot));
}

void __syncwarp(unsigned lanes, emulated::Site site) {
  using emulated::Collective;
  emulated::block().meet({Collective::kWait, site, lanes, 0, 0, 0});
}
