"""Ways to score the same traces: alone, in any company, shared, padded, packed, in a session."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

import stepscore
from stepscore import ProcessRewardModel
from stepscore.scoring.forward.plan import ForwardCosts

Traces = Sequence[tuple[str, list[str]]]
Scores = list[np.ndarray]

THREADS = (1, 2, 3, 5, 7)
BUDGETS = (1, 37, 200, 1024)


def together(prm: ProcessRewardModel, traces: Traces, _: np.random.Generator) -> Scores:
    problems, solutions = zip(*traces, strict=True)
    return list(prm.score(list(problems), list(solutions)))


def step_by_step(prm: ProcessRewardModel, traces: Traces, rng: np.random.Generator) -> Scores:
    """In one session, some steps of all traces at a time."""
    problems, solutions = zip(*traces, strict=True)
    distinct = sorted(set(problems))
    scores: list[list[np.ndarray]] = [[] for _ in traces]
    most = int(rng.integers(1, 3))
    with prm.session(distinct) as session:
        nodes = [session.roots[distinct.index(problem)] for problem in problems]
        done = np.zeros(len(traces), dtype=np.int64)
        while len(left := [i for i, steps in enumerate(solutions) if done[i] < len(steps)]):
            grown = session.extend(
                [nodes[i] for i in left], [solutions[i][done[i] : done[i] + most] for i in left]
            )
            for i, node, values in zip(left, grown.nodes, grown.scores, strict=True):
                nodes[i] = node
                done[i] += len(values)
                scores[i].append(values)
    return [np.concatenate(parts) for parts in scores]


Way = Callable[[ProcessRewardModel, Traces, np.random.Generator], Scores]
# How a model plans, and who scores with it. None plans no sharing, and padding.
WAYS: dict[str, tuple[Callable[[ProcessRewardModel], ForwardCosts | None], Way]] = {
    "as it is": (lambda prm: prm.costs, together),
    "every fork shared": (lambda _: ForwardCosts(token=1.0, fork=0.0), together),
    "whole, packed": (lambda _: ForwardCosts(token=0.0, fork=1.0), together),
    "whole, padded": (lambda _: None, together),
    "a session": (lambda prm: prm.costs, step_by_step),
    "a session, every fork shared": (lambda _: ForwardCosts(token=1.0, fork=0.0), step_by_step),
}


def alone(prm: ProcessRewardModel, traces: Traces) -> Scores:
    """Each trace in a call of its own, on one thread."""
    with threads(1):
        return [prm.score([problem], [steps]).values for problem, steps in traces]


class threads:  # noqa: N801 - a verb of the tests
    """Set the threads of torch and of our ops meanwhile."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __enter__(self) -> None:
        self.before = torch.get_num_threads(), stepscore.num_threads()
        torch.set_num_threads(self.count)
        stepscore.set_num_threads(self.count)

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self.before[0])
        stepscore.set_num_threads(self.before[1])


def moved(
    prm: ProcessRewardModel,
    traces: Traces,
    expected: Scores,
    regroupings: int,
    *,
    most: int,
    seed: int = 0,
    ways: Sequence[str] = tuple(WAYS),
) -> Iterator[tuple[str, int, int, float]]:
    """Score random parts of the traces in random ways.

    Yields:
        Of each regrouping what it was, how many scores it gave, how many of them have other bits
        than alone, and by how much they differ at most.
    """
    rng = np.random.default_rng(seed)
    for number in range(regroupings):
        name = ways[number % len(ways)]
        costs, way = WAYS[name]
        # In turn: a few regroupings have all of them.
        count, budget = THREADS[number % len(THREADS)], BUDGETS[number % len(BUDGETS)]
        # A token at a time takes long, and one trace shows it.
        size = 1 if budget == 1 else rng.integers(1, most + 1)
        chosen = rng.permutation(len(traces))[:size]
        other = replace(prm, costs=costs(prm), token_budget=budget)
        with threads(count):
            scores = way(other, [traces[i] for i in chosen], rng)
        got = np.concatenate(scores)
        wanted = np.concatenate([expected[i] for i in chosen])
        apart = got.view(np.int32) != wanted.view(np.int32)
        what = f"{name}, {len(chosen)} traces, a budget of {budget}, {count} threads"
        yield what, len(got), int(apart.sum()), float(np.abs(got - wanted).max(initial=0))
