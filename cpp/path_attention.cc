#include "stepscore/path_attention.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <new>
#include <vector>

#include "simd/level.h"
#include "stepscore/parallel.h"

namespace stepscore {
namespace {

using simd::kKeyBlock;
using simd::kKeyStep;
using simd::kQueryPanel;

constexpr double kOfAProduct = 0.03;    // nanoseconds, of a query, a key and one of its numbers
constexpr int64_t kMostPositions = 64;  // of an item: a block of keys is gathered once for them
constexpr int64_t kLeastPositions = 16;
constexpr int64_t kMostRows = 512;  // queries times heads of an item; bounds the memory
constexpr int64_t kItemsPerThread = 4;

// Some queries of a piece that stand together.
struct Run {
  int64_t piece;
  int64_t first, count;  // in `queries`
  int64_t position;      // of the first
};

// Runs that meet the blocks [0, shared) of their paths together: there the paths are one.
struct Item {
  int64_t first_run, runs;
  int64_t shared;
};

struct Schedule {
  std::vector<Run> runs;
  std::vector<Item> items;
};

// Cache-line aligned, uninitialised.
template <class T>
class Buffer {
 public:
  explicit Buffer(int64_t size)
      : data_(static_cast<T*>(
            ::operator new[](static_cast<size_t>(size) * sizeof(T), std::align_val_t{64}))) {}
  T* get() const { return data_.get(); }

 private:
  struct Free {
    void operator()(T* data) const { ::operator delete[](data, std::align_val_t{64}); }
  };
  std::unique_ptr<T[], Free> data_;
};

// The tokens with which two paths begin alike.
int64_t common_tokens(const Paths& paths, int64_t a, int64_t b) {
  const Segment* one = paths.segments + paths.segment_offsets[a];
  const Segment* other = paths.segments + paths.segment_offsets[b];
  const Segment* one_end = paths.segments + paths.segment_offsets[a + 1];
  const Segment* other_end = paths.segments + paths.segment_offsets[b + 1];
  int64_t common = 0;
  for (; one != one_end && other != other_end; ++one, ++other) {
    if (one->store != other->store || one->begin != other->begin) break;
    common += std::min(one->length, other->length);
    if (one->length != other->length) break;
  }
  return common;
}

int64_t path_tokens(const Paths& paths, int64_t piece) {
  int64_t tokens = 0;
  for (int64_t s = paths.segment_offsets[piece]; s < paths.segment_offsets[piece + 1]; ++s) {
    tokens += paths.segments[s].length;
  }
  return tokens;
}

// Items of at most `most` positions. Nothing here changes a bit of any result.
Schedule schedule_of(const Paths& paths, int64_t most) {
  Schedule schedule;
  int64_t taken = 0;  // positions of the last item
  for (int64_t piece = 0; piece < paths.pieces; ++piece) {
    const int64_t end = paths.offsets[piece + 1];
    int64_t first = paths.offsets[piece];
    int64_t position = path_tokens(paths, piece) - (end - first);
    if (first == end) continue;
    if (taken > 0 && taken + end - first <= most) {
      Item& item = schedule.items.back();
      const int64_t before = schedule.runs.back().piece;
      const int64_t common = common_tokens(paths, before, piece) / kKeyBlock;
      const int64_t shared = item.runs == 1 ? common : std::min(common, item.shared);
      if (shared > 0 && (item.runs == 1 || 2 * shared >= item.shared)) {
        schedule.runs.push_back({piece, first, end - first, position});
        ++item.runs;
        item.shared = shared;
        taken += end - first;
        continue;
      }
    }
    // A long piece is cut where blocks end, so that few of its queries see part of a block.
    while (first < end) {
      const int64_t room = end - first <= most ? end - first : most - position % most;
      const int64_t count = std::min(room, end - first);
      schedule.items.push_back({static_cast<int64_t>(schedule.runs.size()), 1, 0});
      schedule.runs.push_back({piece, first, count, position});
      first += count;
      position += count;
      taken = count;
    }
  }
  return schedule;
}

// Brings the keys and values of one path together, block by block in ascending order.
class Gatherer {
 public:
  Gatherer(const Attention& attention, const Paths& paths, int64_t key_head, int64_t width,
           float* keys, float* values)
      : attention_(attention),
        paths_(paths),
        key_head_(key_head),
        width_(width),
        keys_(keys),
        values_(values) {}

