"""Runs that are ended anywhere, and go on: real processes, killed without a warning."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_model import FakeModel, read
from sweep import SWEEP

from stepscore.cli.main import main
from stepscore.errors import InputError
from stepscore.files import Shards
from stepscore.jobs import work
from stepscore.jobs.provenance import fingerprint, what_scores

Write = Callable[..., str]

# `make sweep` takes all moments that the project promises.
MOMENTS = int(os.environ.get("STEPSCORE_KILLS", "5"))
ROWS = 20_000 if SWEEP else 8000

# Counts what Python tells of files (opened, renamed, removed, ...), and ends there and then.
KILLED = textwrap.dedent(
    """
    import os, signal, sys
    moment, path = int(sys.argv[1]), sys.argv[2]
    import stepscore.cli.main as cli
    import stepscore.jobs.work as work
    happened = 0
    FILES = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir")

    def count():
        global happened
        happened += 1
        if happened == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(function):
        def call(*arguments, **options):
            count()
            return function(*arguments, **options)
        return call

    sys.addaudithook(lambda event, _: count() if event in FILES else None)
    os.fsync, work.vote_on = counted(os.fsync), counted(work.vote_on)
    code = cli.main(sys.argv[3:])
    if path:
        with open(path, "w") as file:
            file.write(str(happened))
    sys.exit(code)
    """
)
COMMAND = (
    "vote in.jsonl -o out.jsonl --chunk-size 500 --on-error skip --skipped log.jsonl --prefixes 1,2"
)


def rows(count: int) -> str:
    draw = random.Random(5)
    lines = []
    for number in range(count):
        candidates: list[dict[str, Any]] = [
            {"answer": str(draw.randrange(3)), "score": draw.random()}
            for _ in range(1 + number % 2)
        ]
        if number % 1999 == 7:
            candidates[0]["score"] = "high"
        if number % 1999 == 9:
            candidates = []
        lines.append(json.dumps({"id": number, "candidates": candidates, "answer": "1"}) + "\n")
    return "".join(lines)


def begin(folder: Path, moment: int, path: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(moment), path, *COMMAND.split()],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def results(folder: Path, done: subprocess.CompletedProcess[str]) -> tuple[bytes, bytes, str]:
    assert done.returncode == 0, done.stderr
    assert {path.name for path in folder.iterdir()} == {"in.jsonl", "log.jsonl", "out.jsonl"}
    return (folder / "out.jsonl").read_bytes(), (folder / "log.jsonl").read_bytes(), done.stdout


@pytest.mark.timeout(7200)
def test_a_run_that_is_killed_anywhere_comes_to_the_same_bytes(tmp_path: Path) -> None:
    text = rows(ROWS)
    folder = tmp_path / "undisturbed"
    folder.mkdir()
    (folder / "in.jsonl").write_text(text)
    expected = results(folder, begin(folder, 0, str(tmp_path / "count")))
    count = int((tmp_path / "count").read_text())
    assert count > 100
    draw = random.Random(MOMENTS)
    # The last moments, of the output that is put together and the shards that go, among them.
    moments = [count - 3, *(draw.randint(1, count) for _ in range(MOMENTS - 1))]
    went_on = 0
    for number, moment in enumerate(moments):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "in.jsonl").write_text(text)
        killed = begin(folder, moment)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        left = folder / "out.jsonl.shards" / "delivered.json"
        if (folder / "out.jsonl").exists() and not left.exists():
            assert (folder / "out.jsonl").read_bytes() == expected[0]
            continue  # all was done
        done = begin(folder, 0)
        assert results(folder, done) == expected, moment
        said = re.search(r"^goes on behind ([0-9,]+) candidates \([0-9]+% of", done.stderr, re.M)
        went_on += said is not None
    assert went_on >= len(moments) // 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_keeps_what_is_finished_and_says_so(
    number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text(rows(9000))
    program = textwrap.dedent(
        """
        import signal, sys, time
        signal.signal(signal.SIGINT, signal.default_int_handler)
        import stepscore.cli.main
        from stepscore.jobs import work
        votes, calls = work.vote_on, []

        def slow(*arguments, **options):
            calls.append(1)
            if len(calls) == 3:
                print("voting", flush=True)
                time.sleep(600)
            return votes(*arguments, **options)

        work.vote_on = slow
        sys.exit(stepscore.cli.main.main(sys.argv[1:]))
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, *COMMAND.split()],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "voting\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 128 + number
    assert re.fullmatch(
        r"1,00[0-9] candidates are kept in out.jsonl.shards; type the same command to go on\n"
        "stepscore vote: stopped; no output was written\n",
        errors,
    )
    done = begin(tmp_path, 0)
    assert re.match(r"goes on behind 1,00[0-9] candidates \([0-9]+% of the input\)", done.stderr)
    results(tmp_path, done)


