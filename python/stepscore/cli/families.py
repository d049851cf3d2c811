"""Families that write their verdicts, as they are typed: a name with arguments, or a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepscore.cli.recipe_options import at_its_place, typed_values
from stepscore.errors import Argument, InputError
from stepscore.files.settings_file import read_settings

if TYPE_CHECKING:
    from stepscore.recipes.named_function import NamedFunction


@dataclass(frozen=True)
class TypedFamily:
    """What ``--recipe`` or ``--judge`` names.

    Attributes:
        option: which of the two, ``recipe`` or ``judge``.
        text: as typed.
        name: of the family, or of something else.
        rest: ``ARG=VALUE,ARG=VALUE`` as typed behind the name.
        fields: the arguments that a file has; None where the name was typed.
    """

    option: str
    text: str
    name: str
    rest: str
    fields: Mapping[str, Any] | None = None

    def make(
        self,
        function: NamedFunction,
        *first: Any,
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        """Make the family.

        Args:
            function: what its name stands for.
            first: what it takes before its arguments.
            options: arguments that were given as options of their own.

        Raises:
            InputError: an argument that is missing, given twice or none of the family; a value that
                it does not take.
        """
        from stepscore.scoring.generative import make_named

        given = dict(options or {})
        if self.fields is not None:
            twice = next((name for name in given if name in self.fields), None)
            if twice is not None:
                raise InputError(
                    f"{twice} once",
                    got=f"it in {self.text}, too",
                    advice="leave one out",
                    argument=Argument(twice, given[twice]),
                )
            return make_named(function, {**self.fields, **given}, *first, source=self.text)
        typed = {}
        if self.rest or self.text.endswith(":"):
            typed = typed_values(self.text, self.rest, function, given, self.option)
        try:
            return make_named(function, given | typed, *first)
        except InputError as fault:
            at_fault = "" if fault.argument is None else fault.argument.name
            if at_fault in given:
                raise fault.at(where="", argument=Argument(at_fault, given[at_fault])) from fault
            raise at_its_place(fault, self.text, typed, function, self.option) from fault


def typed_family(text: str, option: str) -> TypedFamily:
    """Read what was typed; a file with the field `option` names a family, too.

    Raises:
        InputError: a file that cannot be read.
    """
    from stepscore.recipes.recipe_files import is_recipe_file

    if not is_recipe_file(text):
        name, _, rest = text.partition(":")
        return TypedFamily(option, text, name, rest)
    content = read_settings(Path(text).expanduser())
    named = content.get(option) if isinstance(content, Mapping) else None
    if not isinstance(named, str):
        return TypedFamily(option, text, "", "", {})
    fields = {str(field): value for field, value in content.items() if field != option}
    return TypedFamily(option, text, named, "", fields)
