"""What to do with a trace that is longer than the model's positions."""

from __future__ import annotations

from typing import Literal, get_args

from stepscore.errors import InputError

# error: refuse the trace;  steps: leave out the steps that end past the positions.
Truncation = Literal["error", "steps"]


def check_truncation(call: str, truncation: str) -> None:
    """Refuse a policy that is none of `Truncation`."""
    if truncation not in get_args(Truncation):
        raise InputError(
            " or ".join(f'"{policy}"' for policy in get_args(Truncation)),
            got=repr(truncation),
            advice="pass one of these",
            argument="truncation",
            where=call,
        )
