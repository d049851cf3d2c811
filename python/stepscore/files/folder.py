"""A folder of parts as an output, for more than one file should hold."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stepscore.errors import Argument, InputError
from stepscore.files.shards import Shards
from stepscore.files.signatures import SHARDS
from stepscore.files.whole import WholeFile

MANIFEST = "manifest.json"
_PART = re.compile("part-([0-9]{5,})[.]jsonl")
# As they are named, and as they grow.
_OWN = re.compile(
    "part-[0-9]{5,}[.]jsonl|[.](part-[0-9]{5,}|manifest)[.]jsonl?[.][0-9a-f]{8}[.]part"
)
PART_BYTES = 1 << 28


def names_folder(path: str) -> bool:
    """Say whether an output is a folder of parts: it ends in a slash, or exists as a folder."""
    return path.endswith("/") or os.path.isdir(path)


def parts_in(folder: str) -> list[str] | None:
    """Give the parts of a folder that is whole, in order; None for any other folder.

    Raises:
        InputError: a part that the manifest names and that is not there, or of another size.
    """
    manifest = os.path.join(folder, MANIFEST)
    try:
        content = json.loads(Path(manifest).read_bytes())
        sizes = {str(part["name"]): part["bytes"] for part in content["parts"]}
    except (OSError, ValueError, TypeError, KeyError):  # none, or that of another program
        return None
    if not sizes or not all(map(_PART.fullmatch, sizes)):
        return None
    for name, size in sizes.items():
        path = os.path.join(folder, name)
        there = os.path.getsize(path) if os.path.isfile(path) else None
        if there != size:
            raise InputError(
                f"a part of {size:,} bytes, as {MANIFEST} says",
                got="none" if there is None else f"{there:,} bytes",
                advice="copy the folder again, or write it again with the command of its run",
                where=path,
            )
    return [os.path.join(folder, name) for name in sizes]


class PartFolder:
    """A folder of files ``part-00000.jsonl``, ...; it is whole once ``manifest.json`` is there.

    The manifest says what the parts depend on, and of each the name, the counts, the bytes and the
    checksum (BLAKE2b of 16 bytes). A part ends with the problem that fills 256 MB.

    Args:
        path: of the folder.
        shards: what it is written from.
        overwrite: whether the parts of an earlier run may be replaced.

    Raises:
        InputError: a folder that is whole, or that cannot be made.
    """

    def __init__(self, path: str, shards: Shards, *, overwrite: bool = False) -> None:
        self.name = path
        self._shards = shards
        self._manifest = os.path.join(path, MANIFEST)
        others = [left for left in os.listdir(path) if not _is_own(left)]
        if others:
            raise InputError(
                "an empty folder, or one of an earlier output",
                got=f"one that holds {', '.join(sorted(others)[:3])}",
                advice="pass the name of another folder",
                where=path,
            )
        known = overwrite or shards.has_delivered(self._manifest)
        if os.path.isfile(self._manifest) and not known:
            raise InputError(
                "a folder without an output yet",
                got=f"one with a {MANIFEST}",
                advice=("pass ", Argument("overwrite", True), " to replace it, or another name"),
                where=path,
            )

    def put_together(self, count: int) -> None:
        """Write the parts from the first `count` shards, and then the manifest."""
        Path(self._manifest).unlink(missing_ok=True)
        parts = [self._write(number, group) for number, group in enumerate(self._groups(count))]
        for left in Path(self.name).iterdir():  # of a longer output that was here before
            found = _PART.fullmatch(left.name)
            if found is not None and int(found[1]) >= len(parts):
                left.unlink()
        with WholeFile(self._manifest, announce=self._shards.announce) as out:
            out.write(json.dumps({**self._shards.content, "parts": parts}, indent=1) + "\n")

    def _write(self, number: int, group: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
        hashed = hashlib.blake2b(digest_size=16)
        name = _name(number)
        with WholeFile(os.path.join(self.name, name), overwrite=True) as out:
            for block in self._shards.blocks(group):
                hashed.update(block)
                out.write_bytes(block)
        counts = {
            key: sum(facts[key] for facts in group.values())
            for key in ("records", "candidates", "bytes")
        }
        return {"name": name, **counts, "blake2b": hashed.hexdigest()}

    def _groups(self, count: int) -> Iterator[dict[int, Mapping[str, Any]]]:
        """Give the shards of each part: number -> facts."""
        group: dict[int, Mapping[str, Any]] = {}
        for number in range(count):
            group[number] = self._shards.facts(number)
            if sum(facts["bytes"] for facts in group.values()) >= PART_BYTES:
                yield group
                group = {}
        if group:
            yield group


def _is_own(name: str) -> bool:
    return name in (MANIFEST, SHARDS) or _OWN.fullmatch(name) is not None


def _name(number: int) -> str:
    return f"part-{number:05}.jsonl"
