// A grid of blocks on one CPU thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace emulated {

// Prints where and why, and ends the process: what would be undefined on a device.
[[noreturn]] void stop(const std::string& why);

// Of the seed in EMULATED_CUDA_SEED, 1 without one.
uint64_t random_below(uint64_t bound);
void fill_with_garbage(void* memory, size_t bytes);

// Blocks one after the other, in a random order.
void run_grid(unsigned blocks, unsigned threads, size_t shared, const std::function<void()>& body);

}  // namespace emulated
