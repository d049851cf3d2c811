"""What the models answered, line by line in a file: a search can be taken up again."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from stepscore.errors import InputError
from stepscore.policies.requests import Continuation
from stepscore.search.driver.calls import Failure

_VERSION = 1
# (kind, key of the problem, number in the problem): a node's, or that of the first sample.
Place = tuple[str, int, int]


class Journal:
    """Answers of a search, in a JSONL file.

    The first line tells the search that they belong to; every further line is an answer. A last
    line without an end, as a killed process leaves it, is cut off.

    Args:
        path: the file, made if there is none.
        search: all arguments that the answers depend on, as JSON.

    Raises:
        InputError: a file that is no journal, of another search, or damaged.
    """

    def __init__(self, path: str | os.PathLike[str], search: dict[str, Any]) -> None:
        self._path = Path(path)
        self._lock = Lock()
        self._answers: dict[Place, Any] = {}
        content = json.dumps(search, sort_keys=True, default=repr).encode()
        header = {"stepscore_journal": _VERSION, "search": hashlib.sha256(content).hexdigest()}
        self._fault: InputError | None = None
        try:
            kept = self._read(header) if self._path.exists() else 0
            self._file = self._path.open("ab", buffering=0)
            self._file.truncate(kept)
        except OSError as error:
            raise self._unwritable(error) from error
        self._length = kept
        if not kept:
            try:
                self._append(json.dumps(header).encode() + b"\n")
            except InputError:
                self._file.close()
                raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, place: Place) -> Any:
        """The answer that an earlier run was given; None: none."""
        return self._answers.get(place)

    def write(self, places: list[Place], answers: list[Any]) -> None:
        """Append answers; they are with the operating system when this returns.

        Raises:
            InputError: a full disk; what was kept before stays whole.
        """
        lines = [
            json.dumps([*place, _plain(answer)], separators=(",", ":"))
            for place, answer in zip(places, answers, strict=True)
        ]
        self._append("".join(line + "\n" for line in lines).encode())

    def _append(self, content: bytes) -> None:
        with self._lock:
            if self._fault is not None:
                raise self._fault
            try:
                left = memoryview(content)
                while left:
                    left = left[self._file.write(left) :]
            except OSError as error:
                # Nothing may follow half a line.
                with suppress(OSError):
                    self._file.truncate(self._length)
                self._fault = self._unwritable(error)
                raise self._fault from error
            self._length += len(content)

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(
            "a journal that can be written",
            got=error.strerror or str(error),
            advice="the answers before are kept; check the folder's permissions and free space",
            where=str(self._path),
        )

    def _read(self, header: dict[str, Any]) -> int:
        """Take the answers in; gives the length of what is whole."""
        content = self._path.read_bytes()
        whole, same = content.rfind(b"\n") + 1, False
        for number, line in enumerate(content[:whole].split(b"\n")[:-1], 1):
            try:
                read = json.loads(line)
                if number == 1:
                    same = read["stepscore_journal"] == _VERSION and read == header
                else:
                    kind, key, node, answer = read
                    self._answers[kind, key, node] = _answer(kind, answer)
            except (ValueError, TypeError, KeyError) as error:
                raise InputError(
                    "a line of a search's journal",
                    got=f"{line[:60]!r}",
                    advice="pass another file, or remove this one to begin anew",
                    where=f"{self._path}:{number}",
                ) from error
        if whole and not same:
            raise InputError(
                "the journal of this search",
                got="that of one with other problems, strategy, parameters or seed",
                advice="repeat its arguments, pass another file, or remove this one to begin anew",
                where=str(self._path),
            )
        return whole


def _plain(answer: Any) -> Any:
    if isinstance(answer, Failure):
        return {"failed": answer.reason}
    if isinstance(answer, list) and answer and isinstance(answer[0], Continuation):
        return [
            [c.text, int(c.tokens), float(c.logprob), bool(c.terminal), c.answer] for c in answer
        ]
    return answer


def _answer(kind: str, plain: Any) -> Any:
    if isinstance(plain, dict):
        return Failure(plain["failed"])
    return [Continuation(*fields) for fields in plain] if kind == "policy" else plain
