"""Policies: what continues a trace. Nothing heavy is imported until it is used.

`HuggingFacePolicy` is any causal language model of transformers, `EndpointPolicy` any server that
speaks OpenAI's completions. Any other function from a list of `ExpandRequest` to as many lists of
`Continuation` will do as well. For generative PRMs both write whole texts, with their tokens: a
`TextRequest` gives a `GeneratedText`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from stepscore.policies.requests import Continuation, ExpandRequest, Policy
from stepscore.policies.texts import GeneratedText, TextPolicy, TextRequest, Token, Turn
from stepscore.renamed import renamed

if TYPE_CHECKING:
    from stepscore.policies.endpoint import EndpointPolicy
    from stepscore.policies.huggingface import HuggingFacePolicy

__all__ = [
    "Continuation",
    "EndpointPolicy",
    "ExpandRequest",
    "GeneratedText",
    "HuggingFacePolicy",
    "Policy",
    "TextPolicy",
    "TextRequest",
    "Token",
    "Turn",
]

_HOME = {
    "EndpointPolicy": "stepscore.policies.endpoint",
    "HuggingFacePolicy": "stepscore.policies.huggingface",
}
_renamed = renamed(__name__, {"LabPolicy": "stepscore.lab.LabContinuationPolicy"}, stacklevel=3)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    return _renamed(name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
