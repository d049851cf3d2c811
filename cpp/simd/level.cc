#include "simd/level.h"

#include <atomic>
#include <cstdlib>
#include <string_view>

#if defined(__x86_64__)
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
bool has_avx2() {
  unsigned a, b, c, d;
  const bool f16c = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
  return f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
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
