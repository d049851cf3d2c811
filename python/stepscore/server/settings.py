"""What a server takes, and how long it waits: one number each."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from stepscore.errors import InputError
from stepscore.ops.aggregate import Aggregation
from stepscore.scoring.ranking import check_ranking
from stepscore.scoring.score_options import is_finite
from stepscore.server.templates import Template

# Of the model's batches in a forward pass: enough to find what requests share, and no long wait.
BATCHES = 4


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The limits of a server; whoever is over one is told its name and the number.

    Attributes:
        max_body_bytes: of a request, with a Content-Length or without.
        max_candidates: solutions of a request.
        max_steps: of one solution.
        max_characters: of all texts of a request.
        max_request_tokens: of all traces of a request; what they share counts once.
        max_requests: accepted and not yet answered; more are refused with 429, or held.
        max_waiting_tokens: of these requests; the first request is taken whatever it needs.
        max_held: requests that wait to be accepted because their client asked for that.
        token_budget: tokens of a forward pass: requests are added to it while they fit. What the
            candidates of a request share counts once. None takes `BATCHES` of the model's own.
        batch_requests: requests of a forward pass; 1 forwards each by itself.
        latency: seconds that the first request of a forward pass waits for others.
        hold_timeout: seconds that a request is held at most.
        request_timeout: seconds from a request's last byte to its answer.
        body_timeout: seconds from the connection's first byte to the last one of the body.
        drain_timeout: seconds that a shutdown gives to what was accepted.
        max_sessions: that are open at the same time.
        session_timeout: seconds after which a session that nobody uses is closed.
        session_memory: bytes of keys and values of all sessions together.
        max_session_nodes: of one session.
        max_session_characters: of one session's problems and steps.
        how: the aggregation by which the routes of other servers give one number for a solution;
            None takes the recipe's own. A request chooses another one with ``?how=NAME``.
        bad_reward: what trainers get for a solution that cannot be scored, such as an empty one;
            None makes it an error, as everywhere else.
        template: what stands around ``{problem}`` and ``{solution}`` in texts that clients send
            whole; None takes the chat template of the model's tokenizer, where it has one.
    """

    max_body_bytes: int = 8 << 20
    max_candidates: int = 1024
    max_steps: int = 1024
    max_characters: int = 4 << 20
    max_request_tokens: int = 1 << 20
    max_requests: int = 2048
    max_waiting_tokens: int = 4 << 20
    max_held: int = 4096
    token_budget: int | None = None
    batch_requests: int = 1024
    latency: float = 0.005
    hold_timeout: float = 175.0
    request_timeout: float = 600.0
    body_timeout: float = 30.0
    drain_timeout: float = 60.0
    max_sessions: int = 64
    session_timeout: float = 600.0
    session_memory: int = 4 << 30
    max_session_nodes: int = 16384
    max_session_characters: int = 16 << 20
    how: Aggregation | None = None
    bad_reward: float | None = None
    template: str | None = None

    def __post_init__(self) -> None:
        check_ranking("server settings", self.how, None)
        if self.template is not None:
            Template.parsed(self.template)
        if self.bad_reward is not None and not is_finite(self.bad_reward):
            raise InputError(
                "a finite number",
                got=repr(self.bad_reward),
                argument="bad_reward",
                where="server settings",
            )
        for each in fields(self):
            value = getattr(self, each.name)
            own_check = each.name in ("how", "bad_reward", "template")
            if own_check or (value is None and each.default is None):
                continue
            if isinstance(each.default, float):
                expected, fits = "a number of at least 0", is_finite(value) and value >= 0
            else:
                expected = "a whole number of at least 1"
                fits = isinstance(value, int) and not isinstance(value, bool) and value >= 1
            if not fits:
                raise InputError(
                    expected, got=repr(value), argument=each.name, where="server settings"
                )

    def budget_of(self, prm: Any) -> int:
        """Give the tokens of a forward pass of a model."""
        own: int = getattr(prm, "token_budget", 1024)
        return BATCHES * own if self.token_budget is None else self.token_budget
