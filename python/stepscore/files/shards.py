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
from typing import Any

from stepscore.errors import Argument, InputError
from stepscore.files import parts

_SHARD = re.compile("([0-9]{5,})[.]shard")
_LEFT = re.compile(".*[.][0-9a-f]{8}[.]part")
_MANIFEST, _DELIVERED, _LOCK = "manifest.json", "delivered.json", "lock"
_BLOCK = 1 << 20
_SHOWN = 3


class UnfitShardsError(InputError):
    """What an earlier run has kept does not go with what is being done."""


@dataclass(frozen=True)
class Kept:
    """What runs that were ended have kept.

    Attributes:
        shards: how many pieces.
        facts: of the last of them.
        counts: the sums of the facts that are whole numbers.
        ended: when the last was finished, in seconds since 1970.
    """

    shards: int
    facts: Mapping[str, Any]
    counts: Mapping[str, int]
    ended: float


class Shards:
    """The finished pieces of an output, in the folder ``TARGET.shards`` until it is delivered.

    A shard is a file with a line of JSON, its facts, and the text behind it. It is written under
    another name, brought to the disk, and renamed: a run that is killed leaves it whole or not at
    all. The checksum of its text is among the facts, and one that is damaged is as one that is not
    there. The manifest says what the shards depend on.

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
        try:
            if is_folder:
                self.folder.parent.mkdir(exist_ok=True)
            self.folder.mkdir(exist_ok=True)
            self._take()
            for path in self.folder.iterdir():
                if _LEFT.fullmatch(path.name) or (restart and _SHARD.fullmatch(path.name)):
                    path.unlink()
            if restart:
                (self.folder / _MANIFEST).unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error
        self._numbers = set(self._listed())

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
        if not self._numbers:
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
        ended, shards = 0.0, 0
        for number in sorted(self._numbers):
            path = self._path(number)
            with suppress(OSError, ValueError), path.open("rb") as file:
                facts = json.loads(file.readline())
                for name, value in facts.items():
                    if isinstance(value, int):
                        counts[name] = counts.get(name, 0) + value
                ended = max(ended, path.stat().st_mtime)
                shards += 1
        return Kept(shards, facts, counts, ended) if shards else None

    def read(self, number: int) -> Mapping[str, Any] | None:
        """Give the facts of a shard; None where there is none that is whole."""
        if number not in self._numbers:
            return None
        try:
            facts = self.facts(number)
            for _ in self._blocks(number):
                pass
        except (OSError, ValueError, KeyError):
            return None
        return facts

    def write(self, number: int, facts: Mapping[str, Any], text: bytes) -> None:
        """Keep a shard.

        Args:
            number: its place among all.
            facts: JSON about it.
            text: a piece of the output.

        Raises:
            InputError: a full disk, or a folder that cannot be written to.
        """
        checksum = hashlib.blake2b(text, digest_size=16).hexdigest()
        line = json.dumps({**facts, "bytes": len(text), "blake2b": checksum}) + "\n"
        try:
            if not self._numbers:
                begun = {**self.content, "begun": time.strftime("%Y-%m-%d %H:%M:%S %z")}
                self._put(_MANIFEST, json.dumps(begun, indent=1).encode())
            self._put(self._path(number).name, line.encode(), text)
        except OSError as error:
            raise self._unwritable(error) from error
        self._numbers.add(number)

    def facts(self, number: int) -> dict[str, Any]:
        """Give the facts of a shard that there is."""
        with self._path(number).open("rb") as file:
            facts: dict[str, Any] = json.loads(file.readline())
        return facts

    def blocks(self, numbers: Iterable[int]) -> Iterator[bytes]:
        """Give the text of some shards, one after the other, in blocks.

        Raises:
            UnfitShardsError: one that is damaged meanwhile.
        """
        for number in numbers:
            try:
                yield from self._blocks(number)
            except (OSError, ValueError, KeyError) as error:
                got = f"{self._path(number).name}: {error}"
                raise self.fault("a shard as it was written", got) from error

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
        with suppress(OSError):
            for number in self._listed():
                self._path(number).unlink()
        self._numbers = set()
        self.leave()

    def leave(self) -> None:
        """Let another run have the folder, and remove it where it keeps nothing."""
        if self._lock is None:
            return
        with suppress(OSError):
            if not self._listed():
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

    def _listed(self) -> list[int]:
        names = (_SHARD.fullmatch(name) for name in os.listdir(self.folder))
        return sorted(int(found[1]) for found in names if found is not None)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:05}.shard"

    def _blocks(self, number: int) -> Iterator[bytes]:
        """Give the text of a shard, and raise ValueError at its end where it is not as written."""
        with self._path(number).open("rb") as file:
            facts = json.loads(file.readline())
            hashed = hashlib.blake2b(digest_size=16)
            while block := file.read(_BLOCK):
                hashed.update(block)
                yield block
        if hashed.hexdigest() != facts["blake2b"]:
            raise ValueError("another checksum than its own")

    def _delivered(self) -> dict[str, Any]:
        try:
            content = json.loads((self.folder / _DELIVERED).read_bytes())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _put(self, name: str, *contents: bytes) -> None:
        """Write a file whole, or not at all."""
        path = self.folder / f"{name}.{secrets.token_hex(4)}.part"
        try:
            with open(path, "xb") as file:
                file.writelines(contents)
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
