#include "backend.h"
#include "bindings.h"
#include "stepscore/returns.h"
#include "token_rows.h"

namespace stepscore {
namespace {

constexpr const char* kMaskPolicies[] = {"carry", "zero", "none", "reset"};

void bound_discounted_return(const TensorView& rewards, const Optional& mask,
                             const Optional& offsets, const NumberOrRows& gamma,
                             const std::string& mask_policy, bool propagate_nan,
                             const TensorView& out, const Queue& queue) {
  constexpr const char* kOp = "discounted_return";
  const TokenRows rows = check_rows(kOp, "rewards", rewards, offsets);
  const TokenMask kept = check_mask(kOp, "mask", mask, rewards, "rewards");
  const RowNumbers shares = check_shares(kOp, "gamma", gamma, rows.rows);
  const MaskPolicy policy = named<MaskPolicy>(kOp, "mask_policy", mask_policy, kMaskPolicies);
  check_output(kOp, out, rewards, "rewards", {&rewards, address(mask), address(offsets)});
  // Only raw pointers below; the arrays belong to the caller's frame, which outlives the scope.
  py::gil_scoped_release unlocked;
  with_type_of(rewards, [&](auto number) {
    using T = decltype(number);
    ReturnScan<T> scan;
    scan.kind = ScanKind::kDiscounted;
    scan.policy = policy;
    scan.rows = rows;
    scan.rewards = token_array<const T>(rewards);
    scan.mask = kept;
    scan.gamma = shares;
    scan.propagate_nan = propagate_nan;
    scan.out = token_array<T>(out);
    backend::scan_returns(scan, queue);
  });
}

// empty: None raises at a token that no step follows, a number is what it gets.
void bound_min_return(const TensorView& rewards, const Optional& step_mask, const Optional& mask,
                      const Optional& offsets, std::optional<double> empty, bool propagate_nan,
                      const TensorView& out, const Queue& queue) {
  constexpr const char* kOp = "min_return";
  const TokenRows rows = check_rows(kOp, "rewards", rewards, offsets);
  const TokenMask steps = check_mask(kOp, "step_mask", step_mask, rewards, "rewards");
  const TokenMask kept = check_mask(kOp, "mask", mask, rewards, "rewards");
  check_output(kOp, out, rewards, "rewards",
               {&rewards, address(step_mask), address(mask), address(offsets)});
  // Only raw pointers below; the arrays belong to the caller's frame, which outlives the scope.
  py::gil_scoped_release unlocked;
  with_type_of(rewards, [&](auto number) {
    using T = decltype(number);
    ReturnScan<T> scan;
    scan.kind = ScanKind::kLeast;
    scan.rows = rows;
    scan.rewards = token_array<const T>(rewards);
    scan.mask = kept;
    scan.steps = steps;
    scan.propagate_nan = propagate_nan;
    scan.empty_error = !empty.has_value();
    scan.empty = empty.value_or(kNaN);
    scan.out = token_array<T>(out);
    backend::scan_returns(scan, queue);
  });
}

void bound_gae(const TensorView& rewards, const TensorView& values, const Optional& mask,
               const Optional& offsets, const NumberOrRows& gamma, const NumberOrRows& lam,
               const std::string& mask_policy, bool propagate_nan, const TensorView& advantages,
               const TensorView& returns, const Queue& queue) {
  constexpr const char* kOp = "gae";
  const TokenRows rows = check_rows(kOp, "rewards", rewards, offsets);
  check_same_shape(kOp, "values", values, rewards, "rewards", {rewards.dtype});
  const TokenMask kept = check_mask(kOp, "mask", mask, rewards, "rewards");
  const RowNumbers shares = check_shares(kOp, "gamma", gamma, rows.rows);
  const RowNumbers decays = check_shares(kOp, "lam", lam, rows.rows);
  const MaskPolicy policy = named<MaskPolicy>(kOp, "mask_policy", mask_policy, kMaskPolicies);
  check(policy != MaskPolicy::kReset, kOp, About{"mask_policy"},
        "mask_policy 'reset' is for discounted_return alone; choose carry, zero or none");
  for (const TensorView* out : {&advantages, &returns}) {
    check_output(kOp, *out, rewards, "rewards",
                 {&rewards, &values, address(mask), address(offsets)});
  }
  // Only raw pointers below; the arrays belong to the caller's frame, which outlives the scope.
  py::gil_scoped_release unlocked;
  with_type_of(rewards, [&](auto number) {
    using T = decltype(number);
    ReturnScan<T> scan;
    scan.kind = ScanKind::kAdvantage;
    scan.policy = policy;
    scan.rows = rows;
    scan.rewards = token_array<const T>(rewards);
    scan.values = token_array<const T>(values);
    scan.mask = kept;
    scan.gamma = shares;
    scan.lam = decays;
    scan.propagate_nan = propagate_nan;
    scan.out = token_array<T>(advantages);
    scan.returns = token_array<T>(returns);
    backend::scan_returns(scan, queue);
  });
}

void bound_td_targets(const TensorView& rewards, const TensorView& values, const Optional& mask,
                      const Optional& offsets, int64_t n, const NumberOrRows& gamma, double low,
                      double high, bool propagate_nan, const TensorView& out, const Queue& queue) {
  constexpr const char* kOp = "td_targets";
  const TokenRows rows = check_rows(kOp, "rewards", rewards, offsets);
  check_same_shape(kOp, "values", values, rewards, "rewards", {rewards.dtype});
  const TokenMask kept = check_mask(kOp, "mask", mask, rewards, "rewards");
  const RowNumbers shares = check_shares(kOp, "gamma", gamma, rows.rows);
  check(n >= 1, kOp, "n", " must be at least 1; got ", n);
  check(low <= high, kOp, "clip", " must be (low, high) with low <= high; got (", low, ", ", high,
        ")");
  check_output(kOp, out, rewards, "rewards", {&rewards, &values, address(mask), address(offsets)});
  // Only raw pointers below; the arrays belong to the caller's frame, which outlives the scope.
  py::gil_scoped_release unlocked;
  with_type_of(rewards, [&](auto number) {
    using T = decltype(number);
    TargetScan<T> scan;
    scan.rows = rows;
    scan.rewards = token_array<const T>(rewards);
    scan.values = token_array<const T>(values);
    scan.mask = kept;
    scan.gamma = shares;
    scan.n = n;
    scan.low = low;
    scan.high = high;
    scan.propagate_nan = propagate_nan;
    scan.out = token_array<T>(out);
    backend::td_targets(scan, queue);
  });
}

}  // namespace

void bind_returns(py::module_& module) {
  if constexpr (backend::kOnHost) module.attr("MASK_POLICIES") = as_tuple(kMaskPolicies);
  module.def("discounted_return", bound_discounted_return, py::arg("rewards"),
             py::arg("mask").none(true), py::arg("offsets").none(true), py::arg("gamma"),
             py::arg("mask_policy"), py::arg("propagate_nan"), py::arg("out"), py::arg("queue"));
  module.def("min_return", bound_min_return, py::arg("rewards"), py::arg("step_mask").none(true),
             py::arg("mask").none(true), py::arg("offsets").none(true), py::arg("empty").none(true),
             py::arg("propagate_nan"), py::arg("out"), py::arg("queue"));
  module.def("gae", bound_gae, py::arg("rewards"), py::arg("values"), py::arg("mask").none(true),
             py::arg("offsets").none(true), py::arg("gamma"), py::arg("lam"),
             py::arg("mask_policy"), py::arg("propagate_nan"), py::arg("advantages"),
             py::arg("returns"), py::arg("queue"));
  module.def("td_targets", bound_td_targets, py::arg("rewards"), py::arg("values"),
             py::arg("mask").none(true), py::arg("offsets").none(true), py::arg("n"),
             py::arg("gamma"), py::arg("low"), py::arg("high"), py::arg("propagate_nan"),
             py::arg("out"), py::arg("queue"));
}

}  // namespace stepscore