def problems(count: int = 12) -> list[dict[str, Any]]:
    return [
        {"id": f"p{number}", "problem": "1+1", "candidates": [f"a {number} @0.5", "b @0.25"]}
        for number in range(count)
    ]


def test_a_row_that_raises_loses_nothing_and_is_retried(
    fake: FakeModel, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = problems()
    command = ["score", write(*content), "-o", str(tmp_path / "out.jsonl"), "--model", "m"]
    assert main([*command, "--chunk-size", "4"]) == 0
    expected = (tmp_path / "out.jsonl").read_bytes()
    (tmp_path / "out.jsonl").unlink()
    fake.calls.clear()

    damaged = [dict(row) for row in content]
    damaged[8]["candidates"] = 7
    write(*damaged)
    assert main([*command, "--chunk-size", "4"]) == 2
    said = capsys.readouterr().err
    assert "16 candidates are kept in" in said
    assert 'id "p8"' in said
    write(*content)
    assert main([*command, "--chunk-size", "4"]) == 0
    assert "goes on behind 16 candidates (" in capsys.readouterr().err
    assert (tmp_path / "out.jsonl").read_bytes() == expected
    assert fake.calls == [4] * 6  # candidates of each call: none twice
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl", "out.jsonl"}


def test_records_that_the_model_refused_are_tried_again(
    fake: FakeModel, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = problems()
    content[1]["candidates"] = ["forbidden for now @0.5"]
    content[9]["candidates"] = ["crash"]
    out = tmp_path / "out.jsonl"
    command = ["score", write(*content), "-o", str(out), "--model", "m", "--chunk-size", "4"]
    command += ["--on-error", "skip", "--on-bad-candidate", "error"]
    command += ["--skipped", str(tmp_path / "log.jsonl")]
    assert main(command) == 2  # the crash is nobody's fault
    content[9]["candidates"] = ["fine @0.5", "b @0.25"]
    write(*content)
    fault = FakeModel._fault
    refused = lambda self, steps, truncation: None  # noqa: E731
    monkeypatch.setattr(FakeModel, "_fault", refused)
    assert main(command) == 0
    assert [line["id"] for line in read(out)] == [f"p{number}" for number in range(12)]
    assert (tmp_path / "log.jsonl").read_text() == ""

    # Refused again, it is left out again, and the chunk is not scored again.
    monkeypatch.setattr(FakeModel, "_fault", fault)
    out.unlink()
    (tmp_path / "log.jsonl").unlink()
    content[9]["candidates"] = ["crash"]
    write(*content)
    assert main(command) == 2
    content[9]["candidates"] = ["fine @0.5", "b @0.25"]
    write(*content)
    fake.calls.clear()
    assert main(command) == 0
    assert [line["id"] for line in read(out)] == [f"p{n}" for n in range(12) if n != 1]
    (skipped,) = read(tmp_path / "log.jsonl")
    assert skipped["id"] == "p1"
    assert sum(fake.calls) < 24 - 12


def interrupted(fake: FakeModel, write: Write, tmp_path: Path, *more: str) -> list[str]:
    """Begin a run that ends in the middle; give its command."""
    content = problems()
    content[9]["candidates"] = ["crash"]
    out = str(tmp_path / "out.jsonl")
    command = ["rerank", write(*content), "-o", out, "--model", "m", "--chunk-size", "4", *more]
    assert main(command) == 2
    content[9]["candidates"] = ["fine @0.5", "b @0.25"]
    write(*content)
    return command


@pytest.mark.parametrize(
    ("more", "differs"),
    [
        (["--rule", "borda"], 'job.rules ["borda"], and there ["majority", "weighted"'),
        (["--how", "min"], 'model.how "min", and there "last"'),
        (["--chunk-size", "8"], "job.chunk_size 8, and there 4"),
        (["--problem-field", "id2", "--id-field", "problem"], "input.fields.id"),
    ],
)
def test_another_configuration_is_refused_by_name(
    fake: FakeModel,
    write: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    differs: str,
) -> None:
    command = interrupted(fake, write, tmp_path)
    capsys.readouterr()
    assert main([*command, *more]) == 2
    said = capsys.readouterr().err
    assert f"{command[3]}.shards: expected what the run depends on that has kept" in said
    assert differs in said
    assert "choose another output, or pass --restart to forget" in said
    assert main(command) == 0


def test_another_model_is_refused_and_restart_forgets(
    fake: FakeModel, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = interrupted(fake, write, tmp_path)
    object.__setattr__(fake, "revision", "def456")
    capsys.readouterr()
    assert main(command) == 2
    assert 'model.revision "def456", and there "abc123"' in capsys.readouterr().err
    assert main([*command, "--restart"]) == 0
    assert "goes on" not in capsys.readouterr().err
    assert {line["stepscore"]["provenance"]["revision"] for line in read(Path(command[3]))} == {
        "def456"
    }


def test_another_content_of_the_input_is_refused(
    fake: FakeModel, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = interrupted(fake, write, tmp_path)
    content = problems()
    content[2]["candidates"] = ["another @0.5", "b @0.25"]
    write(*content)
    capsys.readouterr()
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "expected the input that was read when shard 1 was kept; got something else" in said
    assert "in.jsonl:4; " in said


@pytest.mark.parametrize("damage", [b'{"id": "p2"', b""])
def test_a_damaged_chunk_is_made_again(
    damage: bytes, fake: FakeModel, write: Write, tmp_path: Path
) -> None:
    command = interrupted(fake, write, tmp_path)
    shard = Path(f"{command[3]}.shards", "00000.chunks")
    content = shard.read_bytes()
    changed = content.replace(damage, damage.lower().replace(b"p2", b"p3"))
    shard.write_bytes(changed if damage else content[:-5])
    fake.calls.clear()
    assert main(command) == 0
    assert fake.calls == [4] * 3
    assert [line["id"] for line in read(Path(command[3]))] == [f"p{n}" for n in range(12)]


@pytest.mark.parametrize("moment", range(1, 13))
def test_a_full_disk_loses_nothing(
    moment: int,
    fake: FakeModel,
    write: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out.jsonl"
    command = ["score", write(*problems()), "-o", str(out), "--model", "m", "--chunk-size", "4"]
    assert main(command) == 0
    expected = out.read_bytes()
    out.unlink()
    fake.calls.clear()
    writes, fsync = [], os.fsync

    def full(descriptor: int) -> None:
        writes.append(descriptor)
        if len(writes) == moment:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    if main(command):
        assert "got No space left on device" in capsys.readouterr().err
        assert not out.exists()
    else:  # of a folder, whose names are there without it
        assert moment in (2, 3, 12)
        out.unlink()
    monkeypatch.setattr(os, "fsync", fsync)
    assert main(command) == 0
    assert out.read_bytes() == expected
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl", "out.jsonl"}


def test_ids_that_a_retry_takes_are_found_in_later_chunks(
    fake: FakeModel, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was kept while the id was free gives way, in the last chunk, and moves what follows."""
    for twin in (11, 6):
        content = problems()
        content[1]["candidates"] = ["forbidden for now @0.5", "b @0.5"]
        content[twin]["id"] = "p1"
        out, log = tmp_path / "out.jsonl", tmp_path / "log.jsonl"
        command = ["score", write(*content), "-o", str(out), "--model", "m", "--chunk-size", "4"]
        command += ["--on-error", "skip", "--on-bad-candidate", "error", "--skipped", str(log)]
        with monkeypatch.context() as patch:  # all chunks are kept
            patch.setattr(work, "put_together", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                main(command)
        with monkeypatch.context() as patch:
            patch.setattr(FakeModel, "_fault", lambda self, steps, truncation: None)
            assert main(command) == 0
        ids = [line["id"] for line in read(out)]
        assert ids == [f"p{number}" for number in range(12) if number != twin]
        assert "an id that no other record has" in log.read_text()
        assert len(read(log)) == 1
        out.unlink()
        log.unlink()


def test_another_run_of_the_same_output_is_refused(
    fake: FakeModel, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out.jsonl")
    with Shards(out):
        assert main(["score", write(*problems()), "-o", out, "--model", "m"]) == 2
    said = capsys.readouterr().err
    assert "expected an output that no other run is writing" in said
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_files_of_others_stay_in_the_folder(fake: FakeModel, write: Write, tmp_path: Path) -> None:
    folder = tmp_path / "out.jsonl.shards"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    out = str(tmp_path / "out.jsonl")
    assert main(["score", write(*problems()), "-o", out, "--model", "m"]) == 0
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_what_was_read_from_a_pipe_is_not_kept(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    votes = work.vote_on

    def fails(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise InputError("more time", where="here")
        return votes(*arguments, **options)

    monkeypatch.setattr(work, "vote_on", fails)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = rows(3000)
    if os.fork() == 0:
        try:
            pipe.write_text(text)
        finally:
            os._exit(0)
    out = tmp_path / "out.jsonl"
    assert main(["vote", str(pipe), "-o", str(out), "--chunk-size", "900"]) == 2
    os.wait()
    assert {path.name for path in tmp_path.iterdir()} == {"pipe"}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_is_kept_is_bounded_by_a_chunk_and_not_by_the_file(tmp_path: Path) -> None:
    """The peak memory of four times the rows is that of the rows, but for their ids."""
    program = (
        "import sys; from stepscore.cli.main import main; code = main(sys.argv[1:]); "
        "print(code, open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])"
    )
    peaks = []
    for count in (ROWS // 4, ROWS):
        source = tmp_path / f"{count}.jsonl"
        source.write_text(rows(count))
        done = subprocess.run(
            [sys.executable, "-c", program, "vote", str(source), "-o", f"{source}.out", "-q",
             "--chunk-size", "1500", "--on-error", "skip"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        code, peak = done.stdout.split()
        assert code == "0"
        peaks.append(int(peak))
    # 15,000 ids and their places, and no more.
    assert peaks[1] - peaks[0] < 8_000, peaks


def test_a_model_in_a_folder_is_known_by_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    weights = bytearray(os.urandom(5 << 20))
    (folder / "model.safetensors").write_bytes(weights)
    known = what_scores({"model": str(folder), "machine_rates": {"flops": 1.0}})
    assert known == {"model": str(folder), "model_files": fingerprint(folder)}
    (folder / "notes.md").write_text("not of the model")
    assert fingerprint(folder) == known["model_files"]

    # As a training changes them: everywhere a little, while names and sizes stay.
    for place in range(0, len(weights), 4096):
        weights[place] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert fingerprint(folder) != known["model_files"]
    assert what_scores({"model": "org/name", "revision": "abc"}) == {
        "model": "org/name",
        "revision": "abc",
    }
