"""What a scoring model refuses, as the fault of the record that it came from."""

from __future__ import annotations

from stepscore.credentials import described, text_of
from stepscore.errors import Argument, InputError
from stepscore.records import Fields, Record, RecordError


def blames_input(error: Exception) -> bool:
    """Say whether an error of the scoring call is about what it was given."""
    # The tokenizers library has no class of its own: it raises a bare Exception.
    return isinstance(error, (ValueError, TypeError)) or type(error) is Exception


def fault_of(error: Exception, record: Record, fields: Fields) -> RecordError:
    """Give what the scoring call refused as the fault of the record that it came from.

    Args:
        error: of a call with the candidates of this record alone: ``solutions[2]`` is its third.
        record: the record.
        fields: the names of its fields.
    """
    if isinstance(error, InputError):
        return RecordError.caused_by(error, record, _field_of(error.argument, fields))
    return RecordError(
        "text that the model's tokenizer can encode"
        if type(error) is Exception
        else "candidates that the model can score",
        got=text_of(error),
        advice="leave the candidate out, or use another model",
        place=record.place,
        record_id=record.id,
    )


def candidate_fault(
    error: InputError, record: Record, candidate: int, fields: Fields
) -> RecordError:
    """Give why one candidate of a record cannot be scored.

    Args:
        error: of a call with candidates of many records.
        record: that of the candidate.
        candidate: its place in the record.
        fields: the names of the record's fields.
    """
    index = () if error.argument is None else error.argument.index
    argument = Argument("solutions", index=(candidate, *index[1:]))
    return RecordError.caused_by(error, record, _field_of(argument, fields))


def _field_of(argument: Argument | None, fields: Fields) -> tuple[str | int, ...]:
    """Give the part of a record that an argument of the scoring call came from."""
    if argument is None:
        return ()
    if argument.name == "solutions":
        parts = zip((fields.candidates, "steps"), argument.index, strict=False)
        return tuple(part for name_and_place in parts for part in name_and_place)
    return (fields.problem,) if argument.name in ("problem", "problems") else ()


def model_failure(place: str, deed: str, error: RuntimeError) -> InputError:
    """Give the error of a model that fails for a reason that no record is to blame for.

    Args:
        place: of the first record that it was given.
        deed: what it was to do with the records.
        error: what it raised.
    """
    # Libraries raise many classes where memory runs out. A policy has no budget of tokens.
    text = described(error)
    may_be_memory = any(word in text.lower() for word in ("memory", "alloc"))
    return InputError(
        f"the model to {deed} the records from here",
        got=text,
        advice=("if memory ran out, pass a smaller ", Argument("token_budget"))
        if may_be_memory and deed != "compare"
        else "",
        where=place,
    )
