"""Log-probabilities of given next tokens, without the logits of a whole vocabulary."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from stepscore.scoring.forward.linear import PackedLinear

# Rows of the output matrix that are multiplied at a time, and hidden states at a time: at most 16
# MB of logits. The first is part of the result's last bits, the second is not.
VOCABULARY_BLOCK = 4096
_ROWS = 512
# Rows that are tried, and where they are cut: into one, few, and more than a block of a product.
_TRIED, _CUTS = 48, (1, 3, 8)


@torch.inference_mode()
def token_logprob(
    hidden: torch.Tensor,
    lm_head: torch.Tensor,
    targets: torch.Tensor,
    *,
    bias: torch.Tensor | None = None,
    temperature: float = 1.0,
) -> torch.Tensor:
    r"""Give the log-probability of a token after each hidden state.

    :math:`\ell_i = z_{i, t_i} - \log \sum_v e^{z_{i,v}}`, with
    :math:`z_{i,v} = (w_v \cdot h_i + b_v) / \tau`

    The vocabulary is read in blocks with a running log-sum-exp: products in float32, the maximum
    and the sum in float64. On a CPU a row's bits depend on that row alone.

    Args:
        hidden: ``[n, H]``.
        lm_head: the output matrix ``[V, H]``, on the same device; a block of it at a time is
            brought to float32.
        targets: the tokens :math:`t`, int64 ``[n]``.
        bias: ``[V]``, or None.
        temperature: :math:`\tau`.

    Returns:
        float32 ``[n]``, on the device of the hidden states.
    """
    if not len(hidden):
        return torch.zeros(0, device=hidden.device)
    parts = [hidden[begin : begin + _ROWS].float() for begin in range(0, len(hidden), _ROWS)]
    states = [_RunningLogSumExp(part, targets[i * _ROWS :]) for i, part in enumerate(parts)]
    for begin in range(0, len(lm_head), VOCABULARY_BLOCK):
        block = slice(begin, begin + VOCABULARY_BLOCK)
        product = _Product(lm_head[block].float(), None if bias is None else bias[block].float())
        for part, state in zip(parts, states, strict=True):
            state.add(product(part) / temperature, begin)
    return torch.cat([state.logprob() for state in states])


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


class _RunningLogSumExp:
    """The log-sum-exp of the logits so far, and the logits of the targets, in float64."""

    def __init__(self, rows: torch.Tensor, targets: torch.Tensor) -> None:
        self._targets = targets[: len(rows)]
        self._device = rows.device
        options = {"dtype": torch.float64, "device": rows.device}
        self._most = torch.full((len(rows),), -torch.inf, **options)  # type: ignore[call-overload]
        self._sum = torch.zeros(len(rows), **options)  # type: ignore[call-overload]
        self._target = torch.full((len(rows),), torch.nan, **options)  # type: ignore[call-overload]

    def add(self, logits: torch.Tensor, first: int) -> None:
        """Add the logits of the vocabulary from its row `first` on."""
        wide = logits.double()
        most = torch.maximum(self._most, wide.amax(1))
        self._sum = self._sum * (self._most - most).exp() + _row_sums((wide - most[:, None]).exp_())
        self._most = most
        here = (self._targets >= first) & (self._targets < first + logits.shape[1])
        rows = here.nonzero()[:, 0]
        self._target[rows] = wide[rows, self._targets[rows] - first]

    def logprob(self) -> torch.Tensor:
        """Give the log-probabilities of the targets."""
        logprobs: torch.Tensor = (self._target - (self._most + self._sum.log())).float()
        return logprobs


def _row_sums(values: torch.Tensor) -> torch.Tensor:
    """Add up each row, in an order that does not depend on the number of rows."""
    if values.device.type != "cpu":
        return values.sum(1)
    # Torch splits a row among threads where there are few rows; NumPy adds row after row.
    sums: NDArray[np.float64] = np.add.reduce(values.numpy(), axis=1)
    return torch.from_numpy(sums)
