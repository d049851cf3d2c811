"""Classes that keys have left apart, and what a verifier says of them."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable
from decimal import Decimal, localcontext
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from stepscore import _core
from stepscore.arrays import num_threads

FIRST, VERIFIED = 1, 5  # as answer_key.h has them

Verify = Callable[[str, str], bool]

_LONG = 12  # significant digits of a decimal that is taken for a rounded value
_TERM = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>\d*)(?:/(?P<below>\d+))?\*?(?:sqrt\((?P<root>\d+)\))?\*?"
    r"(?P<pi>pi)?(?:\^(?P<power>-?\d+))?"
)
_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")


class OpenClasses:
    """The problems in which a verifier may find what the keys have not.

    Args:
        texts: of all candidates; offsets: of the problems; extract: whether texts are solutions.
        ids, decided: what the keys say, which `merge` changes in place.
    """

    def __init__(
        self,
        texts: tuple[str | None, ...],
        offsets: NDArray[np.int64],
        extract: bool,
        ids: NDArray[np.int64],
        decided: NDArray[np.int64],
    ) -> None:
        self._offsets, self._ids, self._decided = offsets, ids, decided
        self._texts, self._extract = texts, extract
        firsts = np.flatnonzero(decided == FIRST)
        keys = _core.answer_keys(tuple(texts[i] for i in firsts), extract)
        self._keys = [key or "" for key in keys]
        self._resolved = [not key.startswith("text:") for key in self._keys]
        open_to_all = [
            not resolved or _long_decimal(key) is not None
            for key, resolved in zip(self._keys, self._resolved, strict=True)
        ]
        # Where in _keys each problem begins and ends.
        ends = np.searchsorted(firsts, offsets)
        self.problems = [
            (problem, range(begin, end))
            for problem, (begin, end) in enumerate(pairwise(ends.tolist()))
            if end - begin > 1 and any(open_to_all[begin:end])
        ]

    def merge(self, problem: int, classes: range, same: Verify) -> None:
        """Compare the classes of a problem, each pair of them, and number what is left anew.

        What is connected joins only if all its pairs agree. Then no order of the candidates
        matters: every class speaks through the shortest of its answers.
        """
        here = slice(self._offsets[problem], self._offsets[problem + 1])
        ids, decided = self._ids[here], self._decided[here]
        speakers = self._speakers(problem, ids, len(classes))
        order = sorted(range(len(classes)), key=lambda number: _by_length(speakers[number]))
        agree = [
            frozenset((one, other))
            for one, other in combinations(order, 2)
            if self._agree(classes[one], classes[other], (speakers[one], speakers[other]), same)
        ]
        into = joined(len(classes), agree)
        firsts = sorted(set(into))
        renumbered = np.array([firsts.index(first) for first in into], np.int64)
        merged = np.array([first != number for number, first in enumerate(into)], np.bool_)
        answered = ids >= 0
        decided[answered & merged[ids]] = VERIFIED
        ids[answered] = renumbered[ids[answered]]

    def _agree(self, one: int, other: int, answers: tuple[str, str], same: Verify) -> bool:
        if self._resolved[one] and self._resolved[other]:
            return is_rounded(self._keys[one], self._keys[other])
        return same(*answers)

    def _speakers(self, problem: int, ids: NDArray[np.int64], count: int) -> list[str]:
        texts = self._texts[self._offsets[problem] : self._offsets[problem + 1]]
        answers = _core.extract_answers(texts) if self._extract else texts
        given: list[list[str]] = [[] for _ in range(count)]
        for number, answer in zip(ids.tolist(), answers, strict=True):
            if number >= 0 and answer is not None:
                given[number].append(answer)
        return [min(texts, key=_by_length) for texts in given]


def _by_length(text: str) -> tuple[int, str]:
    return len(text), text


def joined(count: int, agree: Iterable[frozenset[int]]) -> list[int]:
    """Give the first of those that each of `count` things joins.

    A connected group of which two do not agree joins nothing.
    """
    pairs = set(agree)
    into = list(range(count))
    for pair in pairs:
        low, high = sorted(into[number] for number in pair)
        into = [low if group == high else group for group in into]
    for group in set(into):
        members = [number for number in range(count) if into[number] == group]
        if any(frozenset(pair) not in pairs for pair in combinations(members, 2)):
            for number in members:
                into[number] = number
    return into


def is_rounded(one: str, other: str) -> bool:
    """Say whether one key is a decimal with 12 digits or more, and the other what it rounds."""
    for decimal, value in ((one, other), (other, one)):
        places = _long_decimal(decimal)
        if places is None:
            continue
        with localcontext() as context:
            context.prec = 70
            exact, shown = _value(value), _value(decimal)
            if exact is None or shown is None:
                continue
            if abs(exact - shown) < Decimal(10) ** -places:
                return True
    return False


def _long_decimal(key: str) -> int | None:
    """Give the digits behind the point of a decimal that is long enough."""
    above, slash, below = key.removeprefix("-").partition("/")
    if len(below) < 6 or not slash or not (above + below).isdigit():
        return None
    rest, powers = int(below), [0, 0]
    for number, prime in enumerate((2, 5)):
        while rest % prime == 0:
            rest //= prime
            powers[number] += 1
    places = max(powers)
    digits = len(str(int(above) * 10**places // int(below)))
    return places if rest == 1 and digits >= _LONG else None


def _value(key: str) -> Decimal | None:
    """Give the value of the key of a number."""
    total, at = Decimal(0), 0
    while at < len(key):
        term = _TERM.match(key, at)
        if term is None or term.end() == at:
            return None
        value = Decimal(term["whole"] or 1) / Decimal(term["below"] or 1)
        value *= Decimal(term["root"] or 1).sqrt()
        value *= _PI ** int(term["power"] or 1) if term["pi"] else 1
        total += -value if term["sign"] == "-" else value
        at = term.end()
    return total


def ask_math_verify(
    problems: OpenClasses,
    workers: int | None,
    timeout: float,
    budget: float,
    cache: str | os.PathLike[str] | None,
) -> tuple[str, ...]:
    """Merge the classes that math-verify finds equal; give what it found no verdict on."""
    # Costs as much as the rest of `import stepscore`.
    from concurrent.futures import ThreadPoolExecutor

    from stepscore.verifier import MathVerify, question

    verifier = MathVerify(timeout, budget, cache)

    def merge(problem: tuple[int, range]) -> None:
        with verifier.comparison() as compare:

            def same(a: str, b: str) -> bool:
                asked = question(a, b)
                if asked is None:
                    return False
                keys = _core.answer_keys(asked, False)
                if keys[0] == keys[1]:
                    return keys[0] is not None
                if not any(key is None or key.startswith("text:") for key in keys):
                    return False
                return compare(*asked, (a, b))

            problems.merge(*problem, same)

    try:
        at_once = min(workers or num_threads(), len(problems.problems))
        if at_once > 1:
            with ThreadPoolExecutor(at_once) as threads:
                list(threads.map(merge, problems.problems))
        else:
            list(map(merge, problems.problems))
    finally:
        verifier.close()
    _warn(verifier.hung.values(), verifier.unasked, timeout, budget)
    return verifier.undecided


def _warn(hung: Iterable[str], unasked: Iterable[str], timeout: float, budget: float) -> None:
    limits = [
        f"within {seconds:g} s {what} {len(left)} {of_what}, which stay apart: "
        + ", ".join(map(repr, left[:3]))
        for seconds, what, left, of_what in (
            (timeout, "on", list(hung), "answer(s)"),
            (budget, "for a problem on", list(unasked), "pair(s)"),
        )
        if left
    ]
    if limits:
        warnings.warn(
            f"group_answers: math-verify gave no verdict {'; '.join(limits)}",
            RuntimeWarning,
            stacklevel=4,
        )
