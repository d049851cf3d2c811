"""Does math-verify agree with the keys? ``python benchmarks/peers/agree_math_verify.py [pairs]``

Pairs of generated answers of each kind of ``tests/test_answer_key.py``, half of them of one value,
that both sides understand. Every disagreement is printed, and the value that the generator meant
says who is right (but for unions of overlapping intervals, which are the same set in other
pieces). Spellings that math-verify 0.9 takes for something else are counted apart.
"""

from __future__ import annotations

import logging
import random
import re
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from math_verify import parse, verify
from test_answer_key import KINDS

import stepscore

# pi and sqrt without a backslash, √ and % alone, \lbrace and \big, plain 1 1/2, and "- 6".
MISREAD = re.compile(r"(?<![\\a-z])(?:pi|sqrt)|√|(?<!\\)%|\\lbrace|\\big|\d \d|[-−] \d")


@cache
def parsed(answer: str) -> Any:
    return parse(f"\\boxed{{{answer}}}", parsing_timeout=None)


def main(pairs: int) -> None:
    """Print a line per kind and one per disagreement."""
    logging.disable()
    total: Counter[str] = Counter()
    for kind, generate in KINDS.items():
        rng = random.Random(f"peer {kind}")
        counts: Counter[str] = Counter()
        known: dict[Any, list[str]] = {}
        made = [generate(rng) for _ in range(pairs * 2)]
        for text, value in made:
            known.setdefault(value, []).append(text)
        for number in range(pairs):
            text, value = made[number]
            other, meant = made[number + pairs]
            if number % 2:
                other, meant = rng.choice(known[value]), value
            keys = stepscore.answer_keys([text, other], extract=False)
            if any(key is None or key.startswith("text:") for key in keys):
                continue
            one, two = parsed(text), parsed(other)
            if any(not p or all(isinstance(part, str) for part in p) for p in (one, two)):
                counts["not parsed by math-verify"] += 1
                continue
            same = keys[0] == keys[1]
            theirs = any(verify(a, b, timeout_seconds=None) for a, b in ((one, two), (two, one)))
            if MISREAD.search(text + " ? " + other):
                counts["misread, agree" if same == theirs else "misread, differ"] += 1
                continue
            counts["agree" if same == theirs else "differ"] += 1
            if same != theirs:
                right = "keys" if same == (value == meant) else "math-verify"
                counts[f"right: {right}"] += 1
                print(
                    f"  {kind}: {text!r} ? {other!r}: equal keys {same}, verify {theirs}; {right}"
                )
        print(kind, dict(counts), flush=True)
        total += counts
    print("all", dict(total), f"{total['agree'] / (total['agree'] + total['differ']):.4%}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
