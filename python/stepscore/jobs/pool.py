"""Processes that score chunks, wherever they run: which of them gets what, and what comes back."""

from __future__ import annotations

import json
import os
import pickle
import queue
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Protocol

from stepscore.arrays import num_threads, set_num_threads
from stepscore.credentials import described
from stepscore.jobs.scored import ScoredRecords
from stepscore.jobs.scorers import Begun, ModelFacts, OnFault, Scoring
from stepscore.records import Record, RecordError

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel

# What a process gives for a chunk, in the order of the records.
Events = list["ScoredRecords | RecordError"]

# How many threads the tokenizers library takes.
TOKENIZERS = "RAYON_NUM_THREADS"
# Of oneDNN, and of torch's layer over it. Each keeps 1,024 kernels unless told otherwise, one for
# every shape of a batch, which are hundreds of megabytes once shapes vary; 64 take no more time.
_KERNEL_CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
_KEPT_KERNELS = "64"
# By which the processes plan as the first of them has measured.
_RATES = "STEPSCORE_MACHINE_RATES"
# Chunks for each process: one that it scores, and one that is ready when it has done that.
_CHUNKS = 2


class Worker(Protocol):
    """A process with a model, as the one that reads and writes sees it."""

    def ask(self, records: list[Record]) -> Events:
        """Score some records, and wait for that.

        Raises:
            InputError: it cannot.
        """
        ...

    def end(self) -> None:
        """End, whatever it does."""
        ...


@contextmanager
def ending(workers: Sequence[Worker]) -> Iterator[Callable[[ModelFacts], Pool]]:
    """Let workers be started one by one, and end all that were when the pool of them is done.

    Gives what makes their pool, once all have loaded the model.
    """
    pools: list[Pool] = []

    def pool(facts: ModelFacts) -> Pool:
        pools.append(Pool(workers, facts))
        return pools[-1]

    try:
        yield pool
    finally:
        for worker in workers:
            worker.end()
        for each in pools:
            each.close()


class Pool:
    """Gives every chunk to a process that is free.

    Attributes:
        facts: of the model that each of them has.
        ahead: how many chunks are begun beside the one that is asked for.
    """

    def __init__(self, workers: Sequence[Worker], facts: ModelFacts) -> None:
        self.facts = facts
        self.ahead = _CHUNKS * len(workers) - 1
        self._free: queue.SimpleQueue[Worker | None] = queue.SimpleQueue()
        for worker in workers:
            self._free.put(worker)
        # A thread waits for each of them, so that none waits for the votes of the chunks before.
        self._threads = ThreadPoolExecutor(len(workers), thread_name_prefix="stepscore-worker")
        self._count = len(workers)

    def begin(self, records: list[Record]) -> Begun:
        """Begin to score records as soon as a process is free."""
        return partial(_in_order, self._threads.submit(self._score, records))

    def close(self) -> None:
        """Wait for the threads, once the processes have ended."""
        for _ in range(self._count):
            self._free.put(None)
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _score(self, records: list[Record]) -> Events:
        worker = self._free.get()
        if worker is None:
            raise CancelledError
        events = worker.ask(records)
        self._free.put(worker)
        return events


def _in_order(future: Future[Events], on_fault: OnFault) -> Iterator[ScoredRecords]:
    for event in future.result():
        if isinstance(event, RecordError):
            on_fault(event)
        else:
            yield event


def events_of(records: list[Record], model: ProcessRewardModel, scoring: Scoring) -> Events:
    """Score records, in the process that has the model."""
    events: Events = []
    for scored in scoring.score(records, model, events.append):
        events.append(scored)
    return events


def place_of(records: list[Record]) -> str:
    """Say which records these are, by the first and the last."""
    first, last = records[0].place, records[-1].place
    return first if first == last else f"{first} to {last}"


def as_measured(facts: ModelFacts) -> dict[str, str]:
    """Give the environment in which a process plans by what the first has measured."""
    rates = facts.provenance.get("machine_rates")
    return {} if rates is None else {_RATES: json.dumps(rates)}


def keep_few_kernels() -> None:
    """Bound the memory of kernels, in a process that has not scored yet: torch reads it once."""
    for name in _KERNEL_CACHES:
        os.environ.setdefault(name, _KEPT_KERNELS)


def take_threads(share: Callable[[int], int]) -> None:
    """Take a part of the threads that this process would have alone, at least one."""
    set_num_threads(max(1, share(num_threads())))
    torch = sys.modules.get("torch")  # which the model has imported
    if torch is not None:
        torch.set_num_threads(max(1, share(torch.get_num_threads())))


def sendable(error: Exception) -> Exception:
    """Give an error that can be read elsewhere."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(described(error))
    return error
