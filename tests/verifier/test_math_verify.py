"""The processes that ask math-verify, with a stand-in for it that can hang."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from stepscore import group_answers
from stepscore.verifier import pool

STAND_IN = r"""
import os, time
from dataclasses import dataclass, field
LOG = os.environ["STAND_IN_LOG"]

@dataclass
class Normalization:
    units: bool = True

@dataclass
class LatexExtractionConfig:
    normalization_config: Normalization = field(default_factory=Normalization)

class Read:
    free_symbols = ("x", "y")
    def __init__(self, text):
        self.text = text
    def has(self, *what):
        return False

def note(*what):
    with open(LOG, "a") as log:
        print(*what, file=log)

def parse(text, configs, extraction_mode, parsing_timeout):
    assert parsing_timeout is None
    assert extraction_mode == "first_match"
    assert not configs[0].normalization_config.units
    print("noise on the standard output")
    answer = text[len("\\boxed{"):-1]
    note("parse", answer)
    if "h_1" in answer:
        time.sleep(1000)
    if "c_1" in answer:
        os._exit(3)
    if "r_1" in answer:
        raise ValueError(answer)
    return [Read(answer), answer]

def verify(gold, target, timeout_seconds):
    gold, target = gold.text, target.text
    note("verify", gold, target)
    if {gold, target} == {"s+x", "s+y"} or "s_1" in (gold, target):
        time.sleep(1000)
    return gold.replace("z", "x") == target  # in one direction alone
"""
SYMPY = """
true = false = nan = zoo = object()
class Expr: pass
class core:
    class relational:
        class Relational: pass
def preorder_traversal(found):
    return []
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "math_verify.py").write_text(STAND_IN)
    (tmp_path / "sympy.py").write_text(SYMPY)
    about = tmp_path / "math_verify-0.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: math-verify\nVersion: 0.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "log"))
    pool._kill_idle()
    yield tmp_path / "log"
    pool._kill_idle()


def group(*answers: str, **options: object) -> list[int]:
    ids = group_answers(answers, [0, len(answers)], extract=False, **options)  # type: ignore[call-overload]
    return [int(i) for i in ids]


def test_both_directions_and_each_text_once(log: Path):
    assert group("x+1", "2y", "z+1", "5", "x+1") == [0, 1, 0, 2, 0]
    lines = log.read_text().splitlines()
    parsed = [line for line in lines if line.startswith("parse")]
    assert sorted(parsed) == ["parse 2y", "parse 5", "parse x+1", "parse z+1"]
    assert "verify x+1 z+1" in lines
    assert "verify z+1 x+1" in lines


def test_nothing_is_asked_where_all_is_understood(log: Path):
    assert group("1", "2", "3", "1.0") == [0, 1, 2, 0]
    assert not log.exists()


def test_the_explanation(log: Path):
    answers = ["x+1", "z+1", "z+1", "x+1"]
    got = group_answers(answers, [0, 4], extract=False, explain=True)
    assert got.decided.tolist() == ["first", "verify", "verify", "text"]
    assert got.undecided == ()


def test_what_hangs_costs_its_time_limit_once(log: Path):
    begin = time.monotonic()
    answers = ["x+1", "h_1", "z+1", "2y", "5", "h_1", "h_1"]
    with pytest.warns(RuntimeWarning, match=r"no verdict within 0.5 s on 1 answer\(s\).*'h_1'"):
        got = group_answers(answers, [0, 6, 7], extract=False, timeout=0.5, workers=1, explain=True)
    assert time.monotonic() - begin < 5
    assert got.ids.tolist() == [0, 1, 0, 2, 3, 1, 0]
    assert got.undecided == ("h_1",)
    assert log.read_text().count("parse h_1") == 1


def test_a_comparison_that_hangs_is_reported_as_a_pair(log: Path):
    with pytest.warns(RuntimeWarning, match="s\\+x = s\\+y"):
        assert group("s+x", "s+y", "s+z", timeout=0.5) == [0, 1, 0]


