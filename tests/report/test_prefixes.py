"""The table of the first n candidates."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_model import FakeModel, read

from stepscore import reference
from stepscore.cli.main import main

Write = Callable[..., str]

SMALL = [
    # first 1: a; first 2: a and b tie, weighted b, best b; all: majority a, weighted a, best b
    {"id": 1, "answer": "a", "candidates": [["a", 0.3], ["b", 0.8], ["a", 0.6]]},
    # right from the second on
    {"id": 2, "answer": "c", "candidates": [["b", 0.5], ["c", 0.9]]},
    # never right
    {"id": 3, "answer": "z", "candidates": [["b", 0.5], ["c", 0.9], ["c", 0.1]]},
]


def lines(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**record, "candidates": [{"answer": a, "score": s} for a, s in record["candidates"]]}
        for record in records
    ]


def second_table(printed: str) -> list[list[str]]:
    below = printed[printed.index("first n candidates") :].splitlines()[1:]
    return [line.split() for line in below if line.startswith("  ")]


def test_the_table_by_hand(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, out = tmp_path / "plain", tmp_path / "out"
    source = write(*lines(SMALL))
    assert main(["vote", source, "-o", str(plain)]) == 0
    before = capsys.readouterr().out
    assert main(["vote", source, "-o", str(out), "--prefixes", "1,2,4"]) == 0
    after = capsys.readouterr().out
    assert after == before.replace(
        "some candidate is right: the ceiling\n",
        "some candidate is right: the ceiling\n"
        "\n"
        "accuracy in % of the first n candidates, by score (ties: share)\n"
        "  n                     majority    weighted   best_of_n      pass@n\n"
        "  1                         33.3        33.3        33.3        33.3\n"
        "  2                         33.3        33.3        33.3        66.7\n"
        "  4                         50.0        66.7        33.3        66.7\n"
        "  (where a problem has fewer than n candidates, all of them vote)\n",
    )
    assert out.read_bytes() == plain.read_bytes()


def test_powers_end_with_the_largest_problem(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(*lines(SMALL))
    for chunk in ("1", "100"):
        assert main(["vote", source, "--prefixes", "powers", "--chunk-size", chunk]) == 0
        assert [row[0] for row in second_table(capsys.readouterr().out)[1:]] == ["1", "2"]


def many(problems: int, seed: int, *, known: bool) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    records: list[dict[str, Any]] = []
    for index in range(problems):
        size = int(rng.integers(1, 13))
        scores = rng.integers(5, size=size) / 4
        own = [[f"{rng.integers(4)}", float(score)] for score in scores]
        records.append({"id": index, "candidates": own, **({"answer": "1"} if known else {})})
    return records


RULES: dict[str, dict[str, Any]] = {
    "majority": {},
    "softmax_weighted:temperature=0.5": {"temperature": 0.5},
    "borda": {},
    "pareto": {},
}


def winners(record: dict[str, Any], size: int) -> list[str]:
    """The answers that win among the first so many candidates, by the reference."""
    own = record["candidates"][:size]
    texts = [answer for answer, _ in own]
    ids = [texts.index(text) for text in texts]
    scores = np.array([score for _, score in own])
    return [
        texts[
            reference.vote(
                ids, scores, [0, len(own)], typed.partition(":")[0], **parameters
            ).winner[0]
        ]
        for typed, parameters in RULES.items()
    ]


def test_accuracy_against_the_reference_on_slices(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    records = many(60, 3, known=True)
    options = [part for rule in RULES for part in ("--rule", rule)]
    options += ["--ties", "first", "--prefixes", "1,3,4,8,20"]
    arguments = ["vote", write(*lines(records)), *options]
    assert main([*arguments, "--chunk-size", "100"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 100
    *table, _ = second_table(printed)[2:]
    for row, size in zip(table, (1, 3, 4, 8, 20), strict=True):
        right = np.mean([[won == "1" for won in winners(r, size)] for r in records], axis=0)
        some = np.mean([any(a == "1" for a, _ in r["candidates"][:size]) for r in records])
        assert row == [f"{size}", *(f"{100 * share:.1f}" for share in (*right, some))]


def test_agreement_where_nobody_knows(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    records = many(60, 4, known=False)
    typed = list(RULES)[:3]
    options = [part for rule in typed for part in ("--rule", rule)]
    options += ["--ties", "first", "--prefixes", "2,5"]
    assert main(["vote", write(*lines(records)), *options]) == 0
    printed = capsys.readouterr().out
    assert "how often two rules choose the same answer among the first n candidates" in printed
    assert "pass@" not in printed
    *table, _ = second_table(printed)[3:]
    for row, size in zip(table, (2, 5), strict=True):
        won = [winners(record, size)[:3] for record in records]
        same = [
            np.mean([w[one] == w[other] for w in won]) for other, one in combinations(range(3), 2)
        ]
        assert row == [f"{size}", *(f"{100 * share:.1f}" for share in same)]


def test_a_rule_without_use_for_the_scores_is_missing(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--rule", "confidence_weighted", "--rule", "majority", "--prefixes", "2"]
    assert main(["vote", write(*lines(SMALL)), *options]) == 0
    assert ["2", "-", "33.3", "66.7"] in second_table(capsys.readouterr().out)


def test_rerank_shows_the_same_table(
    fake: FakeModel, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    candidates = [
        {"text": f"@{score}", "answer": answer} for answer, score in (("1", 0.2), ("2", 0.7))
    ]
    source = write({"id": 1, "problem": "?", "candidates": candidates, "answer": "2"})
    out = str(tmp_path / "out")
    options = ["--prefixes", "powers", "--how", "min"]
    assert main(["rerank", source, "-o", out, "--model", "m", *options]) == 0
    table = capsys.readouterr().out
    assert second_table(table)[2] == ["2", "50.0", "100.0", "100.0", "100.0"]
    assert "first n candidates, by min" in table
    assert main(["vote", out, "--prefixes", "powers"]) == 0
    assert capsys.readouterr().out == table
    assert read(out)[0]["stepscore"]["provenance"]["how"] == "min"


@pytest.mark.parametrize("sizes", ["4,2", "0,1", "1,1", "power", "", "1.5", "1," + "9" * 30])
def test_sizes_that_cannot_be_read(
    sizes: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["vote", write(*lines(SMALL)), "--prefixes", sizes]) == 2
    assert (
        "--prefixes: expected whole numbers of at least 1 that ascend; "
        f"got {sizes!r}; type them as in --prefixes 1,2,4,8, or --prefixes powers"
    ) in capsys.readouterr().err
