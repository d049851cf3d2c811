"""The former place of `stepscore.policies`, until 0.3."""

from __future__ import annotations

import warnings
from typing import Any

from stepscore import policies

__all__ = ["EndpointPolicy", "HuggingFacePolicy", "LabPolicy"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        f"stepscore.search.policies.{name} is stepscore.policies.{name} now, and only there from "
        "0.3 on",
        DeprecationWarning,
        stacklevel=2,
    )
    return getattr(policies, name)
