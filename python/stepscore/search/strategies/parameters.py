"""What parameters of strategies, and the scores that they read, have to be."""

from __future__ import annotations

from stepscore.errors import Argument, InputError, did_you_mean
from stepscore.search.tree import Reals


def check_multiple(**pair: int) -> None:
    """Refuse a number that is no multiple of another, as in ``check_multiple(n=n, m=m)``."""
    (name, number), (other, divisor) = pair.items()
    if divisor < 1 or number < divisor or number % divisor:
        raise InputError(
            f"a multiple of {other}={divisor}, and both at least 1",
            got=str(number),
            argument=f"parameters.{name}",
            where="search",
        )


def model_missing(model: str) -> InputError:
    """Say that the strategy asks for a model that is not there."""
    what = "a second scorer, of the outcome" if model == "value" else "a model"
    return InputError(
        f"{what}, because the strategy asks for one",
        got="none",
        advice=("pass ", Argument(model)),
        argument=model,
        where="search",
    )


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a word that a parameter does not know."""
    if value not in choices:
        raise InputError(
            f"one of {', '.join(choices)}",
            got=repr(value),
            advice=did_you_mean(value, choices),
            argument=f"parameters.{name}",
            where="search",
        )


def check_probabilities(scores: Reals) -> None:
    """Refuse scores that are no probabilities, for strategies that reckon with them."""
    if ((scores < 0) | (scores > 1)).any():
        raise InputError(
            "probabilities in [0, 1], which the strategy reckons with",
            got=f"scores in [{scores.min():g}, {scores.max():g}]",
            advice="let it give their sigmoids",
            argument="scorer",
            where="search",
        )
