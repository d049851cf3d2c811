// Packed token ids -> the positions at which steps end.
#pragma once

#include <cstdint>

#include "stepscore/tensor_view.h"

namespace stepscore {

struct Separator {
  const int64_t* ids;  // [length]
  int64_t length;      // at least 1; a match is reported at its last id
};

struct BoundaryOptions {
  int64_t shift = 0;                // added to every position
  bool collapse = false;            // of matches that touch each other, keep the first
  const int64_t* window = nullptr;  // [sequences, 2]: keep shifted positions in [begin, end),
                                    // counted from the start of the sequence
};

// step_offsets[s + 1] - step_offsets[s] = number of boundaries of sequence s. Matches do not
// overlap and are searched from the left; then collapse, then shift, then window.
//
// InvalidArgument when a shift leads out of a sequence (and no window drops the position).
template <class Id>                       // int32_t or int64_t
void count_steps(const Id* token_ids,     // [tokens]
                 const int64_t* offsets,  // [sequences + 1]
                 int64_t sequences, const Separator& separator, const BoundaryOptions& options,
                 int64_t* step_offsets);  // [sequences + 1]

// The boundaries themselves, as indices into token_ids.
template <class Id>
void find_steps(const Id* token_ids, const int64_t* offsets, int64_t sequences,
                const Separator& separator, const BoundaryOptions& options,
                const int64_t* step_offsets,  // [sequences + 1], as count_steps left them
                int64_t* positions);          // [step_offsets[sequences]]

}  // namespace stepscore
