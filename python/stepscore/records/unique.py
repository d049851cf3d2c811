"""Ids that no two records share, kept in 20 bytes each however long they are."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import Argument
from stepscore.records.faults import RecordError
from stepscore.records.record import Record, RecordId

# As many of the last ids are kept as they are, with their places.
_RECENT = 1 << 16
_GONE = 0xFFFFFFFF  # stands for the file of an id that was freed
_DIGITS = "0123456789"
# 96 bits of two hashes: of 100 million ids two are alike once in 10^13 files.
_KEPT = np.dtype([("key", "u8"), ("check", "u4"), ("file", "u4"), ("number", "u4")])


class UniqueIds:
    """Refuses an id that an earlier record has."""

    def __init__(self) -> None:
        self._recent: dict[RecordId, str] = {}
        self._runs: list[
            NDArray[np.void]
        ] = []  # sorted by key, each at most half of the one before
        self._files: dict[str, int] = {}  # what stands in front of the number of a place

    def check(self, record: Record) -> None:
        """Remember a record's id.

        Raises:
            RecordError: an earlier record has it.
        """
        self._keep_if_many()
        earlier = self._place_of(record.id)
        if earlier is None:
            self._recent[record.id] = record.place
        elif earlier != record.place:
            raise RecordError(
                "an id that no other record has",
                got=f"that of {earlier}",
                advice=(
                    "give every record another, or name the right field with ",
                    Argument("fields.id"),
                    *_gathering(record),
                ),
                place=record.place,
                record_id=record.id,
            )

    def add(self, ids: Sequence[RecordId], places: Sequence[str]) -> int:
        """Remember the ids of some records up to the first that an earlier record has.

        Returns:
            How many were remembered.
        """
        self._keep_if_many()  # not while they are added: they are compared with each other, too
        fresh = self._first_kept(ids)
        for number in range(fresh):
            record_id = ids[number]
            if record_id in self._recent:
                return number
            self._recent[record_id] = places[number]
        return fresh

    def has(self, record_id: RecordId) -> bool:
        """Tell whether a record has that id."""
        return self._place_of(record_id) is not None

    def forget(self, error: RecordError) -> None:
        """Free the id of a record that turned out to be at fault."""
        if error.record_id is None or self._place_of(error.record_id) != error.place:
            return
        if self._recent.pop(error.record_id, None) is None:
            for run, place in self._kept(error.record_id):
                run["file"][place] = _GONE

    def _place_of(self, record_id: RecordId) -> str | None:
        if record_id in self._recent:
            return self._recent[record_id]
        for run, place in self._kept(record_id):
            prefix = list(self._files)[run["file"][place]]
            return f"{prefix}{run['number'][place]}"
        return None

    def _keep_if_many(self) -> None:
        """Turn recent ids that are many into a sorted run, and join runs of about one length."""
        if len(self._recent) < _RECENT:
            return
        run = np.empty(len(self._recent), _KEPT)
        run["key"], run["check"] = _hashes(self._recent)
        prefixes = [place.rstrip(_DIGITS) for place in self._recent.values()]
        run["file"] = [self._files.setdefault(prefix, len(self._files)) for prefix in prefixes]
        run["number"] = [
            int(place[len(prefix) :])
            for prefix, place in zip(prefixes, self._recent.values(), strict=True)
        ]
        self._recent.clear()
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            run = np.concatenate([self._runs.pop(), run])
        self._runs.append(run[np.argsort(run["key"], kind="stable")])

    def _first_kept(self, ids: Sequence[RecordId]) -> int:
        """Give the number of the first id that a run holds; how many there are without one."""
        first = len(ids)
        if self._runs:
            keys, checks = _hashes(ids)
            for run in self._runs:
                at = np.searchsorted(run["key"], keys)
                alike = run["key"][np.minimum(at, len(run) - 1)] == keys
                for number in np.flatnonzero(alike).tolist():
                    if number < first and self._found(keys[number], checks[number]):
                        first = number
        return first

    def _kept(self, record_id: RecordId) -> list[tuple[NDArray[np.void], int]]:
        if not self._runs:
            return []
        keys, checks = _hashes([record_id])
        return self._found(keys[0], checks[0])

    def _found(self, key: np.uint64, check: np.uint32) -> list[tuple[NDArray[np.void], int]]:
        """Give the runs, and the places in them, that hold an id."""
        found = []
        for run in self._runs:
            begin, end = (int(np.searchsorted(run["key"], key, side)) for side in ("left", "right"))
            for place in range(begin, end):
                if run["check"][place] == check and run["file"][place] != _GONE:
                    found.append((run, place))
        return found


def _hashes(ids: Collection[RecordId]) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """Give two hashes of every id; a number and a text of the same digits differ."""
    texts = [
        f"{record_id}:number" if isinstance(record_id, int) else f"{record_id}:text"
        for record_id in ids
    ]
    keys = np.fromiter(map(hash, texts), np.int64, len(texts)).view(np.uint64)
    again = np.fromiter((hash("again " + text) for text in texts), np.int64, len(texts))
    return keys, (again & 0xFFFFFFFF).astype(np.uint32)


def _gathering(record: Record) -> tuple[str | Argument, ...]:
    """Say how rows of one sample each are read."""
    if len(record.candidates) != 1:
        return ()
    return ("; if every line is one sample, gather them with ", Argument("group_by", "FIELD"))
