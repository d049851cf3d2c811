"""Ids of many records: kept as hashes once they are no longer recent."""

from __future__ import annotations

import random

import pytest

from stepscore.records import Record, RecordError, UniqueIds, unique
from stepscore.records.record import RecordId


@pytest.fixture(autouse=True)
def keep_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unique, "_RECENT", 8)


def record(record_id: RecordId, place: str) -> Record:
    return Record(place, "{}", record_id, None, [])


def test_an_early_id_is_found_with_its_place() -> None:
    ids = UniqueIds()
    for number in range(500):
        ids.check(record(number, f"a.jsonl:{number + 1}"))
        ids.check(record(str(number), f"b.parquet: row {number + 1}"))
    assert all(ids.has(number) and ids.has(str(number)) for number in range(500))
    assert not ids.has(500)
    assert not ids.has("0 ")
    with pytest.raises(RecordError, match=r"got that of a\.jsonl:4;"):
        ids.check(record(3, "c.jsonl:1"))
    with pytest.raises(RecordError, match=r"got that of b\.parquet: row 4;"):
        ids.check(record("3", "c.jsonl:2"))
    ids.check(record(3, "a.jsonl:4"))  # the very same


def test_an_early_id_can_be_freed() -> None:
    ids = UniqueIds()
    for number in range(100):
        ids.check(record(number, f"a:{number + 1}"))
    ids.forget(RecordError("", place="a:9", record_id=3))
    assert ids.has(3)
    ids.forget(RecordError("", place="a:4", record_id=3))
    assert not ids.has(3)
    ids.check(record(3, "a:200"))
    for number in range(1000, 1100):
        ids.check(record(number, f"a:{number}"))
    with pytest.raises(RecordError, match="got that of a:200;"):
        ids.check(record(3, "a:201"))


@pytest.mark.parametrize("seed", range(5))
def test_many_at_once_are_as_one_by_one(seed: int) -> None:
    draw = random.Random(seed)
    every: list[RecordId] = [draw.choice([draw.randrange(400), f"{n}"]) for n in range(1200)]
    places = [f"in.jsonl:{number + 1}" for number in range(len(every))]
    together, seen, at = UniqueIds(), set(), 0
    while at < len(every):
        stop = min(at + draw.randrange(1, 40), len(every))
        fresh = together.add(every[at:stop], places[at:stop])
        for known in every[at : at + fresh]:
            assert known not in seen
            seen.add(known)
        at += fresh
        if at < stop:
            assert every[at] in seen
            at += 1
    assert all(together.has(known) for known in seen)


def test_hashes_that_are_alike_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = unique._hashes

    def alike(ids: object) -> object:
        keys, checks = hashes(ids)  # type: ignore[arg-type]
        return keys * 0 + 7, checks

    monkeypatch.setattr(unique, "_hashes", alike)
    ids = UniqueIds()
    for number in range(50):
        ids.check(record(number, f"a:{number + 1}"))
    assert all(ids.has(number) for number in range(50))
    assert not ids.has(50)
    assert ids.add([50, 51, 7], ["a:51", "a:52", "a:53"]) == 2
