#include "stepscore/step_boundary.h"

#include <random>

#include "testing.h"

using namespace stepscore;

namespace {

struct Found {
  std::vector<int64_t> positions, step_offsets;
  bool operator==(const Found&) const = default;
};

struct Request {
  std::vector<int64_t> offsets, separator, window;
  int64_t shift = 0;
  bool collapse = false;
  int64_t sequences() const { return static_cast<int64_t>(offsets.size()) - 1; }
};

template <class Id>
Found find(const std::vector<Id>& ids, const Request& request) {
  const Separator separator{request.separator.data(),
                            static_cast<int64_t>(request.separator.size())};
  const BoundaryOptions options{request.shift, request.collapse,
                                request.window.empty() ? nullptr : request.window.data()};
  Found found;
  found.step_offsets.resize(request.offsets.size());
  count_steps(ids.data(), request.offsets.data(), request.sequences(), separator, options,
              found.step_offsets.data());
  found.positions.resize(static_cast<size_t>(found.step_offsets.back()));
  find_steps(ids.data(), request.offsets.data(), request.sequences(), separator, options,
             found.step_offsets.data(), found.positions.data());
  return found;
}

// The scan that the header describes.
template <class Id>
Found scan(const std::vector<Id>& ids, const Request& request) {
  Found found;
  found.step_offsets.push_back(0);
  const int64_t length = static_cast<int64_t>(request.separator.size());
  for (int64_t s = 0; s < request.sequences(); ++s) {
    const int64_t begin = request.offsets[static_cast<size_t>(s)];
    const int64_t end = request.offsets[static_cast<size_t>(s) + 1];
    int64_t previous_end = -1;
    for (int64_t i = begin; i + length <= end;) {
      bool equal = true;
      for (int64_t j = 0; j < length; ++j) {
        equal &= ids[static_cast<size_t>(i + j)] == request.separator[static_cast<size_t>(j)];
      }
      if (!equal) {
        ++i;
        continue;
      }
      const bool touches = i == previous_end;
      i = previous_end = i + length;
      const int64_t position = previous_end - 1 + request.shift;
      if (request.collapse && touches) continue;
      if (!request.window.empty()) {
        const int64_t* window = request.window.data() + 2 * s;
        if (position - begin < window[0] || position - begin >= window[1]) continue;
      }
      found.positions.push_back(position);
    }
    found.step_offsets.push_back(static_cast<int64_t>(found.positions.size()));
  }
  return found;
}

template <class Id>
std::vector<Id> random_ids(std::mt19937_64& random, const std::vector<int64_t>& offsets) {
  std::vector<Id> ids(static_cast<size_t>(offsets.back()));
  for (Id& id : ids) id = static_cast<Id>(random() % 3);
  return ids;
}

std::vector<int64_t> random_offsets(std::mt19937_64& random, int sequences, uint64_t longest) {
  std::vector<int64_t> offsets{0};
  for (int s = 0; s < sequences; ++s) {
    offsets.push_back(offsets.back() + static_cast<int64_t>(random() % (longest + 1)));
  }
  return offsets;
}

template <class Id>
void expect_the_scan() {
  std::mt19937_64 random(1);
  for (int round = 0; round < 300; ++round) {
    Request request;
    request.offsets = random_offsets(random, static_cast<int>(random() % 8), 80);
    const std::vector<Id> ids = random_ids<Id>(random, request.offsets);
    for (uint64_t j = 0; j < random() % 4 + 1; ++j) {
      request.separator.push_back(static_cast<int64_t>(random() % 3));
    }
    request.collapse = random() % 2 == 0;
    EXPECT(find(ids, request) == scan(ids, request), "round ", round);
    // A window inside each sequence makes any shift legal.
    request.shift = static_cast<int64_t>(random() % 7) - 3;
    for (int64_t s = 0; s < request.sequences(); ++s) {
      const int64_t size =
          request.offsets[static_cast<size_t>(s) + 1] - request.offsets[static_cast<size_t>(s)];
      const int64_t begin = static_cast<int64_t>(random() % static_cast<uint64_t>(size + 1));
      request.window.insert(request.window.end(), {begin, size});
    }
    EXPECT(find(ids, request) == scan(ids, request), "round ", round, " with a window");
  }
}

}  // namespace

