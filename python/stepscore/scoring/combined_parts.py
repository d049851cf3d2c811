"""What the ways to combine scores have in common: the same candidates, and one result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import InputError, InputTypeError
from stepscore.ragged import offsets_of, segment_of
from stepscore.recipes import Reading
from stepscore.scoring.score_options import is_finite
from stepscore.scoring.scores import StepScores


def aligned(
    call: str, scores: Sequence[StepScores], *, directions: bool = True
) -> list[StepScores]:
    """Check that scores are of the same candidates, and drop those that one of them lacks.

    Args:
        call: the function that was called, for messages.
        scores: of each model.
        directions: whether all must be better the higher they are, or all the lower.
    """
    if not scores:
        raise InputError("the scores of at least one model", got="none", where=call)
    other = next((each for each in scores if not isinstance(each, StepScores)), None)
    if other is not None:
        raise InputTypeError(
            "values of the class StepScores",
            got=type(other).__name__,
            advice="pass them one by one, not in a list",
            where=call,
        )
    sizes = [len(each) for each in scores]
    if len(set(sizes)) > 1:
        raise InputError("the same candidates in each", got=f"{sizes} of them", where=call)
    better = [each.recipe.readings[0].higher_is_better for each in scores]
    if directions and len(set(better)) > 1:
        raise InputError(
            "scores that are all better the higher they are, or all the lower",
            got=", ".join(
                f"{each.recipe.name} ({'higher' if higher else 'lower'})"
                for each, higher in zip(scores, better, strict=True)
            ),
            advice="turn some round: weighted takes negative weights",
            where=call,
        )
    lacking = np.zeros(sizes[0], dtype=np.bool_)
    for each in scores:
        lacking[list(each.skipped)] = True
    counts = np.stack([np.diff(each.offsets) for each in scores])
    wrong = np.flatnonzero((counts != counts[0]).any(0) & ~lacking)
    if len(wrong):
        raise InputError(
            "as many steps of each candidate in each",
            got=f"{counts[:, wrong[0]].tolist()} steps of candidate {wrong[0]}",
            advice="score the same steps with each model",
            where=call,
        )
    reasons = {place: fault for each in scores for place, fault in each.skipped.items()}
    return [_without(each, lacking, reasons) for each in scores]


def _without(
    scores: StepScores, lacking: NDArray[np.bool_], reasons: Mapping[int, InputError]
) -> StepScores:
    if not lacking.any():
        return scores
    kept = ~lacking[segment_of(scores.offsets)]
    return replace(
        scores,
        values=scores.values[kept],
        offsets=offsets_of(np.where(lacking, 0, np.diff(scores.offsets))),
        truncated=np.where(lacking, 0, scores.truncated),
        skipped=dict(sorted(reasons.items())),
        readings={},
    )


def put_together(
    name: str,
    parts: Sequence[StepScores],
    values: NDArray[np.float64],
    score_range: tuple[float, float],
    unverified: tuple[str, ...] = (),
    *,
    higher_is_better: bool | None = None,
) -> StepScores:
    """Give combined values the place of scores, with what is known of their parts."""
    first = parts[0]
    better = first.recipe.readings[0].higher_is_better
    if higher_is_better is not None:
        better = higher_is_better
    names = dict.fromkeys(each.recipe.name for each in parts)
    recipe = replace(
        first.recipe,
        name=f"{name} of {', '.join(names)}",
        readings=(Reading("score", "identity", (1.0,), score_range, better),),
        parameters=(),
        unverified=(*first.recipe.unverified, *unverified),
        confidence="unverified" if unverified else first.recipe.confidence,
    )
    truncated = np.max([each.truncated for each in parts], axis=0)
    return replace(
        first,
        values=values.astype(np.float32),
        recipe=recipe,
        truncated=truncated,
        readings={},
    )


def hull(parts: Sequence[StepScores]) -> tuple[float, float]:
    """Give the range that holds those of all."""
    lows, highs = zip(*(each.recipe.score_range for each in parts), strict=True)
    return min(lows), max(highs)


def behind_first(offsets: NDArray[np.int64], errors: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a step stands behind the first error of its candidate."""
    seen = np.concatenate([[0], np.cumsum(errors)])
    before = seen[:-1] - seen[offsets[:-1]][segment_of(offsets)]
    behind: NDArray[np.bool_] = before > 0
    return behind


def check_probabilities(call: str, scores: StepScores) -> None:
    """Refuse scores outside of [0, 1]."""
    wrong = np.flatnonzero((scores.values < 0) | (scores.values > 1))
    if len(wrong):
        raise InputError(
            "scores in [0, 1]",
            got=f"{scores.values[wrong[0]]} of {scores.recipe.name}",
            advice="combine probabilities, or add the scores up with weighted",
            where=call,
        )


def check_finite(call: str, argument: str, value: float) -> None:
    """Refuse what is no finite number: compared with NaN, no score would be below."""
    if not is_finite(value):
        raise InputError("a finite number", got=repr(value), argument=argument, where=call)


def check_share(call: str, argument: str, value: float) -> None:
    """Refuse a weight outside of [0, 1]."""
    if not 0 <= value <= 1:
        raise InputError("a number in [0, 1]", got=repr(value), argument=argument, where=call)
