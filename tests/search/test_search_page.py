"""The page about search: its table is that of the strategies, and its figures are measured ones."""

from __future__ import annotations

import inspect
import re

from page_blocks import ROOT

from stepscore.search.strategies.registry import REGISTRY

PAGE = (ROOT / "docs" / "search.md").read_text()
MEASURED = (ROOT / "benchmarks" / "search_lab_table.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| [^|]+ \|(?: (\d+): ([\d.]+) %)? *\|$", re.M)


def written(parameter: inspect.Parameter) -> str:
    if parameter.kind is parameter.VAR_KEYWORD:
        return "..."
    if parameter.default is parameter.empty:
        return parameter.name
    return f"{parameter.name}={parameter.default!r}".replace("'", "")


def test_the_table_is_that_of_the_strategies() -> None:
    rows = {name: (rule, parameters) for name, rule, parameters, *_ in ROW.findall(PAGE)}
    assert rows == {
        name: (
            info.rule,
            ", ".join(map(written, [*inspect.signature(info.run).parameters.values()][1:])),
        )
        for name, info in REGISTRY.items()
    }


def test_the_figures_are_those_of_the_experiment() -> None:
    measured = {
        (cells[4].strip(), cells[9].split()[0])
        for line in MEASURED.splitlines()
        if len(cells := line.strip("|").split("|")) > 9 and cells[1].strip() == "8"
    }
    shown = {name: figures for name, _, _, *figures in ROW.findall(PAGE) if figures[0]}
    assert len(shown) >= 20
    for name, (tokens, accuracy) in shown.items():
        assert (tokens, accuracy) in measured, name
