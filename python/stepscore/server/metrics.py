"""What Prometheus reads: requests as their clients saw them, the line, the forward passes."""

from __future__ import annotations

from functools import partial

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
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry)
        histogram = partial(Histogram, registry=registry)
        self._requests = counter(
            "stepscore_requests",
            "Requests by route and status; 499 where the client has gone before its answer.",
            ["route", "status"],
        )
        self._seconds = histogram(
            "stepscore_request_seconds",
            "From the head of a request to its answer.",
            ["route"],
            buckets=_SECONDS,
        )
        self.in_progress = gauge("stepscore_requests_in_progress", "Requests not answered yet.")
        self._waiting_requests = gauge(
            "stepscore_waiting_requests",
            "Requests whose forward pass has not begun.",
        )
        self._waiting_tokens = gauge("stepscore_waiting_tokens", "Tokens of these requests.")
        self._held = gauge("stepscore_held_requests", "Requests that wait to be accepted.")
        self._sessions = gauge("stepscore_sessions", "Open sessions.")
        self._batch_requests = histogram(
            "stepscore_batch_requests",
            "Requests of a forward pass.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
        )
        self._batch_tokens = histogram(
            "stepscore_batch_tokens",
            "Tokens of a forward pass, of its budget.",
            buckets=_SIZES,
        )
        self._forward_seconds = histogram(
            "stepscore_forward_seconds",
            "How long forward passes take.",
            buckets=_SECONDS,
        )
        self._bad_rewards = counter(
            "stepscore_bad_rewards",
            "Texts that could not be scored and were given the bad reward, by route.",
            ["route"],
        )
        self._given = counter("stepscore_given_tokens", "Tokens of all traces that were scored.")
        self._forwarded = counter(
            "stepscore_forwarded_tokens",
            "Tokens that went through the model, padding included.",
        )
        self._shared = counter(
            "stepscore_shared_tokens",
            "Tokens that did not, because several traces begin with them.",
        )

    def note_bad_rewards(self, route: str, texts: int) -> None:
        """Note texts that could not be scored, and got the reward that the server has for such."""
        self._bad_rewards.labels(route).inc(texts)

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
