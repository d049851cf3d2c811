"""What the trees ask for in numbers, as requests in texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from stepscore import _core
from stepscore.ops.tree_search import EvaluateRequests, ExpandRequests
from stepscore.policies.requests import ExpandRequest, Mode
from stepscore.ragged import offsets_of
from stepscore.search.driver.calls import Failure
from stepscore.search.driver.journal import Place
from stepscore.search.driver.seeds import sample_seeds
from stepscore.search.requests import ScoreRequest
from stepscore.search.tree import Bools, Ids, Reals, Tree

_MODES = cast("tuple[Mode, ...]", _core.SAMPLE_MODES)  # as the trees count them


@dataclass(eq=False)
class RequestBatch:
    """Requests that one model has to answer together.

    Attributes:
        model: ``"policy"``, ``"scorer"``, ``"value"`` or ``"judge"``.
        tickets: of the trees, int64 ``[requests]``, as are the next two.
        problems: their problems.
        nodes: what is to be continued, scored or judged.
        requests: the same in texts.
        places: where the journal keeps the answers.
        answers: None where one is missing; a `Failure` where none was to be had.
        seconds: that the model took for the missing ones.
    """

    model: str
    tickets: Ids
    problems: Ids
    nodes: Ids
    requests: list[Any]
    places: list[Place]
    answers: list[Any]
    seconds: float = 0.0

    def missing(self) -> list[int]:
        """The requests without an answer."""
        return [i for i, answer in enumerate(self.answers) if answer is None]

    def failed(self) -> Bools:
        """Which requests no answer was to be had to, bool ``[requests]``."""
        return np.array([isinstance(answer, Failure) for answer in self.answers], bool)


def expand_batch(tree: Tree, queued: ExpandRequests, next_sample: Ids) -> RequestBatch:
    """Requests to the policy.

    Args:
        tree: of the problems.
        queued: what it asks for.
        next_sample: the node that the next sample of each problem becomes, ``[problems]``; is moved
            on by the samples asked for.
    """
    sampling, size = tree.sampling, tree.engine.max_nodes
    first = np.empty(len(queued.nodes), np.int64)  # the node that a request's first sample becomes
    for i, problem in enumerate(queued.problems.tolist()):
        first[i] = next_sample[problem]
        next_sample[problem] += queued.samples[i]
    first -= queued.problems * size
    keys, counts = tree.keys[queued.problems], queued.samples
    offsets = offsets_of(counts)
    numbers = np.repeat(first - offsets[:-1], counts) + np.arange(offsets[-1])
    seeds = sample_seeds(tree.seed, np.repeat(keys, counts), numbers)
    tokens_left = sampling.max_tokens - tree.engine.path_tokens[queued.nodes]
    columns = (queued.nodes, queued.problems, counts, queued.modes, tokens_left, offsets[:-1])
    requests = []
    for node, problem, samples, mode, most, begin in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        requests.append(
            ExpandRequest(
                tree.problems[problem],
                tree.steps(node),
                samples,
                _MODES[mode],
                most if _MODES[mode] == "rollout" else min(most, sampling.max_step_tokens),
                sampling.temperature,
                sampling.stop,
                seeds[begin : begin + samples],
            )
        )
    places = [
        ("policy", key, number) for key, number in zip(keys.tolist(), first.tolist(), strict=True)
    ]
    return RequestBatch(
        "policy", queued.tickets, queued.problems, queued.nodes, requests, places,
        [None] * len(requests),
    )  # fmt: skip


def evaluate_batch(
    tree: Tree, model: str, queued: EvaluateRequests, known: Reals | None
) -> RequestBatch:
    """Requests for scores or judgements.

    Args:
        tree: of the problems.
        model: who answers them.
        queued: what it asks for.
        known: the model's scores so far, ``[nodes]``: an end without words adds nothing to the
            score before it, and is not asked for. None: everything is.
    """
    parents = tree.engine.parent[queued.nodes].tolist()
    numbers = (queued.nodes - queued.problems * tree.engine.max_nodes).tolist()
    keys = tree.keys[queued.problems].tolist()
    requests: list[ScoreRequest] = []
    answers: list[Any] = []
    for node, problem, parent in zip(
        queued.nodes.tolist(), queued.problems.tolist(), parents, strict=True
    ):
        requests.append(ScoreRequest(tree.problems[problem], tree.steps(node), node, parent))
        nothing_new = known is not None and not tree.own_text.get(node)
        answers.append(_score_before(tree, parent, known) if nothing_new else None)
    places = [(model, key, number) for key, number in zip(keys, numbers, strict=True)]
    return RequestBatch(
        model, queued.tickets, queued.problems, queued.nodes, requests, places, answers
    )


def _score_before(tree: Tree, node: int, known: Any) -> list[float]:
    """The score of the last node that has one; of a root, which has no step to score, 0."""
    while node >= 0 and np.isnan(known[node]):
        node = int(tree.engine.parent[node])
    return [float(known[node]) if node >= 0 else 0.0]
