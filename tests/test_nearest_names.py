"""Whoever types a name wrong is told the nearest one, whatever it names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stepscore
from stepscore.cli.main import main
from stepscore.errors import InputError, did_you_mean, nearest
from stepscore.records.convert.file import convert
from stepscore.search import search
from stepscore.voting.rules import parse_rule


def nobody(requests: object) -> Any:
    raise AssertionError("no model is asked")


def searched(strategy: str, **options: Any) -> object:
    return search(["1+1=?"], strategy, nobody, nobody, **options)


CALLS: dict[str, tuple[Callable[[], object], str]] = {
    "a rule as it is typed": (lambda: parse_rule("wieghted:a=1"), "weighted"),
    "a rule of vote": (
        lambda: stepscore.vote([0], np.ones(1), [0, 1], "wieghted"),  # type: ignore[call-overload]
        "weighted",
    ),
    "a rule": (lambda: stepscore.Rule("bordda"), "borda"),  # type: ignore[arg-type]
    "a parameter of a rule": (
        lambda: stepscore.Rule("softmax_weighted", temprature=1.0),
        "temperature",
    ),
    "a word of a rule": (
        lambda: stepscore.Rule("multi_objective", objective_weights=[1.0], scale="minimax"),
        "minmax",
    ),
    "a strategy": (lambda: searched("baem"), "beam"),
    "a parameter of a strategy": (lambda: searched("rebase", widht=3), "width"),
    "a word of a strategy": (lambda: searched("mcts", decode="visted"), "visited"),
    "an aggregation of a search": (lambda: searched("beam", how="lsat"), "last"),
    "a layout of files": (lambda: convert("a", "b", layout="procesbench"), "processbench"),
}


@pytest.mark.parametrize("what", CALLS)
def test_the_nearest_name_is_told(what: str) -> None:
    call, meant = CALLS[what]
    with pytest.raises(InputError) as refused:
        call()
    assert f"; did you mean '{meant}'?" in str(refused.value)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("vote in.jsonl --rule wieghted", "weighted"),
        ("vote in.jsonl --how mim", "min"),
        ("vote in.jsonl --ties shere", "share"),
        ("search in.jsonl -o out.jsonl --policy lab --strategy baem", "beam"),
        ("search in.jsonl -o out.jsonl --policy lab --strategy rebase --set widht=3", "width"),
        ("convert in.jsonl -o out.jsonl --from procesbench", "processbench"),
        ("rernk in.jsonl", "rerank"),
    ],
)
def test_a_command_tells_it_too(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.jsonl").write_text('{"id": 1, "problem": "1+1=?", "candidates": []}\n')
    try:
        code = main(typed.split())
    except SystemExit as exit_:  # as argparse refuses
        code = exit_.code  # type: ignore[assignment]
    assert code == 2
    assert f"; did you mean '{meant}'?" in capsys.readouterr().err


def test_nothing_is_told_where_nothing_is_near() -> None:
    assert nearest("beam", ["rebase", "mcts"]) is None
    assert did_you_mean("xyz", ["beam"]) == ""
    assert did_you_mean("xyz", ["beam"], "pass one") == "pass one"
    assert did_you_mean("baem", ["beam"], "pass one") == "did you mean 'beam'? pass one"
    assert did_you_mean(None, ["beam"]) == ""
    assert did_you_mean("width", ["n", "m", "depth"]) == ""  # of another strategy, and no slip
