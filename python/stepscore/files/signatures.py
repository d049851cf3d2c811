"""Files that hold no lines of UTF-8 text: what they are, by their first bytes, and what to type."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from pathlib import PurePath

from stepscore.errors import InputError

STDIN = "<stdin>"
GZIP = b"\x1f\x8b"
SHARDS = ".shards"  # the folder in a folder of parts that is not whole yet

# (the file, the JSONL that is made of it) -> what to type.
_Command = Callable[[str, str], str]


def _with_arrow(module: str, batches: str) -> _Command:
    def command(source: str, out: str) -> str:
        rows = batches.format(source=json.dumps(source))
        program = (
            f"import json, {module} as arrow; [print(json.dumps(row, default=str)) "
            f"for batch in {rows} for row in batch.to_pylist()]"
        )
        return f"python -c {shlex.quote(program)} > {shlex.quote(out)}"

    return command


def _with(program: str) -> _Command:
    return lambda source, out: f"{program} {shlex.quote(source)} > {shlex.quote(out)}"


_SIGNATURES: tuple[tuple[bytes, str, _Command], ...] = (
    (
        b"PAR1",
        "a Parquet file",
        _with_arrow("pyarrow.parquet", "arrow.ParquetFile({source}).iter_batches()"),
    ),
    (
        b"ARROW1",
        "an Arrow file",
        _with_arrow("pyarrow", "arrow.ipc.open_file({source}).read_all().to_batches()"),
    ),
    # As data sets are cached.
    (
        b"\xff\xff\xff\xff",
        "an Arrow stream",
        _with_arrow("pyarrow", "arrow.ipc.open_stream({source})"),
    ),
    (GZIP, "a gzip file", _with("gzip -dc")),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", _with("zstd -dc")),
    (b"\xfd7zXZ\x00", "an xz file", _with("xz -dc")),
    (b"BZh", "a bzip2 file", _with("bzip2 -dc")),
    (b"PK\x03\x04", "a zip archive", _with("unzip -p")),
    (b"\xff\xfe", "text in UTF-16", _with("iconv -f UTF-16 -t UTF-8")),
    (b"\xfe\xff", "text in UTF-16", _with("iconv -f UTF-16 -t UTF-8")),
    (b"{\x00", "text in UTF-16", _with("iconv -f UTF-16LE -t UTF-8")),
    (b"[\x00", "text in UTF-16", _with("iconv -f UTF-16LE -t UTF-8")),
    (b"\x00{", "text in UTF-16", _with("iconv -f UTF-16BE -t UTF-8")),
    (b"\x00[", "text in UTF-16", _with("iconv -f UTF-16BE -t UTF-8")),
)
# Endings of a name that say nothing of what is inside, and those of what is turned into JSONL.
_ENDINGS = (".parquet", ".arrow", ".feather", ".gz", ".zst", ".xz", ".bz2", ".zip",
            ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt")  # fmt: skip


def foreign_file(name: str, first: bytes) -> InputError | None:
    """Say what a file is that holds no lines of UTF-8 text; None where it seems to hold them.

    Args:
        name: of the file, as messages give it.
        first: its first bytes.
    """
    for magic, what, command in _SIGNATURES:
        if first.startswith(magic):
            return not_lines(name, what, command(*_names(name)))
    return None


def not_lines(name: str, what: str, command: str) -> InputError:
    """Give the error of a file in another form, with the command that makes JSONL of it."""
    return InputError(
        "JSONL, one JSON object per line", got=what, advice=f"type: {command}", where=name
    )


def not_installed(package: str, extra: str, name: str) -> InputError:
    """Give the error of a file whose form a package reads that is not there."""
    return InputError(
        f"the package {package}, which reads and writes such a file",
        got="none that is installed",
        advice=f'type: pip install "stepscore[{extra}]"',
        where=name,
    )


def folder_fault(path: str, files: list[str]) -> InputError:
    """Give the error of a folder where a file was meant."""
    if SHARDS in files:
        return InputError(
            "a folder whose parts are all there",
            got="one that a run is writing, or had not finished",
            advice="type the command of that run again, and wait for its end",
            where=path,
        )
    seen = sorted(file for file in files if not file.startswith("."))
    shown = ", ".join(seen[:4]) + (", ..." if len(seen) > 4 else "")
    endings = [ending for file in seen for ending in _ENDINGS if file.endswith(ending)]
    pattern = os.path.join(path, f"*{max(endings, key=endings.count)}" if endings else "*")
    return InputError(
        "a readable file",
        got="a folder" + (f", which holds {shown}" if shown else " without files"),
        advice=f"pass one of its files, or where several are read a pattern in quotes: "
        f"{shlex.quote(pattern)}"
        if shown
        else "check the path",
        where=path,
    )


def command_for(name: str, program: str) -> str:
    """Give the command line of a program that reads the file and writes JSONL to its output."""
    source, out = _names(name)
    return f"{program} < {shlex.quote(source)} > {shlex.quote(out)}"


def convert_command(name: str) -> str:
    """Give the command line of ``stepscore convert`` for a file."""
    return f"stepscore convert {' '.join(map(shlex.quote, _names(name)))}"


def _names(name: str) -> tuple[str, str]:
    """Give the name of the file, and that of the JSONL which is made of it."""
    if name == STDIN:
        return "IN", "records.jsonl"
    base = PurePath(name).name
    for ending in _ENDINGS:
        base = base.removesuffix(ending)
    out = f"{base or 'records'}.jsonl"
    return name, f"{base}.records.jsonl" if PurePath(name).name == out else out
