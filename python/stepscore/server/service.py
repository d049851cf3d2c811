"""What the routes are made over: one model, and everything that serves it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from stepscore.errors import Argument
from stepscore.scoring.scores import check_aggregation
from stepscore.server.batching import Batcher
from stepscore.server.errors import NotFoundError
from stepscore.server.metrics import Metrics
from stepscore.server.sessions import Sessions
from stepscore.server.settings import Settings
from stepscore.server.templates import Dividing


@dataclass(frozen=True, eq=False)
class Service:
    """A model that is served.

    Attributes:
        prm: the model.
        settings: its limits.
        batcher: scores what the routes ask for.
        sessions: traces that clients grow step by step.
        metrics: what Prometheus reads.
        dividing: how texts that hold a problem and its solution are divided.
        name: what clients call the model.
        since: when it was made, in seconds of Unix time.
    """

    prm: Any
    settings: Settings
    batcher: Batcher
    sessions: Sessions
    metrics: Metrics
    dividing: Dividing
    name: str
    since: int = field(default_factory=lambda: int(time.time()))

    @classmethod
    def of(cls, prm: Any, settings: Settings, name: str | None = None) -> Service:
        """Make what serves a model.

        Raises:
            InputError: an aggregation in the settings that does not suit its scores.
        """
        check_aggregation("server settings", prm.recipe, settings.how)
        metrics = Metrics()
        batcher = Batcher(prm, settings, metrics.note_batch)
        sessions = Sessions(prm, settings, batcher, metrics.note_tokens)
        metrics.watch(batcher, sessions)
        dividing = Dividing.of(settings.template, getattr(prm, "tokenizer", None))
        return cls(prm, settings, batcher, sessions, metrics, dividing, name or prm.name)

    def check_model(self, asked: str | None) -> None:
        """Refuse the name of another model; a request may also name none.

        Raises:
            NotFoundError: it is not the one that is served.
        """
        if asked is not None and asked != self.name:
            raise NotFoundError(
                f"{self.name!r}, the model that is served here",
                got="another name",
                advice="leave the field out, or see /v1/models",
                argument=Argument("model"),
            )
