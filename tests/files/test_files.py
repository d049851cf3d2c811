from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import signal
import subprocess
import sys
import textwrap
import zipfile
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
    "a Zstandard file": (lambda: b"\x28\xb5\x2f\xfd\x00", "zstd -dc in.data > in.data.jsonl"),
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


@pytest.mark.parametrize("what", ["a Parquet file", "an Arrow file", "an Arrow stream"])
def test_a_table_of_arrow_and_the_command_that_reads_it(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.chdir(tmp_path)
    table = pa.Table.from_pylist(ROWS)
    if what == "a Parquet file":
        pq.write_table(table, "it's in.parquet")
    else:
        new = pa.ipc.new_file if what == "an Arrow file" else pa.ipc.new_stream
        with new("it's in.parquet", table.schema) as sink:
            sink.write_table(table)
    with LineReader("it's in.parquet") as lines, pytest.raises(InputError, match=what) as error:
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
        WholeFile(os.devnull, overwrite=True)
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
        from stepscore.jobs import run

        def slow(*_, **__):
            print("voting", flush=True)
            time.sleep(60)

        run.vote_on = slow
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
    assert len(list(tmp_path.iterdir())) == 2
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == [source]
