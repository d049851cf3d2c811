r"""Does math-verify agree with the keys? ``python benchmarks/peers/agree_math_verify.py [pairs]``

Pairs of generated answers of each kind of ``tests/test_answer_key.py``, half of them of one value,
that the keys understand. math-verify gets each text in ``\boxed{...}``, in ``$...$`` and plain,
with its default extraction; the verdict in the box counts.

It *resolves* a text if its LaTeX reader alone makes a SymPy object of the whole box, and that has
no variables, as these answers have none. Where the reader gives up, `parse` goes on to look for a
number inside of the text: (−∞, 1] is then 1. And 2pi is to it 2 p i.

What the generator meant judges every disagreement: whether the values are equal, and whether the
SymPy object is the value that was written. The kinds of disagreement are the signs that never
occur in a resolved text, else the spelling with # for every number. Last come pairs that no
generator makes, on which the two differ by policy.
"""

from __future__ import annotations

import logging
import random
import re
import sys
from collections import Counter
from collections.abc import Hashable
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

import sympy
from math_verify import LatexExtractionConfig, parse, verify
from test_answer_key import KINDS, QUARTERS

import stepscore

BOXED = r"\boxed{...}"
FEEDS = {BOXED: r"\boxed{{{}}}", "$...$": "${}$", "plain": "{}"}

POLICY = [
    ("50%", "50", "theirs: 9% = 9 on purpose, to be kind to a forgotten sign"),
    ("1/3", "0.333333", "theirs: decimals are rounded to 6 places"),
    (r"5\text{ cm}", r"5\text{ m}", "theirs: units are dropped"),
    ("x = 5", "y = 5", "ours: one problem asks for one quantity, whatever its name"),
    (r"\text{(A)}", "a", "theirs: letters are folded"),
    ("007", "7", "theirs: leading zeros are dropped; to the keys a code is no number"),
    ("3:45", "1/15", "theirs: a ratio is a quotient; to the keys it may be a time"),
    ("3:4", "6:8", "theirs, likewise"),
    ("(1,000)", "(1,0)", "theirs: 000 is 0"),
    ("1e5", "5e", "theirs: e is Euler's number"),
]


@cache
def read(feed: str, answer: str) -> Any:
    return parse(FEEDS[feed].format(answer.strip("$ ")), parsing_timeout=None)


@cache
def resolves(answer: str) -> bool:
    # any_match would go on to a part of the box.
    boxed = FEEDS[BOXED].format(answer.strip("$ "))
    latex = [LatexExtractionConfig()]
    whole = parse(boxed, latex, extraction_mode="first_match", parsing_timeout=None)
    return is_object(whole) and not whole[0].free_symbols


def is_object(parsed: Any) -> bool:
    return bool(parsed) and not isinstance(parsed[0], str)


def reads_as_meant(answer: str, value: Hashable) -> bool:
    """Whether the SymPy object is the value, by means of SymPy alone."""
    found = read(BOXED, answer)[0]
    try:
        if isinstance(value, frozenset) and value <= {*QUARTERS} and isinstance(found, sympy.Set):
            if isinstance(found, sympy.FiniteSet):
                return frozenset(map(fraction, found.args)) == value
            return all((rational(q) in found) == (q in value) for q in QUARTERS)
        if isinstance(found, sympy.MatrixBase):
            return tuple(tuple(map(fraction, row)) for row in found.tolist()) == value
        if isinstance(found, sympy.Interval):
            return found.is_open and (fraction(found.start), fraction(found.end)) == value
        if isinstance(found, sympy.Tuple):
            return tuple(map(fraction, found)) == value
        return bool(abs(sympy.N(found.doit() - number(value), 30)) < 1e-12)
    except (TypeError, ValueError, AttributeError):
        return False


def fraction(found: Any) -> Fraction:
    return Fraction(str(sympy.nsimplify(found.doit(), rational=True)))


def rational(value: Any) -> Any:
    return sympy.Rational(value.numerator, value.denominator)


def number(value: Any) -> Any:
    if not isinstance(value, tuple):
        return rational(Fraction(value))
    if value[0] == "pi":
        return rational(value[1]) * sympy.pi
    positive, square = value
    return sympy.sqrt(rational(square)) * (1 if positive else -1)


def says(feed: str, text: str, other: str) -> bool:
    one, two = read(feed, text), read(feed, other)
    return any(verify(a, b, timeout_seconds=None) for a, b in ((one, two), (two, one)))


