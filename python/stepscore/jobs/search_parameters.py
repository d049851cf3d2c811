"""The parameters of a strategy as they are typed, read by its signature."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

from stepscore.errors import Argument, InputError, did_you_mean
from stepscore.records import quote
from stepscore.search import STRATEGIES

_ANY = "int | float | bool | None | str"


def parse_parameters(strategy: str, texts: Mapping[str, str]) -> dict[str, Any]:
    """Read a strategy's parameters from text; those not given keep their defaults.

    Raises:
        InputError: an unknown strategy or parameter, a value of another type, one that is missing.
    """
    if strategy not in STRATEGIES:
        raise InputError(
            f"one of {', '.join(STRATEGIES)}",
            got=strategy,
            advice=did_you_mean(strategy, STRATEGIES, "pass one of these"),
            argument="strategy",
        )
    _, *parameters = inspect.signature(STRATEGIES[strategy]).parameters.values()
    known = {each.name: each for each in parameters if each.kind is not each.VAR_KEYWORD}
    takes_any = len(known) < len(parameters)
    parsed = {}
    for name, text in texts.items():
        argument = Argument(f"parameters.{name}", text)
        if name not in known and not takes_any:
            listed = ", ".join(map(_described, known.values())) or "none"
            raise InputError(
                f"a parameter of {strategy}: {listed}",
                got=name,
                advice=did_you_mean(name, known, "pass one of these"),
                argument=argument,
            )
        kind = str(known[name].annotation) if name in known else _ANY
        try:
            parsed[name] = _parse(text, kind)
        except ValueError:
            raise InputError(
                kind, got=quote(text), advice="write it so", argument=argument
            ) from None
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in parsed:
            raise InputError(
                f"{name} ({parameter.annotation}), which {strategy} has no default for",
                got="none",
                advice=("pass ", Argument(f"parameters.{name}", "VALUE")),
                argument="parameters",
            )
    return parsed


def _described(parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return f"{parameter.name} ({parameter.annotation})"
    return f"{parameter.name}={parameter.default}"


def _parse(text: str, kind: str) -> Any:
    """Read a text as the first of the types that takes it, in the words of an annotation."""
    for name in kind.split(" | "):
        if name == "None" and text.lower() in ("none", "null"):
            return None
        if name == "bool" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if name == "str":
            return text
        try:
            if name == "int":
                return int(text)
            if name == "float" and not math.isnan(number := float(text)):
                return number
            if name.startswith("tuple[int"):
                return tuple(int(part) for part in text.strip("()[]").split(","))
        except ValueError:
            continue
    raise ValueError(kind)
