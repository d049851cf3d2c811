"""Lines of JSON read as columns: the public function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stepscore import _core

JsonScalar: TypeAlias = str | int | float | None


class WantedScores(NamedTuple):
    """The scores that every candidate must have; without both of them none may have any.

    Attributes:
        steps: ``step_scores``, a list of at least one number.
        given: ``score``, a number.
        bounded: whether all step scores must lie in [0, 1].
    """

    steps: bool = True
    given: bool = False
    bounded: bool = True


class RecordScan(NamedTuple):
    """The records of some lines.

    Attributes:
        ids: of the records.
        known: the known answer of each; None where there is none.
        offsets: where the candidates of each begin and end, int64 ``[records + 1]``.
        step_scores: float64 ``[steps]``; none unless wanted.
        step_offsets: where those of each candidate begin and end, int64 ``[candidates + 1]``.
        scores: float64 ``[candidates]``; none unless wanted.
        correct: int8 ``[candidates]``: 1, 0, or -1 where it is not said.
        answer: int64 ``[candidates]``: the place in `answers` of what each states; -1 = nothing.
        answers: every spelling once, as the JSON value that it is.
        solution: int64 ``[candidates]``: the place in `solutions`; -1 = there is none, or it is not
            needed because an answer is stated.
        solutions: texts, or steps with a line break between them.
    """

    ids: list[str | int]
    known: list[JsonScalar]
    offsets: NDArray[np.int64]
    step_scores: NDArray[np.float64]
    step_offsets: NDArray[np.int64]
    scores: NDArray[np.float64]
    correct: NDArray[np.int8]
    answer: NDArray[np.int64]
    answers: list[JsonScalar]
    solution: NDArray[np.int64]
    solutions: list[str]


def scan_records(
    lines: Sequence[bytes],
    *,
    start: int = 0,
    stop: int | None = None,
    fields: tuple[str, str, str, str, str] = ("id", "problem", "candidates", "answer", "stepscore"),
    wanted: WantedScores = WantedScores(),  # noqa: B008 - a value
    most: int = 1 << 62,
) -> RecordScan:
    r"""Read lines of JSON, one record each, as columns, up to the first that is not plain.

    A plain line is an object ``{"id": ..., "candidates": [...]}`` with at least one candidate,
    maybe a ``problem`` (a text) and an ``answer`` (a text, a number or null), and any further
    fields but ``stepscore``. A candidate is a text, or an object with some of ``text``, ``steps``
    (texts), ``answer``, ``score``, ``step_scores`` (numbers) and ``correct`` (true or false); null
    is as good as none, but for ``answer``: it says that there is no answer. One without text and
    steps has no ``content``, ``value`` or ``message``, as a chat message or what holds one does.
    There are as many steps as step scores. No key stands twice in an object, and none has more than
    64; what is read as a number is finite and no whole ``-0``, and whole ids and answers fit int64;
    texts are UTF-8 without half a surrogate pair; further fields are nested less than 64 deep, and
    their numbers have at most 1000 characters. What is not plain need not be wrong: read it with
    another parser.

    A number is the float64 nearest to its decimal, as ``float`` gives it.

    Args:
        lines: the bytes of each.
        start, stop: which of them; None = to the end.
        fields: how ``id``, ``problem``, ``candidates``, ``answer`` and ``stepscore`` are called.
        wanted: the scores that a plain candidate has.
        most: after so many candidates no further record is begun.

    Returns:
        The records of as many lines as it holds ids, from `start` on.

    Raises:
        ValueError: `start` or `stop` outside of the lines.
        TypeError: a line that is not bytes.

    Examples:
        >>> lines = [b'{"id": 1, "candidates": [{"answer": "42", "step_scores": [0.5, 1]}]}', b"?"]
        >>> scan = scan_records(lines)
        >>> scan.ids, scan.answers, scan.step_scores.tolist()
        ([1], ['42'], [0.5, 1.0])
    """
    stop = len(lines) if stop is None else stop
    scan = _core.scan_records(tuple(lines), start, stop, *fields, *wanted, most)
    return RecordScan(*scan)
