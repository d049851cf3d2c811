#include "simd/level.h"

#include <atomic>
#include <cstdlib>
#include <string_view>

#if defined(STEPSCORE_X86_LEVELS)
#include <cpuid.h>
#endif

#include "stepscore/check.h"

namespace stepscore::simd {

namespace baseline {
extern const LeafLoops kLeafLoops;
}
#if defined(STEPSCORE_X86_LEVELS)
namespace avx2 {
extern const LeafLoops kLeafLoops;
}
namespace avx512 {
extern const LeafLoops kLeafLoops;
}
#endif

namespace {

struct Level {
  std::string_view name;
  const LeafLoops* loops;  // null: not in this build
  bool (*runs_here)();
};

#if defined(STEPSCORE_X86_LEVELS)
// Asked of the processor itself: __builtin_cpu_supports answers from a table that the compiler's
// run-time library fills, and no with a linker that brings another library.
constexpr unsigned kOsSavesRegisters = 1u << 27;  // leaf 1, ecx: xgetbv may be asked
constexpr unsigned kAvxFmaF16c = 1u << 28 | 1u << 12 | 1u << 29;                // leaf 1, ecx
constexpr unsigned kAvx2 = 1u << 5;                                             // leaf 7, ebx
constexpr unsigned kAvx512FDqBwVl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;  // leaf 7, ebx
constexpr unsigned kYmm = 0x06, kZmm = 0xe6;  // XCR0: the registers that the system keeps

struct Processor {
  unsigned features, more_features, kept_registers;
};

Processor ask_processor() {
  Processor found{};
  unsigned a, b, c, d;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kOsSavesRegisters) == 0) return found;
  found.features = c;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) != 0) found.more_features = b;
  __asm__("xgetbv" : "=a"(found.kept_registers), "=d"(d) : "c"(0));
  return found;
}

bool has_all(unsigned found, unsigned wanted) {
  return (found & wanted) == wanted;
}

bool has_avx2() {
  const Processor here = ask_processor();
  return has_all(here.features, kAvxFmaF16c) && has_all(here.more_features, kAvx2) &&
         has_all(here.kept_registers, kYmm);
}
bool has_avx512() {
  const Processor here = ask_processor();
  return has_avx2() && has_all(here.more_features, kAvx512FDqBwVl) &&
         has_all(here.kept_registers, kZmm);
}
#endif

// Best first.
const Level kLevels[] = {
#if defined(STEPSCORE_X86_LEVELS)
    {"avx512", &avx512::kLeafLoops, has_avx512},
    {"avx2", &avx2::kLeafLoops, has_avx2},
#else
    {"avx512", nullptr, nullptr},
    {"avx2", nullptr, nullptr},
#endif
    {"baseline", &baseline::kLeafLoops, [] { return true; }},
};

const Level* best_level() {
  for (const Level& level : kLevels) {
    if (level.loops != nullptr && level.runs_here()) return &level;
  }
  return nullptr;  // not reached: baseline runs everywhere
}

template <class... Parts>
[[noreturn]] void refuse_level(const Parts&... parts) {
  throw InvalidArgument("set_cpu_level", "STEPSCORE_CPU", message(parts...));
}

const Level* find_level(std::string_view name) {
  if (name.empty()) return best_level();
  for (const Level& level : kLevels) {
    if (level.name != name) continue;
    if (level.loops == nullptr) {
      refuse_level("STEPSCORE_CPU=", name, ": this build has no such level");
    }
    if (!level.runs_here()) {
      refuse_level("STEPSCORE_CPU=", name,
                   ": this processor lacks that level; unset the variable to use the best one (",
                   best_level()->name, ")");
    }
    return &level;
  }
  refuse_level("STEPSCORE_CPU must be baseline, avx2 or avx512; got '", name, "'");
}

const Level* initial_level() {
  const char* name = std::getenv("STEPSCORE_CPU");
  return find_level(name == nullptr ? "" : name);
}

std::atomic<const Level*>& current_level() {
  static std::atomic<const Level*> level{initial_level()};
  return level;
}

}  // namespace

const LeafLoops& leaf_loops() {
  return *current_level().load()->loops;
}
const char* level_name() {
  return current_level().load()->name.data();
}
void set_level(const char* name) {
  current_level().store(find_level(name));
}

}  // namespace stepscore::simd
