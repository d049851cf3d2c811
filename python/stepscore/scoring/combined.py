"""Scores of several models, heads, orders or cuts of the same candidates, put together.

Every function takes `StepScores` of the same candidates with the same numbers of steps, from
several models or recipes or from `StepScores.readings` by `reading`, and gives `StepScores`, which
aggregate as any others do; `ensemble` gives their spread beside them, and `outcome_and_process` one
number a candidate. A candidate that one of them could not score has no scores in the result, and a
step that truncation left out of one of them is NaN there.

What the papers leave open, or what was not confirmed in the authors' code, is in
``scores.recipe.unverified`` of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import Argument, InputError
from stepscore.ragged import segment_of
from stepscore.scoring.combined_cuts import as_one_step, merged_pairs, reversed_steps
from stepscore.scoring.combined_parts import (
    aligned,
    behind_first,
    check_finite,
    check_probabilities,
    check_share,
    hull,
    put_together,
)
from stepscore.scoring.combined_totals import checklist_share, outcome_and_process
from stepscore.scoring.score_options import is_finite
from stepscore.scoring.scores import StepScores

__all__ = [
    "Ensemble",
    "as_one_step",
    "both_directions",
    "checklist_share",
    "ensemble",
    "error_aware",
    "hierarchical",
    "merged_pairs",
    "outcome_and_process",
    "product",
    "progress",
    "reading",
    "relative_to",
    "reversed_steps",
    "weighted",
]


def reading(scores: StepScores, name: str) -> StepScores:
    """Give what was read beside the score as scores of its own.

    Of ReasonEval the score is the validity, which its authors aggregate by ``min``, and the
    redundancy stands beside it: ``reading(scores, "redundancy").aggregate("max")``.

    Args:
        scores: of a recipe with several readings.
        name: one of `StepScores.readings`, such as ``redundancy``.

    Raises:
        ValueError: no such reading.
    """
    if name not in scores.readings:
        raise InputError(
            f"one of {', '.join(scores.readings) or 'none, because it reads the score alone'}",
            got=repr(name),
            argument="name",
            where="reading",
        )
    [chosen] = [each for each in scores.recipe.readings if each.name == name]
    recipe = replace(scores.recipe, readings=(chosen,), default_aggregate=None)
    return replace(scores, values=scores.readings[name], recipe=recipe, readings={})


def both_directions(
    forward: StepScores, backward: StepScores, *, weight: float = 0.5
) -> StepScores:
    r"""Read a trace from both ends: :math:`r_k = g\, r^\to_k + (1 - g)\, r^\gets_k`.

    Args:
        forward: of the solutions.
        backward: of `reversed_steps` of them, in that order; it is turned round here.
        weight: :math:`g`; 0.5 is the mean.

    Raises:
        ValueError: scores that do not fit each other, a weight outside of [0, 1].

    Source: BiPRM (arXiv 2508.01682): the mean of its first version. Its second version learns a
    gate for each step, which `weight` stands for as one number; unverified.
    """
    check_share("both_directions", "weight", weight)
    first, last = aligned("both_directions", [forward, backward])
    order = np.arange(len(last.values))
    step = last.offsets[:-1] + last.offsets[1:] - 1
    turned = last.values[np.repeat(step, np.diff(last.offsets)) - order]
    values = weight * first.values.astype(np.float64) + (1 - weight) * turned
    span = hull([first, last])
    return put_together("both directions", [first, last], values, span, ("the gate's form",))


def product(*scores: StepScores) -> StepScores:
    r"""Multiply probabilities of a step: :math:`r_k = \prod_i r^{(i)}_k`.

    Args:
        scores: at least two, each in [0, 1].

    Raises:
        ValueError: scores that do not fit each other, or are no probabilities.

    Source: DuaShepherd (arXiv 2506.17533): correctness times potential, a "compound probability";
    that it is this product is unverified.

    Examples:
        >>> import numpy as np
        >>> import stepscore
        >>> from stepscore.scoring import combined
        >>> recipe = stepscore.recipes.trl_prm()
        >>> one, two = (
        ...     stepscore.StepScores(np.float32([a, b]), np.array([0, 2]), recipe, np.zeros(1, int))
        ...     for a, b in [(0.5, 1.0), (0.5, 0.25)]
        ... )
        >>> combined.product(one, two).to_list()
        [[0.25, 0.25]]
    """
    parts = aligned("product", scores)
    for each in parts:
        check_probabilities("product", each)
    values = np.prod([each.values.astype(np.float64) for each in parts], axis=0)
    return put_together("product", parts, values, (0.0, 1.0), ("the product as the combination",))


def weighted(*scores: StepScores, weights: Sequence[float]) -> StepScores:
    r"""Add up several dimensions of a step: :math:`r_k = \sum_d w_d\, r^{(d)}_k`.

    Args:
        scores: of each dimension, such as confidence, relevance and coherence.
        weights: :math:`w_d`, one for each, in their order; of scores that are better the lower they
            are a negative one.

    Returns:
        Scores that are better the higher they are. The ends of their range are the weighted sums of
        those of the dimensions.

    Raises:
        ValueError: another number of weights, or one that is not finite, or above 0 for scores that
            are better the lower they are; scores that do not fit each other.
        TypeError: a list of scores in place of scores.

    Source: DRM (arXiv 2510.11457) and MAH-DPO (arXiv 2510.01167), which weight a vector of rewards;
    the weights of DRM, and whether it scales its dimensions first, are unverified.

    Examples:
        >>> import numpy as np
        >>> import stepscore
        >>> from stepscore.scoring import combined
        >>> recipe = stepscore.recipes.trl_prm()
        >>> one, two = (
        ...     stepscore.StepScores(np.float32([a, b]), np.array([0, 2]), recipe, np.zeros(1, int))
        ...     for a, b in [(0.5, 1.0), (0.25, 0.0)]
        ... )
        >>> combined.weighted(one, two, weights=[1.0, 2.0]).to_list()
        [[1.0, 1.0]]
    """
    parts = aligned("weighted", scores, directions=False)
    if len(weights) != len(parts) or not all(map(is_finite, weights)):
        raise InputError(
            f"{len(parts)} finite numbers, one for each of the scores",
            got=repr(list(weights)),
            argument="weights",
            where="weighted",
        )
    factors = [float(weight) for weight in weights]
    for place, (factor, part) in enumerate(zip(factors, parts, strict=True)):
        if factor > 0 and not part.recipe.readings[0].higher_is_better:
            raise InputError(
                "a weight below 0 for scores that are better the lower they are",
                got=f"{factor:g} for those of {part.recipe.name}",
                argument=Argument("weights", index=(place,)),
                where="weighted",
            )
    values = np.sum(
        [w * part.values.astype(np.float64) for w, part in zip(factors, parts, strict=True)], axis=0
    )
    low = high = 0.0
    for factor, part in zip(factors, parts, strict=True):
        ends = [factor * end if factor else 0.0 for end in part.recipe.score_range]
        low, high = low + min(ends), high + max(ends)
    unverified = ("the weights of the dimensions, and their scales",)
    return put_together("weighted", parts, values, (low, high), unverified, higher_is_better=True)


class Ensemble(NamedTuple):
    """Scores of several heads or models.

    Attributes:
        mean: :math:`\\mu_k`.
        spread: :math:`s_k`, their standard deviation with ``ddof=1``, float64 ``[steps]``.
        confident: whether a candidate is decided, ``[candidates]``; see `ensemble`.
    """

    mean: StepScores
    spread: NDArray[np.float64]
    confident: NDArray[np.bool_]


def ensemble(*scores: StepScores, most_spread: float = 0.005, least_sure: float = 0.95) -> Ensemble:
    r"""Average several heads or models, and say how far they disagree.

    :math:`\mu_k` and :math:`s_k` are mean and standard deviation (``ddof=1``) over the members. A
    candidate is confident where :math:`s_k \le \delta_s` and
    :math:`\max(\mu_k, 1 - \mu_k) \ge \delta_p` for every step up to the first one with
    :math:`\mu_k < 1/2`, which is the first predicted error; what follows it does not count. A
    candidate without scores, or with NaN among those, is not confident.

    Args:
        scores: of at least two members, each in [0, 1].
        most_spread: :math:`\delta_s`.
        least_sure: :math:`\delta_p`.

    Raises:
        ValueError: scores that do not fit each other, or are no probabilities.

    Source: ActPRM (arXiv 2504.10559, sail-sg/ActivePRM), which labels those that are not confident.
    """
    parts = aligned("ensemble", scores)
    if len(parts) < 2:
        raise InputError(
            "the scores of at least two members", got=str(len(parts)), where="ensemble"
        )
    for each in parts:
        check_probabilities("ensemble", each)
    stacked = np.stack([each.values.astype(np.float64) for each in parts])
    mean, spread = stacked.mean(0), stacked.std(0, ddof=1)
    result = put_together("ensemble", parts, mean, (0.0, 1.0))
    sure = (spread <= most_spread) & (np.maximum(mean, 1 - mean) >= least_sure)
    counted = ~behind_first(result.offsets, mean < 0.5)
    doubtful = np.bincount(segment_of(result.offsets)[counted & ~sure], minlength=len(result))
    return Ensemble(result, spread, (doubtful == 0) & (np.diff(result.offsets) > 0))


def error_aware(
    math: StepScores,
    consistency: StepScores,
    correctness: StepScores,
    *,
    threshold: float = 0.5,
    error: float = -1.0,
    stop: bool = False,
) -> StepScores:
    r"""Gate a step's score by its kinds of errors:

    :math:`r_k = e` where :math:`m_k < \tau` or :math:`c_k < \tau`, else the correctness of the step

    Args:
        math: :math:`m`, that a step has no error of mathematics.
        consistency: :math:`c`, that it agrees with what came before.
        correctness: its score where neither found one.
        threshold: :math:`\tau`; between two words the likelier one decides, which is 1/2.
        error: :math:`e`.
        stop: whether every step behind the first error gets it, too, because it is not judged.

    Raises:
        ValueError: scores that do not fit each other; a threshold or an error that is not finite.

    Source: PathFinder-PRM (declare-lab/PathFinder-PRM), whose code for ProcessBench stops there.
    """
    check_finite("error_aware", "threshold", threshold)
    check_finite("error_aware", "error", error)
    parts = aligned("error_aware", [math, consistency, correctness])
    errors = (parts[0].values < threshold) | (parts[1].values < threshold)
    if stop:
        errors |= behind_first(parts[0].offsets, errors)
    score = parts[2].values.astype(np.float64)
    unknown = np.isnan(parts[0].values) | np.isnan(parts[1].values)
    values = np.where(errors, error, np.where(unknown, np.nan, score))
    low, high = parts[2].recipe.score_range
    return put_together("error aware", parts, values, (min(low, error), max(high, error)))


def hierarchical(fine: StepScores, merged: StepScores, *, weight: float = 0.5) -> StepScores:
    r"""Score steps alone and as the end of a pair: :math:`r_1 = f_1`,
    :math:`r_k = (1 - w)\, f_k + w\, m_k`, where :math:`m_k` is the score of the steps
    :math:`k - 1` and :math:`k` as one step behind those before them.

    Args:
        fine: of the solutions.
        merged: of the traces that `merged_pairs` gives; the last score of each is read.
        weight: :math:`w`.

    Raises:
        ValueError: another number of merged traces, a weight outside of [0, 1].

    Source: HRM (tengwang0318/hierarchial_reward_model), which is trained on both; that they are
    averaged is unverified.
    """
    check_share("hierarchical", "weight", weight)
    counts = np.diff(fine.offsets)
    wanted = int(np.maximum(counts - 1, 0).sum())
    if len(merged) != wanted or (np.diff(merged.offsets) == 0).any():
        raise InputError(
            f"the {wanted} merged traces of these solutions, each with scores",
            got=f"{len(merged)}, of which {np.count_nonzero(np.diff(merged.offsets) == 0)} have "
            "none",
            advice="score what merged_pairs gives of the solutions that were scored",
            argument="merged",
            where="hierarchical",
        )
    values = fine.values.astype(np.float64)
    later = np.ones(len(values), dtype=np.bool_)
    later[fine.offsets[:-1][counts > 0]] = False
    ends = merged.values[merged.offsets[1:] - 1].astype(np.float64)
    values[later] = (1 - weight) * values[later] + weight * ends
    unverified = ("how the two levels are averaged",)
    return put_together("hierarchical", [fine], values, hull([fine, merged]), unverified)


def relative_to(scores: StepScores, reference: StepScores, *, how: str = "last") -> StepScores:
    r"""Score steps by how far they are above a reference trajectory of their problem:
    :math:`r_k = s_k - \mathrm{agg}(s^\mathrm{ref})`

    Args:
        scores: of the candidates.
        reference: of a trajectory for each of them, or of one for all.
        how: aggregates the reference.

    Raises:
        ValueError: neither one reference nor one for each candidate.

    Source: what POLAR (arXiv 2507.05197) reads, a candidate relative to a reference, as a
    difference of two scores. POLAR itself reads both in one input; this is unverified.
    """
    totals = reference.totals(how)  # type: ignore[arg-type]
    if len(totals) not in (1, len(scores)):
        raise InputError(
            f"one reference, or one for each of the {len(scores)} candidates",
            got=str(len(totals)),
            argument="reference",
            where="relative_to",
        )
    each = np.broadcast_to(totals, len(scores))[segment_of(scores.offsets)]
    low, high = scores.recipe.score_range
    below, above = reference.recipe.score_range
    values = scores.values.astype(np.float64) - each
    unverified = ("the difference, in place of a model that reads both",)
    return put_together("relative", [scores], values, (low - above, high - below), unverified)


def progress(scores: StepScores, *, start: float = 0.0) -> StepScores:
    r"""Score a step by what it adds: :math:`r_k = p_k - p_{k-1}`, with :math:`p_0` given.

    Args:
        scores: how far the task is done after each step.
        start: :math:`p_0`.

    Raises:
        ValueError: a start outside of the range of the scores.

    Source: ProgRM (arXiv 2505.18121), the change of the estimated progress.
    """
    values = scores.values.astype(np.float64)
    low, high = scores.recipe.score_range
    check_finite("progress", "start", start)
    if not low <= start <= high:
        raise InputError(
            f"a number in [{low:g}, {high:g}], the range of the scores",
            got=repr(start),
            argument="start",
            where="progress",
        )
    before = np.roll(values, 1)
    before[scores.offsets[:-1][np.diff(scores.offsets) > 0]] = start
    return put_together("progress", [scores], values - before, (low - high, high - low))
