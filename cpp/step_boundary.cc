#include "stepscore/step_boundary.h"

#include "simd/level.h"
#include "stepscore/check.h"
#include "stepscore/parallel.h"

namespace stepscore {
namespace {

// Of a pass over the tokens: leaf loops compare many ids at once, and every find costs a branch.
Work work_of(const int64_t* offsets, int64_t sequences, int64_t steps) {
  return {0.4 * static_cast<double>(offsets[sequences]) + 15.0 * static_cast<double>(sequences) +
          50.0 * static_cast<double>(steps)};
}

int64_t find_id(const simd::LeafLoops& loops, const int32_t* ids, int64_t begin, int64_t end,
                int64_t wanted) {
  return loops.find_int32(ids, begin, end, wanted);
}
int64_t find_id(const simd::LeafLoops& loops, const int64_t* ids, int64_t begin, int64_t end,
                int64_t wanted) {
  return loops.find_int64(ids, begin, end, wanted);
}

template <class Id>
bool matches(const Id* tokens, const Separator& separator) {
  for (int64_t j = 0; j < separator.length; ++j) {
    if (static_cast<int64_t>(tokens[j]) != separator.ids[j]) return false;
  }
  return true;
}

// Calls found(position) for the boundaries of one sequence; false when a position lies outside it.
template <class Id, class Found>
bool for_each_boundary(const Id* token_ids, int64_t begin, int64_t end, const Separator& separator,
                       const BoundaryOptions& options, const int64_t* window, Found found) {
  const simd::LeafLoops& loops = simd::leaf_loops();
  const int64_t stop = end - separator.length + 1;  // no match begins here or later
  int64_t previous_end = -1;                        // where the last match stopped
  for (int64_t i = begin; i < stop; ++i) {
    i = find_id(loops, token_ids, i, stop, separator.ids[0]);
    if (i >= stop) break;
    if (!matches(token_ids + i, separator)) continue;
    const bool touches = i == previous_end;
    const int64_t last = i + separator.length - 1;
    previous_end = last + 1;
    i = last;
    if (options.collapse && touches) continue;
    const int64_t position = last + options.shift;
    if (window != nullptr && (position - begin < window[0] || position - begin >= window[1])) {
      continue;
    }
    if (position < begin || position >= end) return false;
    found(position);
  }
  return true;
}

const int64_t* window_of(const BoundaryOptions& options, int64_t sequence) {
  return options.window == nullptr ? nullptr : options.window + 2 * sequence;
}

}  // namespace

template <class Id>
void count_steps(const Id* token_ids, const int64_t* offsets, int64_t sequences,
                 const Separator& separator, const BoundaryOptions& options,
                 int64_t* step_offsets) {
  FirstFault fault;
  parallel_for(sequences, work_of(offsets, sequences, 0), [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      int64_t steps = 0;
      const bool inside =
          for_each_boundary(token_ids, offsets[s], offsets[s + 1], separator, options,
                            window_of(options, s), [&](int64_t) { ++steps; });
      step_offsets[s + 1] = steps;
      if (!inside) return fault.report(s);
    }
  });
  check(fault.none(), "find_steps", "shift", "=", options.shift,
        " moves a boundary out of sequence ", fault.index(),
        "; use a smaller shift, or a window that leaves that position out");
  step_offsets[0] = 0;
  for (int64_t s = 0; s < sequences; ++s) step_offsets[s + 1] += step_offsets[s];
}

template <class Id>
void find_steps(const Id* token_ids, const int64_t* offsets, int64_t sequences,
                const Separator& separator, const BoundaryOptions& options,
                const int64_t* step_offsets, int64_t* positions) {
  const Work work = work_of(offsets, sequences, step_offsets[sequences]);
  parallel_for(sequences, work, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      int64_t* out = positions + step_offsets[s];
      for_each_boundary(token_ids, offsets[s], offsets[s + 1], separator, options,
                        window_of(options, s), [&](int64_t position) { *out++ = position; });
    }
  });
}

template void count_steps<int32_t>(const int32_t*, const int64_t*, int64_t, const Separator&,
                                   const BoundaryOptions&, int64_t*);
template void count_steps<int64_t>(const int64_t*, const int64_t*, int64_t, const Separator&,
                                   const BoundaryOptions&, int64_t*);
template void find_steps<int32_t>(const int32_t*, const int64_t*, int64_t, const Separator&,
                                  const BoundaryOptions&, const int64_t*, int64_t*);
template void find_steps<int64_t>(const int64_t*, const int64_t*, int64_t, const Separator&,
                                  const BoundaryOptions&, const int64_t*, int64_t*);

}  // namespace stepscore
