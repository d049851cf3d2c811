"""JSON as the standard has it, and values of it as messages show them."""

from __future__ import annotations

import json
from typing import Any, NoReturn

_QUOTED_WIDTH = 60
_KINDS: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def load_json(text: str) -> Any:
    """Read JSON as the standard has it: without NaN and Infinity.

    Raises:
        ValueError: anything else; the message is short and without its place.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("brackets nested too deeply") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, which JSON does not have (write null)")


def quote(value: object) -> str:
    """Show a value of the input as JSON, cut to a readable width."""
    try:
        shown = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        shown = repr(value)
    # A lone surrogate cannot be printed.
    shown = shown.encode("utf-8", "backslashreplace").decode()
    return shown if len(shown) <= _QUOTED_WIDTH else shown[: _QUOTED_WIDTH - 3] + "..."


def kind_of(value: object) -> str:
    """Name the kind of a JSON value: ``a list``."""
    return _KINDS.get(type(value), type(value).__name__)
