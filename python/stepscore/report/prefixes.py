"""The table of the first n candidates: what more samples are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stepscore.report.table import percent, table
from stepscore.report.tally import Tally
from stepscore.voting.rules import POWERS
from stepscore.voting.settings import VoteSettings, objectives_of
from stepscore.voting.votes import ballots_of, elect

if TYPE_CHECKING:
    from stepscore.jobs.step_scores import Scored
    from stepscore.voting.votes import Voted


class PrefixTable:
    """How often each rule is right, or two agree, when only the first n candidates vote.

    Args:
        settings: how the candidates vote.
        how: the aggregation that they vote by.
        sizes: n, ascending.
    """

    def __init__(self, settings: VoteSettings, how: str, sizes: tuple[int, ...]) -> None:
        self._settings = settings
        self._how = how
        self._sizes = sizes
        self._tally = Tally(settings.rules, len(sizes))
        self._known = 0
        self._any = np.zeros(len(sizes), dtype=np.int64)

    def add(
        self,
        scored: Scored,
        voted: Voted,
        right: NDArray[np.bool_],
        known: NDArray[np.bool_],
    ) -> None:
        """Tally some records; `right` and `known` as `known_right` gives them."""
        column = scored.columns.index(self._how)
        winner = self._winners(scored, voted)
        # What a rule can read of a problem does not depend on n.
        exists = np.broadcast_to(voted.exists[:, :, column, None], winner.shape)
        unfit = np.broadcast_to(voted.unfit[:, :, column, None], winner.shape)
        some = np.full(len(self._sizes), not np.isnan(scored.totals[:, column]).all())
        self._tally.add(winner, exists, unfit, some, voted.classes, right, known)
        self._known += int(known.sum())
        begins = scored.offsets[:-1]
        places = np.arange(len(right)) - np.repeat(begins, np.diff(scored.offsets))
        first_right = np.minimum.reduceat(np.where(right, places, POWERS[-1]), begins)
        self._any += (first_right[known, None] < np.array(self._sizes)).sum(axis=0)

    def lines(self, fewest: int, most: int) -> list[str]:
        """Write the table; nothing where there is nothing to compare.

        Args:
            fewest, most: how many candidates the smallest and the largest problem have; the powers
                end with the largest.
        """
        rules = range(len(self._settings.rules))
        sizes = [size for size in self._sizes if self._sizes is not POWERS or size <= most]
        width = len(f"{sizes[-1]:,}")
        shown = [(at, f"{size:>{width},}") for at, size in enumerate(sizes)]
        if self._known:
            title = f"accuracy in % of the first n candidates, by {self._how}"
            headings = [*(rule.heading for rule in self._settings.rules), ("pass@n",)]
            rows = [
                (
                    size,
                    [
                        *(self._tally.accuracy(rule, at) for rule in rules),
                        percent(self._any[at], self._known),
                    ],
                )
                for at, size in shown
            ]
        else:
            title = (
                "how often two rules choose the same answer among the first n candidates, in %, "
                f"by {self._how}"
            )
            headings = self._tally.comparisons
            rows = [(size, self._tally.agreement(at)) for at, size in shown]
        if not headings:
            return []
        lines = [title, *table(f"{'n':>{width}}", headings, rows)]
        if fewest < sizes[-1]:
            lines.append("  (where a problem has fewer than n candidates, all of them vote)")
        return lines

    def _winners(self, scored: Scored, voted: Voted) -> NDArray[np.int64]:
        objectives = objectives_of(self._settings, scored.columns, bounded=scored.bounded)
        winners = [
            elect(
                rule,
                scored,
                ballots_of(rule, scored, voted.classes, voted.has_answers),
                self._how,
                objectives,
                prefixes=self._sizes,
            )[0].winner
            for rule in self._settings.rules
        ]
        return np.stack(winners, axis=1)
