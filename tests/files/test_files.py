from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest

from stepscore.errors import InputError
from stepscore.files import LineReader, WholeFile


def test_lines_are_numbered_and_blank_ones_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbfone\n\n  \nfour\r\nfive")
    with LineReader(str(path)) as lines:
        found = list(lines)
    assert found == [(f"{path}:1", b"one\n"), (f"{path}:4", b"four\r\n"), (f"{path}:5", b"five")]


def test_gzip_in_and_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    with WholeFile(str(path)) as out:
        out.write("x\ny\n")
    assert gzip.decompress(path.read_bytes()) == b"x\ny\n"
    with LineReader(str(path)) as lines:
        assert [line for _, line in lines] == [b"x\n", b"y\n"]
        assert lines.position() == lines.size


def test_gzip_by_its_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(gzip.compress(b"x\ny\n"))
    with LineReader(str(path)) as lines:
        assert [line for _, line in lines] == [b"x\n", b"y\n"]
    with LineReader(str(path)) as lines:
        assert b"".join(lines.chunks(3)) == b"x\ny\n"


RECORD = '{"id": 1, "candidates": [{"score": 1}]}\n'


def zipped() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("a.jsonl", RECORD)
    return sink.getvalue()


FORMS = {
    "an xz file": (lambda: lzma.compress(RECORD.encode()), "xz -dc in.data > in.data.jsonl"),
    "a bzip2 file": (lambda: bz2.compress(RECORD.encode()), "bzip2 -dc in.data > in.data.jsonl"),
    "a zip archive": (zipped, "unzip -p in.data > in.data.jsonl"),
}


