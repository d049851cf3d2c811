"""Exact numbers of the reference: sums of rational multiples of roots and powers of pi."""

from __future__ import annotations

import math
from fractions import Fraction

# {(power of pi, square-free radicand): factor}
Number = dict[tuple[int, int], Fraction]


class NotUnderstoodError(Exception):
    """What was read is no number, or one that could mean two things: the answer is text."""


def about(value: Number) -> float:
    """Give the value in floating point."""
    return math.fsum(
        float(factor) * math.sqrt(root) * math.pi**pi for (pi, root), factor in value.items()
    )


def number_of(value: Fraction) -> Number:
    """Give a fraction as a number."""
    return {(0, 1): value} if value else {}


def is_rational(value: Number) -> bool:
    """Say whether there is neither a root nor pi in it."""
    return set(value) <= {(0, 1)}


def rational(value: Number) -> Fraction:
    """Give the fraction that it is; anything else is not understood."""
    if not is_rational(value):
        raise NotUnderstoodError
    return value.get((0, 1), Fraction(0))


def scaled(value: Number, by: int) -> Number:
    """Multiply by a whole number."""
    return {term: by * factor for term, factor in value.items()}


def plus(a: Number, b: Number) -> Number:
    """Add."""
    total = {term: a.get(term, Fraction(0)) + b.get(term, Fraction(0)) for term in {*a, *b}}
    return {term: factor for term, factor in total.items() if factor}


def times(a: Number, b: Number) -> Number:
    """Multiply; roots of the same number become whole."""
    total: Number = {}
    for (pi_a, root_a), factor_a in a.items():
        for (pi_b, root_b), factor_b in b.items():
            square, rest = split_square(root_a * root_b)
            term = {(pi_a + pi_b, rest): factor_a * factor_b * square}
            total = plus(total, term)
    return total


def over(a: Number, b: Number) -> Number:
    """Divide by a single term; a sum below is not understood."""
    if len(b) != 1:
        raise NotUnderstoodError
    (((pi, root), factor),) = b.items()
    return times(a, {(-pi, root): 1 / (factor * root)})


def split_square(n: int) -> tuple[int, int]:
    """Give (s, r) with n = s^2 r and r square-free."""
    if n > 2**40:
        raise NotUnderstoodError
    square, rest, p = 1, n, 2
    while p * p <= rest:
        while rest % (p * p) == 0:
            rest //= p * p
            square *= p
        p += 1
    return square, rest


def root_of(value: Number, degree: int) -> Number:
    """Give the root of a fraction: of degree 2 any, of others only exact ones."""
    inside = rational(value)
    if degree == 2:
        if inside < 0:
            raise NotUnderstoodError
        if inside == 0:
            return {}
        square, rest = split_square(inside.numerator * inside.denominator)
        return {(0, rest): Fraction(square, inside.denominator)}
    if degree < 2 or (inside < 0 and degree % 2 == 0):
        raise NotUnderstoodError
    sizes = [round(abs(n) ** (1 / degree)) for n in (inside.numerator, inside.denominator)]
    exact = Fraction(*sizes) * (-1 if inside < 0 else 1)
    if exact**degree != inside:
        raise NotUnderstoodError
    return number_of(exact)


def spell(value: Number) -> str:
    """Give the key: terms by their powers of pi and their roots; at most 64 bits."""
    text = ""
    for (pi, root), factor in sorted(value.items()):
        power = "pi" if pi == 1 else f"pi^{pi}"
        irrational = [f"sqrt({root})"] * (root != 1) + [power] * (pi != 0)
        shown = "*".join(
            [*([str(factor)] if abs(factor) != 1 or not irrational else []), *irrational]
        )
        if factor == -1 and irrational:
            shown = "-" + shown
        text += ("+" if text and factor > 0 else "") + shown
    if any(math.log2(max(abs(f.numerator), f.denominator, 1)) >= 63 for f in value.values()) and (
        len(value) > 1 or next(iter(value.values())).denominator != 1
    ):
        raise NotUnderstoodError
    return text or "0"
