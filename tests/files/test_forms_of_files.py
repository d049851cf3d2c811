"""Zstandard and Parquet in and out, many inputs as one, and pieces of an output."""

from __future__ import annotations

import builtins
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stepscore.errors import InputError
from stepscore.files import Inputs, LineReader, Shards, UnfitShardsError, WholeFile, number_in


def written(path: Path, lines: list[str]) -> str:
    with WholeFile(str(path), overwrite=True) as out:
        for line in lines:
            out.write(line)
    return str(path)


def lines_of(path: str) -> list[bytes]:
    with LineReader(path) as lines:
        return [line for _, line in lines]


def test_zstandard_in_and_out(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    path = written(tmp_path / "a.jsonl.zst", ["x\n", "\n", "é\n"])
    assert (
        zstandard.ZstdDecompressor().decompressobj().decompress(Path(path).read_bytes())
        == "x\n\né\n".encode()
    )
    with LineReader(path) as lines:
        assert list(lines) == [(f"{path}:1", b"x\n"), (f"{path}:3", "é\n".encode())]
        assert lines.position() == lines.size
    # By its first bytes, of several frames, and in pieces.
    frame = Path(path).read_bytes()
    (tmp_path / "b").write_bytes(frame + frame)
    assert lines_of(str(tmp_path / "b")) == [b"x\n", "é\n".encode()] * 2
    with LineReader(str(tmp_path / "b")) as reader:
        assert b"".join(reader.chunks(3)) == "x\n\né\n".encode() * 2
    assert written(tmp_path / "c.zst", ["x\n", "\n", "é\n"])
    assert (tmp_path / "c.zst").read_bytes() == frame


@pytest.mark.parametrize("damage", ["cut", "changed", "other"])
def test_a_damaged_zstandard_file_is_an_input_error(tmp_path: Path, damage: str) -> None:
    pytest.importorskip("zstandard")
    path = tmp_path / "a.zst"
    written(path, [f"{number * number}\n" for number in range(9999)])
    whole = bytearray(path.read_bytes())
    changed = bytes(whole[:999] + bytes([whole[999] ^ 255]) + whole[1000:])
    path.write_bytes({"cut": bytes(whole[:-100]), "changed": changed, "other": b"x\n"}[damage])
    with pytest.raises(InputError, match=r"a\.zst: expected a readable file; got "):
        lines_of(str(path))


ROWS: list[dict[str, Any]] = [
    {"id": 1, "candidates": [{"text": "é", "score": 0.5}, {"text": "b"}], "more": {}},
    {"id": 2, "candidates": [{"text": "c", "step_scores": [0.5, None]}], "late": [1.5]},
]


def test_parquet_out_and_in(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = written(tmp_path / "a.parquet", [json.dumps(row) + "\n" for row in ROWS])
    table = parquet.read_table(path)
    assert table.column("id").to_pylist() == [1, 2]
    with LineReader(path) as lines:
        found = list(lines)
    assert [place for place, _ in found] == [f"{path}: row 1", f"{path}: row 2"]
    assert [number_in(place) for place, _ in found] == [1, 2]
    expected = [{**ROWS[0]}, ROWS[1]]
    del expected[0]["more"]  # Arrow tells nothing empty from nothing
    assert [json.loads(line) for _, line in found] == expected


def test_a_field_that_comes_late_and_types_that_widen_reach_the_table(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    lines = [json.dumps({"id": n, "value": n if n < 70_000 else 0.5}) + "\n" for n in range(70_001)]
    lines.append(json.dumps({"id": -1, "other": {"a": [1], "b": "x"}}) + "\n")
    lines.append(json.dumps({"id": -2, "other": {"c": None}}) + "\n")
    path = written(tmp_path / "a.parquet", lines)
    assert parquet.ParquetFile(path).num_row_groups > 1
    back = [json.loads(line) for line in lines_of(path)]
    assert back[-3:] == [
        {"id": 70_000, "value": 0.5}, {"id": -1, "other": {"a": [1], "b": "x"}},
        {"id": -2, "other": {}},
    ]  # fmt: skip
    assert [row["value"] for row in back[:70_000]] == list(range(70_000))


def test_values_that_no_column_holds_are_named(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(InputError, match="write JSONL instead"):
        written(tmp_path / "a.parquet", ['{"id": 1}\n', '{"id": "b"}\n'])
    assert list(tmp_path.iterdir()) == []


def test_columns_of_arrow_that_json_has_no_form_for(tmp_path: Path) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    import datetime
    import decimal

    path = str(tmp_path / "a.parquet")
    day, price = datetime.date(2026, 1, 2), decimal.Decimal("1.50")
    parquet.write_table(pa.table({"id": [1], "day": [day], "price": [price]}), path)
    assert json.loads(lines_of(path)[0]) == {"id": 1, "day": "2026-01-02", "price": "1.50"}
    parquet.write_table(pa.table({"id": ["Infinity", "-Infinity"], "a": [None, math.nan]}), path)
    assert [json.loads(line)["id"] for line in lines_of(path)] == ["Infinity", "-Infinity"]
    for value, told in (
        (b"\xff", "bytes in 'image'; leave that column out"),
        ([{"pixel": [0.5, math.inf]}], "Infinity in 'image'; write null for what is missing"),
        ([-math.inf], "-Infinity in 'image'; write null"),
    ):
        parquet.write_table(pa.table({"id": [1], "image": pa.array([value])}), path)
        expected = rf"a\.parquet: row 1: expected columns that JSON can hold: .*; got {told}"
        with pytest.raises(InputError, match=expected):
            lines_of(path)


def test_a_compressed_file_that_is_damaged_says_what_to_do(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    path = tmp_path / "a.jsonl.zst"
    whole = zstandard.ZstdCompressor(write_checksum=True).compress(b'{"id": 1}\n')
    for content in (whole + b"garbage!", whole[:-3] + b"???", whole[:-3]):
        path.write_bytes(content)
        with pytest.raises(InputError, match="no whole Zstandard file: fetch it again, or rename"):
            lines_of(str(path))


def test_values_that_python_has_no_form_for_are_named(tmp_path: Path) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = str(tmp_path / "a.parquet")
    late = pa.array([1, 2**62], pa.timestamp("us"))  # the year 148,108, which no datetime has
    parquet.write_table(pa.table({"id": [1, 2], "late": late}), path)
    told = r"a\.parquet: row 2: late: expected values that Python has a form for; got "
    with pytest.raises(InputError, match=told):
        lines_of(path)


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = str(tmp_path / "a.parquet")
    ids = pa.array([1, 2])
    structs = pa.StructArray.from_arrays([ids, ids], ["a", "a"])
    for table, name in (
        (pa.Table.from_arrays([ids, ids], ["id", "id"]), "id"),
        (pa.table({"id": pa.ListArray.from_arrays([0, 1, 2], structs)}), "a"),
    ):
        parquet.write_table(table, path)
        with pytest.raises(InputError, match=f"every column once.*; got '{name}' twice"):
            lines_of(path)


def test_a_damaged_parquet_file_is_an_input_error(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    written(path, [json.dumps(row) + "\n" for row in ROWS])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"a\.parquet: expected a readable Parquet file; got "):
        lines_of(str(path))


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("a.zst", "zstandard", "fast"), ("a.parquet", "pyarrow", "parquet")],
)
def test_a_package_that_is_missing_is_named_with_what_to_type(
    name: str, package: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(package)
    path = written(tmp_path / name, [json.dumps(row) + "\n" for row in ROWS])
    real = builtins.__import__

    def without(module: str, *rest: Any, **more: Any) -> Any:
        if module.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}")
        return real(module, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    told = rf'a\.{name[2:]}: expected the package {package}, .*"stepscore\[{extra}\]"'
    with pytest.raises(InputError, match=told):
        lines_of(path)
    with pytest.raises(InputError, match=told):
        WholeFile(path, overwrite=True)


def test_many_files_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in (("in-2", "c\n"), ("in-1", "a\nb\n"), ("other", "d\n")):
        Path(name).write_text(text)
    with Inputs(["in-*", "other"]) as inputs:
        assert inputs.paths == ("in-1", "in-2", "other")
        assert (inputs.name, inputs.size) == ("in-1 and 2 more", 8)
        positions = []
        for _ in inputs:
            positions.append(inputs.position())
        assert positions == sorted(positions)
        assert inputs.position() == 8
        assert inputs.count() == 4
    with Inputs(["other", "in-1"]) as inputs:
        assert list(inputs) == [("other:1", b"d\n"), ("in-1:1", b"a\n"), ("in-1:2", b"b\n")]
    with pytest.raises(InputError, match=r"no-\*: expected files that match the pattern; got none"):
        Inputs(["no-*"])
    with pytest.raises(InputError, match="gone: expected an existing file"):
        Inputs(["other", "gone"])
    Path("in-[3]").write_text("e\n")
    with Inputs(["in-[3]"]) as inputs:  # a name rather than a pattern
        assert list(inputs) == [("in-[3]:1", b"e\n")]


def test_what_a_run_leaves_beside_its_shards_goes(tmp_path: Path) -> None:
    target = str(tmp_path / "out")
    shards = Shards(target)
    shards.agree({"a": 1})
    shards.write(0, {"records": 2}, b"x\n")
    shards.write(1, {"records": 1}, b"y\n")
    (shards.folder / "manifest.json.01234567.part").write_bytes(b"z")
    shards.leave()
    shards = Shards(target)
    with pytest.raises(UnfitShardsError, match="a 2, and there 1"):
        shards.agree({"a": 2})
    shards.leave()
    with Shards(target) as shards:
        shards.agree({"a": 1})
        kept = shards.kept()
        assert kept is not None
        assert (kept.chunks, kept.counts["records"]) == (2, 3)
        assert not (shards.folder / "manifest.json.01234567.part").exists()
    assert list(tmp_path.iterdir()) == []


PEAK = """
import sys
from stepscore.files import LineReader
with LineReader(sys.argv[1]) as lines:
    count = sum(1 for _ in lines)
# Of this program alone; what getrusage says begins with the memory of who started it.
status = open("/proc/self/status").read()
print(count, status.partition("VmHWM:")[2].split()[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("ending", ["zst", "parquet"])
def test_memory_does_not_grow_with_the_file(ending: str, tmp_path: Path) -> None:
    package = {"zst": "zstandard", "parquet": "pyarrow.parquet"}[ending]
    library = pytest.importorskip(package)
    peaks = []
    for count in (20_000, 80_000):
        path = str(tmp_path / f"{count}.{ending}")
        texts = [os.urandom(250).hex() for _ in range(count)]
        if ending == "zst":
            written(Path(path), [f'{{"text": "{text}"}}\n' for text in texts])
        else:  # one row group, however large the file
            pa = pytest.importorskip("pyarrow")
            library.write_table(pa.table({"text": texts}), path, row_group_size=count)
        done = subprocess.run(
            [sys.executable, "-c", PEAK, path], capture_output=True, text=True, check=True
        )
        found, peak = map(int, done.stdout.split())
        assert found == count
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 12_000, peaks  # kB; 30 MB of texts more
