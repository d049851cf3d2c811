"""What a call that scores does with input and scores that are not as they should be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, get_args

from stepscore.errors import InputError
from stepscore.scoring.truncation import Truncation, check_truncation

# error: refuse the call;  keep: the candidate keeps its place, without scores.
OnBad = Literal["error", "keep"]
# strip_end: remove the tokens that end a candidate;  error: refuse them there, too.
SpecialTokens = Literal["strip_end", "error"]
# error: refuse the call;  propagate: give what the model gave.
NonFinite = Literal["error", "propagate"]


@dataclass(frozen=True)
class ScoreOptions:
    """The options that `score`, `rank` and `rank_many` share; see `ProcessRewardModel.score`."""

    truncation: Truncation = "error"
    on_bad: OnBad = "error"
    special_tokens: SpecialTokens = "strip_end"
    nan: NonFinite = "error"

    def check(self, call: str) -> None:
        """Refuse a value that is none of those an option has.

        Raises:
            ValueError: the option, and its values.
        """
        check_truncation(call, self.truncation)
        check_choice(call, "on_bad", self.on_bad, OnBad)
        check_choice(call, "special_tokens", self.special_tokens, SpecialTokens)
        check_choice(call, "nan", self.nan, NonFinite)


def is_finite(value: object) -> bool:
    """Whether a value is a number, and neither NaN nor infinite."""
    return isinstance(value, Real) and math.isfinite(value)


def check_choice(call: str, name: str, value: object, kind: Any) -> None:
    """Refuse a value that is none of a ``Literal``."""
    choices = get_args(kind)
    if value not in choices:
        raise InputError(
            " or ".join(f'"{choice}"' for choice in choices),
            got=repr(value),
            advice="pass one of these",
            argument=name,
            where=call,
        )
