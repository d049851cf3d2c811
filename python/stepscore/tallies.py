"""Counts over a file that can be written down as JSON and added up again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


class Tally:
    """Counts of some records, which join those of the records before them.

    What a file comes to is the sum of the counts of its parts, whether they were counted now or
    read from what an earlier run has kept: both go through `merge`.

    Of the attributes of a subclass numbers, arrays and tallies are added up, lists and sets joined,
    and of texts the first that is not empty stays. Truth values, tuples and all else are settings,
    which are the same in every part.
    """

    def lines(self) -> list[str]:
        """Say what they come to, one line each."""
        return []

    def figures(self) -> dict[str, Any]:
        """Give the same for a program, as JSON."""
        return {}

    def state(self) -> dict[str, Any]:
        """Give the counts as JSON, exactly."""
        return {name: _plain(value) for name, value in vars(self).items() if _is_count(value)}

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add what `state` has given."""
        for name, value in vars(self).items():
            if _is_count(value):
                setattr(self, name, _joined(value, state[name]))


def _is_count(value: object) -> bool:
    counts = (int, float, str, list, set, dict, np.ndarray, Tally)
    return isinstance(value, counts) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    if isinstance(value, Tally):
        return value.state()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return sorted(value) if isinstance(value, set) else value


def _joined(own: Any, other: Any) -> Any:
    if isinstance(own, Tally):
        own.merge(other)
        return own
    if isinstance(own, np.ndarray):
        added = np.array(other, own.dtype).reshape(own.shape)
        return own | added if own.dtype == np.bool_ else own + added
    if isinstance(own, str):
        return own or other
    if isinstance(own, set):
        return own | set(other)
    if isinstance(own, dict):
        return own | {name: own.get(name, 0) + count for name, count in other.items()}
    return own + other
