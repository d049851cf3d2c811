"""The process that asks math-verify: one JSON list per line in, one JSON value per line out.

``["parse", a]`` parses an answer, once, and gives null; ``["compare", a, b]`` gives true where one
verifies the other. It keeps no time: whoever asks kills it.
"""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from typing import Any

_MOST_MEMORY = 4 << 30  # bytes of address space; 9^9^9^9 would take all there is


def _limit_memory() -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = _MOST_MEMORY if hard == resource.RLIM_INFINITY else min(hard, _MOST_MEMORY)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def main() -> None:
    """Answer until the input ends."""
    sys.path.pop(0)  # the folder of this script, whose names are not for everybody
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what others print is no reply
    import logging

    logging.disable()
    from math_verify import parse, verify

    @cache
    def parsed(answer: str) -> Any:
        # Its own time limits use signals, and log that they are off.
        return parse(f"\\boxed{{{answer}}}", parsing_timeout=None)

    def compare(a: str, b: str) -> bool:
        first, second = parsed(a), parsed(b)
        return any(
            verify(gold, target, timeout_seconds=None)
            for gold, target in ((first, second), (second, first))
        )

    _limit_memory()
    print(json.dumps("ready"), file=replies, flush=True)
    for line in sys.stdin:
        question, *answers = json.loads(line)
        try:
            verdict = compare(*answers) if question == "compare" else parsed(*answers) and None
        except Exception:  # what it cannot read is equal to nothing else
            verdict = False
        print(json.dumps(bool(verdict)), file=replies, flush=True)


if __name__ == "__main__":
    main()
