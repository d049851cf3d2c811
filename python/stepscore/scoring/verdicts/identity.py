"""What a judge is, in sixteen letters: judges that ask or read otherwise have other ones."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from hashlib import blake2b
from types import CodeType, FunctionType, MethodType
from typing import Any

from stepscore.recipes import Recipe

_TOO_DEEP = 24


def fingerprint(judge: Any) -> str:
    """Give the sixteen letters of a judge, the same in every process.

    Prompts, words, values, patterns and ways of drawing count, and of a function what it has bound,
    its defaults and, where it is the caller's, its code. An object of a class that is no dataclass
    counts by its type, and a tokenizer by its template.
    """
    content = json.dumps(_plain(judge, 0), ensure_ascii=True).encode()
    return blake2b(content, digest_size=8).hexdigest()


def _plain(value: Any, depth: int) -> Any:
    """Give a value as JSON that does not depend on the process."""
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return f"{type(value).__name__} {value!r}"
    if depth > _TOO_DEEP:  # a function that binds itself
        return "..."
    deeper = depth + 1
    if isinstance(value, Recipe):
        return ["recipe", value.name, value.separator, value.default_aggregate]
    if isinstance(value, re.Pattern):
        return ["pattern", repr(value.pattern), int(value.flags)]
    if isinstance(value, (list, tuple, range)):
        return [_plain(each, deeper) for each in value]
    if isinstance(value, Mapping):
        return [[_plain(key, deeper), _plain(each, deeper)] for key, each in value.items()]
    if isinstance(value, (set, frozenset)):
        return sorted(json.dumps(_plain(each, deeper)) for each in value)
    if isinstance(value, (FunctionType, MethodType, partial)):
        return _function(value, deeper)
    if is_dataclass(value) and not isinstance(value, type):
        held = {field.name: _plain(getattr(value, field.name), deeper) for field in fields(value)}
        return [_name(type(value)), held]
    if getattr(value, "chat_template", None) is not None:
        ends = getattr(value, "eos_token", None)
        return [_name(type(value)), str(value.chat_template), str(ends)]
    return _name(value if callable(value) and hasattr(value, "__qualname__") else type(value))


def _function(value: FunctionType | MethodType | partial[Any], depth: int) -> Any:
    if isinstance(value, partial):
        return [
            "partial",
            *(_plain(each, depth) for each in (value.func, value.args, value.keywords)),
        ]
    if isinstance(value, MethodType):
        return ["method", _plain(value.__func__, depth), _plain(value.__self__, depth)]
    bound = [_plain(_content(cell), depth) for cell in value.__closure__ or ()]
    usual = [_plain(value.__defaults__, depth), _plain(value.__kwdefaults__, depth)]
    # What the package does may be written otherwise in its next version.
    ours = (value.__module__ or "").startswith("stepscore.")
    return [_name(value), bound, usual, None if ours else _code(value.__code__)]


def _code(code: CodeType) -> Any:
    constants = [
        _code(each) if isinstance(each, CodeType) else repr(each)
        for each in code.co_consts
        if not isinstance(each, frozenset)  # has no order
    ]
    return [code.co_code.hex(), constants, list(code.co_names)]


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # of a name that is not set yet
        return None


def _name(value: Any) -> str:
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
