"""What is taken for a list: lists, tuples, arrays, columns of a data set, series, generators.

A text is never taken for a list of its letters, and what has no order, or several dimensions under
one name (a set, a mapping, a table), for none either.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from stepscore.errors import Argument, InputTypeError

_NO_LISTS = (str, bytes, bytearray, Mapping, Set)


def as_list(call: str, argument: Argument | str, value: object, items: str) -> list[Any]:
    """Give the items of an argument.

    Args:
        call: the function that was called.
        argument: its argument.
        value: what was passed; a generator is used up.
        items: what the items are, for the message.

    Raises:
        InputTypeError: no list.
    """
    found = _items(value)
    if found is None:
        raise InputTypeError(
            f"a list, {items}",
            got=type(value).__name__,
            advice="put it into a list" if isinstance(value, (str, bytes)) else "pass a list",
            argument=argument,
            where=call,
        )
    return found


def as_lists(value: Any) -> Any:
    """Give a list of what is a list, also inside; all else as it is, for who checks it."""
    found = _items(value)
    return value if found is None else [as_lists(item) for item in found]


def _items(value: Any) -> list[Any] | None:
    """Give the items of what is taken for a list; None for anything else."""
    if isinstance(value, list):
        return value
    if isinstance(value, _NO_LISTS):
        return None
    for name in ("to_pylist", "tolist"):  # of Arrow; of NumPy, pandas and torch
        convert = getattr(value, name, None)
        if callable(convert):
            items = convert()
            return items if isinstance(items, list) else None  # one number of an array has no items
    # A table without such a method would give the names of its columns.
    if getattr(value, "ndim", 1) != 1:
        return None
    is_sequence = hasattr(value, "__len__") and hasattr(value, "__getitem__")
    return list(value) if is_sequence or hasattr(value, "__iter__") else None
