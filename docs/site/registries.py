"""``.. registry:: NAME``: a table of what is registered under names, from the registry itself."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from stepscore.ops.vote_rule import RULES
from stepscore.recipes import summaries
from stepscore.recipes.registry import published
from stepscore.search.strategies import REGISTRY


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("registry", _Registry)
    return {"parallel_read_safe": True}


class _Registry(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()  # its source is code
        return self.parse_text_to_nodes("\n".join(_WRITTEN[self.arguments[0]]()))


def _table(*rows: Iterable[str]) -> Iterator[str]:
    yield from (".. list-table::", "   :header-rows: 1", "")
    for row in rows:
        for column, cell in enumerate(row):
            yield f"   {'  -' if column else '* -'} {cell}"
    yield ""


def _rules() -> Iterator[str]:
    rows = (
        (
            f"``{rule.name}``",
            rule.phrase,
            rule.scores.words if rule.reads != "nothing" else "none",
            "; ".join(f"``{each.name}``, {each.takes}" for each in rule.parameters.values()),
        )
        for rule in RULES.values()
    )
    yield from _table(("rule", "what an answer reaches", "scores", "parameters"), *rows)


def _strategies() -> Iterator[str]:
    functions = {f"{each.run.__module__}.{each.name}": each for each in REGISTRY.values()}
    rows = (
        (f"`{each.name} <{name}>`", _first_line(each.run), f"``{each.rule}``")
        for name, each in functions.items()
    )
    yield from _table(("strategy", "what it does", "votes by"), *rows)
    for name in functions:
        yield from (f".. autofunction:: {name}", "")


def _recipes() -> Iterator[str]:
    functions = {name: entry.make.__name__ for name, entry in published().items()}
    rows = (
        (
            f"`{each.name} <stepscore.recipes.{functions[each.name]}>`",
            each.confidence or "",
            f"{each.unit or ''}",
            _range(each.score_range),
            each.default_aggregate or "",
            ", ".join(f"``{name}``" for name in each.required),
        )
        for each in summaries()
    )
    yield from _table(
        ("recipe", "confirmed by", "a score for a", "range", "aggregate", "its user gives"), *rows
    )
    for name in functions.values():
        yield from (f".. autofunction:: stepscore.recipes.{name}", "")


def _range(ends: tuple[float, float] | None) -> str:
    if ends is None:
        return ""
    return "any number" if math.isinf(ends[1]) else f"{ends[0]:g} to {ends[1]:g}"


def _first_line(function: Callable[..., Any]) -> str:
    return (function.__doc__ or "").partition("\n")[0]


_WRITTEN = {"rules": _rules, "strategies": _strategies, "recipes": _recipes}
