#include "stepscore/parallel.h"

#include <algorithm>
#include <latch>
#include <stdexcept>

#include "testing.h"

using namespace stepscore;

// Work of which so many items are worth a thread.
static Work worth(int64_t count, int64_t items) {
  set_least_work(kLeastWork);  // as it is outside of tests
  return {static_cast<double>(count / std::max<int64_t>(1, items)) * kLeastWork};
}

TEST(every_item_is_visited_once) {
  for (const int threads : {1, 2, 3, 7, 64}) {
    set_num_threads(threads);
    for (const int64_t count : {0, 1, 2, 6, 7, 8, 63, 1000, 1001}) {
      for (const int64_t grain : {0, 1, 3, 100, 5000}) {
        std::vector<std::atomic<int>> visits(static_cast<size_t>(count));
        parallel_for(count, worth(count, grain), [&](int64_t begin, int64_t end) {
          EXPECT(0 <= begin && begin < end && end <= count, begin, " ", end);
          for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
        });
        for (const std::atomic<int>& visit : visits) EXPECT(visit == 1, count, " ", grain);
      }
    }
  }
}

TEST(nothing_to_do_calls_nothing) {
  for (const int64_t count : {int64_t{0}, int64_t{-5}, INT64_MIN}) {
    parallel_for(count, worth(count, 1), [](int64_t, int64_t) { EXPECT(false); });
  }
}

TEST(small_work_stays_on_the_caller) {
  set_num_threads(7);
  const std::thread::id caller = std::this_thread::get_id();
  parallel_for(199, worth(199, 100), [&](int64_t begin, int64_t end) {
    EXPECT(std::this_thread::get_id() == caller);
    EXPECT(begin == 0 && end == 199);
  });
}

TEST(the_work_is_really_split) {
  set_num_threads(3);
  std::atomic<int> ranges{0}, others{0};
  std::latch together(3);  // no range ends before all have begun: each needs a thread of its own
  const std::thread::id caller = std::this_thread::get_id();
  parallel_for(300, worth(300, 100), [&](int64_t begin, int64_t end) {
    together.arrive_and_wait();
    EXPECT(end - begin == 100);
    ++ranges;
    if (std::this_thread::get_id() != caller) ++others;
  });
  EXPECT(ranges == 3);
  EXPECT(others == 2);
}

TEST(writes_of_the_workers_are_seen_by_the_caller) {
  set_num_threads(7);
  std::vector<int64_t> out(70'000);
  for (int64_t round = 1; round <= 200; ++round) {
    parallel_for(70'000, worth(70'000, 1), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[static_cast<size_t>(i)] = i * round;
    });
    for (const size_t i : {size_t{0}, size_t{9'999}, size_t{35'000}, size_t{69'999}}) {
      EXPECT(out[i] == static_cast<int64_t>(i) * round);
    }
  }
}

TEST(callers_that_meet_finish_their_own_work) {
  set_num_threads(4);
  testing::from_several_callers([] {
    std::atomic<int64_t> sum{0};
    for (int round = 0; round < 50; ++round) {
      parallel_for(1000, worth(1000, 1), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) sum += i;
      });
    }
    EXPECT(sum == 50 * 499'500, sum.load());
  });
}

TEST(threads_may_be_set_while_others_work) {
  std::atomic<bool> stop{false};
  std::thread setter([&] {
    for (int threads = 1; !stop; threads = threads % 9 + 1) {
      set_num_threads(threads);
      std::this_thread::yield();
    }
  });
  for (int round = 0; round < 500; ++round) {
    std::atomic<int64_t> items{0};
    parallel_for(100, worth(100, 1), [&](int64_t begin, int64_t end) { items += end - begin; });
    EXPECT(items == 100);
  }
  stop = true;
  setter.join();
}

TEST(an_exception_of_any_range_reaches_the_caller_after_all_have_ended) {
  set_num_threads(5);
  for (const int64_t at : {0, 250, 499}) {
    std::atomic<int> ended{0};
    std::string said;
    try {
      parallel_for(500, worth(500, 100), [&](int64_t begin, int64_t end) {
        const bool mine = begin <= at && at < end;
        if (!mine) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        ++ended;
        if (mine) throw std::runtime_error("range with " + std::to_string(at));
      });
    } catch (const std::runtime_error& error) {
      said = error.what();
    }
    EXPECT(said == "range with " + std::to_string(at), said);
    EXPECT(ended == 5, ended.load());
    // And the pool works on, without the old error.
    std::atomic<int64_t> items{0};
    parallel_for(500, worth(500, 100), [&](int64_t begin, int64_t end) { items += end - begin; });
    EXPECT(items == 500);
  }
}

TEST(one_of_several_exceptions_reaches_the_caller) {
  for (const int threads : {1, 4}) {
    set_num_threads(threads);
    int caught = 0;
    try {
      parallel_for(4, worth(4, 1),
                   [](int64_t, int64_t) { throw InvalidArgument("op", "", "wrong"); });
    } catch (const InvalidArgument&) {
      ++caught;
    }
    EXPECT(caught == 1);
  }
}

TEST(the_first_fault_wins_whatever_the_order) {
  for (const int threads : {1, 7}) {
    set_num_threads(threads);
    for (int round = 0; round < 50; ++round) {
      FirstFault fault;
      EXPECT(fault.none());
      parallel_for(700, worth(700, 1), [&](int64_t begin, int64_t end) {
        for (int64_t i = end - 1; i >= begin; --i) {
          if (i % 50 == 13) fault.report(i);
        }
      });
      EXPECT(fault.index() == 13, fault.index());
    }
  }
}

TEST(impossible_thread_counts_are_refused) {
  set_num_threads(3);
  EXPECT_FAULT(set_num_threads(0), "threads must be 1 to 1024; got 0");
  EXPECT_FAULT(set_num_threads(-1), "got -1");
  EXPECT_FAULT(set_num_threads(1025), "got 1025");
  EXPECT(num_threads() == 3);
}

TEST(the_least_work_can_be_set) {
  set_num_threads(4);
  set_least_work(0.0);
  std::atomic<int> ranges{0};
  parallel_for(4, Work{0.0}, [&](int64_t, int64_t) { ++ranges; });
  EXPECT(ranges == 4);
  EXPECT(set_least_work(kLeastWork) == 0.0);
  parallel_for(4, Work{2.0 * kLeastWork - 1.0}, [&](int64_t, int64_t) { ranges = 9; });
  EXPECT(ranges == 9);
  EXPECT_FAULT(set_least_work(-1.0), "nanoseconds must be 0 or more; got -1");
}
