"""Processes that compare answers, each lent to one thread at a time."""

from __future__ import annotations

import atexit
import json
import os
import select
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

from stepscore.verifier.questions import RULES

_SCRIPT = Path(__file__).with_name("worker.py")
_START = 120.0  # seconds to import SymPy on a busy machine
_MOST_PARSED = 20_000  # answers that a process may hold before it is replaced


def installed() -> bool:
    """Tell whether math-verify can be imported."""
    return find_spec("math_verify") is not None


class _Process:
    """One math-verify, until it hangs."""

    def __init__(self) -> None:
        paths = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, str(_SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths},
        )
        self.parsed: set[str] = set()
        try:
            self._reply(_START)
        except (TimeoutError, EOFError):
            self.kill()
            raise RuntimeError(
                "group_answers: the process of math-verify did not start; try: "
                f"{sys.executable} -c 'import math_verify'"
            ) from None

    def ask(self, question: list[str], limit: float) -> bool:
        """Give its reply.

        Raises:
            TimeoutError: there was none in time, or none at all: the process is to be killed.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
            return bool(self._reply(limit))
        except (EOFError, BrokenPipeError):  # it ran out of memory, or somebody killed it
            raise TimeoutError from None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()

    def forget(self) -> None:
        """Leave it to the parent of this fork."""
        self._process.returncode = 0

    def _reply(self, limit: float) -> Any:
        assert self._process.stdout is not None
        source, line, end = self._process.stdout.fileno(), b"", time.monotonic() + limit
        waiting = select.poll()
        waiting.register(source, select.POLLIN | select.POLLHUP)
        while not line.endswith(b"\n"):
            if not waiting.poll(max(0.0, end - time.monotonic()) * 1000):
                raise TimeoutError
            piece = os.read(source, 1 << 16)
            if not piece:
                raise EOFError
            line += piece
        return json.loads(line)


# Processes live on between calls: each costs a second or two to start.
_idle: list[_Process] = []


def _kill_idle() -> None:
    while _idle:
        _idle.pop().kill()


def _forget_idle() -> None:
    for process in _idle:
        process.forget()
    _idle.clear()


atexit.register(_kill_idle)
os.register_at_fork(after_in_child=_forget_idle)


class _Verdicts:
    """Verdicts on disk. Not those that took too long: another machine may be faster."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._lock = Lock()
        self._verifier = f"math-verify {version('math-verify')}, rules {RULES}"
        self._file = sqlite3.connect(path, timeout=60, check_same_thread=False)
        try:
            self._file.execute("create table if not exists verdicts (pair text primary key, same)")
        except sqlite3.DatabaseError as error:
            self._file.close()
            raise ValueError(
                f"group_answers: cache must name a file of verdicts, or none yet; {os.fspath(path)}"
                f" is something else ({error})"
            ) from None

    def get(self, a: str, b: str) -> bool | None:
        with self._lock:
            row = self._file.execute(
                "select same from verdicts where pair = ?", (self._pair(a, b),)
            ).fetchone()
        return None if row is None else bool(row[0])

    def put(self, a: str, b: str, same: bool) -> None:
        with self._lock, self._file:
            self._file.execute(
                "insert or replace into verdicts values (?, ?)", (self._pair(a, b), same)
            )

    def close(self) -> None:
        self._file.close()

    def _pair(self, a: str, b: str) -> str:
        return json.dumps([self._verifier, *sorted((a, b))])


