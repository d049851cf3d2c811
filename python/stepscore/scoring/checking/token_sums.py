"""The slow reading of what adds up over tokens: dense log-softmaxes, one model after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from stepscore.recipes import Likelihood, Recipe, Tokenizer
from stepscore.scoring.checking.layout import LaidOut
from stepscore.scoring.checking.reading import load_slow_reading
from stepscore.scoring.checkpoint.adapter import open_model
from stepscore.scoring.checkpoint.folder import Checkpoint
from stepscore.scoring.checkpoint.quantisation import quantised

Float = NDArray[np.float64]


def read_token_sums(
    checkpoint: Checkpoint,
    recipe: Recipe,
    tokenizer: Tokenizer,
    traces: Sequence[LaidOut],
    *,
    dtype: torch.dtype,
    rounded: torch.dtype,
    device: torch.device,
) -> Float:
    r"""Give the sums of every step, ``[steps, sums]``, in float64.

    The model reads all traces, each alone, and then the reference takes its place.

    Args:
        checkpoint: of the model.
        recipe: names the reference, and says what is added up.
        tokenizer: the model's.
        traces: what is read.
        dtype: the number format of both models.
        rounded: that of one that is quantised.
        device: where they run.
    """
    likelihood = recipe.head.likelihood
    assert likelihood is not None

    def read(model: Checkpoint) -> list[Float]:
        chosen = dtype if quantised(model.config) is None else rounded
        slow = load_slow_reading(model, recipe, tokenizer, dtype=chosen, device=device)
        return [slow.token_logprobs(trace.encoded.token_ids.tolist()) for trace in traces]

    ratios = read(checkpoint)
    if likelihood.reference is not None:
        others = read(open_model(likelihood.reference))
        ratios = [ours - theirs for ours, theirs in zip(ratios, others, strict=True)]
    return np.array(
        [
            sums
            for trace, each in zip(traces, ratios, strict=True)
            for sums in _sums_of_steps(likelihood, trace, each)
        ]
    )


def _sums_of_steps(likelihood: Likelihood, trace: LaidOut, ratios: Float) -> list[list[float]]:
    """Add up token by token, as the formula of `Likelihood` has it."""
    assert trace.encoded.first_tokens is not None
    begin = max(1, int(trace.encoded.first_tokens[0]))  # the first token follows nothing
    total, rows = 0.0, []
    for end in trace.encoded.positions.tolist():
        step = float(ratios[begin : end + 1].sum())
        total += step
        mean = step / (end + 1 - begin) if end >= begin else 0.0
        named = {"accumulative": total, "single": step, "mean": mean}
        rows.append([likelihood.coef * named[name] for name in likelihood.sums])
        begin = max(begin, end + 1)
    return rows
