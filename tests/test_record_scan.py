"""`scan_records` against its reference, and against the parser that reads every form."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepscore import reference, scan_records
from stepscore.ops.record_scan import RecordScan, WantedScores

STEPS, GIVEN = WantedScores(), WantedScores(steps=False, given=True)
BOTH, NEITHER = WantedScores(given=True, bounded=False), WantedScores(steps=False)
WANTED = [STEPS, GIVEN, BOTH, NEITHER]

PLAIN = {"id": 1, "candidates": [{"answer": "42", "step_scores": [0.5, 1]}]}


def line_of(**fields: Any) -> bytes:
    return json.dumps({**PLAIN, **fields}).encode()


def expanded(scan: RecordScan) -> dict[str, Any]:
    """All of it, with what every candidate states and says instead of places in tables."""
    content = scan._asdict()
    answers, solutions = content.pop("answers"), content.pop("solutions")
    content["answer"] = [repr(answers[at]) if at >= 0 else "-" for at in scan.answer]
    content["solution"] = [solutions[at] if at >= 0 else None for at in scan.solution]
    assert sorted({*scan.answer.tolist()} - {-1}) == list(range(len(answers)))
    for name, value in content.items():
        if isinstance(value, np.ndarray):
            content[name] = (str(value.dtype), value.tobytes())
    content["ids"], content["known"] = repr(scan.ids), repr(scan.known)
    return content


def assert_same(lines: list[bytes], **arguments: Any) -> RecordScan:
    scan = scan_records(lines, **arguments)
    assert expanded(scan) == expanded(reference.scan_records(lines, **arguments))
    return scan


def is_plain(line: bytes, wanted: WantedScores = STEPS) -> bool:
    return len(assert_same([line], wanted=wanted).ids) == 1


def test_a_record_becomes_columns() -> None:
    lines = [
        line_of(id="a", answer=" 42 ", problem="p", source={"of": [1, None, True]}),
        line_of(id=2, candidates=["one", {"steps": ["a", "b"]}, {"text": "t", "answer": None}]),
    ]
    assert scan_records(lines).ids == ["a"]
    scan = assert_same(lines[1:], wanted=NEITHER)
    assert scan.solution.tolist() == [0, 1, -1]
    assert scan.solutions == ["one", "a\nb"]
    assert (scan.answer.tolist(), scan.answers) == ([-1, -1, 0], [None])
    assert scan.correct.tolist() == [-1, -1, -1]


@pytest.mark.parametrize(
    ("candidate", "plain"),
    [
        ({"message": {"role": "assistant", "content": "42"}}, False),
        ({"role": "assistant", "content": "42"}, False),
        ({"from": "gpt", "value": "42", "text": None}, False),
        ({"message": "mine", "text": "42"}, True),
        ({"value": 42, "steps": ["42"]}, True),
        ({"role": "assistant", "answer": "42"}, True),
    ],
)
def test_a_candidate_that_may_be_a_message_is_not_plain(
    candidate: dict[str, Any], plain: bool
) -> None:
    assert is_plain(line_of(candidates=[candidate]), NEITHER) == plain
    assert is_plain(line_of(candidates=[{**candidate, "step_scores": [0.5]}]), STEPS) == plain


@pytest.mark.parametrize(
    "value",
    [
        *(0, 1, 0.1, 1e-7, 0.30000000000000004, 2.5e-8, 5e-324, 1e-320, 0.9999999999999999),
        *("1E0", "-0.0", "1e-0", "0.5e0", "0e5", "0.000"),
        "0.1000000000000000055511151231257827021181583404541015625",
    ],
)
def test_a_number_is_the_nearest_double(value: Any) -> None:
    line = b'{"id": 1, "candidates": [{"step_scores": [%s]}]}' % str(value).encode()
    scan = assert_same([line])
    assert scan.step_scores.tobytes() == np.array([float(value)]).tobytes()


def test_random_numbers_are_the_nearest_doubles() -> None:
    draw = random.Random(0)
    spellings = [
        f"{draw.choice(['', '-'])}{draw.randrange(10 ** draw.randrange(1, 30))}"
        f"{draw.choice(['', f'.{draw.randrange(10 ** draw.randrange(1, 25))}'])}"
        f"{draw.choice(['', f'e{draw.randrange(-330, 290)}', f'E+{draw.randrange(200)}'])}"
        for _ in range(20_000)
    ]
    kept = [s for s in spellings if s != "-0" and 0 < abs(float(s)) < float("inf")]
    text = ", ".join(kept).encode()
    line = b'{"id": 1, "candidates": [{"step_scores": [%s]}]}' % text
    scan = scan_records([line], wanted=BOTH._replace(given=False))
    assert scan.step_scores.tobytes() == np.array([float(s) for s in kept]).tobytes()


NOT_PLAIN = {
    "another id": b'{"id": 1.5, "candidates": [{"step_scores": [1]}]}',
    "no id": b'{"candidates": [{"step_scores": [1]}]}',
    "an empty id": line_of(id=""),
    "a long id": line_of(id=2**63),
    "minus zero": b'{"id": 1, "candidates": [{"step_scores": [-0]}]}',
    "a result": line_of(stepscore={}),
    "a key twice": b'{"id": 1, "x": {"a": 1, "\\u0061": 2}, "candidates": [{"step_scores": [1]}]}',
    "NaN": b'{"id": 1, "candidates": [{"step_scores": [NaN]}]}',
    "NaN elsewhere": b'{"id": 1, "x": NaN, "candidates": [{"step_scores": [1]}]}',
    "no candidates": line_of(candidates=[]),
    "a candidate of null": line_of(candidates=[None]),
    "a number as text": line_of(candidates=[{"step_scores": ["1"]}]),
    "a truth value": line_of(candidates=[{"step_scores": [True]}]),
    "too small": b'{"id": 1, "candidates": [{"step_scores": [1e-400]}]}',
    "too large": b'{"id": 1, "candidates": [{"step_scores": [1e400]}]}',
    "out of range": line_of(candidates=[{"step_scores": [1.5]}]),
    "steps do not fit": line_of(candidates=[{"steps": ["a"], "step_scores": [1, 1]}]),
    "no steps": line_of(candidates=[{"step_scores": []}]),
    "correct as a number": line_of(candidates=[{"step_scores": [1], "correct": 1}]),
    "a list as answer": line_of(answer=["1"]),
    "a problem of null": line_of(problem=None),
    "half a pair": b'{"id": 1, "x": "\\ud800", "candidates": [{"step_scores": [1]}]}',
    "no UTF-8": b'{"id": 1, "x": "\xff", "candidates": [{"step_scores": [1]}]}',
    "an overlong form": b'{"id": 1, "x": "\xc0\xaf", "candidates": [{"step_scores": [1]}]}',
    "a control character": b'{"id": 1, "x": "\t", "candidates": [{"step_scores": [1]}]}',
    "more behind it": line_of() + b"{}",
    "a leading zero": b'{"id": 01, "candidates": [{"step_scores": [1]}]}',
    "a comma too many": b'{"id": 1, "candidates": [{"step_scores": [1,]}]}',
    "a list": b"[1]",
    "nothing": b"",
    "too deep": line_of(x=json.loads("[" * 65 + "]" * 65)),
    "too many keys": line_of(x={str(i): i for i in range(65)}),
    "a number of 1001 digits": line_of(x=10**1000),
}


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_what_is_not_plain_is_left(name: str) -> None:
    assert not is_plain(NOT_PLAIN[name])
    lines = [line_of(id=5), line_of(id=6), NOT_PLAIN[name], line_of(id=7)]
    scan = assert_same(lines)
    assert scan.ids == [5, 6]
    assert scan.offsets.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "line",
    [
        line_of(x=json.loads("[" * 64 + "]" * 64)),
        line_of(x={str(i): i for i in range(60)}),
        line_of(x=10**999),
        b' \t{"id" : 1,"candidates":[ {"step_scores":[1 , 0.5]} ]\n} \r\n',
        b'{"id": "\\ud83d\\ude00\xc3\xa9", "candidates": [{"step_scores": [1]}]}',
        b'{"\\u0069d": 1, "candidates": [{"step\\u005fscores": [1]}]}',
        line_of(id=-(2**63)),
        line_of(candidates=[{"step_scores": [1], "correct": None, "score": None, "text": None}]),
    ],
)
def test_rare_forms_that_are_plain(line: bytes) -> None:
    assert is_plain(line)


@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize(
    "candidate",
    [{}, {"score": 1}, {"step_scores": [0.5]}, {"score": -7.25, "step_scores": [2, 0.5]}],
)
def test_candidates_have_what_is_wanted(candidate: dict[str, Any], wanted: WantedScores) -> None:
    line = line_of(candidates=[candidate])
    assert_same([line], wanted=wanted)
    assert_same([line_of(candidates=[{**candidate, "step_scores": None}])], wanted=wanted)


def test_it_stops_at_so_many_candidates() -> None:
    lines = [line_of(id=i, candidates=[{"step_scores": [1]}] * 3) for i in range(5)]
    assert assert_same(lines, most=4).ids == [0, 1]
    assert assert_same(lines, most=3).ids == [0]
    assert assert_same(lines, start=1, stop=3).ids == [1, 2]
    assert assert_same(lines, start=5).ids == []


def test_fields_have_other_names() -> None:
    fields = ("key", "question", "samples", "gold", "result")
    line = json.dumps({"key": 1, "samples": ["a"], "gold": 4, "id": None, "stepscore": 1}).encode()
    scan = assert_same([line], fields=fields, wanted=NEITHER)
    assert (scan.ids, scan.known) == ([1], [4])


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"scan_records: start and stop must be places"):
        scan_records([b""], start=2)
    with pytest.raises(TypeError, match=r"scan_records: lines\[1\] must be bytes; got str"):
        scan_records([line_of(), "{}"])  # type: ignore[list-item]


numbers = st.one_of(
    st.floats(allow_nan=False), st.floats(0, 1), st.integers(), st.sampled_from([0, 1, 0.5, -0.0])
)
texts = st.one_of(st.text(max_size=9), st.sampled_from(["42", "\\frac{1}{2}", "a\nb", "é", "😀"]))
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
odd = st.recursive(
    scalars, lambda v: st.lists(v, max_size=2) | st.dictionaries(texts, v, max_size=2)
)
candidates = st.one_of(
    texts,
    st.fixed_dictionaries(
        {"step_scores": st.lists(st.floats(0, 1), min_size=1, max_size=3)},
        optional={
            "answer": st.one_of(texts, numbers, st.none()),
            "text": texts | st.none(),
            "steps": st.lists(texts, max_size=3),
            "score": numbers,
            "correct": st.booleans() | st.none(),
            "more": odd,
        },
    ),
    st.dictionaries(
        st.sampled_from(["answer", "text", "steps", "score", "step_scores", "correct"]), odd
    ),
)
records = st.fixed_dictionaries(
    {"id": st.one_of(st.integers(), texts, odd), "candidates": st.lists(candidates, max_size=3)},
    optional={"problem": texts, "answer": scalars, "more": odd, "stepscore": odd},
)
mutations = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from([*b'"\\{}[],:0-.eu\n\xff\xc3\x00 tn'])), max_size=2
)


@given(st.lists(st.tuples(records, st.booleans(), mutations), max_size=3), st.sampled_from(WANTED))
def test_random_lines_are_read_as_by_the_reference(
    rows: list[tuple[Any, bool, list[tuple[float, int]]]], wanted: WantedScores
) -> None:
    for content, ascii_alone, changes in rows:
        line = bytearray(
            json.dumps(content, ensure_ascii=ascii_alone).encode("utf-8", "surrogatepass")
        )
        for where, byte in changes:
            line[int(where * (len(line) - 1))] = byte
        assert_same([bytes(line)], wanted=wanted)
