"""Log-probabilities of given tokens from the logits of the whole vocabulary, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from stepscore.ops.token_logprob_states import TokenLogprob as TokenLogprob


def token_logprob(
    hidden: Any,
    lm_head: Any,
    targets: Any,
    *,
    bias: Any = None,
    temperature: float = 1.0,
    logit_scale: float = 1.0,
    soft_cap: float | None = None,
    vocabulary: int | None = None,
    ignore_index: int | None = -100,
    entropy: bool = False,
    top: bool = False,
    log_sum_exp: bool = False,
) -> Any:
    r"""Log-probabilities of given tokens: :math:`\ell_i = z_{i,t_i} - \log \sum_v e^{z_{i,v}}`.

    :math:`z_{i,v} = \mathrm{cap}(s\,(w_v \cdot h_i + b_v)) / \tau`

    Args:
        hidden: ``[n, H]``.
        lm_head: ``[V, H]``.
        targets: ``[n]``.
        bias: ``[V]``, or None.
        temperature: :math:`\tau`.
        logit_scale: :math:`s`.
        soft_cap: :math:`c` of :math:`c \tanh(x / c)`, or None.
        vocabulary: the rows of the matrix that are tokens, or None for all.
        ignore_index: the target of a row without one.
        entropy, top, log_sum_exp: what to give beside the log-probability.

    Returns:
        float64 ``[n]``, or a `TokenLogprob` of these (the token on top int64).
    """
    z = np.asarray(hidden, dtype=np.float64) @ np.asarray(lm_head, dtype=np.float64).T
    z = z if bias is None else z + np.asarray(bias, dtype=np.float64)
    z = logit_scale * z[:, :vocabulary]
    z = (z if soft_cap is None else soft_cap * np.tanh(z / soft_cap)) / temperature
    targets = np.asarray(targets, dtype=np.int64)
    present = np.ones(len(targets), bool) if ignore_index is None else targets != ignore_index
    with np.errstate(invalid="ignore", divide="ignore"):
        highest = z.max(axis=1, initial=-np.inf)
        normaliser = highest + np.log(np.exp(z - highest[:, None]).sum(axis=1))
        logprobs = z - normaliser[:, None]
        p = np.exp(logprobs)
        chosen = logprobs[np.arange(len(z)), np.where(present, targets, 0)]
        found = TokenLogprob(np.where(present, chosen, np.nan))
        if entropy:
            information = np.where(p == 0.0, 0.0, p * logprobs)
            found = found._replace(entropy=-information.sum(axis=1))
        if top:
            tokens = np.where(np.isnan(normaliser), -1, z.argmax(axis=1))
            found = found._replace(top_logprob=highest - normaliser, top_token=tokens)
        if log_sum_exp:
            found = found._replace(log_sum_exp=normaliser)
    return found if entropy or top or log_sum_exp else found.logprob
