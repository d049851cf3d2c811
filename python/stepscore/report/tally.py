"""How often rules are right, and how often two of them agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stepscore.report.table import NOTHING, percent
from stepscore.voting.rules import TypedRule

_MOST_COMPARED = 3


class Tally:
    """Counts over the votes of some rules, each under some settings: the rows of a table.

    Args:
        rules: the columns of the table.
        settings: how many rows it has.

    Attributes:
        unfit: where a rule had scores before it that it does not read, bool ``[rules, settings]``.
    """

    def __init__(self, rules: Sequence[TypedRule], settings: int) -> None:
        self._rules = tuple(rules)
        self._pairs = _pairs(len(self._rules))
        shape, pairs = (len(self._rules), settings), (len(self._pairs), settings)
        self._right = np.zeros(shape, dtype=np.int64)
        self._judged = np.zeros(shape, dtype=np.int64)
        self._equal = np.zeros(pairs, dtype=np.int64)
        self._compared = np.zeros(pairs, dtype=np.int64)
        self.unfit = np.zeros(shape, dtype=np.bool_)
        self._scored = np.zeros(settings, dtype=np.bool_)

    def add(
        self,
        winner: NDArray[np.int64],
        exists: NDArray[np.bool_],
        unfit: NDArray[np.bool_],
        scored: NDArray[np.bool_],
        classes: NDArray[np.int64],
        right: NDArray[np.bool_],
        known: NDArray[np.bool_],
    ) -> None:
        """Tally the votes of some problems.

        Args:
            winner, exists, unfit: as in `Voted`, ``[problems, rules, settings]``.
            scored: under which settings there are any scores, ``[settings]``.
            classes: of each candidate, -1 = no answer.
            right: whether each candidate is right.
            known: of which problems that is known, ``[problems]``.
        """
        self.unfit |= unfit.any(axis=0)
        self._scored |= scored
        # The last element stands for no winner, which is neither right nor an answer.
        self._right += np.append(right, False)[winner[known]].sum(axis=0)
        self._judged += exists[known].sum(axis=0)
        answer = np.append(classes, -1)[winner]
        for pair, (one, other) in enumerate(self._pairs):
            both = exists[:, one] & exists[:, other]
            self._compared[pair] += both.sum(axis=0)
            self._equal[pair] += (both & (answer[:, one] == answer[:, other])).sum(axis=0)

    @property
    def comparisons(self) -> list[tuple[str, ...]]:
        """The headings above the cells of `agreement`."""
        headings = []
        for one, other in self._pairs:
            first, *rest = self._rules[other].heading
            headings.append((*self._rules[one].heading, f"= {first}", *rest))
        return headings

    def accuracy(self, rule: int, setting: int) -> str:
        """Give how often a rule is right, in %."""
        if not self._means(rule, setting):
            return NOTHING
        return percent(self._right[rule, setting], self._judged[rule, setting])

    def agreement(self, setting: int) -> list[str]:
        """Give how often two rules choose the same answer, in %, for each of `comparisons`."""
        return [
            percent(self._equal[pair, setting], self._compared[pair, setting])
            if self._means(one, setting) and self._means(other, setting)
            else NOTHING
            for pair, (one, other) in enumerate(self._pairs)
        ]

    def _means(self, rule: int, setting: int) -> bool:
        # A share over the problems whose scores fit would be one over other problems in each row.
        if self.unfit[rule, setting]:
            return False
        if self._rules[rule].reads_columns:
            return bool(self._scored.any())
        return bool(self._scored[setting]) or not self._rules[rule].reads_scores


def _pairs(rules: int) -> list[tuple[int, int]]:
    """Compare up to three rules each with each, and more each with the first: (one, other)."""
    others = range(rules) if rules <= _MOST_COMPARED else range(1)
    return [(one, other) for other in others for one in range(other + 1, rules)]