def signs(answer: str) -> set[str]:
    return set(
        re.findall(r"\\[A-Za-z]+|\\.|[A-Za-z]+|[^\s\w]|[^\x00-\x7f]", without_numbers(answer))
    )


def without_numbers(answer: str) -> str:
    return re.sub(r"\d[\d,.]*\d|\d", "#", answer.strip("$ ").replace("−", "-"))


def pairs_of(kind: str, count: int) -> list[tuple[str, Hashable, str, Hashable]]:
    rng = random.Random(f"peer {kind}")
    made = [KINDS[kind](rng) for _ in range(count * 2)]
    known: dict[Hashable, list[str]] = {}
    for text, value in made:
        known.setdefault(value, []).append(text)
    pairs = []
    for index, ((text, value), (other, meant)) in enumerate(
        zip(made[:count], made[count:], strict=True)
    ):
        if index % 2:
            other, meant = rng.choice(known[value]), value
        pairs.append((text, value, other, meant))
    return pairs


def main(count: int) -> None:
    """Print how often the two agree, and every kind of disagreement with its judge."""
    logging.disable()
    agree: dict[str, Counter[bool]] = {
        f"{feed}, {of}": Counter() for feed in FEEDS for of in ("all pairs", "pairs of objects")
    }
    agree["resolved"], agree["resolved, and read as meant"] = Counter(), Counter()
    legible: set[str] = set()  # signs of texts that were resolved
    disputes: list[tuple[str, list[str], str]] = []  # who is right, the spelling at fault, example
    passed: list[tuple[str, list[str], str]] = []
    for kind in KINDS:
        of_kind: Counter[bool] = Counter()
        for text, value, other, meant in pairs_of(kind, count):
            keys = stepscore.answer_keys([text, other], extract=False)
            if any(key is None or key.startswith("text:") for key in keys):
                continue
            ours, truth = keys[0] == keys[1], value == meant
            for feed in FEEDS:
                same = says(feed, text, other) == ours
                agree[f"{feed}, all pairs"][same] += 1
                if is_object(read(feed, text)) and is_object(read(feed, other)):
                    agree[f"{feed}, pairs of objects"][same] += 1
            theirs = says(BOXED, text, other)
            unread = [t for t in (text, other) if not resolves(t)]
            legible.update(*(signs(t) for t in (text, other) if resolves(t)))
            misread = [t for t, v in ((text, value), (other, meant)) if not reads_as_meant(t, v)]
            if not unread:
                of_kind[theirs == ours] += 1
                if not misread:
                    agree["resolved, and read as meant"][theirs == ours] += 1
            if theirs == ours == truth:
                continue
            right = "neither" if ours == theirs else "keys" if ours == truth else "math-verify"
            at_fault = unread or misread
            example = f"{text!r} ? {other!r}: keys {ours}, math-verify {theirs}"
            for spelling in at_fault[:1]:
                found = read(BOXED, spelling)
                example += f"; it reads {spelling!r} as {found[0] if found else None}"
            (passed if unread else disputes).append((right, at_fault or [text, other], example))
        agree["resolved"] += of_kind
        print(f"{kind:9} {of_kind[True]} agree, {of_kind[False]} differ, of those resolved")
    for name, counts in agree.items():
        print(f"{name:31} {counts.total():5}, agree {counts[True] / counts.total():.2%}")
    print("\nresolved, and one is wrong:")
    print_kinds(disputes, legible)
    print("\nnot resolved, and different:")
    print_kinds(passed, legible)
    print("\nby policy:")
    for text, other, why in POLICY:
        keys = stepscore.answer_keys([text, other], extract=False)
        theirs = says(BOXED, text, other)
        print(f"  {text!r} ? {other!r}: keys {keys[0] == keys[1]}, math-verify {theirs}; {why}")


def print_kinds(found: list[tuple[str, list[str], str]], legible: set[str]) -> None:
    """By signs that were never resolved, where a spelling has some; else by its form."""
    kinds: dict[str, list[str]] = {}
    for right, spellings, example in found:
        strange = sorted(signs(spellings[0]) - legible)
        what = " ".join(strange) or " ? ".join(map(without_numbers, spellings))
        kinds.setdefault(f"{right} right: {what}", []).append(example)
    for what, examples in sorted(kinds.items(), key=lambda entry: -len(entry[1])):
        print(f"  {len(examples):4} {what}\n       {examples[0]}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
