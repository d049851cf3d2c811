"""A Ray cluster: actors, each of which loads the model once and scores chunks.

Ray places the actors and starts them again; reading, votes and writing stay in the first process,
in the order of the file. Ray Data is not used: what it writes has neither the order of the input
nor names of files that a later run could go on from.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from importlib.metadata import version as installed
from typing import TYPE_CHECKING, Any

from stepscore.credentials import described
from stepscore.errors import Argument, InputError
from stepscore.jobs.pool import (
    Events,
    as_measured,
    ending,
    place_of,
)
from stepscore.jobs.ray_actor import Actor, Job
from stepscore.jobs.scorers import ModelFacts, ModelScorer, Scoring
from stepscore.records import Record

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel

# So long Ray may take to find a place for an actor: a cluster that grows starts machines meanwhile.
_SECONDS_FOR_A_PLACE = 900.0
# So long a machine may take to say that somebody listens there.
_SECONDS_FOR_A_KNOCK = 10.0
# 0.3 / 0.1 is a little less than 3.
_ROUNDING = 1e-9
# How often a chunk is given to a worker: once more after one that has ended.
_TRIES = 2


@dataclass(frozen=True)
class RayWorkers:
    """A model on a Ray cluster, loaded in each of some actors.

    The actors live in the context of `scorer`. What the chunks of a file come to does not depend on
    which of them takes one, nor on when it is done. An actor that ends before its time is started
    again by Ray, and its chunk scored once more; where that ends it again, the job ends, with the
    chunks before it done.

    Attributes:
        load: loads the model on a device, ``cuda`` or ``cpu``; it is sent to the actors.
        address: of the cluster, as ``ray.init`` takes it; None takes that of ``RAY_ADDRESS``, or
            the one of this machine, or starts one on it.
        actors: how many; None takes as many as the machines of the cluster hold, other jobs not
            counted.
        cpus: of an actor, which takes so many threads where it has no GPU.
        gpus: of an actor, whole ones or a part of one; None is 1 in a cluster with GPUs, else 0.
        paths: argument -> a file or folder that the actors read, by the name that it has here.
    """

    load: Callable[[str], ProcessRewardModel]
    address: str | None = None
    actors: int | None = None
    cpus: float = 1.0
    gpus: float | None = None
    paths: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.gpus is not None and self.gpus > 1 and self.gpus % 1:
            raise InputError(
                "whole GPUs of a worker, or a part of one",
                got=f"{self.gpus:g}",
                advice="pass a whole number, or one below 1",
                argument="ray_gpus",
            )

    @contextmanager
    def scorer(self, scoring: Scoring, version: str) -> Iterator[ModelScorer]:
        """Start the actors, and load the model in each.

        The first loads it alone, so that what is measured is so once.

        Args:
            scoring: how it scores.
            version: of the package, for the provenance.

        Raises:
            InputError: no Ray, no cluster, no room in it, a worker with another version of the
                package or another model, or a model that cannot be loaded.
        """
        with _cluster(self.address) as ray:
            gpus = self._gpus(ray)
            count = self.actors or self._room(ray, gpus)
            job = Job(self.load, scoring, version, os.getcwd(), self.paths, self.cpus, gpus)
            workers: list[_Worker] = []
            with ending(workers) as pool_for:
                workers += [_Worker(ray, job) for _ in range(count)]
                first, *others = workers
                facts = first.begin({}, None)
                environment = first.environment = as_measured(facts)
                for worker in others:
                    worker.load_meanwhile(environment)
                for worker in others:
                    worker.begin(environment, first)
                yield pool_for(facts)

    def _gpus(self, ray: Any) -> float:
        if self.gpus is not None:
            return self.gpus
        return 1.0 if ray.cluster_resources().get("GPU", 0) >= 1 else 0.0

    def _room(self, ray: Any, gpus: float) -> int:
        """Say how many actors the cluster can hold while nothing else runs there."""
        machines = [machine["Resources"] for machine in ray.nodes() if machine["Alive"]]
        room = sum(_fits(machine, self.cpus, gpus) for machine in machines)
        if room < 1:
            has = [f"{m.get('CPU', 0):g} CPU and {m.get('GPU', 0):g} GPU" for m in machines]
            raise InputError(
                f"room for a worker of {self.cpus:g} CPU and {gpus:g} GPU",
                got=f"machines with {', '.join(has)}",
                advice=(
                    "ask for less with ",
                    Argument("ray_cpus"),
                    " or ",
                    Argument("ray_gpus"),
                    ", or pass ",
                    Argument("ray_actors"),
                    " where the cluster grows",
                ),
            )
        return room


def _fits(machine: Mapping[str, float], cpus: float, gpus: float) -> int:
    """Say how many actors a machine holds; parts of a GPU are all parts of one."""
    rooms = [machine.get("CPU", 0) / cpus] if cpus else []
    if gpus >= 1:
        rooms.append(machine.get("GPU", 0) / gpus)
    elif gpus:
        rooms.append(machine.get("GPU", 0) * int(1 / gpus + _ROUNDING))
    return int(min(rooms, default=0) + _ROUNDING)


class _Worker:
    """An actor, as the first process sees it."""

    def __init__(self, ray: Any, job: Job) -> None:
        self._ray = ray
        # Started again as often as it ends: how often a chunk is tried is counted in `ask`.
        options = {"num_cpus": job.cpus, "num_gpus": job.gpus, "max_restarts": -1}
        self._actor = ray.remote(Actor).options(**options).remote(pickle.dumps(job))
        self.environment: dict[str, str] = {}
        self._model: dict[str, Any] = {}
        self._machine = "a machine of the cluster"

    def load_meanwhile(self, environment: dict[str, str]) -> None:
        """Let it load the model while others do; `begin` waits for that."""
        self._actor.facts.remote(environment)

    def begin(self, environment: dict[str, str], first: _Worker | None) -> ModelFacts:
        """Wait until it has loaded its model, and say which that is.

        Args:
            environment: by which it plans.
            first: has the model that this one must have, too; None where this is the first.

        Raises:
            InputError: it finds no place, or its package or its model is another.
        """
        self.environment = environment
        facts, model = self._load()
        if first is None:
            self._model = model
        else:
            self._model = first._model
            self._agree(model, first._machine)
        return facts

    def ask(self, records: list[Record]) -> Events:
        """Score some records, once more where the actor ends meanwhile.

        Raises:
            InputError: it ends again.
        """
        sent = pickle.dumps(records)
        for tried in range(1, _TRIES + 1):
            try:
                events: Events = self._get(self._actor.score.remote(sent, self.environment))
            except self._ray.exceptions.RayError as error:
                if tried == _TRIES:
                    raise InputError(
                        "a worker that scores until the end",
                        got=f"two after each other that ended while they scored "
                        f"{place_of(records)}: {_told(error)}",
                        advice=("if memory ran out, pass a smaller ", Argument("token_budget")),
                        where=records[0].place,
                    ) from error
                _, model = self._load()  # it may have been started again on another machine
                self._agree(model, "the machine before")
            else:
                break
        return events

    def end(self) -> None:
        """End the actor, whatever it does."""
        self._ray.kill(self._actor)

    def _load(self) -> tuple[ModelFacts, dict[str, Any]]:
        """Wait for a place, and for the model there."""
        errors = self._ray.exceptions
        try:
            # Ray asks until the actor has been started, or started again.
            place = self._actor.place.options(max_task_retries=-1).remote()
            self._machine, theirs = self._ray.get(place, timeout=_SECONDS_FOR_A_PLACE)
            ours = installed("stepscore")
            if theirs != ours:
                raise InputError(
                    f"stepscore {ours} on every machine, as on this one",
                    got=f"stepscore {theirs} on {self._machine}",
                    advice=f"type there: pip install stepscore=={ours}",
                )
            facts = self._actor.facts.remote(self.environment)
            loaded: tuple[ModelFacts, dict[str, Any]] = self._get(facts)
        except errors.GetTimeoutError as error:
            raise InputError(
                f"a place on the cluster for every worker within {_SECONDS_FOR_A_PLACE:g} seconds",
                got="none for one of them",
                advice=(
                    "ask for fewer, or for less, with ",
                    Argument("ray_actors"),
                    ", ",
                    Argument("ray_cpus"),
                    " and ",
                    Argument("ray_gpus"),
                ),
            ) from error
        except errors.RayError as error:
            raise InputError(
                "a worker that starts, and loads the model",
                got=f"{_told(error)}, on {self._machine}",
                advice="stepscore and its models' libraries are needed on every machine, and "
                "enough memory for the model",
            ) from error
        return loaded

    def _agree(self, model: dict[str, Any], machine: str) -> None:
        """Refuse scores of another model than those that they would stand beside."""
        different = [key for key in self._model if model.get(key) != self._model[key]]
        if different or len(model) != len(self._model):
            name = different[0] if different else next(iter(model.keys() - self._model.keys()))
            raise InputError(
                "the same model on every worker",
                got=f"{name} {model.get(name)!r} on {self._machine}, and "
                f"{self._model.get(name)!r} on {machine}",
                advice="give all of them the same files and devices",
            )

    def _get(self, answer: Any) -> Any:
        value = pickle.loads(self._ray.get(answer))
        if isinstance(value, BaseException):
            raise value
        return value


def _told(error: Exception) -> str:
    """Say in a line what Ray says in many."""
    lines = [line.strip() for line in described(error).splitlines() if line.strip()]
    causes = [line for line in lines if "Error:" in line]
    return causes[-1] if causes else lines[0]


@contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    """Connect to a cluster, or start one here; one that this process is part of already stays."""
    try:
        import ray
    except ModuleNotFoundError as error:
        raise InputError(
            "Ray, which runs the workers",
            got=str(error),
            advice='type: pip install "stepscore[ray]"',
        ) from error
    if ray.is_initialized():
        yield ray
        return
    # Nothing is told to anybody about this run, unless the user has said so.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        _knock(address)
        with _own_signals():
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise InputError(
            "a Ray cluster that answers, such as 10.0.0.1:6379",
            got=described(error),
            advice="see whether it runs there: ray status",
            argument=Argument("ray_address", address),
        ) from error
    # Ray prints there what befalls workers, up to its end: in a pipe, amid the lines of the output.
    with redirect_stdout(sys.stderr):
        try:
            yield ray
        finally:
            ray.shutdown()


def _knock(address: str | None) -> None:
    """Raise at once where nobody listens, for which Ray tries for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS_FOR_A_KNOCK).close()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep what SIGTERM does, which Ray sets to something of its own."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and before is not None:
            signal.signal(signal.SIGTERM, before)
