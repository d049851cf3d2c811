"""Signals end a command cleanly, also while a model works in a thread: real processes."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from stepscore.cli import signals
from stepscore.files import WholeFile

PATIENCE = 600  # seconds of a machine that others use too

# A policy that answers its first so many calls, and then stays inside torch, as a large model does.
SEARCH = textwrap.dedent(
    """
    import signal, sys
    # A process started in the background of a shell may inherit that these are ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    import torch
    from stepscore.cli import main, models
    from stepscore.jobs.search import Models
    from stepscore.policies.requests import Continuation

    calls = 0

    def policy(requests):
        global calls
        calls += 1
        if calls > answered:
            print("busy", flush=True)
            x = torch.ones(64, 64)
            while True:
                x = (x @ x).clamp_(0, 1)
        return [[Continuation("1\\n", 1, 0.0, False) for _ in r.seeds] for r in requests]

    answered = int(sys.argv.pop(1))
    scorer = lambda requests: [0.5] * len(requests)
    models.load_models = lambda arguments: Models(policy, scorer, {"policy": "torch"})
    main.run_process()
    """
)


def begin(folder: Path, answered: int) -> subprocess.Popen[str]:
    (folder / "in.jsonl").write_text(json.dumps({"id": 1, "problem": "1+1"}) + "\n")
    options = "search in.jsonl -o out.jsonl --policy p --model m --strategy beam --set n=4"
    process = subprocess.Popen(
        [sys.executable, "-c", SEARCH, str(answered), *options.split()],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "busy\n"
    return process


@pytest.mark.parametrize(
    ("number", "again"),
    [
        (signal.SIGINT, None),
        (signal.SIGTERM, None),
        (signal.SIGQUIT, None),
        (signal.SIGINT, 0.02),
        (signal.SIGINT, 0.7),
    ],
)
def test_a_search_ends_cleanly_and_keeps_its_journal(
    number: signal.Signals, again: float | None, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    process = begin(tmp_path, answered=2)
    time.sleep(random.uniform(0, 0.3))
    process.send_signal(number)
    if again is not None:
        time.sleep(again)
        process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number, errors
    assert errors.splitlines() == [
        "the models' answers are kept in out.jsonl.journal; type the same command to go on",
        "stepscore search: stopped; no output was written",
    ]
    (journal,) = (tmp_path / "out.jsonl.journal").iterdir()
    kinds = [json.loads(line)[0] for line in journal.read_text().splitlines()[1:]]
    assert set(kinds) == {"policy", "scorer"}
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl", "out.jsonl.journal"}


def test_nothing_is_said_of_a_journal_without_answers(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    process = begin(tmp_path, answered=0)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert errors.splitlines() == ["stepscore search: stopped; no output was written"]
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl"}


LIBRARY = """
import _thread, threading, torch
from stepscore.search import search

def policy(requests):
    threading.Timer(0.1, _thread.interrupt_main).start()
    x = torch.ones(64, 64)
    for _ in range(20000):
        x = (x @ x).clamp_(0, 1)
    return []

try:
    search(["1+1"], "best_of_n", policy, lambda requests: [0.5] * len(requests), n=2)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_a_script_that_is_interrupted_does_not_abort() -> None:
    pytest.importorskip("torch")
    done = subprocess.run(
        [sys.executable, "-c", LIBRARY],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


def test_what_is_ignored_stays_ignored() -> None:
    earlier = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.stopping_cleanly():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, earlier)


def test_a_second_signal_ends_at_once_and_leaves_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[int] = []
    clock = [10.0]
    monkeypatch.setattr(signals.time, "monotonic", lambda: clock[0])

    def leave(code: int) -> Any:
        left.append(code)
        raise RuntimeError("the process has ended")

    monkeypatch.setattr(signals, "leave_process", leave)
    ended = pytest.raises(RuntimeError, match="the process has ended")
    with signals.stopping_cleanly(), ended, WholeFile(str(tmp_path / "out")) as out:
        out.write("x")
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        clock[0] += 0.1
        signal.raise_signal(signal.SIGINT)  # passed on by a wrapper: the same one
        clock[0] += 1
        assert len(list(tmp_path.iterdir())) == 1
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            assert list(tmp_path.iterdir()) == []
    assert left == [143]
