#include "vote/voters.h"

#include <algorithm>
#include <bit>

#include "simd/level.h"
#include "stepscore/vote.h"

namespace stepscore {
namespace {

size_t at(int64_t i) {
  return static_cast<size_t>(i);
}

}  // namespace

Voters::Voters() : loops_(simd::leaf_loops()) {}

int64_t Voters::count_before(int64_t candidate) const {
  if (is_everyone_) return std::min(candidate, size_);
  const auto end = candidates_.begin() + size_;
  return std::lower_bound(candidates_.begin(), end, candidate) - candidates_.begin();
}

void Voters::reserve(int64_t candidates) {
  if (firsts_.size() >= at(candidates) + simd::kComparedTogether) return;
  numbered_.resize(at(candidates));
  candidates_.resize(at(candidates));
  firsts_.resize(at(candidates) + simd::kComparedTogether);
}

bool Voters::read(const int64_t* ids, int64_t candidates) {
  reserve(candidates);
  if (ids == nullptr) {
    for (int64_t i = 0; i < candidates; ++i) numbered_[at(i)] = firsts_[at(i)] = i;
    size_ = class_count_ = candidates;
    classes_ = numbered_.data();
    is_everyone_ = true;
    return true;
  }
  if (read_dense(ids, candidates)) return true;
  return read_sparse(ids, candidates);
}

// Where every answer that is new has the next number, as group_answers gives them, the ids are the
// classes.
bool Voters::read_dense(const int64_t* ids, int64_t candidates) {
  if (candidates > 0 && ids[0] > 0) return false;  // whoever is first has answer 0 or none
  bool missing = false;
  class_count_ = loops_.find_classes(ids, candidates, firsts_.data(), &missing);
  if (class_count_ < 0) return false;
  is_everyone_ = !missing;
  size_ = candidates;
  classes_ = ids;
  if (is_everyone_) return true;
  int64_t* const classes = numbered_.data();
  int64_t* const voters = candidates_.data();
  int64_t size = 0, class_count = 0;
  for (int64_t i = 0; i < candidates; ++i) {
    classes[size] = ids[i];
    voters[size] = i;
    firsts_[at(class_count)] = size;
    class_count += ids[i] == class_count ? 1 : 0;
    size += ids[i] >= 0 ? 1 : 0;
  }
  size_ = size;
  classes_ = classes;
  return true;
}

// Classes are found in an open-addressing table by answer id. A slot is stamped with the problem
// that it belongs to, so that the table is never cleared. Whether an answer is new is as good as
// random, so nothing in the loop branches on it.
bool Voters::read_sparse(const int64_t* ids, int64_t candidates) {
  size_t slot_count = 16;
  while (slot_count < 2 * at(candidates)) slot_count *= 2;
  const bool stamps_left = ++stamp_ != 0;
  if (slots_.size() < slot_count || !stamps_left) {
    slots_.assign(std::max(slot_count, slots_.size()), Slot{});
    stamp_ = 1;
  }
  // Locals: the compiler must assume that a store to a slot may change a member.
  Slot* const slots = slots_.data();
  int64_t* const classes = numbered_.data();
  int64_t* const voters = candidates_.data();
  int64_t* const firsts = firsts_.data();
  const uint64_t stamp = stamp_;
  const size_t mask = slots_.size() - 1;
  const int shift = std::countl_zero(uint64_t{mask});
  int64_t size = 0;
  uint32_t count = 0;
  for (int64_t i = 0; i < candidates; ++i) {
    const int64_t id = ids[i];
    if (id < 0) {
      if (id == kNoAnswer) continue;
      return false;
    }
    // In practice ids are small and are their own places; of others the highest bits of a product
    // (Fibonacci hashing), on which all bits of an id have a say.
    const uint64_t key = static_cast<uint64_t>(id);
    size_t place = key <= mask ? key : key * 0x9e3779b97f4a7c15ull >> shift;
    while ((slots[place].mark >> 32 == stamp) & (slots[place].id != id)) {
      place = (place + 1) & mask;
    }
    const uint64_t mark = slots[place].mark;
    const bool fresh = mark >> 32 != stamp;
    const uint32_t answer = fresh ? count : static_cast<uint32_t>(mark);
    slots[place] = {id, stamp << 32 | answer};
    firsts[count] = size;  // stays where the answer is new
    classes[size] = answer;
    voters[size] = i;
    count += fresh ? 1 : 0;
    ++size;
  }
  size_ = size;
  class_count_ = count;
  classes_ = classes;
  is_everyone_ = size == candidates;
  return true;
}

void Voters::select(const Voters& all, const char* keep) {
  reserve(all.size());
  constexpr int64_t kUnseen = -1;
  std::vector<int64_t> renumbered(at(all.class_count()), kUnseen);
  size_ = class_count_ = 0;
  for (int64_t k = 0; k < all.size(); ++k) {
    if (keep[k] == 0) continue;
    int64_t& number = renumbered[at(all.classes()[k])];
    if (number == kUnseen) {
      firsts_[at(class_count_)] = size_;
      number = class_count_++;
    }
    numbered_[at(size_)] = number;
    candidates_[at(size_)] = all.candidate(k);
    ++size_;
  }
  classes_ = numbered_.data();
  is_everyone_ = false;
}

}  // namespace stepscore
