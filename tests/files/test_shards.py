"""Chunks of an output in shards: whole or not there, whatever has ended the run that wrote them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from stepscore.errors import InputError
from stepscore.files import Shards, UnfitShardsError, shards

TEXTS = [b"first\n", b"", "zweites é\n".encode() * 3, b"\x00\n1 2 3 4\n"]


@pytest.fixture
def target(tmp_path: Path) -> str:
    return str(tmp_path / "out")


def opened(target: str) -> Shards:
    kept = Shards(target)
    kept.agree({"a": 1})
    return kept


def write(target: str, texts: list[bytes] = TEXTS) -> Path:
    """Write chunks, and give the one shard that they stand in."""
    kept = opened(target)
    for number, text in enumerate(texts):
        kept.write(number, {"records": number, "what": f"é{number}"}, text)
    kept.leave()
    (shard,) = kept.folder.glob("*.chunks")
    return shard


def whole(kept: Shards, count: int = len(TEXTS)) -> list[int]:
    """Give the numbers of the chunks that there are; each must be as it was written."""
    found = []
    for number in range(count):
        facts = kept.read(number)
        if facts is not None:
            assert facts == {"records": number, "what": f"é{number}", "bytes": len(TEXTS[number])}
            assert b"".join(kept.blocks([number])) == TEXTS[number]
            found.append(number)
    return found


def test_a_shard_that_is_cut_anywhere_holds_the_chunks_before(target: str) -> None:
    shard = write(target)
    content = shard.read_bytes()
    counts = []
    for size in range(len(content) + 1):
        shard.write_bytes(content[:size])
        kept = opened(target)
        counts.append(len(whole(kept)))
        assert whole(kept) == list(range(counts[-1]))
        for number in range(counts[-1], len(TEXTS)):  # a run that goes on
            kept.write(number, {"records": number, "what": f"é{number}"}, TEXTS[number])
        kept.leave()
        kept = opened(target)
        assert whole(kept) == list(range(len(TEXTS)))
        kept.leave()
        for later in sorted(shard.parent.glob("*.chunks"))[1:]:
            later.unlink()
    assert counts == sorted(counts)
    assert set(counts) == {0, 1, 2, 3, 4}


def test_a_byte_that_changes_anywhere_is_never_taken_for_what_was_written(target: str) -> None:
    shard = write(target)
    content = shard.read_bytes()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        shard.write_bytes(changed)
        kept = opened(target)
        assert len(whole(kept)) < len(TEXTS)
        kept.leave()
        shard.parent.mkdir(exist_ok=True)
        (shard.parent / "manifest.json").write_text('{"a": 1}')
    shard.write_bytes(content)
    kept = opened(target)
    assert whole(kept) == [0, 1, 2, 3]
    kept.leave()


def test_of_two_chunks_of_one_number_the_later_counts(target: str) -> None:
    write(target, [b"old\n", b"kept\n"])
    kept = opened(target)
    kept.write(0, {"records": 0, "what": "é0"}, TEXTS[0])
    kept.leave()
    kept = opened(target)
    assert whole(kept, 1) == [0]
    assert b"".join(kept.blocks([0, 1])) == TEXTS[0] + b"kept\n"
    found = kept.kept()
    assert found is not None
    assert (found.chunks, found.counts["bytes"]) == (2, len(TEXTS[0]) + 5)
    kept.remove()
    assert not kept.folder.exists()


def test_chunks_stand_in_few_files(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_FULL", 10_000)
    kept = opened(target)
    for number in range(200):
        kept.write(number, {"records": 1}, b"x" * 1000)
    names = sorted(path.name for path in kept.folder.glob("*.chunks"))
    assert names == [f"{number:05}.chunks" for number in range(20)]
    assert sum(len(block) for block in kept.blocks(range(200))) == 200_000
    kept.leave()
    kept = opened(target)
    found = kept.kept()
    assert found is not None
    assert (found.chunks, found.counts["records"]) == (200, 200)
    kept.remove()
    assert not kept.folder.exists()


def test_nothing_is_written_behind_half_a_chunk(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    kept = opened(target)
    kept.write(0, {"records": 0, "what": "é0"}, TEXTS[0])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match="got No space left on device"):
            kept.write(1, {"records": 1, "what": "é1"}, TEXTS[1])
    assert whole(kept) == [0]
    for number in (1, 2):
        kept.write(number, {"records": number, "what": f"é{number}"}, TEXTS[number])
    kept.leave()
    kept = opened(target)
    assert whole(kept) == [0, 1, 2]
    kept.leave()


def test_an_empty_shard_keeps_nothing(target: str) -> None:
    shard = write(target)
    shard.write_bytes(b"")
    kept = opened(target)
    assert kept.kept() is None
    kept.leave()
    assert not kept.folder.exists()


def test_shards_of_an_earlier_form_are_refused_by_name(target: str) -> None:
    folder = Path(f"{target}.shards")
    folder.mkdir()
    (folder / "00000.shard").write_bytes(b'{"records": 1, "bytes": 0, "blake2b": ""}\n')
    (folder / "manifest.json").write_text("{}")
    kept = Shards(target)
    told = re.escape("expected shards as this version writes them; got 00000.shard")
    with pytest.raises(UnfitShardsError, match=told):
        kept.agree({"a": 1})
    kept.leave()
    assert {path.name for path in folder.iterdir()} == {"00000.shard", "lock", "manifest.json"}
    kept = Shards(target, restart=True)
    kept.agree({"a": 1})
    kept.leave()
    assert not folder.exists()
