"""The rules of a vote as they are typed: ``softmax_weighted:temperature=0.1``."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepscore.errors import Argument, InputError, did_you_mean
from stepscore.ops.aggregate import AGGREGATIONS
from stepscore.ops.vote_rule import RULES, ParameterInfo, Rule, RuleName
from stepscore.voting.columns import GIVEN, NEED_PROBABILITIES

BEST_OF_N: RuleName = "best_of_n"
# As many prefixes as a problem can have candidates; a table ends with the largest problem.
POWERS = tuple(2**exponent for exponent in range(31))

# Aggregations that leave [0, 1] although the step scores lie in it.
_NO_PROBABILITIES = ("sum", "odds_mean")
# `Rule` numbers the columns that it reads; here objectives name them, for all rules at once.
_NOT_TYPED = "columns"
_KINDS = {
    "real": "a number",
    "count": "a whole number",
    "reals": "numbers with colons between them",
}
_HEADING_WIDTH = 32


@dataclass(frozen=True)
class TypedRule:
    """A rule as it was typed.

    Attributes:
        label: the text; it names columns and keys.
        rule: what it says.
    """

    label: str
    rule: Rule

    @property
    def name(self) -> RuleName:
        """The name of the rule."""
        return self.rule.name

    @property
    def heading(self) -> tuple[str, ...]:
        """The label in lines that are narrow enough to stand above a column."""
        name, _, rest = self.label.partition(":")
        parts = rest.split(",") if rest else []
        return (name, *(line for part in parts for line in textwrap.wrap(part, _HEADING_WIDTH)))

    @property
    def reads_scores(self) -> bool:
        """Whether it does more than count."""
        return self.rule.info.reads != "nothing"

    @property
    def reads_columns(self) -> bool:
        """Whether it reads several aggregations at once."""
        return self.rule.info.reads == "columns"

    @property
    def reads_one_column(self) -> bool:
        """Whether its result depends on the aggregation at hand."""
        return self.rule.info.reads == "column"

    @property
    def chooses_one(self) -> bool:
        """Whether it chooses a candidate, and needs no answers that could be counted."""
        return self.rule.info.argmax

    @property
    def sums_scores(self) -> bool:
        """Whether a candidate with a negative score counts against its answer."""
        return self.name == "weighted" or self.rule.parameters.get("reward") == "sum"

    def suits(self, column: str, *, bounded: bool) -> bool:
        """Tell whether an aggregation means what the rule reads, whatever its values are.

        A sum of probabilities is no probability, even where it happens to lie in [0, 1].
        """
        kind = self.rule.scores.kind
        if column == GIVEN:
            return True
        if kind == "probability":
            return bounded and column not in _NO_PROBABILITIES
        if kind == "log_probability":
            return not bounded and column not in NEED_PROBABILITIES
        return True

    def over(self, columns: Sequence[int]) -> Rule:
        """Give the rule that reads these columns together, if it is one that does."""
        if not self.reads_columns:
            return self.rule
        return Rule(self.name, **{**self.rule.parameters, _NOT_TYPED: tuple(columns)})


_DEFAULT: tuple[RuleName, ...] = ("majority", "weighted", BEST_OF_N)
DEFAULT_RULES = tuple(TypedRule(name, Rule(name)) for name in _DEFAULT)
"""The rules of a vote for which none were named."""


def parse_rules(texts: Sequence[str]) -> tuple[TypedRule, ...]:
    """Read rules as they are typed, ``NAME[:PARAM=VALUE[,PARAM=VALUE]]``.

    Raises:
        InputError: as `parse_rule`, or a rule given twice.
    """
    rules: list[TypedRule] = []
    for text in texts:
        rule = parse_rule(text)
        for earlier in rules:
            if earlier.rule == rule.rule:
                raise InputError(
                    "every rule once",
                    got=f"{earlier.label} before",
                    advice="leave one of them out",
                    argument=Argument("rule", text),
                )
        rules.append(rule)
    return tuple(rules)


def parse_rule(text: str) -> TypedRule:
    """Read a rule as it is typed, ``NAME[:PARAM=VALUE[,PARAM=VALUE]]``.

    Raises:
        InputError: an unknown rule, a parameter that is unknown, missing, given twice or no number,
            or a value that the rule does not take.

    Examples:
        >>> parse_rule("softmax_weighted:temperature=0.1").rule
        Rule('softmax_weighted', temperature=0.1)
    """
    name, colon, rest = text.partition(":")
    if name not in RULES:
        raise InputError(
            f"one of {', '.join(RULES)}",
            got=repr(name),
            advice=(
                did_you_mean(name, RULES, "type one of these, and "),
                Argument("rule"),
                " again for a second",
            ),
            argument=Argument("rule", text),
        )
    known = typed_parameters(name)
    typed: dict[str, str] = {}
    for part in rest.split(",") if colon else ():
        key, equals, value = part.partition("=")
        if not equals:
            raise _fault(text, "PARAM=VALUE", repr(part))
        if key not in known:
            listed = " and ".join(known) or "no parameters"
            raise _fault(text, f"{listed} for {name}", repr(key))
        if key in typed:
            raise InputError(
                f"{key} once",
                got="it twice",
                advice="leave one out",
                argument=Argument("rule", text),
            )
        typed[key] = value
    missing = [key for key, about in known.items() if about.required and key not in typed]
    if missing:
        given = " and ".join(typed) or "no parameters"
        raise _fault(text, f"{' and '.join(missing)} too", given)
    values = {key: _value(text, known[key], value) for key, value in typed.items()}
    try:
        rule = Rule(RULES[name].name, **values)
    except InputError as error:
        key = "" if error.argument is None else error.argument.name
        if key not in typed:
            raise
        raise _fault(text, f"{known[key].takes} for {key}", repr(typed[key])) from error
    return TypedRule(text, rule)


def typed_parameters(name: str) -> Mapping[str, ParameterInfo]:
    """Give the parameters that can be typed behind a rule."""
    parameters = RULES[name].parameters
    return {key: about for key, about in parameters.items() if key != _NOT_TYPED}


def typed_forms() -> list[str]:
    """Give every rule as it is typed, what can be left out in brackets.

    Those without parameters come first, as many of them in a text as fit a line.
    """
    plain = [name for name in RULES if not typed_parameters(name)]
    return [
        *textwrap.wrap("   ".join(plain), 90),
        *(_form(name) for name in RULES if name not in plain),
    ]


def parse_objectives(text: str | None, rules: Sequence[TypedRule]) -> tuple[str, ...] | None:
    """Read the aggregations that ``pareto`` and ``multi_objective`` read, ``min,last,mean``.

    Raises:
        InputError: an unknown name, one given twice, a rule without its objectives, objectives
            without their rule, or another number of weights.
    """
    weighing = [rule for rule in rules if rule.name == "multi_objective"]
    example = ("type them as in ", Argument("objectives", "min,last,mean"))
    if text is None:
        for rule in weighing:
            raise InputError(
                "the aggregations that its weights belong to",
                got="none",
                advice=example,
                argument=Argument("rule", rule.label),
            )
        return None
    if not any(rule.reads_columns for rule in rules):
        raise InputError(
            (
                Argument("rule", "pareto"),
                " or ",
                Argument("rule", "multi_objective:..."),
                ", which read them",
            ),
            got="neither",
            advice=("add one, or leave ", Argument("objectives"), " out"),
            argument="objectives",
        )
    names = tuple(text.split(","))
    known = (*AGGREGATIONS, GIVEN)
    for name in names:
        if name not in known:
            raise InputError(
                f"some of {', '.join(known)}",
                got=repr(name),
                advice=example,
                argument="objectives",
            )
        if names.count(name) > 1:
            raise InputError(
                "every aggregation once",
                got=f"{name} twice",
                advice="leave one out",
                argument="objectives",
            )
    for rule in weighing:
        weights = len(rule.rule.parameters["objective_weights"])
        if weights != len(names):
            raise InputError(
                (
                    f"{len(names)} {'weight' if len(names) == 1 else 'weights'}, one for each of ",
                    Argument("objectives", text),
                ),
                got=f"{weights}",
                advice="type as many of one as of the other",
                argument=Argument("rule", rule.label),
            )
    return names


def parse_prefixes(text: str) -> tuple[int, ...]:
    """Read sizes as they are typed, ``1,2,4,8`` or ``powers``.

    Raises:
        InputError: something else than ascending whole numbers of at least 1.
    """
    if text == "powers":
        return POWERS
    try:
        sizes = tuple(int(np.int64(int(size))) for size in text.split(","))
    except (ValueError, OverflowError):
        sizes = ()
    if not sizes or sizes[0] < 1 or list(sizes) != sorted(set(sizes)):
        raise InputError(
            "whole numbers of at least 1 that ascend",
            got=repr(text),
            advice=(
                "type them as in ",
                Argument("prefixes", "1,2,4,8"),
                ", or ",
                Argument("prefixes", "powers"),
            ),
            argument="prefixes",
        )
    return sizes


def _fault(text: str, expected: str, got: str) -> InputError:
    """Give the error of a rule, with an example of how it is typed."""
    name = text.partition(":")[0]
    return InputError(
        expected,
        got=got,
        advice=("type ", Argument("rule", _example(name))),
        argument=Argument("rule", text),
    )


def _value(rule: str, about: ParameterInfo, text: str) -> Any:
    """Read the value of a parameter of a rule."""
    try:
        if about.kind == "choice":
            return text
        if about.kind == "reals":
            return [float(part) for part in text.split(":")]
        return int(np.int64(int(text))) if about.kind == "count" else float(text)
    except (ValueError, OverflowError):
        raise _fault(rule, f"{_KINDS[about.kind]} for {about.name}", repr(text)) from None


def _example(name: str) -> str:
    """Give a rule with its parameters as an example: those that it needs, else all."""
    parameters = typed_parameters(name)
    needed = {key: about for key, about in parameters.items() if about.required} or parameters
    typed = ",".join(f"{key}={_typed(about.example)}" for key, about in needed.items())
    return f"{name}:{typed}" if typed else name


def _form(name: str) -> str:
    form, sign = name, ":"
    for key, about in typed_parameters(name).items():
        value = "|".join(about.choices) or _typed(about.example)
        part = f"{sign}{key}={value}"
        form += part if about.required else f"[{part}]"
        sign = ","
    return form


def _typed(value: Any) -> str:
    """Write a value as it is typed: 1e-7 and 0.5:0.3."""
    if isinstance(value, tuple):
        return ":".join(map(_typed, value))
    return re.sub(r"e-0*", "e-", f"{value:g}") if isinstance(value, float) else str(value)