  // The path begins with the first `common` tokens of the one before.
  void follow(int64_t piece, int64_t common) {
    segment_ = paths_.segment_offsets[piece];
    begin_ = 0;
    held_end_ = std::min(held_end_, common);
  }

  // The tokens [begin, end) of the path, which lie in one block; zeros to the next steps of keys.
  // What of them stands there already is not fetched again.
  simd::KeyBlock gather(int64_t begin, int64_t end) {
    const int64_t size = attention_.key_size;
    const int64_t origin = begin / kKeyBlock * kKeyBlock;
    const bool held = begin == held_begin_ && begin < held_end_;
    if (!held) {
      finite_ = true;
      clear((begin - origin) / kKeyStep * kKeyStep, begin - origin);
    }
    for (int64_t at = held ? std::min(held_end_, end) : begin; at < end;) {
      while (begin_ + paths_.segments[segment_].length <= at) {
        begin_ += paths_.segments[segment_].length;
        ++segment_;
      }
      const Segment& segment = paths_.segments[segment_];
      const int64_t count = std::min(end, begin_ + segment.length) - at;
      const int64_t slot = segment.begin + at - begin_;
      const KeyStore& store = attention_.stores[segment.store];
      loops_.pack_rows(row_of(store.keys, slot, key_head_), store.keys.token_stride, count, size,
                       size, keys_ + (at - origin) * size);
      finite_ &=
          loops_.pack_rows(row_of(store.values, slot, key_head_), store.values.token_stride, count,
                           attention_.value_size, width_, values_ + (at - origin) * width_);
      at += count;
    }
    clear(end - origin, (end - origin + kKeyStep - 1) / kKeyStep * kKeyStep);
    held_begin_ = begin;
    held_end_ = end;
    return {keys_, values_, size, width_, finite_};
  }

  static const float* row_of(const HeadsView& view, int64_t token, int64_t head) {
    return view.data + token * view.token_stride + head * view.head_stride;
  }

 private:
  void clear(int64_t begin, int64_t end) {
    const int64_t size = attention_.key_size;
    std::fill(keys_ + begin * size, keys_ + end * size, 0.0f);
    std::fill(values_ + begin * width_, values_ + end * width_, 0.0f);
  }

  const simd::LeafLoops& loops_ = simd::leaf_loops();
  const Attention& attention_;
  const Paths& paths_;
  int64_t key_head_, width_;
  float *keys_, *values_;
  int64_t segment_ = 0;
  int64_t begin_ = 0;                      // the position of the segment's first token
  int64_t held_begin_ = 0, held_end_ = 0;  // the positions that were gathered last
  bool finite_ = true;
};

// What one thread needs for one item after the other.
class Worker {
 public:
  Worker(const Attention& attention, const Paths& paths, const Schedule& schedule, int64_t rows)
      : attention_(attention),
        paths_(paths),
        schedule_(schedule),
        group_(attention.heads / attention.key_heads),
        width_(simd::padded_width(attention.value_size)),
        panels_((rows + kQueryPanel - 1) / kQueryPanel),
        keys_(kKeyBlock * attention.key_size),
        values_(kKeyBlock * width_),
        queries_(panels_ * kQueryPanel * attention.key_size),
        sums_(panels_ * kQueryPanel * width_),
        highest_(panels_ * kQueryPanel),
        total_(panels_ * kQueryPanel),
        first_(panels_ * kQueryPanel),
        last_(panels_ * kQueryPanel) {}