def test_an_answer_that_hangs_in_comparisons_costs_its_time_limit_once(log: Path):
    begin = time.monotonic()
    with pytest.warns(RuntimeWarning, match=r"1 answer\(s\), which stay apart: 's_1'"):
        assert group("x+1", "2y", "s_1", "3y", "4y", "z+1", timeout=0.5) == [0, 1, 2, 3, 4, 0]
    assert time.monotonic() - begin < 5
    assert log.read_text().count("s_1") == 2  # parsed, and compared


def test_a_problem_has_a_budget_besides(log: Path):
    begin = time.monotonic()
    hanging = [f"{n}h_1" for n in range(2, 9)]
    answers = [*hanging, "x+1", "z+1"]
    with pytest.warns(RuntimeWarning, match=r"for a problem on \d+ pair\(s\), which stay apart"):
        got = group_answers(
            answers, [0, 9], extract=False, timeout=0.5, budget=1.2, workers=1, explain=True
        )
    assert time.monotonic() - begin < 10
    assert got.ids.tolist()[:7] == list(range(7))
    # The shorter answers were asked first; what was left is named, and asked in the next problem.
    assert got.ids.tolist()[7:] == [7, 7]
    assert "7h_1 = 8h_1" in got.undecided
    with pytest.warns(RuntimeWarning, match="for a problem on"):
        got = group_answers(
            [*answers, "2y", "2y+1", "2z+1", "2x+1"], [0, 9, 13], extract=False, timeout=0.5,
            budget=1.2, workers=1,
        )  # fmt: skip
    assert got.tolist()[9:] == [0, 1, 2, 2]


def test_a_process_that_dies_is_replaced(log: Path):
    with pytest.warns(RuntimeWarning, match="c_1"):
        assert group("x+1", "c_1", "z+1") == [0, 1, 0]


def test_what_cannot_be_read_is_equal_to_nothing(log: Path):
    assert group("r_1", "x+1", "z+1", "2r_1") == [0, 1, 1, 2]


def test_verdicts_on_disk_save_the_questions(log: Path, tmp_path: Path):
    cache = tmp_path / "verdicts"
    assert group("x+1", "z+1", "2y", cache=cache) == [0, 0, 1]
    asked = log.read_text()
    assert group("2y", "x+1", cache=str(cache)) == [0, 1]  # in any order
    assert log.read_text() == asked
    (tmp_path / "no cache").write_text("something else, and long enough" * 100)
    with pytest.raises(ValueError, match="cache must name a file of verdicts"):
        group("x+1", "z+1", cache=tmp_path / "no cache")


def test_from_threads_and_over_problems(log: Path):
    answers = ["x+1", "z+1", "2y", "5"] * 6
    offsets = np.arange(0, 25, 4)

    def run(_: int) -> list[int]:
        return group_answers(answers, offsets, extract=False, workers=2).tolist()  # type: ignore[no-any-return]

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(run, range(3))) == [[0, 0, 1, 2] * 6] * 3


def test_a_fork_leaves_the_processes_to_its_parent(log: Path):
    assert group("x+1", "z+1") == [0, 0]
    child = os.fork()
    if child == 0:
        os._exit(0 if not pool._idle else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert group("x+1", "z+1", "2y") == [0, 0, 1]


def test_one_that_does_not_start_says_so(log: Path, tmp_path: Path):
    (tmp_path / "math_verify.py").write_text("import nothing_of_this_name")
    with pytest.raises(RuntimeError, match="the process of math-verify did not start; try"):
        group("x+1", "2y")


def test_without_math_verify(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("stepscore.verifier.installed", lambda: False)
    assert group("x+1", "1+x") == [0, 1]
    with pytest.raises(ImportError, match="pip install 'stepscore"):
        group("x+1", "1+x", verify="math-verify")
