// The candidates of a problem that take part in a vote, and the class of each.
#pragma once

#include <cstdint>
#include <vector>

#include "simd/leaf_loops.h"

namespace stepscore {

class Voters {
 public:
  Voters();

  // All candidates with an answer; `ids` null: each is an answer of its own. False: an id is below
  // kNoAnswer. `ids` must outlive the use of these voters.
  bool read(const int64_t* ids, int64_t candidates);

  // Those of `all` for whom keep[k] is not zero.
  void select(const Voters& all, const char* keep);

  int64_t size() const { return size_; }
  bool is_everyone() const { return is_everyone_; }  // no candidate is left out
  int64_t class_count() const { return class_count_; }
  // The class of each, [size]. Classes are numbered in the order of their first voters.
  const int64_t* classes() const { return classes_; }
  // The first voter of each class, [class_count].
  const int64_t* firsts() const { return firsts_.data(); }
  // The place of a voter among the problem's candidates.
  int64_t candidate(int64_t k) const { return is_everyone_ ? k : candidates_.data()[k]; }
  // How many voters stand before a candidate.
  int64_t count_before(int64_t candidate) const;

 private:
  struct Slot {
    int64_t id = 0;
    uint64_t mark = 0;  // a stamp, and the class in the low 32 bits
  };

  void reserve(int64_t candidates);
  bool read_dense(const int64_t* ids, int64_t candidates);
  bool read_sparse(const int64_t* ids, int64_t candidates);

  const simd::LeafLoops& loops_;
  int64_t size_ = 0, class_count_ = 0;
  bool is_everyone_ = false;
  const int64_t* classes_ = nullptr;
  std::vector<int64_t> numbered_, candidates_, firsts_;
  std::vector<Slot> slots_;
  uint32_t stamp_ = 0;
};

}  // namespace stepscore
