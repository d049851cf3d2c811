"""Policies: what continues a trace. Nothing heavy is imported until it is used.

`HuggingFacePolicy` is any causal language model of transformers, `EndpointPolicy` any server that
speaks OpenAI's completions. Any other function from a list of `ExpandRequest` to as many lists of
`Continuation` will do as well.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "EndpointPolicy": "stepscore.policies.endpoint",
    "HuggingFacePolicy": "stepscore.policies.huggingface",
    "LabPolicy": "stepscore.lab.continuations",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
