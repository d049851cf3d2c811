"""The command line on published data, against golden values."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_model import read
from rewardmath_figures import GOLDEN

import stepscore
from stepscore import evaluation, reference
from stepscore.cli.main import main

DATA = Path(os.environ.get("STEPSCORE_DATA") or Path(__file__).parents[2] / ".." / "shared/data")

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"no real data at {DATA}; set STEPSCORE_DATA to its folder"
)


def cells(table: str) -> dict[str, list[str]]:
    lines = [line.split() for line in table.splitlines() if line.startswith("  ")]
    return {line[0]: line[1:] for line in lines}


def converted(layout: str, source: str, folder: Path) -> Path:
    target = folder / "converted.jsonl"
    assert main(["convert", str(DATA / layout / source), str(target)]) == 0
    return target


@pytest.mark.parametrize("prm", GOLDEN)
def test_rewardmath(prm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = converted("rewardmath", f"{prm}_reward.json", tmp_path), tmp_path / "out"
    capsys.readouterr()
    tables = {}
    for ties in ("share", "first", "lose"):
        assert main(["vote", str(source), "-o", str(out), "--overwrite", "--ties", ties]) == 0
        tables[ties] = capsys.readouterr().out
    table = tables["share"]
    assert table.startswith("483 problems, 4,830 candidates (10 each), 29,822 steps\n")
    lines = read(out)
    assert len(lines) == 483
    for how, (won, mrr, pairs) in GOLDEN[prm].items():
        scores = np.array(
            [[c["scores"][how] for c in line["stepscore"]["candidates"]] for line in lines]
        )
        beaten = (scores[:, :1] > scores[:, 1:]).sum(axis=1)  # the right one stands first
        assert (beaten == 9).sum() == won
        assert np.mean(1 / (10 - beaten)) == pytest.approx(mrr, abs=5e-7)
        assert beaten.sum() == pairs
        # The first of tied candidates is here the right one, which must not count for more.
        best = scores == scores.max(axis=1, keepdims=True)
        expected = {
            "share": np.mean(best[:, 0] / best.sum(axis=1)),
            "first": np.mean(best[:, 0]),
            "lose": won / 483,
        }
        for ties, share in expected.items():
            assert cells(tables[ties])[how] == ["-", "-", f"{100 * share:.1f}"]


def test_qwen_rm_maj(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = converted("qwen_rm_maj", "math_cot_100.jsonl", tmp_path), tmp_path / "out"
    capsys.readouterr()
    assert main(["vote", str(source)]) == 0
    # In one problem two answers have most candidates, and the first of them is right.
    assert cells(capsys.readouterr().out)["score"] == ["92.5", "94.0", "94.0"]
    assert main(["vote", str(source), "-o", str(out), "--ties", "first"]) == 0
    table = cells(capsys.readouterr().out)
    assert table["score"] == ["93.0", "94.0", "94.0"]  # maj@8, weighted, rm@8
    assert table["pass@1"][0] == "91.0"
    assert table["majority"][0] == "93.0"
    assert table["pass@8"][0] == "96.0"
    lines = read(out)

    def right(rule: str) -> int:
        winners = [line["stepscore"]["votes"][rule]["score"]["winner"] for line in lines]
        pairs = zip(lines, winners, strict=True)
        return sum(line["candidates"][winner]["correct"] for line, winner in pairs)

    assert [right(rule) for rule in ("majority", "weighted", "best_of_n")] == [93, 94, 94]


def test_qwen_rm_maj_by_every_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = converted("qwen_rm_maj", "math_cot_100.jsonl", tmp_path), tmp_path / "out"
    capsys.readouterr()
    rules: dict[str, dict[str, Any]] = {
        "best_of_n": {},
        "minmax_weighted": {},
        "softmax_weighted:temperature=1": {"temperature": 1.0},
        "borda": {},
        "hybrid_majority_reward:tau=0.6,consensus=share,reward=mean": {
            "tau": 0.6,
            "consensus": "share",
            "reward": "mean",
        },
    }
    options = [part for rule in ("majority", *rules) for part in ("--rule", rule)]
    arguments = ["vote", str(source), "-o", str(out), *options, "--prefixes", "powers"]
    assert main(arguments) == 0
    shared = capsys.readouterr().out
    assert main([*arguments, "--overwrite", "--ties", "first"]) == 0
    printed = capsys.readouterr().out
    first, second = printed.split("first n candidates")
    lines = read(out)
    sizes = [len(line["candidates"]) for line in lines]
    offsets = np.cumsum([0, *sizes])
    flags = np.array([c["correct"] for line in lines for c in line["candidates"]])
    scores = np.array([c["score"] for line in lines for c in line["candidates"]])
    classes = [c["answer_class"] for line in lines for c in line["stepscore"]["candidates"]]
    expected, by_shares = [], []
    for rule, parameters in {"majority": {}, **rules}.items():
        name = rule.partition(":")[0]
        winner = reference.vote(classes, scores, offsets, name, **parameters).winner
        assert [line["stepscore"]["votes"][rule]["score"]["winner"] for line in lines] == list(
            winner - offsets[:-1]
        )
        expected.append(f"{flags[winner].mean() * 100:.1f}")
        by = stepscore.Rule(name, **parameters)
        mean = evaluation.vote_at_k(flags, classes, scores, offsets, 8, by, method="exact").mean
        by_shares.append(f"{mean[0] * 100:.1f}")
    # The table of many rules goes on below; a row of the second table begins with n.
    shown, of_shares = (
        [row for line in text.splitlines() if (row := line.split())[:1] == ["score"]]
        for text in (first, shared)
    )
    assert [cell for row in shown for cell in row[1:]] == expected
    # What all eight samples would vote for, in random order.
    assert [cell for row in of_shares for cell in row[1:]] == by_shares
    assert (expected[:2], by_shares[:2]) == (["93.0", "94.0"], ["92.5", "94.0"])
    below = [row for line in second.splitlines() if (row := line.split())[:1] == ["8"]]
    assert [cell for row in below for cell in row[1:]] == [*expected, "96.0"]
    alone = [row for line in second.splitlines() if (row := line.split())[:1] == ["1"]]
    single = f"{flags[offsets[:-1]].mean() * 100:.1f}"
    assert {cell for row in alone for cell in row[1:]} == {single}


def test_gsm8k(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = converted("gsm8k", "example_model_solutions.jsonl", tmp_path)
    printed: Any = capsys.readouterr().out
    assert "(gsm8k)\n1,319 problems, 5,276 candidates, 2,001 of them right\n" in printed
    counts: dict[str, int] = {}
    lines = read(source)
    assert len(lines) == 1319
    for line in lines:
        for candidate in line["candidates"]:
            name = candidate["generator"]
            counts[name] = counts.get(name, 0) + candidate["correct"]
            key, known = stepscore.answer_keys(
                ["\n".join(candidate["steps"]), f"#### {line['answer']}"]
            )
            assert (key == known) == candidate["correct"]
    assert counts == {
        "6b_finetuning": 286,
        "6b_verification": 515,
        "175b_finetuning": 458,
        "175b_verification": 742,
    }
    assert [line.split() for line in printed.splitlines()[2:6]] == [
        [name, str(count), "right"] for name, count in counts.items()
    ]
