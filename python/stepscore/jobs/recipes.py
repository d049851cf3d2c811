"""Traces of a file, or of the command line, as a recipe lays them out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from stepscore.errors import Argument, InputError
from stepscore.files import LineReader
from stepscore.jobs.model_faults import candidate_fault, fault_of
from stepscore.jobs.skips import raise_fault
from stepscore.records import Fields, Record, RecordError, parse_records

if TYPE_CHECKING:
    from stepscore.recipes import Recipe, RenderedTrace
    from stepscore.recipes.recipe import Tokenizer

# What any tokenizer can write, the built-in miniature's among them.
EXAMPLE_PROBLEM = "85+95-16+20+11-30=?"
EXAMPLE_STEPS = ("85+95=180", "180-16=164")


def render_given(
    recipe: Recipe, tokenizer: Tokenizer, problem: str | None, steps: Sequence[str]
) -> RenderedTrace:
    """Lay one trace out; without a problem and steps, an example.

    Raises:
        InputError: a problem without steps, or steps without a problem; what cannot be laid out.
    """
    from stepscore.recipes import render

    if problem is None and not steps:
        return render(recipe, tokenizer, EXAMPLE_PROBLEM, list(EXAMPLE_STEPS))
    if problem is None or not steps:
        missing, given = ("problem", "steps") if problem is None else ("solution", "a problem")
        raise InputError("both a problem and steps", got=f"{given} alone", argument=missing)
    return render(recipe, tokenizer, problem, list(steps))


def render_file(
    source: str,
    recipe: Recipe,
    tokenizer: Tokenizer,
    *,
    limit: int = 1,
    fields: Fields | None = None,
) -> Iterator[tuple[str, RenderedTrace]]:
    """Lay the first candidates of a file out.

    Args:
        source: the input, ``-`` for standard input; may end in ``.gz``.
        recipe, tokenizer: lay them out.
        limit: how many.
        fields: the names of the fields.

    Yields:
        Where a candidate stands, and its trace.

    Raises:
        InputError: a file or a record at fault.
    """
    from stepscore.recipes import render

    fields = fields or Fields()

    def traces() -> Iterator[tuple[str, RenderedTrace]]:
        with LineReader(source) as reader:
            for record in parse_records(iter(reader), fields, "solutions", raise_fault):
                for number, candidate in enumerate(record.candidates):
                    solution = candidate.text or "" if candidate.steps is None else candidate.steps
                    try:
                        trace = render(recipe, tokenizer, record.problem or "", solution)
                    except InputError as fault:
                        raise _in_file(fault, record, number, fields) from fault
                    yield f"{record.place}, candidate {number + 1}", trace

    yield from islice(traces(), limit)


def _in_file(fault: InputError, record: Record, candidate: int, fields: Fields) -> RecordError:
    place = fault.argument
    if place is None or place.name != "solution":
        return fault_of(fault, record, fields)
    # A candidate's fault is told of a list of them.
    of_many = fault.at(argument=Argument("solutions", index=(0, *place.index)))
    return candidate_fault(of_many, record, candidate, fields)
