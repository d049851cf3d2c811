"""The rules of a vote as they are typed: ``softmax_weighted:temperature=0.1``."""

from __future__ import annotations

import math
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from stepscore.jobs.step_scores import GIVEN, NEED_PROBABILITIES, usable
from stepscore.ops.aggregate import AGGREGATIONS
from stepscore.ops.vote import RULES as TABLE
from stepscore.ops.vote import Rule as OpRule
from stepscore.records.records import InputError
from stepscore.report.table import counted

# `columns` names columns by number; here `--objectives` does, by name.
RULES = {name: tuple(p for p in info.parameters if p != "columns") for name, info in TABLE.items()}
OPTIONAL = ("eps", "power")

# One value of every parameter, for messages that say what to type.
_EXAMPLES = {
    "temperature": "0.1",
    "eps": "1e-7",
    "prior": "0.5",
    "reliability": "0.6",
    "answers": "10",
    "power": "2",
    "tau": "0.5",
    "consensus": "share",
    "reward": "max",
    "reward_weight": "0.5",
    "normalize": "minmax",
    "objective_weights": "0.5:0.3:0.2",
    "scale": "none",
}
_WORDS = ("consensus", "reward", "normalize", "scale")
_WHOLE = ("answers", "power")

_READ_PROBABILITIES = ("logodds_weighted", "loglik_weighted")
_READ_LOG_PROBABILITIES = "confidence_weighted"
_READ_ANY = ("majority", "best_of_n", "borda", "pareto")
_READ_COLUMNS = ("pareto", "multi_objective")
# Aggregations that leave [0, 1] although the step scores lie in it.
_NO_PROBABILITIES = ("sum", "odds_mean")

_HEADING_WIDTH = 32


@dataclass(frozen=True)
class Rule:
    """One rule with its parameters.

    Attributes:
        label: as it was typed; it names columns and keys.
        name: one of ``stepscore.vote``'s.
        parameters: what that call takes for it.
    """

    label: str
    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def heading(self) -> tuple[str, ...]:
        """The label in lines that are narrow enough to stand above a column."""
        name, _, rest = self.label.partition(":")
        parts = rest.split(",") if rest else []
        return (name, *(line for part in parts for line in textwrap.wrap(part, _HEADING_WIDTH)))

    @property
    def reads_scores(self) -> bool:
        """Whether it does more than count."""
        return self.name != "majority"

    @property
    def reads_columns(self) -> bool:
        """Whether it reads several aggregations at once."""
        return self.name in _READ_COLUMNS

    @property
    def reads_one_column(self) -> bool:
        """Whether its result depends on the aggregation at hand."""
        return self.reads_scores and not self.reads_columns

    @property
    def sums_scores(self) -> bool:
        """Whether a candidate with a negative score counts against its answer."""
        return self.name == "weighted" or self.parameters.get("reward") == "sum"

    @property
    def score_range(self) -> tuple[float, float]:
        """The lowest and the highest score that ``stepscore.vote`` takes for it."""
        largest = sys.float_info.max
        if self.name in _READ_ANY:
            return -math.inf, math.inf
        if self.name in _READ_PROBABILITIES:
            return 0.0, 1.0
        if self.name == _READ_LOG_PROBABILITIES:
            return -math.inf, 0.0
        return (0.0 if self.parameters.get("normalize") == "sum" else -largest), largest

    @property
    def needs(self) -> str:
        """The scores of its range, in words."""
        low, high = self.score_range
        if high == 1:
            return "scores in [0, 1]"
        if high == 0:
            return "log probabilities, at most 0"
        return "finite scores of at least 0" if low == 0 else "finite scores"

    def suits(self, column: str, *, bounded: bool) -> bool:
        """Tell whether an aggregation means what the rule reads, whatever its values are.

        A sum of probabilities is no probability, even where it happens to lie in [0, 1].
        """
        if column == GIVEN:
            return True
        if self.name in _READ_PROBABILITIES:
            return bounded and column not in _NO_PROBABILITIES
        if self.name == _READ_LOG_PROBABILITIES:
            return not bounded and column not in NEED_PROBABILITIES
        return True


DEFAULT_RULES = tuple(Rule(name, name) for name in ("majority", "weighted", "best_of_n"))


@dataclass(frozen=True)
class Poll:
    """How the candidates vote.

    Attributes:
        rules: in the order of the table's columns.
        objectives: the aggregations that ``pareto`` and ``multi_objective`` read; None takes all
            that the scores have.
        verify: what decides on answers whose keys differ; None lets the keys alone decide, so that
            a table does not depend on what else is installed.
    """

    rules: tuple[Rule, ...] = DEFAULT_RULES
    objectives: tuple[str, ...] | None = None
    verify: Literal["math-verify"] | None = None


DEFAULT_POLL = Poll()