class Comparison:
    """Compares the answers of one problem for one thread; in a process from the first question on.

    Attributes:
        seconds: what the problem has left.
    """

    def __init__(self, verifier: MathVerify) -> None:
        self._verifier = verifier
        self._process: _Process | None = None
        self.seconds = verifier.budget

    def __call__(self, a: str, b: str, shown: tuple[str, str] | None = None) -> bool:
        """Tell whether one verifies the other; False where there is no verdict in time.

        Args:
            a, b: two answers, in the words of `stepscore.verifier.question`.
            shown: the answers as they were given, for `MathVerify.undecided`.
        """
        verifier = self._verifier
        known = verifier.verdicts.get(a, b) if verifier.verdicts is not None else None
        if known is not None:
            return known
        shown = shown or (a, b)
        for answer, name in zip((a, b), shown, strict=True):
            if answer in verifier.hung or (self._parse(answer) is None and self.seconds > 0):
                verifier.hung.setdefault(answer, name)
                return False
        same = None if self.seconds <= 0 else self._ask(["compare", a, b])
        if same is None:
            if self.seconds > 0:
                verifier.blame(a, b, shown)
            else:
                verifier.unasked.setdefault(" = ".join(shown))
            return False
        verifier.proven.update((a, b))
        if verifier.verdicts is not None:
            verifier.verdicts.put(a, b, same)
        return same

    def close(self) -> None:
        """Hand the process back."""
        if self._process is None:
            return
        if len(self._process.parsed) < _MOST_PARSED:
            _idle.append(self._process)
        else:
            self._process.kill()
        self._process = None

    def _parse(self, answer: str) -> bool | None:
        if self._process is not None and answer in self._process.parsed:
            return True
        done = self._ask(["parse", answer])
        if done is not None and self._process is not None:
            self._process.parsed.add(answer)
        return done

    def _ask(self, question: list[str]) -> bool | None:
        if self.seconds <= 0:
            return None
        if self._process is None:
            try:
                self._process = _idle.pop()  # one step, so two threads never get the same
            except IndexError:
                self._process = _Process()
        begin = time.monotonic()  # that a process starts costs the problem nothing
        try:
            return self._process.ask(question, min(self._verifier.timeout, self.seconds))
        except TimeoutError:
            self._process.kill()
            self._process = None
            return None
        except BaseException:  # its reply would be taken for the next one's
            self._process.kill()
            self._process = None
            raise
        finally:
            self.seconds -= time.monotonic() - begin


class MathVerify:
    """The verdicts of math-verify for one call.

    Args:
        timeout: seconds that one question may take.
        budget: seconds that all questions of a problem may take.
        cache: a file that keeps the verdicts; None for none.

    Attributes:
        hung: what ran into the time limit, an answer as it was asked or a pair, and how it was
            given, in order.
        unasked: pairs ``a = b`` for which the problem had no time left, in order.
    """

    def __init__(self, timeout: float, budget: float, cache: str | os.PathLike[str] | None) -> None:
        self.timeout, self.budget = timeout, budget
        self.verdicts = None if cache is None else _Verdicts(cache)
        self.hung: dict[str, str] = {}
        self.unasked: dict[str, None] = {}
        self.proven: set[str] = set()  # answers that some comparison got through with
        self._struck: set[str] = set()  # answers of a pair that hung

    @property
    def undecided(self) -> tuple[str, ...]:
        """The answers, and pairs ``a = b``, that there is no verdict on."""
        return tuple(dict.fromkeys([*self.hung.values(), *self.unasked]))

    def blame(self, a: str, b: str, shown: tuple[str, str]) -> None:
        """Note whose fault it is that a comparison hung, so that no answer costs it over and over.

        It is that of the answer which never got through one; or else which hangs a second time.
        """
        names = dict(zip((a, b), shown, strict=True))
        suspects = [answer for answer in (a, b) if answer not in self.proven]
        if len(suspects) != 1:
            suspects = [answer for answer in (a, b) if answer in self._struck]
        for answer in suspects:
            self.hung.setdefault(answer, names[answer])
        if not suspects:
            self.hung.setdefault(f"{a} = {b}", " = ".join(shown))
        self._struck.update((a, b))

    @contextmanager
    def comparison(self) -> Iterator[Comparison]:
        """Lend what compares the answers of one problem, for one thread."""
        comparison = Comparison(self)
        try:
            yield comparison
        finally:
            comparison.close()

    def close(self) -> None:
        """Close the file of verdicts."""
        if self.verdicts is not None:
            self.verdicts.close()
