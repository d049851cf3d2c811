"""What parameters of strategies have to be."""

from __future__ import annotations

from stepscore.errors import InputError


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


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a word that a parameter does not know."""
    if value not in choices:
        raise InputError(
            f"one of {', '.join(choices)}",
            got=repr(value),
            argument=f"parameters.{name}",
            where="search",
        )
