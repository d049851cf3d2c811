"""The lab: a miniature world in which process reward models matter, small enough for one CPU.

Arithmetic problems with one step per line (``tasks``), a policy with a planted misconception and
a PRM that knows better (``python/stepscore/lab/README.md`` says how they were trained and
measured). Nothing heavy is imported until it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "generate": "tasks",
    "split_of": "tasks",
    "true_steps": "tasks",
    "true_solution": "tasks",
    "split_steps": "tasks",
    "join_steps": "tasks",
    "check_steps": "tasks",
    "answer": "tasks",
    "is_correct": "tasks",
    "build_tokenizer": "tokenizer",
    "LabContinuationPolicy": "continuations",
    "LabPolicy": "policy",
    "load_policy": "policy",
    "load_prm": "prm",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
