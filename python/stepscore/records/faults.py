"""What is wrong with one record: its line, its id and the part at fault."""

from __future__ import annotations

import json

from stepscore.errors import InputError, Spell, Words, as_argument
from stepscore.records.record import Record, RecordId

# The way to a part of a record: names of fields and places in lists.
FieldPath = tuple[str | int, ...]


class RecordError(InputError):
    """One record that cannot be processed.

    ``str(error)`` is ``in.jsonl:2: id "a": candidates[0].score: expected ...; got ...; advice``.

    Attributes:
        place: file and line; empty as long as nobody has said it.
        record_id: the record's id, None where the line did not get that far.
        field: the way to the part at fault, ``("candidates", 0, "score")``; empty for the whole
            record.
        of_shape: whether a field is missing or holds another kind of thing, as where the record
            has another layout.
    """

    def __init__(
        self,
        expected: Words,
        *,
        got: Words = "",
        advice: Words = "",
        field: FieldPath = (),
        place: str = "",
        record_id: RecordId | None = None,
        of_shape: bool = False,
    ) -> None:
        self.place = place
        self.record_id = record_id
        self.field = field
        self.of_shape = of_shape
        super().__init__(expected, got=got, advice=advice)
        self.where = self._where()

    def of_record(self, place: str, record_id: RecordId | None) -> RecordError:
        """Give the same fault of a record that is known by now."""
        return RecordError(
            self.expected,
            got=self.got,
            advice=self.advice,
            field=self.field,
            place=place,
            record_id=record_id,
        )

    @classmethod
    def caused_by(cls, error: InputError, record: Record, field: FieldPath = ()) -> RecordError:
        """Give what a function refused as the fault of the record that it came from.

        Args:
            error: says ``solutions[7]``, in the words of the function.
            record: the record that the argument came from.
            field: the part of the record, such as ``("candidates", 2)``.
        """
        return cls(
            error.expected,
            got=error.got,
            advice=error.advice,
            field=field,
            place=record.place,
            record_id=record.id,
        )

    @property
    def reason(self) -> str:
        """What was expected and got, and what to do, in the words of Python."""
        return self.reason_told(as_argument)

    def reason_told(self, spell: Spell) -> str:
        """Write what is wrong without place and id, every argument as `spell` has it."""
        return ": ".join(part for part in (as_text(self.field), self.clauses(spell)) if part)

    def _where(self) -> str:
        name = self.record_id
        quoted = "" if name is None else f"id {json.dumps(name, ensure_ascii=False)}"
        return ": ".join(part for part in (self.place, quoted, as_text(self.field)) if part)


def as_text(field: FieldPath) -> str:
    """Write the way to a part of a record: ``candidates[0].steps[1]``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in field)
    return text.removeprefix(".")
