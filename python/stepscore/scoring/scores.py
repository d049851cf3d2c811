"""Step scores of several candidates."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import InputError, InputTypeError
from stepscore.ops import aggregate
from stepscore.ops.aggregate import Aggregation
from stepscore.ragged import offsets_of
from stepscore.recipes import Reading, Recipe
from stepscore.voting.columns import NEED_PROBABILITIES, ODDS_CLIP, UNSTATED_AGGREGATION

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True, eq=False, repr=False)
class StepScores:
    """The scores of ``values[offsets[i]:offsets[i + 1]]`` belong to candidate ``i``, one per step.

    Attributes:
        values: step scores, float32 [steps]; NaN for a step that truncation left out.
        offsets: where each candidate begins and ends, int64 [candidates + 1].
        recipe: how they were read.
        truncated: the steps of each candidate that were left out, int64 [candidates].
        skipped: candidate -> why it could not be scored; it has no steps here.
        stripped: candidate -> the tokens that were removed because they ended it, such as
            ``<|im_end|>``, where there were some.
        readings: what the recipe reads beside the score, by name, float32 [steps] each.

    Examples:
        >>> import numpy as np
        >>> import stepscore
        >>> scores = stepscore.StepScores(
        ...     values=np.array([0.5, 0.25, 0.75], dtype=np.float32),
        ...     offsets=np.array([0, 2, 3]),
        ...     recipe=stepscore.recipes.trl_prm(),
        ...     truncated=np.zeros(2, dtype=np.int64),
        ... )
        >>> scores.to_list()
        [[0.5, 0.25], [0.75]]
        >>> scores.aggregate(["min", "last"]).tolist()
        [[0.25, 0.25], [0.75, 0.75]]
    """

    values: NDArray[np.float32]
    offsets: NDArray[np.int64]
    recipe: Recipe
    truncated: NDArray[np.int64]
    skipped: Mapping[int, InputError] = field(default_factory=dict)
    stripped: Mapping[int, int] = field(default_factory=dict)
    readings: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        parts = [f"{len(self)} candidates, {len(self.values)} steps"]
        if self.skipped:
            parts.append(f"{len(self.skipped)} skipped")
        if self.stripped:
            parts.append(f"{len(self.stripped)} without the tokens that ended them")
        return f"StepScores({', '.join(parts)}, recipe={self.recipe.name!r})"

    def __getitem__(self, candidate: int) -> NDArray[np.float32]:
        try:
            candidate = range(len(self))[operator.index(candidate)]
        except TypeError:
            raise InputTypeError(
                "a candidate, which is a whole number",
                got=repr(candidate),
                advice="slice to_list()",
                where="StepScores",
            ) from None
        except IndexError:
            raise IndexError(
                f"StepScores: candidate {candidate} of {len(self)} does not exist"
            ) from None
        return self.values[self.offsets[candidate] : self.offsets[candidate + 1]]

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        return (self[candidate] for candidate in range(len(self)))

    def to_list(self) -> list[list[float]]:
        """Give one list of floats per candidate."""
        return [scores.tolist() for scores in self]

    def aggregate(
        self, how: Aggregation | Sequence[Aggregation] | None = None, **parameters: Any
    ) -> NDArray[np.float64]:
        """Reduce every candidate's step scores to one number; see `stepscore.aggregate`.

        In float64: a product of hundreds of scores is none in float32, where all of them tie at 0.

        Args:
            how: a name, or a list of names; None takes the recipe's default, and ``last`` where the
                model's author states none. Where the recipe's default reads odds, scores are read
                as at least 1e-7 away from 0 and 1.
            parameters: those of `stepscore.aggregate`; after a truncation, ``nan="propagate"``.

        Returns:
            float64 ``[candidates]``, or ``[candidates, len(how)]`` for a list.

        Raises:
            ValueError: as `stepscore.aggregate`; ``prod``, ``geometric_mean``, ``logit_mean`` or
                ``odds_mean`` of a recipe whose scores are no probabilities.
        """
        chosen = default_aggregate(self.recipe) if how is None else how
        check_aggregation("aggregate", self.recipe, chosen)
        if how is None and chosen in ("logit_mean", "odds_mean"):
            # A sigmoid of float32 rounds to exactly 0 and 1, whose odds are not finite.
            parameters = {"clip": ODDS_CLIP, **parameters}
        values = self.values.astype(np.float64)
        reduced: NDArray[np.float64] = aggregate(values, self.offsets, chosen, **parameters)
        return reduced

    def totals(self, how: Aggregation | None = None) -> NDArray[np.float64]:
        """Give one score per candidate, as `rank` and a vote read it.

        Args:
            how: as in `aggregate`.

        Returns:
            float64 ``[candidates]``; NaN for a candidate of which truncation left steps out: what
            was lost is unknown, whichever steps the aggregation looks at.

        Raises:
            ValueError: as `aggregate`; a recipe whose scores are better the lower they are, which a
                vote would read the wrong way round.
        """
        check_direction("totals", self.recipe)
        totals = self.aggregate(how, nan="propagate")
        totals[self.truncated > 0] = np.nan
        return totals

    def to_arrow(self) -> pyarrow.LargeListArray:
        """Give an Arrow list array, one list per candidate, without copying the scores.

        Raises:
            ModuleNotFoundError: pyarrow is not installed.
        """
        try:
            import pyarrow
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                'StepScores.to_arrow needs pyarrow; type: pip install "stepscore[parquet]"'
            ) from error
        return pyarrow.LargeListArray.from_arrays(
            pyarrow.array(self.offsets), pyarrow.array(self.values)
        )


def only(scores: StepScores, candidate: int) -> StepScores:
    """Give the scores of one candidate alone."""
    values = scores[candidate]
    begin, end = scores.offsets[candidate : candidate + 2]
    return StepScores(
        values,
        np.array([0, len(values)], dtype=np.int64),
        scores.recipe,
        scores.truncated[candidate : candidate + 1],
        {0: scores.skipped[candidate]} if candidate in scores.skipped else {},
        {0: scores.stripped[candidate]} if candidate in scores.stripped else {},
        {name: values[begin:end] for name, values in scores.readings.items()},
    )


def joined(parts: Sequence[StepScores]) -> StepScores:
    """Give the scores of the candidates of several, at least one, behind each other."""
    first = offsets_of([len(part) for part in parts]).tolist()
    return StepScores(
        np.concatenate([part.values for part in parts]),
        offsets_of(np.concatenate([np.diff(part.offsets) for part in parts])),
        parts[0].recipe,
        np.concatenate([part.truncated for part in parts]),
        {
            at + i: fault
            for at, part in zip(first, parts, strict=False)
            for i, fault in part.skipped.items()
        },
        {
            at + i: n
            for at, part in zip(first, parts, strict=False)
            for i, n in part.stripped.items()
        },
        {
            name: np.concatenate([part.readings[name] for part in parts])
            for name in parts[0].readings
        },
    )


def all_readings(scores: StepScores) -> NDArray[np.float32]:
    """Give the scores and what was read beside them, ``[steps, readings]``."""
    return np.stack([scores.values, *scores.readings.values()], axis=1)


def further_readings(
    readings: Sequence[Reading], values: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """Give all but the first of the readings ``[steps, readings]``, by name."""
    return {each.name: values[:, i].copy() for i, each in enumerate(readings) if i}


def check_aggregation(where: str, recipe: Recipe, how: Any) -> None:
    """Refuse to multiply scores that are no probabilities, whatever they happen to be.

    Args:
        where: the function that was called.
        recipe: how they were read.
        how: a name, or names, which need not be known; None is the recipe's own.

    Raises:
        ValueError: a product of scores outside [0, 1], or odds of them.
    """
    low, high = recipe.score_range
    names = [how] if isinstance(how, str) else list(how or ())
    wrong = [name for name in names if isinstance(name, str) and name in NEED_PROBABILITIES]
    if wrong and not (low >= 0 and high <= 1):
        raise InputError(
            f"scores in [0, 1], which {wrong[0]} needs",
            got=f"those of {recipe.name!r}, in [{low:g}, {high:g}]",
            advice="pass min, mean or last",
            argument="how",
            where=where,
        )


def check_direction(where: str, recipe: Recipe) -> None:
    """Refuse to rank or to vote by scores of which the lower is the better.

    Args:
        where: the function that was called.
        recipe: how they were read.

    Raises:
        ValueError: they are.
    """
    if not recipe.readings[0].higher_is_better:
        raise InputError(
            "scores that are better the higher they are",
            got=f"those of {recipe.name!r}, which are better the lower they are",
            advice="turn them round, as in 1 - scores.values, and pass these",
            where=where,
        )


def default_aggregate(recipe: Recipe) -> Aggregation:
    """Give the aggregate of a recipe's author, or ``last`` where the author states none."""
    return cast("Aggregation", recipe.default_aggregate or UNSTATED_AGGREGATION)
