#include "stepscore/returns.h"

#include <algorithm>
#include <string>
#include <vector>

#include "simd/level.h"
#include "stepscore/check.h"
#include "stepscore/parallel.h"

namespace stepscore {
namespace {

constexpr double kOfAToken = 2.5;  // nanoseconds

// How the caller finds token t of a row: [row, t], or [index] in packed arrays.
std::string place(const TokenRows& rows, int64_t row, int64_t t) {
  if (rows.offsets == nullptr) return message("[", row, ", ", t, "]");
  return message("[", rows.offsets[row] + t, "] (row ", row, ")");
}

// Of one token: its mask, and whether it must be a number.
template <class T>
void check_token(const char* op, const TokenRows& rows, int64_t row, int64_t t,
                 const TokenMask& mask, const char* argument) {
  check(mask_at(mask, row_begin(rows, mask.stride, row) + t) != 2, op, argument,
        place(rows, row, t), " must be 0 or 1; pass a mask of bools, or one of numbers != 0");
}
template <class T>
void check_number(const char* op, const TokenRows& rows, int64_t row, int64_t t,
                  const TokenArray<const T>& array, const char* argument) {
  const T number = array.data[row_begin(rows, array.stride, row) + t];
  check(number == number, op, argument, place(rows, row, t),
        " is NaN; pass nan=\"propagate\" to let it reach the tokens before it");
}

template <class T>
[[noreturn]] void report(const ReturnScan<T>& scan, int64_t row) {
  const char* op = name_of(scan.kind);
  const TokenRows& rows = scan.rows;
  const bool least = scan.kind == ScanKind::kLeast;
  const bool zeroed = scan.policy == MaskPolicy::kZero;
  bool step_behind = false;
  for (int64_t t = row_length(rows, row) - 1; t >= 0; --t) {
    check_token<T>(op, rows, row, t, scan.mask, "mask");
    check_token<T>(op, rows, row, t, scan.steps, "step_mask");
    const bool kept = mask_at(scan.mask, row_begin(rows, scan.mask.stride, row) + t) == 1;
    const bool marked = scan.steps.data == nullptr
                            ? kept
                            : mask_at(scan.steps, row_begin(rows, scan.steps.stride, row) + t) == 1;
    check(!least || kept || !marked, op, "step_mask", place(rows, row, t),
          " ends a step where mask is 0; end the step at its last token that mask leaves");
    step_behind |= marked;
    check(!least || step_behind || !kept || !scan.empty_error, op, "step_mask", place(rows, row, t),
          " has no step end at or behind it; pass empty=0.0 to give such tokens a return of 0");
    const bool unread = !kept && (zeroed || scan.policy == MaskPolicy::kCarry);
    if (scan.propagate_nan) continue;
    if (least ? marked : !unread) check_number(op, rows, row, t, scan.rewards, "rewards");
    if (scan.kind == ScanKind::kAdvantage && !(unread && zeroed)) {
      check_number(op, rows, row, t, scan.values, "values");
    }
  }
  refuse(op, About{"rewards"}, "row ", row,
         " adds infinities of both signs; pass finite numbers, or nan=\"propagate\"");
}

int64_t scan_range(const ReturnScan<float>& scan, int64_t begin, int64_t end) {
  return simd::leaf_loops().scan_float32(scan, begin, end);
}
int64_t scan_range(const ReturnScan<double>& scan, int64_t begin, int64_t end) {
  return simd::leaf_loops().scan_float64(scan, begin, end);
}

template <class T>
bool target_row(const TargetScan<T>& scan, int64_t row, std::vector<int64_t>& kept) {
  const TokenRows& rows = scan.rows;
  const int64_t length = row_length(rows, row);
  const T* rewards = scan.rewards.data + row_begin(rows, scan.rewards.stride, row);
  const T* values = scan.values.data + row_begin(rows, scan.values.stride, row);
  T* out = scan.out.data + row_begin(rows, scan.out.stride, row);
  const int64_t first_one = row_begin(rows, scan.mask.stride, row);
  kept.clear();
  for (int64_t t = 0; t < length; ++t) {
    const int one = mask_at(scan.mask, first_one + t);
    if (one == 2) return false;
    if (one == 1) kept.push_back(t);
    out[t] = T(0);
  }
  const int64_t count = static_cast<int64_t>(kept.size());
  const double gamma = number_of(scan.gamma, row);
  for (int64_t i = 0; i < count; ++i) {
    double target = i + scan.n < count ? static_cast<double>(values[kept[i + scan.n]]) : 0.0;
    for (int64_t k = std::min(scan.n, count - i) - 1; k >= 0; --k) {
      target = static_cast<double>(rewards[kept[i + k]]) + gamma * target;
    }
    const double raised = target < scan.low ? scan.low : target;
    out[kept[i]] = static_cast<T>(raised > scan.high ? scan.high : raised);
    if (!scan.propagate_nan && target != target) return false;
  }
  return true;
}

}  // namespace

template <class T>
void scan_returns(const ReturnScan<T>& scan) {
  FirstFault fault;
  const Work work{kOfAToken * static_cast<double>(scan.rows.tokens)};
  parallel_for(scan.rows.rows, work, [&](int64_t begin, int64_t end) {
    const int64_t row = scan_range(scan, begin, end);
    if (row >= 0) fault.report(row);
  });
  if (!fault.none()) report(scan, fault.index());
}

template <class T>
void td_targets(const TargetScan<T>& scan) {
  constexpr const char* kOp = "td_targets";
  FirstFault fault;
  const Work work{kOfAToken * static_cast<double>((2 + scan.n) * scan.rows.tokens)};
  parallel_for(scan.rows.rows, work, [&](int64_t begin, int64_t end) {
    std::vector<int64_t> kept;  // the tokens that the mask leaves
    for (int64_t row = begin; row < end; ++row) {
      if (!target_row(scan, row, kept)) return fault.report(row);
    }
  });
  if (fault.none()) return;
  const int64_t row = fault.index();
  for (int64_t t = 0; t < row_length(scan.rows, row); ++t) {
    check_token<T>(kOp, scan.rows, row, t, scan.mask, "mask");
    if (mask_at(scan.mask, row_begin(scan.rows, scan.mask.stride, row) + t) == 0) continue;
    check_number(kOp, scan.rows, row, t, scan.rewards, "rewards");
    check_number(kOp, scan.rows, row, t, scan.values, "values");
  }
  refuse(kOp, About{"rewards"}, "row ", row,
         " adds infinities of both signs; pass finite numbers, or nan=\"propagate\"");
}

template void scan_returns<float>(const ReturnScan<float>&);
template void scan_returns<double>(const ReturnScan<double>&);
template void td_targets<float>(const TargetScan<float>&);
template void td_targets<double>(const TargetScan<double>&);

}  // namespace stepscore