@pytest.mark.parametrize("what", FORMS)
def test_a_file_without_lines_says_what_it_is(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, command = FORMS[what]
    monkeypatch.chdir(tmp_path)
    Path("in.data").write_bytes(make())
    for read in (list, lambda lines: list(lines.chunks(100))):
        with LineReader("in.data") as lines, pytest.raises(InputError) as error:
            read(lines)
        assert f"in.data: expected JSONL, one JSON object per line; got {what}; type:" in str(
            error.value
        )
        assert command in str(error.value)


ROWS = [{"id": 1, "candidates": [{"text": "a", "score": 0.5}]}, {"id": 2, "candidates": None}]


@pytest.mark.parametrize("what", ["an Arrow file", "an Arrow stream"])
def test_a_table_of_arrow_and_the_command_that_reads_it(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pa = pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    table = pa.Table.from_pylist(ROWS)
    new = pa.ipc.new_file if what == "an Arrow file" else pa.ipc.new_stream
    with new("it's in.arrow", table.schema) as sink:
        sink.write_table(table)
    with LineReader("it's in.arrow") as lines, pytest.raises(InputError, match=what) as error:
        list(lines)
    command = str(error.value).rpartition("type: ")[2]
    command = command.replace("python ", f"{sys.executable} ", 1)
    subprocess.run(command, shell=True, check=True)
    assert [json.loads(line) for line in Path("it's in.jsonl").read_text().splitlines()] == ROWS


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_and_the_command_that_mends_it(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my in.txt").write_bytes(RECORD.encode(encoding))
    with LineReader("my in.txt") as lines, pytest.raises(InputError, match="in UTF-16") as error:
        list(lines)
    command = str(error.value).rpartition("type: ")[2]
    subprocess.run(command, shell=True, check=True)
    assert Path("my in.jsonl").read_text() == RECORD


@pytest.mark.parametrize("damage", ["cut", "no gzip"])
def test_a_damaged_gzip_file_is_an_input_error(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.gz"
    whole = gzip.compress(b"x\n" * 1000)
    path.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"x\n")
    with (
        pytest.raises(InputError, match=r"a\.gz: expected a readable file"),
        LineReader(str(path)) as lines,
    ):
        list(lines)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected an existing file; got none; check the path"):
        LineReader(str(tmp_path / "none"))
    (tmp_path / "b.jsonl").write_text("x")
    (tmp_path / "a.jsonl").write_text("x")
    with pytest.raises(InputError, match=r"got a folder, which holds a.jsonl, b.jsonl; pass one"):
        LineReader(str(tmp_path))


def test_nothing_appears_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with WholeFile(str(path)) as out:
        out.write("x")
        assert not path.exists()
    assert path.read_text() == "x"
    assert list(tmp_path.iterdir()) == [path]


def write_and_fail(path: Path, error: BaseException) -> None:
    with WholeFile(str(path), overwrite=True) as out:
        out.write("new")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error):
        write_and_fail(tmp_path / "out", error())
    assert list(tmp_path.iterdir()) == []


def test_an_error_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    with pytest.raises(ValueError, match="stop"):
        write_and_fail(path, ValueError("stop"))
    assert path.read_text() == "old"


def test_an_existing_file_is_kept_without_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    with pytest.raises(InputError, match="pass overwrite=True to replace it"):
        WholeFile(str(path))


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "out"
    out = WholeFile(str(path))
    out.__enter__()
    out.write("new")
    path.write_text("other")
    with pytest.raises(InputError, match="pass overwrite=True to replace it"):
        out.__exit__(None, None, None)
    assert path.read_text() == "other"
    assert list(tmp_path.iterdir()) == [path]


def test_only_plain_files_in_existing_folders_are_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected the name of a plain file"):
        WholeFile(str(tmp_path), overwrite=True)
    with pytest.raises(InputError, match="mkdir -p"):
        WholeFile(str(tmp_path / "none" / "out"))


def test_a_link_keeps_pointing_to_its_file(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    link.symlink_to(real)
    with WholeFile(str(link), overwrite=True) as out:
        out.write("new")
    assert link.is_symlink()
    assert real.read_text() == "new"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_killed_run_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """The signal comes in the middle of the writing, in a process of its own."""
    program = textwrap.dedent(
        """
        import signal, sys, time
        # A process started in the background of a shell may inherit an ignored SIGINT.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        import stepscore.cli.main
        from stepscore.jobs import work

        def slow(*_, **__):
            print("voting", flush=True)
            time.sleep(60)

        work.vote_on = slow
        sys.exit(stepscore.cli.main.main(["vote", "in.jsonl", "-o", "out.jsonl"]))
        """
    )
    source = tmp_path / "in.jsonl"
    source.write_text('{"id": 1, "candidates": [{"answer": "1", "score": 1}]}\n')
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "voting\n"
    assert len(list(tmp_path.iterdir())) == 3  # with the folder of shards
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == [source]


# --- permissions ----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o755])
@pytest.mark.parametrize("over_a_link", [False, True])
def test_a_replaced_file_keeps_its_permissions(
    tmp_path: Path, mode: int, over_a_link: bool
) -> None:
    real, name = tmp_path / "real", tmp_path / ("link" if over_a_link else "real")
    real.write_text("old")
    real.chmod(mode)
    if over_a_link:
        name.symlink_to(real)
    if os.geteuid() == 0:
        os.chown(real, 1234, 4321)
    before = os.umask(0o077)
    try:
        with WholeFile(str(name), overwrite=True) as out:
            out.write("new")
            (part,) = [path for path in tmp_path.iterdir() if path.suffix == ".part"]
            assert stat.S_IMODE(part.stat().st_mode) == 0o600  # nobody reads it on the way
    finally:
        os.umask(before)
    found = real.stat()
    assert real.read_text() == "new"
    assert stat.S_IMODE(found.st_mode) == mode
    if os.geteuid() == 0:
        assert (found.st_uid, found.st_gid) == (1234, 4321)


def test_a_new_file_has_the_permissions_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with WholeFile(str(tmp_path / "out")) as out:
            out.write("new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


# --- what killed runs leave -----------------------------------------------------------------

WRITER = """
import sys, time
from stepscore.files import WholeFile
with WholeFile(sys.argv[1]) as out:
    out.write("half")
    print("writing", flush=True)
    sys.stdin.readline()
"""


def begin(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


def test_parts_of_dead_runs_are_removed_and_those_of_live_ones_kept(tmp_path: Path) -> None:
    out = tmp_path / "out[1].jsonl"
    others = [tmp_path / ".out[1].jsonl.part", tmp_path / ".other.jsonl.0123abcd.part"]
    for other in others:
        other.write_text("of somebody else")
    killed, alive = begin(out), begin(out)
    killed.kill()
    killed.communicate()
    assert len(list(tmp_path.iterdir())) == 4
    with WholeFile(str(out)) as new:
        new.write("whole")
        assert len(list(tmp_path.iterdir())) == 4  # its own, and that of the other that lives
        with WholeFile(str(out), overwrite=True) as second:  # of this very process
            second.write("a second")
            assert len(list(tmp_path.iterdir())) == 5
        out.unlink()
    assert out.read_text() == "whole"
    out.unlink()
    alive.communicate("\n", timeout=60)
    assert alive.returncode == 0
    assert out.read_text() == "half"
    assert set(tmp_path.iterdir()) == {out, *others}


# --- pipes and terminals --------------------------------------------------------------------


def voting(tmp_path: Path, redirection: str) -> subprocess.CompletedProcess[str]:
    source = tmp_path / "in.jsonl"
    source.write_text('{"id": 1, "candidates": [{"answer": "1", "score": 1}]}\n')
    return subprocess.run(
        f"{sys.executable} -m stepscore.cli vote in.jsonl {redirection}",
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    "redirection", ["-o /dev/stdout", "-o /dev/stdout | cat", "-o /dev/fd/3 3>&1 >/dev/null"]
)
def test_the_result_may_go_to_standard_output(tmp_path: Path, redirection: str) -> None:
    done = voting(tmp_path, redirection)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()  # the table would be taken for a part of it
    assert json.loads(line)["id"] == 1
    if ">/dev/null" not in redirection:
        assert "1 problem" in done.stderr


def test_standard_output_may_be_a_file_that_is_appended_to(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    done = voting(tmp_path, "-o /dev/stdout -q >> log; echo after >> log")
    assert done.returncode == 0, done.stderr
    before, line, after = log.read_text().splitlines()
    assert (before, after) == ("before", "after")
    assert json.loads(line)["id"] == 1


def test_a_pipe_gets_all_or_nothing(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    for fails in (False, True):
        reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
        reader.start()
        with suppress(KeyError), WholeFile(str(pipe)) as out:
            out.write("x" * 300_000)
            if fails:
                raise KeyError
        reader.join(60)
    assert got == [b"x" * 300_000, b""]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    with WholeFile(os.devnull) as out:
        out.write("nowhere")


def test_a_reader_that_has_gone_is_no_fault(tmp_path: Path) -> None:
    done = voting(tmp_path, "-o /dev/stdout -q | true")
    assert "Traceback" not in done.stderr


def test_a_full_device_is_said(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    done = voting(tmp_path, "-o /dev/full -q")
    assert done.returncode == 2
    assert "/dev/full: expected an output that can be written; got No space left" in done.stderr