TEST(int32_is_the_scan) {
  expect_the_scan<int32_t>();
}
TEST(int64_is_the_scan) {
  expect_the_scan<int64_t>();
}

TEST(levels_and_threads_find_the_same) {
  std::mt19937_64 random(2);
  Request request;
  request.offsets = random_offsets(random, 500, 90);
  const std::vector<int32_t> narrow = random_ids<int32_t>(random, request.offsets);
  const std::vector<int64_t> wide(narrow.begin(), narrow.end());
  for (const std::vector<int64_t>& separator : {std::vector<int64_t>{1}, {1, 1}, {0, 1, 0}}) {
    request.separator = separator;
    const Found expected = scan(wide, request);
    testing::for_each_setting([&](const std::string& setting) {
      EXPECT(find(narrow, request) == expected, setting);
      EXPECT(find(wide, request) == expected, setting);
    });
  }
}

TEST(several_callers_find_the_same) {
  std::mt19937_64 random(3);
  set_num_threads(3);
  Request request;
  request.offsets = random_offsets(random, 300, 60);
  request.separator = {1};
  const std::vector<int64_t> ids = random_ids<int64_t>(random, request.offsets);
  const Found expected = scan(ids, request);
  testing::from_several_callers([&] { EXPECT(find(ids, request) == expected); });
}

TEST(one_id_is_found_at_every_place) {
  for (const std::string& level : testing::levels()) {
    simd::set_level(level.c_str());
    const simd::LeafLoops& loops = simd::leaf_loops();
    for (int64_t size = 0; size < 70; ++size) {
      const size_t n = static_cast<size_t>(size);
      for (int64_t at = 0; at <= size; ++at) {
        std::vector<int32_t> narrow(n, -7);  // exactly as long: a read beyond is a fault
        std::vector<int64_t> wide(n, -7);
        for (int64_t i = at; i < size; i += 5) {
          narrow[static_cast<size_t>(i)] = 9;
          wide[static_cast<size_t>(i)] = 9;
        }
        for (int64_t begin = 0; begin <= std::min<int64_t>(at, 20); ++begin) {
          EXPECT(loops.find_int32(narrow.data(), begin, size, 9) == at, level, " ", size);
          EXPECT(loops.find_int64(wide.data(), begin, size, 9) == at, level, " ", size);
        }
      }
    }
    const std::vector<int32_t> nines(40, 9);
    EXPECT(loops.find_int32(nines.data(), 0, 40, 9 + (int64_t{1} << 32)) == 40, level);
    EXPECT(loops.find_int32(nines.data(), 5, 5, 9) == 5, level);
  }
  simd::set_level("");
}

TEST(a_shift_out_of_its_sequence_is_named) {
  for (const int threads : {1, 7}) {
    set_num_threads(threads);
    Request request{.offsets = {}, .separator = {9}, .window = {}, .shift = -1};
    for (int64_t s = 0; s <= 1000; ++s) request.offsets.push_back(2 * s);
    std::vector<int64_t> ids(2000, 0);
    ids[1001] = 9;  // within: the token before it is of the same sequence
    EXPECT(find(ids, request).positions == std::vector<int64_t>{1000});
    ids[1200] = ids[700] = ids[1800] = 9;
    EXPECT_FAULT(find(ids, request), "find_steps: shift=-1 moves a boundary out of sequence 350");
    request.shift = 1;
    ids[1] = 9;
    EXPECT_FAULT(find(ids, request), "find_steps: shift=1 moves a boundary out of sequence 0");
  }
}

TEST(nothing_is_found_in_nothing) {
  const std::vector<int64_t> ids;
  const Found none = find(ids, {.offsets = {0}, .separator = {1}, .window = {}});
  EXPECT(none.positions.empty() && none.step_offsets == std::vector<int64_t>{0});
  const Found empty = find(ids, {.offsets = {0, 0, 0}, .separator = {1, 2}, .window = {}});
  EXPECT(empty.positions.empty() && empty.step_offsets == (std::vector<int64_t>{0, 0, 0}));
}
