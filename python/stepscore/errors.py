"""Errors as data: where, which argument, what was expected, what was got, what to do.

The library speaks of its arguments. Who stands above it says the same in the words of its users,
with `InputError.told`: the command line spells an argument as its flag, a server as a field of the
request. No message is taken apart again.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar


@dataclass(frozen=True)
class Argument:
    """An argument of a function, as a message names it.

    Attributes:
        name: of the argument; a field of an argument follows a dot, as in ``fields.id``.
        value: what it is set to, or what it should be; None names the argument alone.
        index: the place in a list, in a list of lists, ...
    """

    name: str
    value: Any = None
    index: tuple[int, ...] = ()


Spell = Callable[[Argument], str]
# A text, or texts and arguments one after the other.
Words = str | Argument | tuple["str | Argument", ...]
_Error = TypeVar("_Error", bound="InputError")


def as_argument(argument: Argument) -> str:
    """Spell an argument as Python does: ``candidates[3]``, ``overwrite=True``."""
    name = argument.name + "".join(f"[{index}]" for index in argument.index)
    return name if argument.value is None else f"{name}={argument.value!r}"


def told_words(words: Words, spell: Spell) -> str:
    """Write words, every argument among them as `spell` has it."""
    parts = words if isinstance(words, tuple) else (words,)
    return "".join(part if isinstance(part, str) else spell(part) for part in parts)


def nearest(name: str, names: Collection[str], cutoff: float = 0.65) -> str | None:
    """Give what a typo was meant for; None where no name is so near (`difflib`'s ratio)."""
    near = difflib.get_close_matches(name, list(names), 1, cutoff)
    return near[0] if near else None


def did_you_mean(name: object, names: Collection[str], then: str = "") -> str:
    """Name what a typo was meant for, and say `then`; `then` alone where nothing is near."""
    near = nearest(str(name), names)
    meant = "" if near is None else f"did you mean {near!r}?"
    return " ".join(part for part in (meant, then) if part)


class InputError(ValueError):
    """Input that cannot be processed.

    ``str(error)`` is ``where: argument: expected ...; got ...; advice``. Each of the three clauses
    may name arguments: ``advice=("pass ", Argument("overwrite", True))``.

    Attributes:
        expected: what would have been right, as a noun phrase.
        got: what was there instead; empty where `expected` says it all.
        advice: what to do; empty where that is plain.
        argument: the argument at fault; None where it is no argument.
        where: file and line, or the function that was called; empty where nobody needs it.
    """

    def __init__(
        self,
        expected: Words,
        *,
        got: Words = "",
        advice: Words = "",
        argument: Argument | str | None = None,
        where: str = "",
    ) -> None:
        self.expected = expected
        self.got = got
        self.advice = advice
        self.argument = Argument(argument) if isinstance(argument, str) else argument
        self.where = where
        super().__init__(expected, got, advice, argument, where)

    def told(self, spell: Spell) -> str:
        """Write the message, every argument as `spell` has it."""
        argument = "" if self.argument is None else spell(self.argument)
        return ": ".join(part for part in (self.where, argument, self.clauses(spell)) if part)

    def clauses(self, spell: Spell) -> str:
        """Write the message without its place: ``expected ...; got ...; advice``."""
        got, advice = told_words(self.got, spell), told_words(self.advice, spell)
        expected = f"expected {told_words(self.expected, spell)}"
        return "; ".join(part for part in (expected, f"got {got}" if got else "", advice) if part)

    def at(
        self: _Error, *, where: str | None = None, argument: Argument | str | None = None
    ) -> _Error:
        """Give the same error of another place, in the words of who called the failing function.

        Args:
            where: replaces `where`; None keeps it.
            argument: replaces `argument`; None keeps it.
        """
        attributes = self.__dict__.copy()
        if where is not None:
            attributes["where"] = where
        if argument is not None:
            named = Argument(argument) if isinstance(argument, str) else argument
            attributes["argument"] = named
        return _remake(type(self), attributes)

    def __str__(self) -> str:
        return self.told(as_argument)

    def __reduce__(self) -> Any:
        # An exception is unpickled by its positional arguments; these have names.
        return _remake, (type(self), self.__dict__.copy())


def _remake(kind: type[_Error], attributes: dict[str, Any]) -> _Error:
    error = kind.__new__(kind)
    error.__dict__.update(attributes)
    return error


class InputTypeError(InputError, TypeError):
    """Input of the wrong type: an `InputError` that is a `TypeError` too."""
