"""How often rules are right, or two of them agree, as cells of a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stepscore.report.table import percent
from stepscore.voting import AccuracyCounts, TypedRule


def accuracy_cells(counts: AccuracyCounts, rules: Sequence[int], setting: int) -> list[str]:
    """Write how often some rules are right under a setting, in %."""
    right, judged = counts.right, counts.judged
    return [percent(right[rule, setting], judged[rule, setting]) for rule in rules]


def agreement_cells(counts: AccuracyCounts, setting: int) -> list[str]:
    """Write how often each pair of rules chooses the same answer under a setting, in %."""
    columns = counts.equal[:, setting], counts.compared[:, setting]
    return [percent(equal, compared) for equal, compared in zip(*columns, strict=True)]


def accuracy_figures(
    counts: AccuracyCounts, rules: Sequence[TypedRule], settings: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    """Give how often each rule is right under each setting, from 0 to 1; None says nothing."""
    shares = _shares(counts.right, counts.judged)
    return {
        rule.label: dict(zip(settings, row, strict=True))
        for rule, row in zip(rules, shares, strict=True)
    }


def agreement_figures(
    counts: AccuracyCounts, rules: Sequence[TypedRule], settings: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    """Give how often each pair of rules chooses the same answer, as `accuracy_figures` does."""
    shares = _shares(counts.equal, counts.compared)
    return {
        f"{rules[a].label} = {rules[b].label}": dict(zip(settings, row, strict=True))
        for (a, b), row in zip(counts.pairs, shares, strict=True)
    }


def _shares(some: NDArray[np.float64], every: NDArray[np.int64]) -> list[list[float | None]]:
    return [
        [part / whole if whole else None for part, whole in zip(*row, strict=True)]
        for row in zip(some.tolist(), every.tolist(), strict=True)
    ]


def agreement_headings(counts: AccuracyCounts, rules: Sequence[TypedRule]) -> list[tuple[str, ...]]:
    """Write what stands above the cells of `agreement_cells`."""
    headings = []
    for a, b in counts.pairs:
        first, *rest = rules[b].heading
        headings.append((*rules[a].heading, f"= {first}", *rest))
    return headings
