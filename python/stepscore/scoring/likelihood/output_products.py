"""Log-probabilities of next tokens whose bits, on a CPU, depend on their own row alone.

`stepscore.token_logprob` multiplies as fast as the framework does, and its product rounds a row
another way beside other rows. Here the products are those of the model's own linear layers.
"""

from __future__ import annotations

import torch

from stepscore.arrays import Call
from stepscore.ops.token_logprob_states import TokenStates
from stepscore.scoring.forward.linear import PackedLinear

# Rows of the output matrix that are multiplied at a time, and hidden states at a time: at most 8
# MB of logits. Neither is part of the result's bits.
VOCABULARY_BLOCK = 4096
_ROWS = 512
# Rows that are tried, and where they are cut: into one, few, and more than a block of a product.
_TRIED, _CUTS = 48, (1, 3, 8)


@torch.inference_mode()
def next_token_logprobs(
    hidden: torch.Tensor,
    lm_head: torch.Tensor,
    targets: torch.Tensor,
    *,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Give the log-probability of a token after each hidden state; see `stepscore.token_logprob`.

    Args:
        hidden: ``[n, H]``.
        lm_head: the output matrix ``[V, H]``, on the same device; a block of it at a time is
            brought to float32.
        targets: the tokens, int64 ``[n]``.
        bias: ``[V]``, or None.

    Returns:
        float32 ``[n]``, on the device of the hidden states.

    Raises:
        ValueError: a target that is no token.
    """
    device = hidden.device
    home = device if device.type == "cuda" else torch.device("cpu")  # where we have ops
    call = Call("token_logprob")
    states = TokenStates(call, call.integers("targets", targets.to(home)), vocabulary=len(lm_head))
    for first in range(0, len(lm_head), VOCABULARY_BLOCK):
        block = slice(first, first + VOCABULARY_BLOCK)
        product = _Product(lm_head[block].float(), None if bias is None else bias[block].float())
        for begin in range(0, len(hidden), _ROWS):
            rows = slice(begin, min(begin + _ROWS, len(hidden)))
            states.add(product(hidden[rows].float()).to(home), rows, first)
    logprobs: torch.Tensor = states.finish().logprob
    return logprobs.to(device)


@torch.inference_mode()
def rows_move(lm_head: torch.Tensor) -> bool:
    """Whether hidden states have other bits where they are multiplied in parts."""
    product = _Product(lm_head[:VOCABULARY_BLOCK].float(), None)
    rows = torch.linspace(-1, 1, _TRIED * lm_head.shape[1], device=lm_head.device)
    rows = rows.mul(1e4).sin().view(_TRIED, -1)
    parts = [product(part) for part in rows.tensor_split(_CUTS)]
    return not torch.equal(torch.cat(parts), product(rows))


class _Product:
    """The product with a block of the output matrix, as the model's own linear layers have it."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self._weight, self._bias = weight, bias
        self._packed: PackedLinear | None = None
        if weight.device.type == "cpu" and torch._C._has_mkldnn:
            layer = torch.nn.Linear(weight.shape[1], weight.shape[0], device="meta")
            layer.weight = torch.nn.Parameter(weight, requires_grad=False)
            if bias is None:
                layer.bias = None  # type: ignore[assignment]
            else:
                layer.bias = torch.nn.Parameter(bias, requires_grad=False)
            self._packed = PackedLinear(layer)

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        if self._packed is not None:
            packed: torch.Tensor = self._packed(rows.contiguous())
            return packed
        return torch.nn.functional.linear(rows, self._weight, self._bias)
