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
LOG = os.environ["STAND_IN_LOG"]

def note(*what):
    with open(LOG, "a") as log:
        print(*what, file=log)

def parse(text, parsing_timeout):
    assert parsing_timeout is None
    print("noise on the standard output")
    answer = text[len("\\boxed{"):-1]
    note("parse", answer)
    if "hang" in answer:
        time.sleep(1000)
    if "crash" in answer:
        os._exit(3)
    if "error" in answer:
        raise ValueError(answer)
    return answer

def verify(gold, target, timeout_seconds):
    note("verify", gold, target)
    if {gold, target} == {"slow x", "slow y"} or "stuck" in (gold, target):
        time.sleep(1000)
    return gold.lower() == target  # in one direction alone
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "math_verify.py").write_text(STAND_IN)
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
    assert group("aa", "bb", "aA", "5", "aa") == [0, 1, 0, 2, 0]
    lines = log.read_text().splitlines()
    parsed = [line for line in lines if line.startswith("parse")]
    assert sorted(parsed) == ["parse 5", "parse aA", "parse aa", "parse bb"]
    assert "verify aa aA" in lines
    assert "verify aA aa" in lines


def test_nothing_is_asked_where_all_is_understood(log: Path):
    assert group("1", "2", "3", "1.0") == [0, 1, 2, 0]
    assert not log.exists()


def test_the_explanation(log: Path):
    answers = ["aa", "aA", "aA", "aa"]
    got = group_answers(answers, [0, 4], extract=False, explain=True)
    assert got.decided.tolist() == ["first", "verify", "verify", "text"]
    assert got.undecided == ()


def test_what_hangs_costs_its_time_limit_once(log: Path):
    begin = time.monotonic()
    answers = ["aa", "hang", "aA", "bb", "5", "hang", "hang"]
    with pytest.warns(RuntimeWarning, match=r"no verdict within 0.5 s on 1 answer\(s\).*'hang'"):
        got = group_answers(answers, [0, 6, 7], extract=False, timeout=0.5, workers=1, explain=True)
    assert time.monotonic() - begin < 5
    assert got.ids.tolist() == [0, 1, 0, 2, 3, 1, 0]
    assert got.undecided == ("hang",)
    assert log.read_text().count("parse hang") == 1


def test_a_comparison_that_hangs_is_reported_as_a_pair(log: Path):
    with pytest.warns(RuntimeWarning, match="slow x = slow y"):
        assert group("slow x", "slow y", "SLOW Y", timeout=0.5) == [0, 1, 1]


def test_an_answer_that_hangs_in_comparisons_costs_its_time_limit_once(log: Path):
    begin = time.monotonic()
    with pytest.warns(RuntimeWarning, match=r"1 answer\(s\), which stay apart: 'stuck'"):
        assert group("aa", "bb", "stuck", "cc", "dd", "aA", timeout=0.5) == [0, 1, 2, 3, 4, 0]
    assert time.monotonic() - begin < 5
    assert log.read_text().count("stuck") == 2  # parsed, and compared


def test_a_process_that_dies_is_replaced(log: Path):
    with pytest.warns(RuntimeWarning, match="crash"):
        assert group("aa", "crash", "aA") == [0, 1, 0]


def test_what_cannot_be_read_is_equal_to_nothing(log: Path):
    assert group("error", "aa", "aA", "ERROR") == [0, 1, 1, 2]


def test_verdicts_on_disk_save_the_questions(log: Path, tmp_path: Path):
    cache = tmp_path / "verdicts"
    assert group("aa", "aA", "bb", cache=cache) == [0, 0, 1]
    asked = log.read_text()
    assert group("bb", "aa", cache=str(cache)) == [0, 1]  # in any order
    assert log.read_text() == asked
    (tmp_path / "no cache").write_text("something else, and long enough" * 100)
    with pytest.raises(ValueError, match="cache must name a file of verdicts"):
        group("aa", "aA", cache=tmp_path / "no cache")


def test_from_threads_and_over_problems(log: Path):
    answers = ["aa", "aA", "bb", "5"] * 6
    offsets = np.arange(0, 25, 4)

    def run(_: int) -> list[int]:
        return group_answers(answers, offsets, extract=False, workers=2).tolist()  # type: ignore[no-any-return]

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(run, range(3))) == [[0, 0, 1, 2] * 6] * 3


def test_a_fork_leaves_the_processes_to_its_parent(log: Path):
    assert group("aa", "aA") == [0, 0]
    child = os.fork()
    if child == 0:
        os._exit(0 if not pool._idle else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert group("aa", "aA", "Aa") == [0, 0, 0]


def test_one_that_does_not_start_says_so(log: Path, tmp_path: Path):
    (tmp_path / "math_verify.py").write_text("import nothing_of_this_name")
    with pytest.raises(RuntimeError, match="the process of math-verify did not start; try"):
        group("aa", "bb")


def test_without_math_verify(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("stepscore.verifier.installed", lambda: False)
    assert group("x+1", "1+x") == [0, 1]
    with pytest.raises(ImportError, match="pip install 'stepscore"):
        group("x+1", "1+x", verify="math-verify")
