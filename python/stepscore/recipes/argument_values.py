"""What an argument takes, by its annotation, and what it is given by a file or a command line."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

# What a file or a command line has no way to write, such as a function.
PYTHON_ONLY = "a value of Python"
_PLAIN = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "yes or no",
    NoneType: "none",
}
_SAID = {"yes": True, "true": True, "no": False, "false": False}


class UnfitError(ValueError):
    """A value that an argument does not take."""


def hint_of(make: Callable[..., Any], name: str) -> Any:
    """Give the annotation of an argument; None where there is none that can be read."""
    try:
        return get_type_hints(getattr(make, "func", make)).get(name)
    except NameError:
        return None


def options_of(hint: Any) -> list[Any]:
    """Give the alternatives of an annotation."""
    if get_origin(hint) in (Union, UnionType):
        return [option for part in get_args(hint) for option in options_of(part)]
    return [hint]


def names_of(hint: Any) -> tuple[str, ...]:
    """Give the names that an annotation lists."""
    listed = [get_args(each) for each in options_of(hint) if get_origin(each) is Literal]
    return tuple(name for names in listed for name in names if isinstance(name, str))


def takes(hint: Any) -> str:
    """Say in words what an argument takes; `PYTHON_ONLY` where nobody can type it."""
    written = [_words(option) for option in options_of(hint) if option is not NoneType]
    known = [words for words in dict.fromkeys(written) if words != PYTHON_ONLY]
    return " or ".join(known) or PYTHON_ONLY


def _words(option: Any) -> str:
    if option in _PLAIN:
        return _PLAIN[option]
    parts = get_args(option)
    if get_origin(option) is Literal:
        return f"one of {', '.join(map(str, parts))}"
    if _is_list(option):
        inner = _inner(option)
        if _is_pair(inner):
            return "a list of TEXT:NUMBER"
        words = _words(inner)
        count = str(len(parts)) if get_origin(option) is tuple and ... not in parts else "a list of"
        plural = {"a text": "texts", "a number": "numbers", "a whole number": "whole numbers"}
        return f"{count} {plural[words]}" if words in plural else PYTHON_ONLY
    if get_origin(option) is Mapping and parts == (str, float):
        return "a list of TEXT:NUMBER"
    return PYTHON_ONLY


def _is_list(option: Any) -> bool:
    return get_origin(option) in (tuple, list, Sequence)


def _inner(option: Any) -> Any:
    return get_args(option)[0]


def _is_pair(option: Any) -> bool:
    return get_origin(option) is tuple and get_args(option) == (str, float)


def is_list(hint: Any) -> bool:
    """Tell whether an argument takes several values, each of which is typed by itself."""
    return any(_is_list(each) or get_origin(each) is Mapping for each in options_of(hint))


def value_of(hint: Any, given: Any) -> Any:
    """Give a value as an argument takes it.

    Args:
        hint: the annotation.
        given: a value of YAML or JSON, or a text that was typed: a number, yes or no, or ``none``
            where the argument takes these. What takes several values takes one for a list of one,
            and pairs are typed as ``TEXT:NUMBER``.

    Raises:
        UnfitError: it takes no such value.
    """
    options = options_of(hint)
    # None comes last: "none" is a text first, where a text is taken.
    for option in sorted(options, key=lambda option: option is NoneType):
        try:
            return _read(option, given)
        except UnfitError:
            continue
    raise UnfitError(takes(hint))


def _read(option: Any, given: Any) -> Any:
    if option is NoneType and (given is None or given == "none"):
        return None
    if option is str and isinstance(given, str):
        return given
    if option is bool:
        return _truth(given)
    if option in (int, float):
        return _number(option, given)
    if get_origin(option) is Literal and given in get_args(option):
        return given
    if get_origin(option) is Mapping:
        return dict(_read(tuple[str, float], pair) for pair in _items(given))
    if _is_pair(option):
        return _pair(given)
    if _is_list(option) and _words(option) != PYTHON_ONLY:
        return _several(option, given)
    raise UnfitError


def _truth(given: Any) -> bool:
    said = _SAID.get(given.lower()) if isinstance(given, str) else given
    if not isinstance(said, bool):
        raise UnfitError
    return said


def _number(kind: type, given: Any) -> Any:
    if isinstance(given, bool) or not isinstance(given, (str, int, float)):
        raise UnfitError
    try:
        number = kind(given)
    except (ValueError, OverflowError):
        raise UnfitError from None
    if not math.isfinite(number) or (not isinstance(given, str) and number != given):
        raise UnfitError
    return number


def _pair(given: Any) -> tuple[str, float]:
    parts = given.rpartition(":")[::2] if isinstance(given, str) else given
    if not isinstance(parts, Sequence) or len(parts) != 2 or not isinstance(parts[0], str):
        raise UnfitError
    return parts[0], _number(float, parts[1])


def _several(option: Any, given: Any) -> tuple[Any, ...]:
    kinds = get_args(option)
    items = _items(given)
    if get_origin(option) is tuple and ... not in kinds:
        if len(items) != len(kinds):
            raise UnfitError
        return tuple(_read(kind, item) for kind, item in zip(kinds, items, strict=True))
    return tuple(_read(kinds[0], item) for item in items)


def _items(given: Any) -> list[Any]:
    if isinstance(given, Mapping):
        return list(given.items())
    return list(given) if isinstance(given, (list, tuple)) else [given]
