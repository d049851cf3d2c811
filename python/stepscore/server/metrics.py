"""What Prometheus reads: requests as their clients saw them, the line, the forward passes."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from stepscore.server.batching import Batch, Batcher

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600)
_SIZES = tuple(4.0**exponent for exponent in range(1, 11))


class Metrics:
    """The figures of one server.

    Attributes:
        in_progress: requests that are not answered yet.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "stepscore_requests",
            "Requests by route and status; 499 where the client has gone before its answer.",
            ["route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "stepscore_request_seconds",
            "From the head of a request to its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.in_progress = Gauge(
            "stepscore_requests_in_progress", "Requests not answered yet.", registry=registry
        )
        self._waiting_requests = Gauge(
            "stepscore_waiting_requests",
            "Requests whose forward pass has not begun.",
            registry=registry,
        )
        self._waiting_tokens = Gauge(
            "stepscore_waiting_tokens", "Tokens of these requests.", registry=registry
        )
        self._held = Gauge(
            "stepscore_held_requests", "Requests that wait to be accepted.", registry=registry
        )
        self._sessions = Gauge("stepscore_sessions", "Open sessions.", registry=registry)
        self._batch_requests = Histogram(
            "stepscore_batch_requests",
            "Requests of a forward pass.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
            registry=registry,
        )
        self._batch_tokens = Histogram(
            "stepscore_batch_tokens",
            "Tokens of a forward pass, of its budget.",
            buckets=_SIZES,
            registry=registry,
        )
        self._forward_seconds = Histogram(
            "stepscore_forward_seconds",
            "How long forward passes take.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._given = Counter(
            "stepscore_given_tokens", "Tokens of all traces that were scored.", registry=registry
        )
        self._forwarded = Counter(
            "stepscore_forwarded_tokens",
            "Tokens that went through the model, padding included.",
            registry=registry,
        )
        self._shared = Counter(
            "stepscore_shared_tokens",
            "Tokens that did not, because several traces begin with them.",
            registry=registry,
        )

    def count(self, route: str, status: int, seconds: float) -> None:
        """Note a request that was answered, refused or given up."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def note_batch(self, batch: Batch) -> None:
        """Note a forward pass."""
        self._batch_requests.observe(batch.requests)
        self._batch_tokens.observe(batch.tokens)
        self._forward_seconds.observe(batch.seconds)
        self.note_tokens(batch.given, batch.forwarded)

    def note_tokens(self, given: int, forwarded: int) -> None:
        """Note tokens of traces, and those of them that went through the model."""
        self._given.inc(given)
        self._forwarded.inc(forwarded)
        self._shared.inc(max(0, given - forwarded))

    def watch(self, batcher: Batcher, sessions: object) -> None:
        """Read the line and the sessions whenever somebody asks for the figures."""
        self._waiting_requests.set_function(lambda: len(batcher.line))
        self._waiting_tokens.set_function(lambda: batcher.line.tokens)
        self._held.set_function(lambda: batcher.requests.waiting + batcher.tokens.waiting)
        self._sessions.set_function(lambda: len(sessions))  # type: ignore[arg-type]

    def text(self) -> tuple[bytes, str]:
        """Give the figures in Prometheus' format, and the type of that."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