  void attend(const Item& item, int64_t key_head, float* out) {
    const Run* runs = schedule_.runs.data() + item.first_run;
    begin_queries(runs, item.runs, key_head);
    Gatherer gatherer(attention_, paths_, key_head, width_, keys_.get(), values_.get());
    gatherer.follow(runs[0].piece, 0);
    int64_t shared_from = item.shared;
    for (int64_t r = 0; r < item.runs; ++r) {
      shared_from = std::min(shared_from, first_seen(runs[r]) / kKeyBlock);
    }
    for (int64_t block = shared_from; block < item.shared; ++block) {
      see_nothing();
      int64_t row = 0;
      for (int64_t r = 0; r < item.runs; ++r) row = see(runs[r], block, row);
      move_on(gatherer.gather(block * kKeyBlock, (block + 1) * kKeyBlock), 0, row);
    }
    int64_t row = 0;
    for (int64_t r = 0; r < item.runs; ++r) {
      const Run& run = runs[r];
      const int64_t from = first_seen(run), to = run.position + run.count;
      gatherer.follow(run.piece, r == 0 ? 0 : common_tokens(paths_, runs[r - 1].piece, run.piece));
      see_nothing();
      int64_t next = row;
      for (int64_t block = std::max(item.shared, from / kKeyBlock); block * kKeyBlock < to;
           ++block) {
        next = see(run, block, row);
        move_on(gatherer.gather(std::max(from, block * kKeyBlock),
                                std::min(to, (block + 1) * kKeyBlock)),
                row, next);
      }
      row += run.count * group_;
    }
    finish(runs, item.runs, key_head, out);
  }

 private:
  int64_t first_seen(const Run& run) const {
    return std::max<int64_t>(0, run.position - attention_.window + 1);
  }

  // Rows are queries times heads of the group, the heads of a query side by side.
  template <class Body>
  void for_each_row(const Run* runs, int64_t count, int64_t key_head, Body body) const {
    int64_t row = 0;
    for (int64_t r = 0; r < count; ++r) {
      for (int64_t i = 0; i < runs[r].count; ++i) {
        for (int64_t h = 0; h < group_; ++h) {
          body(row++, runs[r].first + i, key_head * group_ + h);
        }
      }
    }
  }

  void begin_queries(const Run* runs, int64_t count, int64_t key_head) {
    rows_ = 0;
    for (int64_t r = 0; r < count; ++r) rows_ += runs[r].count * group_;
    used_ = (rows_ + kQueryPanel - 1) / kQueryPanel;
    std::vector<const float*> from(static_cast<size_t>(used_ * kQueryPanel), nullptr);
    for_each_row(runs, count, key_head, [&](int64_t row, int64_t token, int64_t head) {
      from[static_cast<size_t>(row)] = Gatherer::row_of(attention_.queries, token, head);
    });
    const int64_t size = attention_.key_size;
    // Behind a soft cap the logit is c tanh(x), x the product with queries that are divided by c.
    const float scale = attention_.soft_cap == kNoSoftCap ? attention_.scale
                                                          : attention_.scale / attention_.soft_cap;
    for (int64_t p = 0; p < used_; ++p) {
      loops_.pack_queries(from.data() + p * kQueryPanel, size, scale,
                          queries_.get() + p * kQueryPanel * size);
    }
    const int64_t padded = used_ * kQueryPanel;
    std::fill(sums_.get(), sums_.get() + padded * width_, 0.0f);
    std::fill(total_.get(), total_.get() + padded, 0.0f);
    std::fill(highest_.get(), highest_.get() + padded, -std::numeric_limits<float>::infinity());
  }

  void see_nothing() {
    std::fill(first_.get(), first_.get() + rows_, static_cast<int32_t>(kKeyBlock));
    std::fill(last_.get(), last_.get() + rows_, -1);
    // Nobody reads these: as if they saw all, they make no panel a masked one.
    std::fill(first_.get() + rows_, first_.get() + used_ * kQueryPanel, 0);
    std::fill(last_.get() + rows_, last_.get() + used_ * kQueryPanel,
              static_cast<int32_t>(kKeyBlock - 1));
  }

