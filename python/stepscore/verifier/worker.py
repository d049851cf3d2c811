"""The process that asks math-verify: one JSON list per line in, one JSON value per line out.

``["parse", a]`` parses an answer, once, and gives false; ``["compare", a, b]`` gives true where one
verifies the other. It keeps no time: whoever asks kills it.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from functools import cache
from typing import Any

_MOST_MEMORY = 4 << 30  # bytes of address space; 9^9^9^9 would take all there is
_DIGITS = 30  # of numbers that are compared again
_CLOSE = 1e-6  # as math-verify rounds, but of small numbers that many of their own digits
_TINY = 1e-5  # what may be lost in the rounding of a sum


def _limit_memory() -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = _MOST_MEMORY if hard == resource.RLIM_INFINITY else min(hard, _MOST_MEMORY)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _is_stated(found: Any) -> bool:
    """Say whether an expression has a value, and a relation something that it is about.

    To math-verify any two relations without variables are equal, and so are 1/0 and 2/0.
    """
    import sympy  # type: ignore[import-untyped, unused-ignore]

    if found in (sympy.true, sympy.false) or found.has(sympy.nan, sympy.zoo):
        return False
    return bool(found.free_symbols) or not found.has(sympy.core.relational.Relational)


def _are_close(a: Any, b: Any) -> bool:
    """Say whether numbers are equal in their own size; True for what are no numbers.

    math-verify rounds to a number of places after the point, which small numbers do not reach.
    """
    import sympy

    numbers = [
        found for found in (a, b) if isinstance(found, sympy.Expr) and not found.free_symbols
    ]
    if len(numbers) == 2:
        one, two = (sympy.N(found.doit(), _DIGITS) for found in numbers)
        if not (one.is_finite and two.is_finite):
            return bool(one == two)
        size = max(abs(one), abs(two))
        return bool(abs(one - two) <= _CLOSE * min(1, size))
    return not any(
        isinstance(part, sympy.Expr)
        and part.is_number
        and part.is_comparable
        and 0 < abs(sympy.N(part.doit(), _DIGITS)) < _TINY
        for found in (a, b)
        for part in sympy.preorder_traversal(found)
    )


def _with_unit(found: Any) -> Any:
    """Read a lone i as the imaginary unit."""
    if isinstance(found, str) or {str(s) for s in getattr(found, "free_symbols", ())} != {"i"}:
        return found
    import sympy

    return sympy.expand(found.subs(found.free_symbols.pop(), sympy.I))


def main() -> None:
    """Answer until the input ends."""
    sys.path.pop(0)  # the folder of this script, whose names are not for everybody
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what others print is no reply
    import logging

    logging.disable()
    from math_verify import LatexExtractionConfig, parse, verify

    # The whole answer, or nothing of it: else 5 is found in "at most 5". Its units: t, m, s ...
    latex = LatexExtractionConfig()
    latex = replace(latex, normalization_config=replace(latex.normalization_config, units=False))

    @cache
    def parsed(answer: str) -> Any:
        # Its own time limits use signals, and log that they are off.
        found = parse(
            f"\\boxed{{{answer}}}", [latex], extraction_mode="first_match", parsing_timeout=None
        )
        return [_with_unit(one) for one in found]

    def same(gold: Any, target: Any) -> bool:
        # What it could not read is there as a text, which may lack the difference.
        return any(
            _is_stated(a)
            and _is_stated(b)
            and (verify(a, b, timeout_seconds=None) or verify(b, a, timeout_seconds=None))
            and _are_close(a, b)
            for a in gold
            for b in target
            if not isinstance(a, str) and not isinstance(b, str)
        )

    _limit_memory()
    print(json.dumps("ready"), file=replies, flush=True)
    for line in sys.stdin:
        question, *answers = json.loads(line)
        try:
            read = [parsed(answer) for answer in answers]
            verdict = question == "compare" and same(*read)
        except (MemoryError, ImportError, OSError):
            # The machine's fault, and no verdict: this process ends, and whoever asked says so.
            raise
        except Exception:  # what it cannot read is equal to nothing else
            verdict = False
        print(json.dumps(verdict), file=replies, flush=True)


if __name__ == "__main__":
    main()
