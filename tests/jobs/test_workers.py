"""Several devices: the bytes of one, whoever scores what, and an end that leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fake_model import read
from worker_models import CACHES, load_mortal, load_noting_caches, records

from stepscore import jobs
from stepscore.cli.main import main
from stepscore.errors import InputError
from stepscore.jobs.files import Files
from stepscore.jobs.run import rerank_file, score_file
from stepscore.jobs.workers import Workers

Write = Callable[..., str]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def workers(log: Path) -> Callable[..., Workers]:
    def made(*devices: str) -> Workers:
        return Workers(partial(load_mortal, str(log)), devices or ("cpu", "cpu"))

    return made


def test_the_output_is_that_of_one_process(
    write: Write, workers: Callable[..., Workers], log: Path, tmp_path: Path
) -> None:
    rows = records(40, at_11="forbidden", at_23="forbidden")
    rows[17] = {"id": 17}  # cannot be read
    rows[30]["id"] = 11  # the id of one that the model refuses, and so free again
    rows[31]["id"] = 29  # that of another
    source = write(*rows)
    for name, load in (
        ("one", lambda: load_mortal(str(log) + ".one", "cpu")),
        ("many", lambda: workers()),
    ):
        files = Files(
            source,
            str(tmp_path / f"{name}.jsonl"),
            on_error="skip",
            skipped=str(tmp_path / f"{name}.skipped"),
            chunk_size=6,
        )
        report = rerank_file(files, load, on_bad="error", version="0")
        assert any("skipped 4 records" in line for line in report.skipped)
    for ending in ("jsonl", "skipped"):
        one, many = ((tmp_path / f"{name}.{ending}").read_bytes() for name in ("one", "many"))
        assert one == many
    assert len({line.split()[0] for line in log.read_text().splitlines()}) == 2


@pytest.mark.parametrize(("typed", "kept"), [(None, "64 64"), ("9", "9 64")])
def test_a_process_of_its_own_keeps_few_kernels(
    write: Write,
    log: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    typed: str | None,
    kept: str,
) -> None:
    for name in CACHES:
        monkeypatch.delenv(name, raising=False)
    if typed is not None:
        monkeypatch.setenv(CACHES[0], typed)
    workers = Workers(partial(load_noting_caches, str(log)), ("cpu", "cpu"))
    score_file(Files(write(*records(4)), str(tmp_path / "out")), lambda: workers, version="0")
    assert Path(f"{log}.caches").read_text().splitlines() == [kept] * 2


@pytest.mark.parametrize(("deed", "how"), [("killed", "SIGKILL"), ("exit", "exit code 7")])
def test_a_process_that_dies_is_named_and_what_was_finished_is_kept(
    write: Write, workers: Callable[..., Workers], log: Path, tmp_path: Path, deed: str, how: str
) -> None:
    source, out = write(*records(40, at_20=deed)), tmp_path / "out.jsonl"
    said: list[str] = []
    files = Files(source, str(out), chunk_size=4, say=said.append)
    with pytest.raises(InputError) as caught:
        score_file(files, lambda: workers(), version="0")
    # Chunks of two problems: lines 21 and 22 stand in one.
    told = str(caught.value)
    assert "in.jsonl:21: expected a process that scores on cpu until the end; got one" in told
    assert f"ended by {how} while it scored {source}:21 to {source}:22" in told
    assert "token_budget" in told
    assert not out.exists()
    assert said[-1].startswith("40 candidates are kept in")
    ended = {int(line.split()[0]) for line in log.read_text().splitlines()}
    assert all(not alive(process) for process in ended)

    log.unlink()
    Path(source).write_text(Path(source).read_text().replace(f'"{deed}"', '"step 20 @0.2"'))
    # What was kept depends on what was read: the lines in front are the same.
    rerun = Files(source, str(out), chunk_size=4, say=said.append)
    score_file(rerun, lambda: workers(), version="0")
    counts = [int(line.split()[2]) for line in log.read_text().splitlines()]
    assert sum(counts) == 40  # the other half
    one = tmp_path / "one.jsonl"
    score_file(
        Files(source, str(one), chunk_size=4), lambda: load_mortal(str(log), "cpu"), version="0"
    )
    assert one.read_bytes() == out.read_bytes()


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("devices", "told"),
    [
        (("cpu", "broken"), "no such device"),
        (("cpu", "gone"), "on gone until the end; got one that was ended by SIGKILL while it load"),
    ],
)
def test_a_model_that_does_not_load_is_the_error_of_its_device(
    write: Write, workers: Callable[..., Workers], tmp_path: Path, devices: Any, told: str
) -> None:
    files = Files(write(*records(2)), str(tmp_path / "out.jsonl"))
    with pytest.raises(ValueError, match=told):
        score_file(files, lambda: workers(*devices), version="0")


def test_what_a_model_raises_is_raised_here(
    write: Write, workers: Callable[..., Workers], tmp_path: Path
) -> None:
    files = Files(write(*records(4, at_2="crash")), str(tmp_path / "out.jsonl"), chunk_size=2)
    with pytest.raises(InputError, match=r"in.jsonl:3: expected the model to score"):
        score_file(files, lambda: workers(), version="0")


def test_the_first_error_of_the_file_is_the_one_that_is_told(
    write: Write, workers: Callable[..., Workers], tmp_path: Path
) -> None:
    # The second line that cannot be read is reached long before the first is scored.
    rows = [*records(3, at_1="forbidden"), {"id": 3}]
    files = Files(write(*rows), str(tmp_path / "out.jsonl"), chunk_size=2)
    with pytest.raises(InputError, match=r"in.jsonl:2: .*forbidden"):
        score_file(files, lambda: workers(), on_bad="error", version="0")


@pytest.fixture
def sums(tmp_path: Path) -> str:
    pytest.importorskip("torch")
    path = tmp_path / "lab.jsonl"
    assert main(["demo", "--problems", "12", "--samples", "4", "--save", str(path)]) == 0
    return str(path)


def test_the_lab_model_on_two_devices(sums: str, tmp_path: Path) -> None:
    outputs = []
    for name, device in (("one", "cpu"), ("two", "cpu,cpu")):
        out = tmp_path / f"{name}.jsonl"
        options = ["--model", "lab", "--device", device, "--chunk-size", "8", "-q"]
        assert main(["rerank", sums, "-o", str(out), *options]) == 0
        outputs.append(out.read_bytes())
    assert outputs[0] == outputs[1]

    rows = [json.loads(line) for line in Path(sums).read_text().splitlines()]
    found = jobs.rerank(rows, "lab", devices=["cpu", "cpu"], chunk_size=8)
    expected = [
        [candidate["rank"] for candidate in line["stepscore"]["candidates"]]
        for line in read(tmp_path / "one.jsonl")
    ]
    assert [row["stepscore_rank"] for row in found] == expected


def test_several_devices_end_without_a_complaint(sums: str, tmp_path: Path) -> None:
    options = ["--model", "lab", "--device", "cpu,cpu", "-q"]
    command = [sys.executable, "-m", "stepscore.cli", "score", sums, "-o", str(tmp_path / "out")]
    told = subprocess.run([*command, *options], capture_output=True, text=True, check=True).stderr
    assert "Warning" not in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["score", "-o", "OUT", "--device", "cpu,"], "--device cpu,: expected one device, or"),
        (["score", "-o", "OUT", "--device", "a,b", "--device-map", "auto"], "a device map beside"),
        (["bench", "forward", "--device", "cpu,cpu"], "--device: expected one device; stepscore"),
        (["rerank", "--explain", "1", "--device", "cpu,cpu"], "--device: expected one device"),
    ],
)
def test_several_devices_where_there_can_be_one(
    write: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    arguments = [str(tmp_path / "out.jsonl") if each == "OUT" else each for each in arguments]
    record = {"id": 1, "problem": "1+1=?", "candidates": ["1+1=2"]}
    assert main([*arguments, write(record), "--model", "lab"]) == 2
    assert told in capsys.readouterr().err


SLOW = """
import sys
from functools import partial
sys.path.insert(0, sys.argv[1])
from worker_models import load_mortal
from stepscore.cli.signals import stopping_cleanly
from stepscore.jobs.files import Files
from stepscore.jobs.run import score_file
from stepscore.jobs.workers import Workers