def parse_rules(texts: Sequence[str]) -> tuple[Rule, ...]:
    """Read rules as they are typed, ``NAME[:PARAM=VALUE[,PARAM=VALUE]]``.

    Raises:
        InputError: an unknown rule, a parameter that is unknown, missing, given twice or no number,
            a value that the rule does not take, or a rule given twice.
    """
    rules: list[Rule] = []
    for text in texts:
        rule = _parse_rule(text)
        for earlier in rules:
            if (earlier.name, earlier.parameters) == (rule.name, rule.parameters):
                raise InputError(
                    f"--rule {text}: expected every rule once; got {earlier.label} before; leave "
                    "one of them out"
                )
        rules.append(rule)
    return tuple(rules)


def parse_objectives(text: str | None, rules: Sequence[Rule]) -> tuple[str, ...] | None:
    """Read the aggregations that ``pareto`` and ``multi_objective`` read, ``min,last,mean``.

    Raises:
        InputError: an unknown name, one given twice, a rule without its objectives, objectives
            without their rule, or another number of weights.
    """
    weighing = [rule for rule in rules if rule.name == "multi_objective"]
    if text is None:
        for rule in weighing:
            raise InputError(
                f"--rule {rule.label}: expected the aggregations that its weights belong to; got "
                "none; type them as in --objectives min,last,mean"
            )
        return None
    if not any(rule.reads_columns for rule in rules):
        raise InputError(
            "--objectives: expected --rule pareto or --rule multi_objective:..., which read them; "
            "got neither; add one, or leave --objectives out"
        )
    names = tuple(text.split(","))
    known = (*AGGREGATIONS, GIVEN)
    for name in names:
        if name not in known:
            raise InputError(
                f"--objectives: expected some of {', '.join(known)}; got {name!r}; type them as in "
                "--objectives min,last,mean"
            )
        if names.count(name) > 1:
            raise InputError(
                f"--objectives: expected every aggregation once; got {name} twice; leave one out"
            )
    for rule in weighing:
        weights = len(rule.parameters["objective_weights"])
        if weights != len(names):
            raise InputError(
                f"--rule {rule.label}: expected {counted(len(names), 'weight')}, one for each of "
                f"--objectives {text}; got {weights}; type as many of one as of the other"
            )
    return names


def objectives_of(poll: Poll, columns: Sequence[str], *, bounded: bool) -> tuple[str, ...]:
    """Give the aggregations that ``pareto`` and ``multi_objective`` read; none without such a rule.

    Args:
        poll: how the candidates vote.
        columns: what there is.
        bounded: whether step scores lie in [0, 1].

    Raises:
        InputError: an aggregation that these scores do not have.
    """
    if not any(rule.reads_columns for rule in poll.rules):
        return ()
    there = usable(columns, bounded=bounded)
    for name in poll.objectives or ():
        if name not in there:
            raise InputError(
                f"--objectives: expected some of {', '.join(there)} for a file with such scores; "
                f"got {name}; leave it out"
            )
    return poll.objectives or tuple(there)


def _parse_rule(text: str) -> Rule:
    name, colon, rest = text.partition(":")
    if name not in RULES:
        raise InputError(
            f"--rule {text}: expected one of {', '.join(RULES)}; got {name!r}; type one of these, "
            "and --rule again for a second"
        )
    advice = f"type --rule {_example(name)}"
    parameters: dict[str, Any] = {}
    for part in rest.split(",") if colon else ():
        key, equals, value = part.partition("=")
        if not equals:
            raise InputError(f"--rule {text}: expected PARAM=VALUE; got {part!r}; {advice}")
        if key not in RULES[name]:
            known = " and ".join(RULES[name]) or "no parameters"
            raise InputError(f"--rule {text}: {name} takes {known}; got {key!r}; {advice}")
        if key in parameters:
            raise InputError(f"--rule {text}: expected {key} once; got it twice; leave one out")
        try:
            parameters[key] = _value(key, value)
        except (ValueError, OverflowError):
            kind = "a whole number" if key in _WHOLE else "a number"
            if key == "objective_weights":
                kind = "numbers with colons between them"
            raise InputError(
                f"--rule {text}: expected {kind} for {key}; got {value!r}; {advice}"
            ) from None
    missing = [key for key in RULES[name] if key not in parameters and key not in OPTIONAL]
    if missing:
        raise InputError(
            f"--rule {text}: expected {' and '.join(missing)} too; got "
            f"{' and '.join(parameters) or 'no parameters'}; {advice}"
        )
    _try(text, name, parameters, advice)
    return Rule(text, name, parameters)


def _value(key: str, text: str) -> Any:
    if key in _WORDS:
        return text
    if key == "objective_weights":
        return [float(weight) for weight in text.split(":")]
    if key in _WHOLE:
        return int(np.int64(int(text)))  # what the op can hold
    return float(text)


def _try(text: str, name: Any, parameters: dict[str, Any], advice: str) -> None:
    """Make the rule, so that a wrong value is refused before a file is read."""
    try:
        OpRule(name, **parameters)
    except ValueError as error:
        raise InputError(f"--rule {text}: {error}; {advice}") from error


def _example(name: str) -> str:
    needed = [key for key in RULES[name] if key not in OPTIONAL]
    given = ",".join(f"{key}={_EXAMPLES[key]}" for key in needed or RULES[name])
    return f"{name}:{given}" if given else name
