"""Over random orders of the candidates: who of them decides by being seen first.

Every rule follows from its leaders:

- where an answer reaches the highest of its scores, as under ``best_of_n``, the first seen of the
  candidates with the highest score of all is elected
- else the answer that is seen first among those that reach the most. The candidate that stands for
  it is its first, or under ``minmax_weighted`` the first of its highest score; the order within an
  answer does not depend on which answer is seen first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepscore.ops import Rule, vote
from stepscore.ragged import offsets_of
from stepscore.voting.elections import Elections
from stepscore.voting.scores import CandidateScores

Int = NDArray[np.int64]
Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

# The candidate of an answer's highest score stands for it.
SHOWS_BEST = ("minmax_weighted",)

_BLOCK = 1 << 21  # candidates, times columns, times sizes


@dataclass(frozen=True)
class Part:
    """Some of the problems, columns and sizes; none of the problems is empty.

    Attributes:
        scores, elections: of all problems.
        problems, columns, sizes: which of them, ascending.
    """

    scores: CandidateScores
    elections: Elections
    problems: Int
    columns: Int
    sizes: Int

    @property
    def place(self) -> tuple[Int, Int, Int]:
        """Where the part stands in ``[problems, columns, sizes]`` of all."""
        problems, columns, sizes = np.ix_(self.problems, self.columns, self.sizes)
        return problems, columns, sizes

    @cached_property
    def _offsets(self) -> Int:
        return offsets_of(np.diff(self.scores.offsets)[self.problems])

    @cached_property
    def problem(self) -> Int:
        """The problem of each candidate, counted in this part, ``[n]``."""
        return np.repeat(np.arange(len(self.problems)), np.diff(self._offsets))

    @cached_property
    def rows(self) -> Int:
        """The candidates as indices into all, ``[n]``."""
        shift = self.scores.offsets[self.problems] - self._offsets[:-1]
        return np.asarray(np.arange(self._offsets[-1]) + shift[self.problem])

    @cached_property
    def answers(self) -> Int:
        """The answer of each candidate, -1 = none, ``[n]``."""
        return self.elections.ids[self.rows]

    @cached_property
    def _by_answer(self) -> tuple[Int, Int, Int]:
        """Candidates sorted by answer, where each answer begins, and the answer of each."""
        order = np.lexsort((self.answers, self.problem))
        new = np.ones(len(order), np.bool_)
        new[1:] = (np.diff(self.answers[order]) != 0) | (np.diff(self.problem[order]) != 0)
        answer_of = np.empty(len(order), np.int64)
        answer_of[order] = np.cumsum(new) - 1
        return order, np.flatnonzero(new), answer_of

    def sum(self, values: Any) -> Float:
        """Add up the candidates of every problem, ``[n, ...]`` -> ``[problems, ...]``."""
        return np.asarray(np.add.reduceat(values, self._offsets[:-1], axis=0, dtype=np.float64))

    def any(self, mask: Bool) -> Bool:
        """Tell in which problems there is one, ``[n, ...]`` -> ``[problems, ...]``."""
        return np.asarray(np.logical_or.reduceat(mask, self._offsets[:-1], axis=0))

    def over_answer(self, reduce: np.ufunc, values: Any) -> Any:
        """Reduce over the candidates with the answer of each, ``[n, ...]`` -> ``[n, ...]``."""
        order, begin, answer_of = self._by_answer
        return reduce.reduceat(values[order], begin, axis=0)[answer_of]

    def leaders(self, rule: int) -> tuple[Bool, Float]:
        """Give who decides under a rule by being seen first, and who then stands for the answer.

        Returns:
            Whether a candidate leads, ``[n, columns, sizes]``, and in that shape how often it
            stands for its answer against the others of that answer, whose weights have their
            number as the sum.
        """
        by = self.elections.rules[rule]
        reached = self._reached(rule)
        top = np.fmax.reduceat(reached, self._offsets[:-1], axis=0)
        low = top if is_exact(by) else top - _slack(np.diff(self._offsets), top)
        leads = reached >= low[self.problem]
        weight = np.ones_like(reached)
        if by.info.argmax:
            leads &= self._score == reached
        elif by.name in SHOWS_BEST:
            weight = self._best_of_answer(reached)
        elif by.parameters.get("reward") == "max":
            # Without any differences the answers reach -1, or their counts under consensus.
            consensus = self._reached(rule, np.where(np.isnan(self._totals), np.nan, -1.0)) > 0
            leads &= consensus | (self._score == reached)
        return leads, weight

    @cached_property
    def _totals(self) -> Float:
        return self.scores.totals[self.rows]

    @property
    def _score(self) -> Float:
        """The scores of the candidates, ``[n, columns, 1]``."""
        return self._totals[:, self.columns, None]

    def _reached(self, rule: int, totals: Float | None = None) -> Float:
        """Give what the answer of each candidate reaches, ``[n, columns, sizes]``; NaN: no part."""
        by = self.elections.rules[rule]
        read = self._totals if totals is None else totals
        if by.info.reads != "columns":
            read = read[:, self.columns]
        result = vote(
            self.answers,
            np.ascontiguousarray(read),
            self._offsets,
            by,
            nan="drop",
            unfit="nan",
            prefixes=[self.elections.sizes[at] for at in self.sizes],
            class_scores=True,
        )
        return np.asarray(
            result.class_scores if by.info.reads == "column" else result.class_scores[:, :1]
        )

    def _best_of_answer(self, reached: Float) -> Float:
        votes = ~np.isnan(reached)
        score = np.where(votes, self._score, np.nan)
        best = score == self.over_answer(np.fmax, score)
        number = self.over_answer(np.add, votes.astype(np.float64))
        of_them = self.over_answer(np.add, best.astype(np.float64))
        return np.asarray(best * number / np.maximum(of_them, 1.0))


def is_exact(rule: Rule) -> bool:
    """Tell whether an answer reaches a count or a single score, which no order of sums changes."""
    counts = rule.name in ("majority", "pareto")
    return counts or rule.info.argmax or rule.parameters.get("reward") == "max"


def nearly_tied(elections: Elections, rule: int, offsets: Int) -> Bool:
    """Tell where the two best answers lie no further apart than rounding can bring equal sums.

    Args:
        elections: of all problems.
        rule: which rule.
        offsets: where the candidates of each problem begin and end, ``[problems + 1]``.

    Returns:
        bool ``[problems, columns, sizes]``.
    """
    score, margin = elections.score[:, rule], elections.margin[:, rule]
    return np.asarray(margin <= _slack(np.diff(offsets), score))


def _slack(candidates: Int, totals: Float) -> Float:
    """How far apart the rounding of so many terms can bring sums that are equal."""
    size = np.where(np.isfinite(totals), np.abs(totals), 0.0)
    return np.asarray((candidates + 8)[:, None, None] * np.finfo(np.float64).eps * size)


def parts(scores: CandidateScores, elections: Elections, wanted: Bool) -> Iterator[Part]:
    """Give the problems, columns and sizes in which something is wanted, some problems at a time.

    Args:
        scores, elections: of all problems.
        wanted: bool ``[problems, columns, sizes]``.
    """
    problems, columns, sizes = (
        np.flatnonzero(wanted.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))
    )
    if not len(problems):
        return
    work = np.diff(scores.offsets)[problems] * len(columns) * len(sizes)
    cuts = np.flatnonzero(np.diff((np.cumsum(work) - 1) // _BLOCK)) + 1
    for block in np.split(problems, cuts):
        yield Part(scores, elections, block, columns, sizes)
