"""Errors as data: where, which argument, what was expected, what was got, what to do.

The library speaks of its arguments. Who stands above it says the same in the words of its users,
with `InputError.told`: the command line spells an argument as its flag, a server as a field of the
request. No message is taken apart again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


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
# Texts and arguments, one after the other.
Advice = str | Argument | tuple["str | Argument", ...]


def as_argument(argument: Argument) -> str:
    """Spell an argument as Python does: ``candidates[3]``, ``overwrite=True``."""
    name = argument.name + "".join(f"[{index}]" for index in argument.index)
    return name if argument.value is None else f"{name}={argument.value!r}"


class InputError(ValueError):
    """Input that cannot be processed.

    ``str(error)`` is ``where: argument: expected ...; got ...; advice``.

    Attributes:
        expected: what would have been right, as a noun phrase.
        got: what was there instead; empty where `expected` says it all.
        advice: what to do; empty where that is plain.
        argument: the argument at fault; None where it is no argument.
        where: file and line, or the function that was called; empty where nobody needs it.
    """

    def __init__(
        self,
        expected: str,
        *,
        got: str = "",
        advice: Advice = "",
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
        place = [self.where] if self.where else []
        if self.argument is not None:
            place.append(spell(self.argument))
        parts = self.advice if isinstance(self.advice, tuple) else (self.advice,)
        advice = "".join(part if isinstance(part, str) else spell(part) for part in parts)
        clauses = [f"expected {self.expected}", f"got {self.got}" if self.got else "", advice]
        return ": ".join([*place, "; ".join(clause for clause in clauses if clause)])

    def __str__(self) -> str:
        return self.told(as_argument)

    def __reduce__(self) -> Any:
        # An exception is unpickled by its positional arguments; these have names.
        return _remake, (type(self), self.__dict__.copy())


def _remake(kind: type[InputError], attributes: dict[str, Any]) -> InputError:
    error = kind.__new__(kind)
    error.__dict__.update(attributes)
    return error


class InputTypeError(InputError, TypeError):
    """Input of the wrong type: an `InputError` that is a `TypeError` too."""
