// Which instruction set the leaf loops run on.
#pragma once

#include "simd/leaf_loops.h"

namespace stepscore::simd {

// The loops of the level in force: the best that this machine has, or the one that STEPSCORE_CPU
// names (baseline, avx2, avx512).
const LeafLoops& leaf_loops();

const char* level_name();
// InvalidArgument for an unknown name, or for a level that this machine or this build lacks.
// An empty name restores the best level.
void set_level(const char* name);

}  // namespace stepscore::simd
