// What AddressSanitizer has to be told: on which stack the program runs, and which memory is out of
// bounds. Nothing, where it is not compiled in.
#pragma once

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EMULATED_WITH_ASAN
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define EMULATED_WITH_ASAN
#endif

#if defined(EMULATED_WITH_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulated {

#if defined(EMULATED_WITH_ASAN)
inline void start_switch(void** frames, const void* base, size_t bytes) {
  __sanitizer_start_switch_fiber(frames, base, bytes);
}
inline void finish_switch(void* frames, void** base, size_t* bytes) {
  __sanitizer_finish_switch_fiber(frames, const_cast<const void**>(base), bytes);
}
inline void forbid(const void* memory, size_t bytes) {
  __asan_poison_memory_region(memory, bytes);
}
inline void allow(const void* memory, size_t bytes) {
  __asan_unpoison_memory_region(memory, bytes);
}
#else
inline void start_switch(void**, const void*, size_t) {}
inline void finish_switch(void*, void**, size_t*) {}
inline void forbid(const void*, size_t) {}
inline void allow(const void*, size_t) {}
#endif

}  // namespace emulated
