"""Classes of one problem's answers: by their keys, and by what a verifier says of the rest."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import combinations

_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")


def by_key(keys: Sequence[str | None], bare: Sequence[str | None]) -> list[str | None]:
    """Give each answer the key that stands for its class.

    Args:
        keys: of the answers.
        bare: the key without its unit; of a percentage that of the number before the sign.

    A bare number stands for the only unit that the problem knows for it. A percentage is one,
    unless the same value stands there without the sign; and what somebody writes with the sign is
    no bare number. A choice stands for the only text that it has.
    """
    written = list(zip(keys, bare, strict=True))
    plain = {key for key, number in written if number is None}
    percentages = {key for key, number in written if number and key and " [" not in key}
    units: dict[str, set[str]] = {}
    for key, number in written:
        if key and number and key not in plain and number not in percentages:
            units.setdefault(number, set()).add(key)
    only = {number: min(names) for number, names in units.items() if len(names) == 1}
    return [only.get(key, key) if key else None for key in keys]


def agreed(
    classes: Sequence[list[tuple[str, str]]], verify: Callable[[str, str], bool]
) -> list[int]:
    """Give the first class that each joins.

    Args:
        classes: the keys and answers in each.
        verify: whether two answers are equal, in one direction.

    A connected group of classes is one only if all its pairs agree.
    """
    speaks = [min((len(answer), answer) for _, answer in members)[1] for members in classes]
    pairs = set()
    for one, other in combinations(range(len(classes)), 2):
        keys = classes[one][0][0], classes[other][0][0]
        if any(key.startswith("text:") for key in keys):
            a, b = speaks[one], speaks[other]
            equal = bool(verify(a, b)) or bool(verify(b, a))
        else:
            equal = _rounds(*keys) or _rounds(*reversed(keys))
        if equal:
            pairs |= {(one, other), (other, one)}
    first = list(range(len(classes)))
    for start in range(len(classes)):
        group, seen = [start], {start}
        for one in group:
            new = {other for a, other in pairs if a == one} - seen
            group += sorted(new)
            seen |= new
        if all(pair in pairs for pair in combinations(sorted(seen), 2)):
            first[start] = min(seen)
    return first


def _rounds(decimal: str, key: str) -> bool:
    """Say whether a decimal of twelve digits or more is what a key is to so many places."""
    if not re.fullmatch(r"-?\d+/\d{6,}", decimal):
        return False
    value = Fraction(decimal)
    places = next((n for n in range(1, 40) if value * 10**n % 1 == 0), None)
    if places is None or abs(value) * 10**places < 10**11:
        return False
    if not re.fullmatch(r"(?:[-+]?[\d/*]*(?:sqrt\(\d+\))?\*?(?:pi(?:\^-?\d+)?)?)+", key):
        return False
    spelled = re.sub(r"(?<!\^)(?<!\^-)\b\d+", r"Decimal(\g<0>)", key).replace("^", "**")
    names = {"Decimal": Decimal, "sqrt": Decimal.sqrt, "pi": _PI, "__builtins__": {}}
    with localcontext() as context:
        context.prec = 70
        exact = eval(spelled, names)  # a key, of the signs above alone
        return bool(
            abs(exact - Decimal(value.numerator) / value.denominator) < Decimal(10) ** -places
        )
