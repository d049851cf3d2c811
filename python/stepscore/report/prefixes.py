"""The table of the first n candidates: what more samples are worth."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepscore.answers import Grades
from stepscore.ragged import first_true
from stepscore.report.accuracy import (
    accuracy_cells,
    accuracy_figures,
    agreement_cells,
    agreement_figures,
    agreement_headings,
)
from stepscore.report.table import WIDTH, percent, table
from stepscore.tallies import Tally
from stepscore.voting import AccuracyCounts, CandidateScores, Elections, VoteSettings
from stepscore.voting.columns import UNSCORED
from stepscore.voting.rules import POWERS


class PrefixTable(Tally):
    """How often each rule is right, or two agree, when only the first n candidates vote.

    Args:
        settings: how the candidates vote.
        how: the aggregation that they vote by.
        sizes: n, ascending.
    """

    def __init__(self, settings: VoteSettings, how: str, sizes: tuple[int, ...]) -> None:
        self.sizes = sizes
        self._rules = settings.rules
        self._ties = settings.tie_credit
        self._how = how
        self._counts = AccuracyCounts(self._rules, len(sizes))
        self._known = 0
        self._any = np.zeros(len(sizes), dtype=np.int64)

    def add(
        self,
        scores: CandidateScores,
        elections: Elections,
        grades: Grades,
        credit: NDArray[np.float64],
        agreed: NDArray[np.float64] | None,
    ) -> None:
        """Count some problems, whose elections were held for `sizes` too.

        Args:
            scores, elections, grades: of the problems.
            credit: see `credits_of`.
            agreed: see `agreements_of`; None where nobody asks.
        """
        column, sizes = scores.columns.index(self._how), list(elections.size_at)
        shape = (scores.problems, len(self._rules), len(sizes))
        # What a rule can read of a problem does not depend on n.
        exists = np.broadcast_to(elections.exists[:, :, column, None], shape)
        unfit = np.broadcast_to(elections.unfit[:, :, column, None], shape)
        some = np.full(len(sizes), not np.isnan(scores.totals[:, column]).all())
        right, known = grades.right, grades.known
        self._counts.add(credit[:, :, column, sizes], exists, unfit, some, known)
        if agreed is not None:
            self._counts.compare(agreed[:, :, column, sizes], exists)
        self._known += int(known.sum())
        first = _first_right(right, scores.offsets)[known, None]
        self._any += (first < np.array(self.sizes)).sum(axis=0)

    def table(self, fewest: int, most: int) -> list[str]:
        """Write the table; nothing where there is nothing to compare.

        Args:
            fewest, most: how many candidates the smallest and the largest problem have; the powers
                end with the largest.
        """
        sizes = [size for size in self.sizes if self.sizes is not POWERS or size <= most]
        width = len(f"{sizes[-1]:,}")
        by = "" if self._how == UNSCORED else f", by {self._how}"
        headings: list[tuple[str, ...]]
        if self._known:
            title = f"accuracy in % of the first n candidates{by} (ties: {self._ties})"
            headings = [*(rule.heading for rule in self._rules), ("pass@n",)]
            every = range(len(self._rules))
            cells = [
                [*accuracy_cells(self._counts, every, at), percent(self._any[at], self._known)]
                for at in range(len(sizes))
            ]
        else:
            title = (
                "how often two rules choose the same answer among the first n candidates, in %"
                f"{by} (ties: {self._ties})"
            )
            headings = agreement_headings(self._counts, self._rules)
            cells = [agreement_cells(self._counts, at) for at in range(len(sizes))]
        rows = [(f"{size:>{width},}", row) for size, row in zip(sizes, cells, strict=True)]
        if not headings:
            return []
        lines = [*textwrap.wrap(title, WIDTH), *table(f"{'n':>{width}}", headings, rows)]
        if fewest < sizes[-1]:
            lines.append("  (where a problem has fewer than n candidates, all of them vote)")
        return lines

    def shares(self, most: int) -> dict[str, Any]:
        """Give the same as shares, for a program."""
        sizes = [size for size in self.sizes if self.sizes is not POWERS or size <= most]
        names = [str(size) for size in self.sizes]
        of_rules = accuracy_figures if self._known else agreement_figures
        figures = {
            rule: {name: row[name] for name in names[: len(sizes)]}
            for rule, row in of_rules(self._counts, self._rules, names).items()
        }
        return {
            "how": self._how,
            "sizes": sizes,
            "accuracy" if self._known else "agreement": figures,
        }


def _first_right(right: NDArray[np.bool_], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the place of the first right candidate of each problem; more than any size without."""
    first = first_true(right, offsets)
    return np.where(first >= 0, first - offsets[:-1], np.iinfo(np.int64).max)
