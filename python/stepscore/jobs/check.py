"""A model against a slow reading of its checkpoint, on a file or on built-in traces."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from stepscore.errors import InputError
from stepscore.files import LineReader
from stepscore.jobs.skips import raise_fault
from stepscore.records import Fields, parse_records

if TYPE_CHECKING:
    from stepscore.scoring import CheckReport
    from stepscore.scoring.checking.report import VerdictReport
    from stepscore.scoring.verdicts import GenerativeRewardModel

# A slow reading of more takes minutes on a CPU, and shows nothing more.
DEFAULT_LIMIT = 64


def check_file(
    model: str,
    source: str | None,
    *,
    limit: int = DEFAULT_LIMIT,
    fields: Fields | None = None,
    **options: Any,
) -> CheckReport:
    """Check a model; see `stepscore.check_model`.

    Args:
        model: a folder or a name.
        source: the input, ``-`` for standard input; None takes built-in traces.
        limit: the first so many candidates of the file.
        fields: the names of the fields.
        options: those of `stepscore.check_model`.

    Raises:
        InputError: a file or a record at fault, a model that cannot be loaded.
    """
    from stepscore.scoring import check_model

    if source is None:
        return check_model(model, **options)
    problems, solutions, places = _traces(source, limit, fields or Fields())
    return check_model(model, problems, solutions, places=places, **options)


def check_verdict_file(
    model: GenerativeRewardModel,
    source: str | None,
    *,
    limit: int = DEFAULT_LIMIT,
    fields: Fields | None = None,
) -> VerdictReport:
    """Check a generative PRM; see `stepscore.scoring.verdicts.check_verdicts`, and `check_file`."""
    from stepscore.scoring.verdicts import check_verdicts

    if source is None:
        return check_verdicts(model)
    problems, solutions, places = _traces(source, limit, fields or Fields())
    return check_verdicts(model, problems, solutions, places=places)


def _traces(
    source: str, limit: int, fields: Fields
) -> tuple[list[str], list[str | Sequence[str]], list[str]]:
    """Read the first candidates of a file, with where they stand."""
    with LineReader(source) as reader:
        every = (
            (record, number, candidate)
            for record in parse_records(iter(reader), fields, "solutions", raise_fault)
            for number, candidate in enumerate(record.candidates, 1)
        )
        read = list(islice(every, limit))
        if not read:
            raise InputError(
                "at least one candidate", got="none", advice="check the path", where=reader.name
            )
    return (
        [record.problem or "" for record, _, _ in read],
        [each.text or "" if each.steps is None else each.steps for _, _, each in read],
        [f"{record.place}, candidate {number}" for record, number, _ in read],
    )