if __name__ == "__main__":
    with stopping_cleanly():
        load = partial(load_mortal, sys.argv[4])
        score_file(
            Files(sys.argv[2], sys.argv[3], chunk_size=2), lambda: Workers(load, ("cpu", "cpu")),
            version="0",
        )
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_every_process(
    write: Write, log: Path, tmp_path: Path, number: signal.Signals
) -> None:
    program = tmp_path / "slow.py"
    program.write_text(SLOW)
    source = write(*records(8, at_2="sleep", at_3="sleep"))
    tests = str(Path(__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, program, tests, source, str(tmp_path / "out.jsonl"), str(log)],
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: log.exists() and len(scoring(log)) == 2 and log.read_text().count("\n") > 2)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal sends it: to all of them
        else:
            process.send_signal(number)
        _, complaints = process.communicate(timeout=30)
        assert process.returncode != 0
        # The processes that scored say nothing of their own.
        assert complaints.count("Traceback") <= 1
        until(lambda: not any(alive(each) for each in scoring(log)))
    finally:
        process.kill()
        for each in scoring(log) if log.exists() else ():
            if alive(each):
                os.kill(each, signal.SIGKILL)


def scoring(log: Path) -> set[int]:
    return {int(line.split()[0]) for line in log.read_text().splitlines()}


def until(condition: Callable[[], bool]) -> None:
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("waited in vain")
