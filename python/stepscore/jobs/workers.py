"""Several devices: a process for each, which loads the model there and scores chunks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from stepscore.errors import Argument, InputError
from stepscore.jobs.pool import (
    TOKENIZERS,
    Events,
    as_measured,
    ending,
    events_of,
    keep_few_kernels,
    place_of,
    sendable,
    take_threads,
)
from stepscore.jobs.scorers import ModelFacts, ModelScorer, Scoring
from stepscore.records import Record

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel

# By device, from anywhere: it is pickled.
Load = Callable[[str], "ProcessRewardModel"]


@dataclass(frozen=True)
class Workers:
    """A model on several devices, loaded in a process for each.

    The processes are started, and ended, with the context of `scorer`. What the chunks of a file
    come to does not depend on which of them a process takes. A process that ends before its time
    ends the job, with the chunks before it done.

    Attributes:
        load: loads the model on a device; it is sent to the processes.
        devices: such as ``("cuda:0", "cuda:1")``; one may be named more than once.
    """

    load: Load
    devices: tuple[str, ...]

    @contextmanager
    def scorer(self, scoring: Scoring, version: str) -> Iterator[ModelScorer]:
        """Start the processes, and load the model in each.

        The first loads it alone, so that what is downloaded, or measured, is so once.

        Args:
            scoring: how it scores.
            version: of the package, for the provenance.

        Raises:
            InputError: a model that cannot be loaded.
        """
        workers: list[_Worker] = []
        start = partial(_Worker, self.load, scoring, version, len(self.devices))
        with ending(workers) as pool_for:
            threads = str(max(1, _cores() // len(self.devices)))
            environment = {TOKENIZERS: os.environ.get(TOKENIZERS, threads)}
            workers.append(start(self.devices[0], environment))
            facts = workers[0].facts()
            environment |= as_measured(facts)
            workers += [start(device, environment) for device in self.devices[1:]]
            for worker in workers[1:]:
                worker.facts()
            yield pool_for(facts)


class _Worker:
    """A process with a model on its device."""

    def __init__(
        self,
        load: Load,
        scoring: Scoring,
        version: str,
        processes: int,
        device: str,
        environment: dict[str, str],
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self.device = device
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve,
            args=(theirs, load, device, scoring, version, processes, environment),
            name=f"stepscore on {device}",
            daemon=True,
        )
        with _signals_of_the_terminal_blocked():
            self._process.start()
        theirs.close()

    def facts(self) -> ModelFacts:
        """Wait until it has loaded its model, and say which that is."""
        facts: ModelFacts = self._answer("while it loaded the model", "")
        return facts

    def ask(self, records: list[Record]) -> Events:
        """Score some records.

        Raises:
            InputError: the process has ended.
        """
        first, deed = records[0].place, f"while it scored {place_of(records)}"
        try:
            self._connection.send(records)
        except OSError as error:
            raise self._ended(deed, first) from error
        events: Events = self._answer(deed, first)
        return events

    def end(self) -> None:
        """End the process, whatever it does; it holds nothing that is not in the parent, too."""
        self._process.kill()
        self._process.join()

    def _answer(self, deed: str, place: str) -> Any:
        try:
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._ended(deed, place) from error
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _ended(self, deed: str, place: str) -> InputError:
        self._process.join()
        code = self._process.exitcode or 0
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        return InputError(
            f"a process that scores on {self.device} until the end",
            got=f"one that was ended by {how} {deed}",
            advice=(
                "if memory ran out, pass a smaller ",
                Argument("token_budget"),
                ", or fewer of ",
                Argument("device"),
            ),
            where=place,
        )


@contextmanager
def _signals_of_the_terminal_blocked() -> Iterator[None]:
    """Start processes that the terminal's signals do not reach: the parent hears and ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # whose start with a process would unblock them again
    names = ("SIGINT", "SIGQUIT", "SIGHUP")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [getattr(signal, name) for name in names])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(
    connection: Connection,
    load: Load,
    device: str,
    scoring: Scoring,
    version: str,
    processes: int,
    environment: dict[str, str],
) -> None:
    """Do what the process of a device does: load the model, and score what comes."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(environment)
    keep_few_kernels()
    try:
        model = load(device)
        _lock_bars_alone()
        take_threads(lambda alone: alone // processes)  # now: it has measured as one process
        connection.send(ModelFacts.of(model, version))
    except Exception as error:
        connection.send(sendable(error))
        return
    while True:
        try:
            records = connection.recv()
        except EOFError:
            return
        try:
            connection.send(events_of(records, model, scoring))
        except Exception as error:
            connection.send(sendable(error))


def _lock_bars_alone() -> None:
    """Keep tqdm from a lock between processes, of which Python complains when they are killed."""
    with suppress(ImportError):
        from tqdm import tqdm

        tqdm.set_lock(threading.RLock())


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _end_with_parent() -> None:
    """End where the parent has ended without a word, as after SIGKILL."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
