#include <limits>

#include "backend.h"
#include "bindings.h"
#include "stepscore/token_logprob.h"

namespace stepscore {
namespace {

constexpr const char* kOp = "token_logprob";

// The caller multiplies; this is what its arrays have to be. Gives the size of the vocabulary.
int64_t check_token_logprob(const TensorView& hidden, const TensorView& lm_head,
                            const TensorView& targets, const std::optional<TensorView>& bias,
                            std::optional<int64_t> vocabulary) {
  check_view(kOp, "hidden", hidden, 2, kFloats);
  check_view(kOp, "lm_head", lm_head, 2, kFloats);
  const int64_t rows = lm_head.shape[0];
  check(lm_head.shape[1] == hidden.shape[1] && rows >= 1, kOp, "lm_head", " must have shape [V, ",
        hidden.shape[1], "] to match hidden; got ", shape_of(lm_head));
  check_view(kOp, "targets", targets, 1, {DType::kInt64});
  check(targets.shape[0] == hidden.shape[0], kOp, "targets", " must have shape [", hidden.shape[0],
        "], a token for each hidden state; got ", shape_of(targets));
  if (bias.has_value()) {
    check_view(kOp, "bias", *bias, 1, {DType::kFloat32});
    check(bias->shape[0] == rows, kOp, "bias", " must have shape [", rows,
          "] to match lm_head; got ", shape_of(*bias));
  }
  const int64_t size = vocabulary.value_or(rows);
  check(size >= 1 && size <= rows, kOp, "vocabulary", " must be 1 to ", rows,
        ", the rows of lm_head; got ", size);
  return size;
}

// float64 [n, kTokenStateWidth]
int64_t check_states(const TensorView& states) {
  check_view(kOp, "states", states, 2, {DType::kFloat64});
  check(states.shape[1] == kTokenStateWidth, kOp, "states", " must have shape [n, ",
        kTokenStateWidth, "]; got ", shape_of(states));
  check_contiguous_rows(kOp, "states", states);
  return states.shape[0];
}

// The block that begins at token 0 begins the states anew.
void bound_add_logits(const TensorView& products, const std::optional<TensorView>& bias,
                      double inner, double outer, bool capped, int64_t first,
                      const TensorView& targets, int64_t vocabulary,
                      std::optional<int64_t> ignore_index, const TensorView& states,
                      const Queue& queue) {
  check_view(kOp, "products", products, 2, kFloats);
  check_view(kOp, "targets", targets, 1, {DType::kInt64});
  const int64_t rows = products.shape[0];
  check(targets.shape[0] == rows, kOp, "targets", " must have shape [", rows,
        "] to match hidden; got ", shape_of(targets));
  if (bias.has_value()) {
    check_view(kOp, "bias", *bias, 1, {DType::kFloat32});
    check(bias->shape[0] == products.shape[1], kOp, "bias", " must have shape [", products.shape[1],
          "] to match products; got ", shape_of(*bias));
  }
  check(check_states(states) == rows, kOp, "states", " must have shape [", rows, ", ",
        kTokenStateWidth, "]; got ", shape_of(states));
  check_apart(kOp, states, {&products, &targets, bias.has_value() ? &*bias : nullptr});
  const LogitForm form{static_cast<float>(inner), static_cast<float>(outer), capped};
  const LogitBlock block{as_matrix(products),
                         bias.has_value() ? pointer<const float>(*bias) : nullptr, form, first};
  const Targets ids{pointer<const int64_t>(targets), vocabulary,
                    ignore_index.value_or(std::numeric_limits<int64_t>::min())};
  // Only raw pointers below; the arrays belong to the caller's frame, which outlives the scope.
  py::gil_scoped_release unlocked;
  backend::add_logits(block, ids, pointer<TokenState>(states), queue);
}

template <class T>
T* output(const char* argument, const std::optional<TensorView>& out, int64_t rows, DType dtype) {
  if (!out.has_value()) return nullptr;
  check_view(kOp, argument, *out, 1, {dtype});
  check(out->shape[0] == rows, kOp, argument, " must have shape [", rows, "]; got ",
        shape_of(*out));
  return pointer<T>(*out);
}

void bound_token_logprob(const TensorView& states, const std::optional<TensorView>& logprob,
                         const std::optional<TensorView>& entropy,
                         const std::optional<TensorView>& top_logprob,
                         const std::optional<TensorView>& top_token,
                         const std::optional<TensorView>& log_sum_exp, const Queue& queue) {
  const int64_t rows = check_states(states);
  const TokenOutputs out{
      output<float>("logprob", logprob, rows, DType::kFloat32),
      output<float>("entropy", entropy, rows, DType::kFloat32),
      output<float>("top_logprob", top_logprob, rows, DType::kFloat32),
      output<int64_t>("top_token", top_token, rows, DType::kInt64),
      output<float>("log_sum_exp", log_sum_exp, rows, DType::kFloat32),
  };
  // Only raw pointers below; the arrays belong to the caller's frame, which outlives the scope.
  py::gil_scoped_release unlocked;
  backend::token_logprob(pointer<const TokenState>(states), rows, out, queue);
}

}  // namespace

void bind_token_logprob(py::module_& module) {
  if constexpr (backend::kOnHost) {
    module.attr("TOKEN_STATE_WIDTH") = kTokenStateWidth;
    module.attr("LOGIT_CHUNK") = kLogitChunk;
  }
  module.def("check_token_logprob", check_token_logprob, py::arg("hidden"), py::arg("lm_head"),
             py::arg("targets"), py::arg("bias").none(true), py::arg("vocabulary").none(true));
  module.def("add_logits", bound_add_logits, py::arg("products"), py::arg("bias").none(true),
             py::arg("inner"), py::arg("outer"), py::arg("capped"), py::arg("first"),
             py::arg("targets"), py::arg("vocabulary"), py::arg("ignore_index").none(true),
             py::arg("states"), py::arg("queue"));
  module.def("token_logprob", bound_token_logprob, py::arg("states"), py::arg("logprob").none(true),
             py::arg("entropy").none(true), py::arg("top_logprob").none(true),
             py::arg("top_token").none(true), py::arg("log_sum_exp").none(true), py::arg("queue"));
}

}  // namespace stepscore