  // What the rows of a run, from `row` on, see of a block; returns the row behind them.
  int64_t see(const Run& run, int64_t block, int64_t row) {
    for (int64_t i = 0; i < run.count; ++i) {
      const int64_t last = run.position + i - block * kKeyBlock;
      const int64_t first = last - attention_.window + 1;
      const auto from = static_cast<int32_t>(std::clamp<int64_t>(first, 0, kKeyBlock));
      const auto to = static_cast<int32_t>(std::clamp<int64_t>(last, -1, kKeyBlock - 1));
      for (int64_t h = 0; h < group_; ++h, ++row) {
        first_.get()[row] = from;
        last_.get()[row] = to;
      }
    }
    return row;
  }

  void move_on(const simd::KeyBlock& block, int64_t row, int64_t end) {
    for (int64_t p = row / kQueryPanel; p * kQueryPanel < end; ++p) {
      const int64_t at = p * kQueryPanel;
      const simd::QueryPanel panel{queries_.get() + at * attention_.key_size,
                                   first_.get() + at,
                                   last_.get() + at,
                                   highest_.get() + at,
                                   total_.get() + at,
                                   sums_.get() + at * width_};
      loops_.attend_block(block, panel, std::max<int64_t>(0, row - at),
                          std::min(kQueryPanel, end - at), attention_.soft_cap);
    }
  }

  void finish(const Run* runs, int64_t count, int64_t key_head, float* out) const {
    const int64_t size = attention_.value_size;
    for_each_row(runs, count, key_head, [&](int64_t row, int64_t token, int64_t head) {
      loops_.finish_query(sums_.get() + row * width_, total_.get()[row], size,
                          out + (token * attention_.heads + head) * size);
    });
  }

  const simd::LeafLoops& loops_ = simd::leaf_loops();
  const Attention& attention_;
  const Paths& paths_;
  const Schedule& schedule_;
  int64_t group_, width_, panels_;
  int64_t rows_ = 0, used_ = 0;  // rows and panels of the item
  Buffer<float> keys_, values_, queries_, sums_, highest_, total_;
  Buffer<int32_t> first_, last_;
};

double products_of(const Schedule& schedule, int64_t window) {
  double products = 0.0;
  for (const Run& run : schedule.runs) {
    const int64_t seen = std::min(window, run.position + run.count);
    products += static_cast<double>(run.count) * static_cast<double>(seen);
  }
  return products;
}

}  // namespace

void path_attention(const Attention& attention, const Paths& paths, float* out) {
  const int64_t group = attention.heads / attention.key_heads;
  int64_t most = kMostPositions;
  while (most > 1 && most * group > kMostRows) most /= 2;
  const int64_t wanted = num_threads() == 1 ? 1 : kItemsPerThread * num_threads();
  Schedule schedule = schedule_of(paths, most);
  while (most > kLeastPositions &&
         static_cast<int64_t>(schedule.items.size()) * attention.key_heads < wanted) {
    most /= 2;
    schedule = schedule_of(paths, most);
  }
  const int64_t items = static_cast<int64_t>(schedule.items.size());
  const double numbers =
      static_cast<double>(attention.heads * (attention.key_size + attention.value_size));
  const Work work{kOfAProduct * numbers * products_of(schedule, attention.window)};
  parallel_for(items * attention.key_heads, work, [&](int64_t begin, int64_t end) {
    Worker worker(attention, paths, schedule, most * group);
    for (int64_t i = begin; i < end; ++i) {
      // The last items see most: who comes last should have little left to do.
      const int64_t item = items - 1 - i / attention.key_heads;
      worker.attend(schedule.items[static_cast<size_t>(item)], i % attention.key_heads, out);
    }
  });
}

}  // namespace stepscore
