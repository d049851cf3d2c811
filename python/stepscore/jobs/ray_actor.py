"""What runs on a Ray cluster: an actor with a model."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version as installed
from typing import TYPE_CHECKING, Any

from stepscore.errors import Argument, InputError
from stepscore.jobs.pool import (
    TOKENIZERS,
    Events,
    events_of,
    keep_few_kernels,
    sendable,
    take_threads,
)
from stepscore.jobs.provenance import what_scores
from stepscore.jobs.scorers import ModelFacts, Scoring

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel


@dataclass(frozen=True)
class Job:
    """What an actor is told when it is started.

    Attributes:
        folder: the working directory of the first process.
    """

    load: Callable[[str], ProcessRewardModel]
    scoring: Scoring
    version: str
    folder: str
    paths: Mapping[str, str]
    cpus: float
    gpus: float


class Actor:
    """What runs on the cluster. It answers in bytes: arrays of Ray's own store are read-only."""

    def __init__(self, job: bytes) -> None:
        keep_few_kernels()
        self._job = job
        self._loaded: tuple[Job, ProcessRewardModel] | None = None

    def place(self) -> tuple[str, str]:
        """Say on which machine it runs, and with which version of the package."""
        return address(), installed("stepscore")

    def facts(self, environment: dict[str, str]) -> bytes:
        """Load the model, and say which that is: what a job asks, and what its scores come from."""

        def told() -> tuple[ModelFacts, dict[str, Any]]:
            job, model = self._load(environment)
            facts = ModelFacts.of(model, job.version)
            return facts, what_scores(facts.provenance)

        return _answered(told)

    def score(self, records: bytes, environment: dict[str, str]) -> bytes:
        """Score some records."""

        def scored() -> Events:
            job, model = self._load(environment)
            return events_of(pickle.loads(records), model, job.scoring)

        return _answered(scored)

    def _load(self, environment: dict[str, str]) -> tuple[Job, ProcessRewardModel]:
        if self._loaded is None:
            job: Job = pickle.loads(self._job)
            os.environ.update(environment)
            if not job.gpus:
                os.environ.setdefault(TOKENIZERS, str(max(1, int(job.cpus))))
            if os.path.isdir(job.folder):  # where names without a folder in front begin
                os.chdir(job.folder)
            for argument, path in job.paths.items():
                if not os.path.exists(path):
                    raise InputError(
                        "a file or folder that every worker can read",
                        got=f"no such file or folder on {address()}",
                        advice="put it where all machines find it under this name, or name a "
                        "Hugging Face repository",
                        argument=Argument(argument, path),
                    )
            model = job.load("cuda" if job.gpus else "cpu")
            if not job.gpus:
                take_threads(lambda alone: min(alone, int(job.cpus)))
            self._loaded = job, model
        return self._loaded


def address() -> str:
    """Say on which machine of the cluster this process runs."""
    import ray

    here: str = ray.util.get_node_ip_address()
    return here


def _answered(give: Callable[[], Any]) -> bytes:
    try:
        return pickle.dumps(give())
    except Exception as error:
        return pickle.dumps(sendable(error))
