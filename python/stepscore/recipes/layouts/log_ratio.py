"""How the likelihoods of tokens become scores of steps."""

from __future__ import annotations

import math
from typing import get_args

from stepscore.errors import InputError
from stepscore.recipes.likelihood import Likelihood, StepSum, read_coefficient, read_reference
from stepscore.recipes.recipe import Head, Layer, Reading, Readout


def log_ratio(recipe: str, score: StepSum, *, coef: float | str, reference: str | None) -> Readout:
    r"""Read how much likelier the tokens of a step are to a model than to its reference.

    Args:
        recipe: its name, for messages.
        score: which sum over the tokens is the score; see `Likelihood`.
        coef: what multiplies it.
        reference: the other model; None reads the likelihood of the one alone.

    Raises:
        ValueError, TypeError: another sum, a coefficient that is no number, no name of a model.
    """
    sums = get_args(StepSum)
    if score not in sums:
        raise InputError(
            f"one of {', '.join(sums)}",
            got=repr(score),
            advice="pass one of these",
            argument="reading",
            where=recipe,
        )
    first_two: tuple[StepSum, ...] = ("accumulative", "single")
    order = (score, *(each for each in first_two if each != score))
    other = read_reference(recipe, reference)
    likelihood = Likelihood(order, read_coefficient(recipe, coef), other)
    head = Head("next_tokens", (Layer("lm_head.weight"),), 1, likelihood=likelihood)
    unbounded = (-math.inf, math.inf)
    return Readout(head, tuple(Reading(name, "identity", (1.0,), unbounded) for name in order))
