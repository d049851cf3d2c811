"""JSON as the standard has it, and values of it as messages show them."""

from __future__ import annotations

import json
import math
from typing import Any

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
    """Read JSON: every key once in an object; NaN, which others write, as NaN; no Infinity.

    Raises:
        ValueError: anything else; the message is short and without its place.
    """
    try:
        return DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("brackets nested too deeply") from None


def without_nan(value: Any) -> Any:
    """Give a value with null in place of every NaN."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _constant(name: str) -> float:
    # Python's json and pandas write NaN for what is missing. Infinity is nothing that is missing.
    if name == "NaN":
        return math.nan
    raise ValueError(f"{name}, which JSON does not have (write null)")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for index, key in enumerate(names) if key in names[:index])
        raise ValueError(f"the key {quote(twice)} twice in one object")
    return content


# One for all lines: json.loads would make another for each.
DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


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
