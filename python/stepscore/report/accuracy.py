"""How often rules are right, or two of them agree, as cells of a table."""

from __future__ import annotations

from collections.abc import Sequence

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


def agreement_headings(counts: AccuracyCounts, rules: Sequence[TypedRule]) -> list[tuple[str, ...]]:
    """Write what stands above the cells of `agreement_cells`."""
    headings = []
    for a, b in counts.pairs:
        first, *rest = rules[b].heading
        headings.append((*rules[a].heading, f"= {first}", *rest))
    return headings
