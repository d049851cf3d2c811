"""The fields of a description: read one by one, each refused by its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

from stepscore.errors import InputError, did_you_mean, nearest
from stepscore.recipes.layouts.steps import shorten

# What a template could only mean as a placeholder, whichever of them it has.
_PLACEHOLDERS = frozenset(
    {"problem", "question", "step", "steps", "number", "solution", "response", "tag", "system"}
)
# Braces around anything else are text, as in \boxed{} and \frac{a}{b}.
_IN_BRACES = re.compile(r"\{([A-Za-z_]+)\}")


@dataclass(frozen=True)
class Place:
    """Where a value stands: the file or the call, and the field.

    Attributes:
        source: for messages.
        path: of the field, such as ``readings[0].activation``; empty for the whole description.
    """

    source: str
    path: str = ""

    def at(self, part: str | int) -> Place:
        """A field of the value here, or an item of it."""
        if isinstance(part, int):
            return Place(self.source, f"{self.path}[{part}]")
        return Place(self.source, f"{self.path}.{part}" if self.path else part)

    def fault(self, expected: str, got: str, advice: str = "") -> InputError:
        """What is wrong here."""
        about = f"for {self.path}, {expected}" if self.path else expected
        return InputError(about, got=got, advice=advice, where=self.source)


Read = Callable[[Place, Any], Any]


@dataclass(frozen=True)
class Field:
    """One field.

    Attributes:
        read: place, value as given -> the value, or an InputError.
        what: what it says, for a message about its absence.
        default: where it may be left out; `REQUIRED` where it may not.
    """

    read: Read
    what: str
    default: Any = ...


REQUIRED = ...


def read_fields(place: Place, given: Any, fields: Mapping[str, Field], of: str) -> dict[str, Any]:
    """Read a mapping: every field of `fields`, and no other.

    Args:
        place: where it stands.
        given: the mapping.
        fields: name -> field.
        of: what has these fields, for messages.

    Raises:
        ValueError: no mapping, a field that there is not, one that is missing, a value that is not
            what its field takes.
    """
    if not isinstance(given, Mapping):
        raise place.fault(
            f"the fields of {of} ({', '.join(fields)})", type(given).__name__, "write NAME: VALUE"
        )
    check_names(place, given, fields, of)
    for name, field in fields.items():
        if name not in given and field.default is REQUIRED:
            raise place.at(name).fault(field.what, "no such field", "add it")
    return {
        name: field.read(place.at(name), given[name]) if name in given else field.default
        for name, field in fields.items()
    }


def check_names(place: Place, given: Collection[Any], names: Collection[str], of: str) -> None:
    """Refuse a name that there is not; the nearest one is named, and all are listed."""
    for name in given:
        if name not in names:
            there = f"{of} has {', '.join(names) or 'none'}"
            advice = did_you_mean(name, names, there)
            raise place.fault(f"a field of {of}", repr(name), advice)


def text(place: Place, value: Any) -> str:
    """A text, which may be empty."""
    if not isinstance(value, str):
        raise place.fault("a text", repr(value), "put it into quotes")
    return value


def some_text(place: Place, value: Any) -> str:
    """A text of at least one character."""
    if not text(place, value):
        raise place.fault("a text of at least one character", repr(value))
    return str(value)


def texts(place: Place, value: Any) -> tuple[str, ...]:
    """A list of texts, none of them empty."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise place.fault("a list of texts", repr(value), "write [...]")
    return tuple(some_text(place.at(index), item) for index, item in enumerate(value))


def flag(place: Place, value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise place.fault("true or false", repr(value))
    return value


def whole(place: Place, value: Any) -> int:
    """A whole number from 0 on."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise place.fault("a whole number from 0 on", repr(value))
    return value


def number(place: Place, value: Any) -> float:
    """A number, which may be infinite."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise place.fault("a number", repr(value))
    return float(value)


def numbers(place: Place, value: Any) -> tuple[float, ...]:
    """A list of numbers."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise place.fault("a list of numbers", repr(value), "write [...]")
    return tuple(number(place.at(index), item) for index, item in enumerate(value))


def choice(*names: str) -> Read:
    """One of some names."""

    def read(place: Place, value: Any) -> str:
        if value not in names:
            advice = did_you_mean(value, names)
            raise place.fault(f"one of {', '.join(names)}", repr(value), advice)
        return str(value)

    return read


def choice_of(layout: type, field: str) -> Read:
    """One of the names that a field of a layout takes."""
    return choice(*get_args(get_type_hints(layout)[field]))


def template(placeholder: str, *others: str) -> Read:
    """A text with a placeholder in braces, once, and perhaps others."""
    allowed = (placeholder, *others)

    def read(place: Place, value: Any) -> str:
        written = text(place, value)
        listed = " and ".join(f"{{{name}}}" for name in allowed)
        for name in _IN_BRACES.findall(written):
            near = nearest(name, allowed, 0.7)
            if name not in allowed and (near or name in _PLACEHOLDERS):
                meant = f"did you mean {{{near}}}? " if near else ""
                raise place.fault(
                    f"no placeholder but {listed}",
                    f"{{{name}}} in {shorten(written)}",
                    f"{meant}other braces are text",
                )
        for name in allowed:
            count = written.count(f"{{{name}}}")
            if count > 1 or (count == 0 and name == placeholder):
                raise place.fault(
                    f"a text with {{{name}}} {'once' if name == placeholder else 'at most once'}",
                    f"{shorten(written)}, which has it {count} times"
                    if count
                    else f"{shorten(written)}, which has none",
                    f"write {{{name}}} where the {name} stands",
                )
        return written

    return read
