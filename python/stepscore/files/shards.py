"""Finished pieces of an output, kept in a folder beside it until all of it is there."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from stepscore.errors import Argument, InputError
from stepscore.files import parts

_SHARD = re.compile("([0-9]{5,})[.]chunks")
_EARLIER = re.compile("[0-9]{5,}[.]shard")  # of one chunk each: a form that is not read any more
# Number, bytes of facts and of text, checksum.
_LINE = re.compile(rb"(([0-9]+) ([0-9]+) ([0-9]+)) ([0-9a-f]{32})\n")
_LONGEST_LINE = 128
_LEFT = re.compile(".*[.][0-9a-f]{8}[.]part")
_MANIFEST, _DELIVERED, _LOCK = "manifest.json", "delivered.json", "lock"
_FULL = 1 << 28  # bytes, after which a shard gets no further chunk
_BLOCK, _DIGEST = 1 << 20, 16
_SHOWN = 3


class UnfitShardsError(InputError):
    """What an earlier run has kept does not go with what is being done."""


@dataclass(frozen=True)
class Kept:
    """What runs that were ended have kept.

    Attributes:
        chunks: how many pieces.
        facts: of the last of them.
        counts: the sums of the facts that are whole numbers.
        ended: when the last was finished, in seconds since 1970.
    """

    chunks: int
    facts: Mapping[str, Any]
    counts: Mapping[str, int]
    ended: float


@dataclass(frozen=True)
class _Place:
    """Where the facts of a chunk begin, how many bytes they and the text behind them have."""

    path: Path
    begin: int
    facts: int
    text: int
    numbers: bytes
    checksum: str


class Shards:
    """The finished pieces of an output, in the folder ``TARGET.shards`` until it is delivered.

    What a chunk of the input comes to is a line with its number, the bytes of its facts (JSON) and
    of its text, and a checksum of all these; then facts and text. Chunks stand one behind the other
    in few files, the shards, and each is brought to the disk before the next begins: a run that is
    killed leaves it whole, or a tail that is none. A run begins shards of its own, and of two
    chunks of one number the later counts. One that is damaged is as one that is not there. The
    manifest says what they depend on.

    Args:
        target: the output.
        is_folder: whether it is a folder, which is made, and within which the shards are kept.
        restart: whether to forget what an earlier run has kept.

    Attributes:
        name: of the folder, as messages give it.
        content: what the shards depend on, as far as it was said.

    Raises:
        InputError: a folder that cannot be made, or that another run is at work in.
    """

    def __init__(self, target: str, *, is_folder: bool = False, restart: bool = False) -> None:
        self.name = os.path.join(target, ".shards") if is_folder else f"{target}.shards"
        self.folder = Path(self.name)
        self.content: dict[str, Any] = {}
        self._lock: int | None = None
        self._growing: IO[bytes] | None = None
        self._places: dict[int, _Place] = {}
        try:
            if is_folder:
                self.folder.parent.mkdir(exist_ok=True)
            self.folder.mkdir(exist_ok=True)
            self._take()
            left = (_LEFT, _SHARD, _EARLIER) if restart else (_LEFT,)
            for path in self._named(*left):
                path.unlink()
            if restart:
                (self.folder / _MANIFEST).unlink(missing_ok=True)
            for path in self._named(_SHARD):
                self._places.update(_chunks_in(path))
        except OSError as error:
            raise self._unwritable(error) from error

    def __enter__(self) -> Shards:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.remove()
        else:
            self.leave()

    def agree(self, content: Mapping[str, Any]) -> None:
        """Compare what the shards depend on with what those of an earlier run depend on.

        Args:
            content: JSON; what is said later is compared then.

        Raises:
            UnfitShardsError: something differs; it is named.
        """
        new: dict[str, Any] = json.loads(json.dumps(content))
        self.content |= new
        earlier_form = self._named(_EARLIER)
        if earlier_form:
            got = f"{earlier_form[0].name}, which an earlier version has written"
            raise self.fault("shards as this version writes them", got)
        if not self._places:
            return
        try:
            earlier = json.loads((self.folder / _MANIFEST).read_bytes())
            differing = [
                line for name in new for line in _differences(name, earlier.get(name), new[name])
            ]
        except (OSError, ValueError, AttributeError) as error:
            got = f"none that can be read ({error})"
            raise self.fault("a manifest beside the shards", got) from error
        if differing:
            raise self.fault(
                "what the run depends on that has kept these shards",
                "; ".join(differing[:_SHOWN]) + ("; ..." if len(differing) > _SHOWN else ""),
            )

    def kept(self) -> Kept | None:
        """Say what earlier runs have kept; None where they have kept nothing."""
        counts: dict[str, int] = {}
        facts: Mapping[str, Any] = {}
        ended, chunks = 0.0, 0
        for number in sorted(self._places):
            with suppress(OSError, ValueError):
                facts = self.facts(number)
                for name, value in facts.items():
                    if isinstance(value, int):
                        counts[name] = counts.get(name, 0) + value
                chunks += 1
        for path in {place.path for place in self._places.values()}:
            with suppress(OSError):
                ended = max(ended, path.stat().st_mtime)
        return Kept(chunks, facts, counts, ended) if chunks else None

    def read(self, number: int) -> Mapping[str, Any] | None:
        """Give the facts of a chunk; None where there is none that is whole."""
        if number not in self._places:
            return None
        try:
            for _ in self._blocks(number):
                pass
            return self.facts(number)
        except (OSError, ValueError):
            return None

    def write(self, number: int, facts: Mapping[str, Any], text: bytes) -> None:
        """Keep a chunk.

        Args:
            number: its place among all.
            facts: JSON about it.
            text: a piece of the output.

        Raises:
            InputError: a full disk, or a folder that cannot be written to.
        """
        told = json.dumps({**facts, "bytes": len(text)}).encode()
        numbers = f"{number} {len(told)} {len(text)}".encode()
        hashed = hashlib.blake2b(numbers, digest_size=_DIGEST)
        hashed.update(told)
        hashed.update(text)
        checksum = hashed.hexdigest()
        try:
            if not self._places:
                begun = {**self.content, "begun": time.strftime("%Y-%m-%d %H:%M:%S %z")}
                self._put(_MANIFEST, json.dumps(begun, indent=1).encode())
            path, behind = self._append(b"%b %b\n" % (numbers, checksum.encode()), told, text)
        except OSError as error:
            raise self._unwritable(error) from error
        begin = behind - len(text) - len(told)
        self._places[number] = _Place(path, begin, len(told), len(text), numbers, checksum)

    def facts(self, number: int) -> dict[str, Any]:
        """Give the facts of a chunk that there is."""
        place = self._places[number]
        with place.path.open("rb") as file:
            file.seek(place.begin)
            facts: dict[str, Any] = json.loads(file.read(place.facts))
        return facts

    def blocks(self, numbers: Iterable[int]) -> Iterator[bytes]:
        """Give the text of some chunks, one after the other, in blocks.

        Raises:
            UnfitShardsError: one that is damaged meanwhile.
        """
        for number in numbers:
            try:
                yield from self._blocks(number)
            except (OSError, ValueError, KeyError) as error:
                got = f"chunk {number}: {error}"
                raise self.fault("chunks as they were written", got) from error

    def announce(self, path: str, found: os.stat_result) -> None:
        """Remember a file that is about to get its name, so that it is known if a run ends then."""
        entry = {os.path.realpath(path): _identity(found)}
        self._put(_DELIVERED, json.dumps({**self._delivered(), **entry}).encode())

    def has_delivered(self, path: str) -> bool:
        """Say whether the file of that name is one that a run of this output has delivered."""
        with suppress(OSError):
            return self._delivered().get(os.path.realpath(path)) == _identity(os.stat(path))
        return False

    def remove(self) -> None:
        """Forget all: the output is there, or nothing is worth keeping. Files of others stay."""
        self._places = {}
        self.leave()

    def leave(self) -> None:
        """Let another run have the folder, and remove it where it keeps nothing."""
        if self._lock is None:
            return
        with suppress(OSError):
            self._seal()
            if not self._places:
                for path in self._named(_SHARD):
                    path.unlink()
            if not self._named(_SHARD, _EARLIER):
                # Killed before the last, another run still knows the output for one of its own.
                for name in (_MANIFEST, _LOCK, _DELIVERED):
                    (self.folder / name).unlink(missing_ok=True)
                self.folder.rmdir()
        os.close(self._lock)
        self._lock = None

    def _take(self) -> None:
        self._lock = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        if parts.is_locked(self._lock):
            os.close(self._lock)
            self._lock = None
            raise InputError(
                "an output that no other run is writing",
                got="one that is at work on it",
                advice="wait for it, or choose another output",
                where=self.name,
            )

    def _named(self, *patterns: re.Pattern[str]) -> list[Path]:
        """Give the files of the folder whose names are of one of the patterns, in their order."""
        names = (
            name for name in os.listdir(self.folder) if any(p.fullmatch(name) for p in patterns)
        )
        return [self.folder / name for name in sorted(names, key=lambda name: (len(name), name))]

    def _append(self, *contents: bytes) -> tuple[Path, int]:
        """Write behind what the growing shard holds; give its path, and its size then."""
        if self._growing is None:
            number = 1 + max((int(path.stem) for path in self._named(_SHARD)), default=-1)
            self._growing = (self.folder / f"{number:05}.chunks").open("xb")
            parts.sync_folder(self.folder)
        file, path = self._growing, Path(self._growing.name)
        begin = file.tell()
        try:
            file.writelines(contents)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:  # also of a signal: nothing may be written behind half a chunk
            self._seal()
            with suppress(OSError):
                os.truncate(path, begin)
            raise
        size = file.tell()
        if size >= _FULL:
            self._seal()
        return path, size

    def _seal(self) -> None:
        """Let the next chunk begin a shard."""
        file, self._growing = self._growing, None
        if file is not None:
            with suppress(OSError):  # a full disk: what was buffered is not wanted any more
                file.close()

    def _blocks(self, number: int) -> Iterator[bytes]:
        """Give the text of a chunk, and raise ValueError at its end where it is not as written."""
        place = self._places[number]
        with place.path.open("rb") as file:
            file.seek(place.begin)
            hashed = hashlib.blake2b(place.numbers, digest_size=_DIGEST)
            hashed.update(file.read(place.facts))
            left = place.text
            while left and (block := file.read(min(left, _BLOCK))):
                hashed.update(block)
                left -= len(block)
                yield block
        if hashed.hexdigest() != place.checksum:
            raise ValueError("another checksum than its own")

    def _delivered(self) -> dict[str, Any]:
        try:
            content = json.loads((self.folder / _DELIVERED).read_bytes())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _put(self, name: str, content: bytes) -> None:
        """Write a file whole, or not at all."""
        path = self.folder / f"{name}.{secrets.token_hex(4)}.part"
        try:
            with open(path, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(path, self.folder / name)
        finally:
            path.unlink(missing_ok=True)
        parts.sync_folder(self.folder)

    def fault(self, expected: str, got: str) -> UnfitShardsError:
        """Give the error of shards that do not go with what is being done."""
        return UnfitShardsError(
            expected,
            got=got,
            advice=(
                "run that again to go on, choose another output, or pass ",
                Argument("restart", True),
                " to forget what was kept",
            ),
            where=self.name,
        )

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(
            "a folder beside the output, to keep what is finished in",
            got=error.strerror or str(error),
            advice="check the folder's permissions and free space",
            where=self.name,
        )


def _chunks_in(path: Path) -> Iterator[tuple[int, _Place]]:
    """Give (number, place) of the chunks of a shard, up to a tail that is none."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        while found := _LINE.fullmatch(file.readline(_LONGEST_LINE)):
            number, facts, text = map(int, found.groups()[1:4])
            place = _Place(path, file.tell(), facts, text, found[1], found[5].decode())
            behind = place.begin + facts + text
            if behind > size:
                return
            yield number, place
            file.seek(behind)


def _identity(found: os.stat_result) -> list[int]:
    """Tell one file from another, also after it was renamed."""
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns]


def _differences(name: str, earlier: Any, new: Any) -> Iterator[str]:
    """Give a line for every value that is another now."""
    if isinstance(earlier, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*earlier, *new)):
            yield from _differences(f"{name}.{key}", earlier.get(key), new.get(key))
    elif earlier != new:
        yield f"{name} {json.dumps(new)}, and there {json.dumps(earlier)}"
