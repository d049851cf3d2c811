// Rewards of tokens -> what follows each of them: the discounted return, the generalised advantage,
// the least reward to come, the target of n steps.
#pragma once

#include <cstdint>

#include "stepscore/scalar_math.h"
#include "stepscore/token_rows.h"

namespace stepscore {

// What a token whose mask is 0 does to a scan from the end that comes to it:
//   kCarry  nothing: what stands behind it is carried over, its own numbers are not read
//   kZero   its numbers count as 0, and it costs a discount as any other
//   kNone   it is a token as any other
//   kReset  it is read, and nothing behind it reaches the tokens before it (not for gae)
enum class MaskPolicy { kCarry, kZero, kNone, kReset };

enum class ScanKind { kDiscounted, kAdvantage, kLeast };

// The op that is called for such a scan.
constexpr const char* name_of(ScanKind kind) {
  return kind == ScanKind::kDiscounted  ? "discounted_return"
         : kind == ScanKind::kAdvantage ? "gae"
                                        : "min_return";
}

// All that a scan reads and writes. Everything is accumulated in float64.
template <class T>  // float or double
struct ReturnScan {
  ScanKind kind = ScanKind::kDiscounted;
  MaskPolicy policy = MaskPolicy::kCarry;
  TokenRows rows;
  TokenArray<const T> rewards;
  TokenArray<const T> values;  // kAdvantage
  TokenMask mask;
  TokenMask steps;  // kLeast: the tokens that end a step; null: all that the mask leaves
  RowNumbers gamma, lam;
  bool propagate_nan = false;  // false: a NaN that is read raises
  bool empty_error = true;     // kLeast: a token that no step follows raises
  double empty = kNaN;         // or gets this
  TokenArray<T> out;           // kAdvantage: the advantages
  TokenArray<T> returns;       // kAdvantage: advantage + value
};

// discounted_return: G_t = r_t + gamma G_{t+1}
// gae:               A_t = r_t + gamma V_{t+1} - V_t + gamma lam A_{t+1},  R_t = A_t + V_t
// min_return:        G_t = min of the r_s of step ends s >= t; 0 where the mask is 0
//
// gamma and lam lie in [0, 1]. InvalidArgument, naming a token of the first row at fault: a mask
// that is neither 0 nor 1, a NaN that is read, a step end where the mask is 0, a token that no step
// follows under empty_error.
template <class T>
void scan_returns(const ReturnScan<T>& scan);

// target_t = sum_{k < n} gamma^k r_{t+k} + gamma^n V_{t+n} over the tokens that the mask leaves,
// without the terms behind the last of them; 0 where the mask is 0
template <class T>
struct TargetScan {
  TokenRows rows;
  TokenArray<const T> rewards, values;
  TokenMask mask;
  RowNumbers gamma;
  int64_t n = 1;
  double low = -kInfinity, high = kInfinity;  // targets are clipped to [low, high]
  bool propagate_nan = false;
  TokenArray<T> out;
};

template <class T>
void td_targets(const TargetScan<T>& scan);  // InvalidArgument as scan_returns

// --- one token ---------------------------------------------------------------------------------

// Real is a double and Kept a bool, or both are several side by side.

STEPSCORE_HD double choose_real(bool condition, double yes, double no) {
  return choose(condition, yes, no);
}
STEPSCORE_HD bool smaller_real(double a, double b) {
  return a < b;
}
STEPSCORE_HD bool unlike(double a, double b) {
  return a != b;
}

// What is carried from a token to the one before it.
template <class Real, class Kept>
struct Behind {
  Real total;  // the return, the advantage, or the least reward
  Real value;  // kAdvantage: of the next token
  Kept step;   // kLeast: whether there was a step
};

// The return of a token. Under kCarry `reward` is 0 where the mask is.
template <MaskPolicy kPolicy, class Real, class Kept>
STEPSCORE_HD Real discounted_step(Real reward, Kept kept, Real gamma, Real zero,
                                  Behind<Real, Kept>& behind) {
  const Real here = reward + gamma * behind.total;
  if constexpr (kPolicy == MaskPolicy::kCarry) {
    behind.total = choose_real(kept, here, behind.total);
    return choose_real(kept, here, zero);
  } else {
    behind.total = kPolicy == MaskPolicy::kReset ? choose_real(kept, here, zero) : here;
    return here;
  }
}

// The advantage of a token; `decay` is gamma * lam.
template <MaskPolicy kPolicy, class Real, class Kept>
STEPSCORE_HD Real advantage_step(Real reward, Real value, Kept kept, Real gamma, Real decay,
                                 Behind<Real, Kept>& behind) {
  const Real surprise = reward + gamma * behind.value - value;
  const Real here = surprise + decay * behind.total;
  if constexpr (kPolicy == MaskPolicy::kCarry) {
    behind.total = choose_real(kept, here, behind.total);
    behind.value = choose_real(kept, value, behind.value);
  } else {
    behind.total = here;
    behind.value = value;
  }
  return behind.total;
}

// The least reward from a token on; a NaN stays.
template <class Real, class Kept>
STEPSCORE_HD Real least_step(Real reward, Kept kept, Kept step, Real empty, Real zero,
                             Behind<Real, Kept>& behind) {
  const Kept taken = smaller_real(reward, behind.total) | unlike(reward, reward);
  behind.total = choose_real(step & taken, reward, behind.total);
  behind.step = behind.step | step;
  return choose_real(kept, choose_real(behind.step, behind.total, empty), zero);
}

}  // namespace stepscore
