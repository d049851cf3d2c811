"""What `search` is given, checked before any model works."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepscore.errors import Argument, InputError, InputTypeError, did_you_mean
from stepscore.lists import as_list
from stepscore.search.strategies.parameters import model_missing
from stepscore.search.strategies.registry import REGISTRY, STRATEGIES
from stepscore.search.tree import Ids, PendingNodes, Sampling

_WHERE = "search"
_USUAL_NODES = 2048

Strategy = Callable[..., PendingNodes]


def read_problems(problems: Sequence[str]) -> list[str]:
    """The texts of the problems."""
    problems = as_list(_WHERE, "problems", problems, "one text per problem")
    for i, problem in enumerate(problems):
        if not isinstance(problem, str):
            raise InputTypeError(
                "str",
                got=type(problem).__name__,
                argument=Argument("problems", index=(i,)),
                where=_WHERE,
            )
    if not problems:
        raise InputError("at least one text", got="none", argument="problems", where=_WHERE)
    return list(problems)


def read_strategy(
    strategy: str | Strategy, how: str | None, parameters: Mapping[str, Any]
) -> tuple[str, Strategy, dict[str, Any]]:
    """The name of a strategy, the function, and all its parameters, with its own defaults."""
    if callable(strategy):
        name, function = getattr(strategy, "__name__", repr(strategy)), strategy
    elif strategy in STRATEGIES:
        name, function = strategy, STRATEGIES[strategy]
    else:
        raise InputError(
            f"one of {', '.join(STRATEGIES)}, or a function",
            got=repr(strategy),
            advice=did_you_mean(strategy, STRATEGIES),
            argument="strategy",
            where=_WHERE,
        )
    return name, function, _bound(name, function, how, parameters)


def check_models(strategy: str | Strategy, models: Mapping[str, Any]) -> None:
    """Refuse a model that is None and that a strategy asks for; of a function nobody knows."""
    for model in REGISTRY[strategy].asks if isinstance(strategy, str) else ():
        if models[model] is None:
            raise model_missing(model)


def _bound(
    name: str, function: Strategy, how: str | None, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    signature = list(inspect.signature(function).parameters.values())[1:]
    known = [p for p in signature if p.kind is not inspect.Parameter.VAR_KEYWORD]
    names = [p.name for p in known]
    unknown = parameters.keys() - set(names)
    if unknown and len(known) == len(signature):
        first = min(unknown)
        raise InputError(
            f"a parameter of {name}: {', '.join(names) or 'it has none'}",
            got=repr(first),
            advice=did_you_mean(first, names),
            argument=f"parameters.{first}",
            where=_WHERE,
        )
    given = dict(parameters)
    if how is not None and "how" in names:
        given["how"] = how
    needed = [p.name for p in known if p.default is inspect.Parameter.empty]
    for parameter in needed:
        if parameter not in given:
            raise InputError(
                f"a value, because {name} has no default for it",
                got="none",
                argument=f"parameters.{parameter}",
                where=_WHERE,
            )
    return {**{p.name: p.default for p in known if p.name not in needed}, **given}


def read_sampling(
    temperature: float, max_tokens: int, max_step_tokens: int, stop: Sequence[str]
) -> Sampling:
    """How continuations are sampled."""
    ends = tuple(as_list(_WHERE, "stop", stop, "the texts that end a step"))
    if not temperature >= 0:
        raise InputError("0 or more", got=f"{temperature}", argument="temperature", where=_WHERE)
    check_least("max_tokens", max_tokens, 1)
    check_least("max_step_tokens", max_step_tokens, 1)
    return Sampling(temperature, max_tokens, max_step_tokens, ends)


def check_least(name: str, number: int, least: int) -> None:
    """Refuse a number below the least."""
    if number < least:
        raise InputError(f"at least {least}", got=f"{number}", argument=name, where=_WHERE)


def check_timeout(timeout: float | None) -> None:
    """Refuse a time that is none."""
    if timeout is not None and not timeout > 0:
        raise InputError(
            "a number above 0, or nothing for no limit",
            got=f"{timeout}",
            argument="timeout",
            where=_WHERE,
        )


@dataclass(frozen=True)
class Limits:
    """What each problem may cost; None: as much as it likes.

    Attributes:
        samples, tokens, prm_tokens: int64 ``[problems]``.
        max_nodes: of a problem's tree.
    """

    samples: Ids | None
    tokens: Ids | None
    prm_tokens: Ids | None
    max_nodes: int

    @property
    def may_fill_up(self) -> bool:
        """Whether a tree can be full before its problem's samples are spent."""
        return self.samples is None or int(self.samples.max()) >= self.max_nodes

    def subset(self, members: Ids) -> Limits:
        """Those of some problems."""
        samples, tokens, prm_tokens = (
            None if budget is None else budget[members]
            for budget in (self.samples, self.tokens, self.prm_tokens)
        )
        return Limits(samples, tokens, prm_tokens, self.max_nodes)


def read_limits(
    problems: int, samples: Any, tokens: Any, prm_tokens: Any, max_nodes: int | None
) -> Limits:
    """What each of so many problems may cost."""
    budget = _budget("samples", samples, problems)
    if max_nodes is None:
        max_nodes = _USUAL_NODES if budget is None else int(budget.max()) + 1
    check_least("max_nodes", max_nodes, 2)
    return Limits(
        budget,
        _budget("tokens", tokens, problems),
        _budget("prm_tokens", prm_tokens, problems),
        max_nodes,
    )


def _budget(name: str, given: Any, problems: int) -> Ids | None:
    if given is None:
        return None
    numbers = np.asarray(given)
    if numbers.dtype.kind not in "iu" or numbers.shape not in ((), (problems,)):
        raise InputError(
            f"a whole number, or one for each of the {problems} problems",
            got=f"{given!r:.60}",
            argument=name,
            where=_WHERE,
        )
    check_least(name, int(numbers.min()), 1)
    whole: Ids = np.broadcast_to(numbers.astype(np.int64), problems).copy()
    return whole
