"""`result_lines` against its reference: the same bytes."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from stepscore import reference, result_lines
from stepscore.ops.result_lines import CandidateResults, VoteResults

COLUMNS, RULES = ("min", 'a "name"'), ("majority", "best_of_n", "pareto")
TEXTS = ["42", None, "", '\\frac{1}{2} "\n\t\b\f\r\x00\x1f\x7f', "é 😀 \u2028", "</script>"]


def draw_numbers(draw: np.random.Generator, *shape: int) -> np.ndarray[Any, Any]:
    values = draw.normal(size=shape) * 10.0 ** draw.integers(-20, 25, shape)
    values[draw.random(shape) < 0.2] = np.nan
    values[draw.random(shape) < 0.05] = -np.inf
    values[draw.random(shape) < 0.1] = 1.0
    return np.asarray(values)


def draw_all(seed: int) -> tuple[list[bytes], list[str], CandidateResults, VoteResults]:
    draw = np.random.default_rng(seed)
    sizes = draw.integers(1, 5, 7)
    offsets = np.cumsum([0, *sizes])
    candidates = int(offsets[-1])
    skipped = draw.random(candidates) < 0.3
    counts = np.where(skipped, 0, draw.integers(0, 4, candidates))
    step_offsets = np.cumsum([0, *counts])
    heads = {
        int(place): json.dumps({"skipped": "why", "step_scores": None})[1:-1]
        if skipped[place]
        else json.dumps({"steps": ["a\n", "é"]}, ensure_ascii=False)[1:-1]
        for place in np.flatnonzero(skipped | (draw.random(candidates) < 0.3))[::-1]
    }
    shape = (len(sizes), len(RULES), len(COLUMNS))
    winner = np.where(
        draw.random(shape) < 0.2, -1, offsets[:-1, None, None] + draw.integers(0, 1, shape)
    )
    votes = VoteResults(
        winner, draw_numbers(draw, *shape), draw.random(shape) < 0.5, draw_numbers(draw, *shape)
    )
    texts = [TEXTS[place] for place in draw.integers(0, len(TEXTS), candidates)]
    results = CandidateResults(
        offsets,
        draw.integers(0, 2, candidates),
        skipped,
        heads,
        draw_numbers(draw, int(step_offsets[-1])),
        step_offsets,
        draw_numbers(draw, candidates, len(COLUMNS)),
        draw.integers(1, 5, candidates),
        texts,
        draw.integers(-1, 4, candidates),
    )
    lines = [f'{{"id": {i}, "é": "\\n" {" " * i}}}'.encode() for i in range(len(sizes))]
    provenance = [json.dumps({"model": None, "how": "é", "i": i}) for i in range(len(sizes))]
    return lines, [p.encode().decode("unicode_escape") for p in provenance], results, votes


def assert_same(*arguments: Any, **names: Any) -> bytes:
    written = result_lines(*arguments, **names)
    assert written == reference.result_lines(*arguments, **names)
    return written


@pytest.mark.parametrize("seed", range(50))
def test_the_bytes_are_those_of_json(seed: int) -> None:
    lines, provenance, candidates, votes = draw_all(seed)
    names = {"columns": COLUMNS, "rules": RULES}
    written = assert_same(lines, provenance, candidates, votes, result='re"sult', **names)
    assert [list(json.loads(line)) for line in written.splitlines()] == [
        ["id", "é", 're"sult'] for _ in lines
    ]
    assert_same(lines, provenance, candidates, None, **names)
    without = candidates._replace(step_scores=None, step_offsets=None)
    assert_same(lines, provenance, without, votes, **names)
    without = candidates._replace(scores=None, ranks=None)
    assert_same(lines, provenance, without, votes, **names)
    assert_same(lines, provenance, candidates._replace(answers=None, classes=None), **names)


def test_arrays_with_gaps_are_written_as_they_are() -> None:
    lines, provenance, candidates, votes = draw_all(0)
    wide = VoteResults(*(np.stack([array, array], axis=-1)[..., 0] for array in votes))
    names = {"columns": COLUMNS, "rules": RULES}
    assert not wide.winner.flags.c_contiguous
    assert result_lines(lines, provenance, candidates, wide, **names) == result_lines(
        lines, provenance, candidates, votes, **names
    )


def test_numbers_are_those_of_repr() -> None:
    draw = random.Random(0)
    values = np.frombuffer(draw.randbytes(8 * 200_000), np.float64)
    values = np.concatenate(
        [
            values,
            draw_numbers(np.random.default_rng(0), 20_000).astype(np.float32),
            2.0 ** np.arange(-1074, 1024),
            np.arange(-9.0, 9),
        ]
    )
    values = values[np.isfinite(values)]
    one = CandidateResults(np.array([0, 1]), np.array([0]), np.array([False]))
    steps = np.array([0, len(values)])
    line = result_lines([b'{"id": 1}'], ["0"], one._replace(step_scores=values, step_offsets=steps))
    written = line.decode().partition('"step_scores": [')[2].partition("]")[0].split(", ")
    assert written == list(map(repr, values.tolist()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"truncated": np.zeros(3, np.int64)}, "result_lines: truncated does not fit"),
        ({"classes": None}, "result_lines: classes must be there with answers"),
        ({"answers": ["1"]}, "result_lines: answers must have 2 items; got 1"),
        ({"step_offsets": None}, "result_lines: step_offsets must be there with step_scores"),
        ({"step_offsets": np.array([0, 1])}, "result_lines: step_offsets"),
        ({"offsets": np.array([0, 2])}, "result_lines: offsets must have shape"),
        ({"scores": np.zeros((2, 3))}, "result_lines: scores does not fit"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    two = CandidateResults(
        np.array([0, 1, 2]),
        np.zeros(2, np.int64),
        np.zeros(2, np.bool_),
        {},
        np.zeros(2),
        np.array([0, 1, 2]),
        answers=["1", None],
        classes=np.array([0, -1]),
    )
    lines = [b'{"id": 1}', b'{"id": 2}']
    assert result_lines(lines, ["1", "2"], two)
    with pytest.raises(ValueError, match=message):
        result_lines(lines, ["1", "2"], two._replace(**change), columns=["min"])


def test_lines_and_winners_are_checked() -> None:
    one = CandidateResults(np.array([0, 1]), np.array([0]), np.array([False]))
    for line in (b"", b"{}", b'{"id": 1} '):
        with pytest.raises(ValueError, match=r"lines\[0\] must be a JSON object with a field"):
            result_lines([line], ["1"], one)
    winner = np.array([[[1]]])
    votes = VoteResults(winner, np.ones((1, 1, 1)), winner > 0, np.ones((1, 1, 1)))
    answered = one._replace(answers=["1"], classes=np.array([0]))
    with pytest.raises(ValueError, match="winner must be places of candidates, or -1; got 1"):
        result_lines([b'{"id": 1}'], ["1"], answered, votes, columns=["min"], rules=["majority"])
    with pytest.raises(ValueError, match="answers must be there with winners"):
        result_lines([b'{"id": 1}'], ["1"], one, votes, columns=["min"], rules=["majority"])
