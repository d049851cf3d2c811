"""Answers as JSON, in which every number is a number."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.responses import Response


def answer(
    content: Mapping[str, Any] | list[Any] | float,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Give a response of JSON.

    Raises:
        ValueError: NaN or an infinity in it, which JSON does not have.
    """
    # In ASCII: a text may hold half of a surrogate pair, which no UTF-8 does.
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return Response(text, status, dict(headers or {}), "application/json")


def number(value: float) -> float | None:
    """Give a number, or None in place of what is none."""
    return value if math.isfinite(value) else None


def numbers(values: Iterable[float]) -> list[float | None]:
    """Give numbers, with None in place of what is none."""
    return [value if math.isfinite(value) else None for value in values]
