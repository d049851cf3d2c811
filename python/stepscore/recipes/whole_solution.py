"""Recipes that give a solution as a whole one score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class WholeSolution:
    """How the steps of a solution become the one text that has a score.

    Attributes:
        join: the steps -> the text.
        encode_prefixes: as `Recipe.encode`, but every beginning of the steps is a solution, so that
            each step has the score of the solution that ends with it. What grows step by step, as
            in a session or a search, is scored so.
    """

    join: Callable[[Sequence[str]], str]
    encode_prefixes: Callable[[Any, Sequence[str], Sequence[Sequence[str]]], Any]
