"""The trees of a search as a strategy sees them: arrays of nodes, and verbs over all problems."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from stepscore.ops import TreeSearch, aggregate, group_answers
from stepscore.ops.aggregate import Aggregation
from stepscore.ops.answer_key import extract_answers
from stepscore.ops.frontier import drop_duplicates, replicate, top_k
from stepscore.policies.requests import Mode
from stepscore.ragged import offsets_of

Ids = NDArray[np.int64]
Reals = NDArray[np.float64]
Bools = NDArray[np.bool_]

PendingNodes = Generator[None, None, Ids]
"""Nodes that are there when the models have answered: it yields while something has to be answered.
Every verb that asks for something is one, and so is a strategy, which returns its candidates."""

# Enough for the children of a level and their parents; the rest is put together again if needed.
_STEPS_KEPT = 20_000


@dataclass(frozen=True)
class Sampling:
    """How continuations are sampled.

    Attributes:
        temperature: divides the logits.
        max_tokens: of a whole response.
        max_step_tokens: of one continuation.
        stop: the texts that end a step; empty leaves them to the policy.
    """

    temperature: float
    max_tokens: int
    max_step_tokens: int
    stop: tuple[str, ...]


class Tree:
    """The trees of some problems, for a strategy.

    Nodes are int64 arrays in which those of one problem stand together; verbs keep their order.
    What has to be asked of a model is a generator: ``children = yield from tree.expand(...)``.

    Attributes:
        engine: the trees themselves, with all fields of `stepscore.TreeSearch`.
        problems: the texts.
        keys: of their random numbers, int64 ``[problems]``.
        roots: their roots, ``[problems]``.
        outcome: what the second scorer says of a node, ``[nodes]``; NaN without one.
        worth: by what the strategy chooses among its candidates, ``[nodes]``; NaN: by the score.
        batch: number of the first node that was drawn by the same request, ``[nodes]``.
        squash: what is made of the scores that the models give; None: they are taken as they are.
        own_text: node -> what was generated there.
        own_steps: node -> its steps, where they are not one: a rollout's, or none where nothing was
            to say.
        own_scores: node -> their scores, where they are not one.
        policy_answers: node -> its final answer, where the policy said it.
    """

    def __init__(
        self, problems: Sequence[str], keys: Ids, engine: TreeSearch, sampling: Sampling, seed: int
    ) -> None:
        self.engine, self.problems, self.keys, self.seed = engine, list(problems), keys, seed
        self.roots = engine.roots
        self.default_sampling = self.sampling = sampling
        self.outcome = np.full(len(engine.value), np.nan)
        self.worth = np.full(len(engine.value), np.nan)
        self.squash: Callable[[float], float] | None = None
        self.batch = np.full(len(engine.value), -1)
        self.own_text: dict[int, str] = {}
        self.own_steps: dict[int, list[str]] = {}
        self.own_scores: dict[int, list[float]] = {}
        self.policy_answers: dict[int, str] = {}
        self._spent = np.zeros(len(self.problems), bool)
        self._steps: dict[int, list[str]] = {}
        self._older_steps: dict[int, list[str]] = {}

    # --- what has to be answered ------------------------------------------------------------

    def expand(
        self,
        nodes: Ids,
        samples: Any = 1,
        *,
        mode: Mode = "step",
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> PendingNodes:
        """Draw continuations of open nodes; the others are passed over.

        Args:
            nodes: ``[n]``; a node may stand there several times.
            samples: of each, one number or ``[n]``; 0 passes a node over.
            mode: ``"step"``, ``"block"``, ``"partial"`` or ``"rollout"``.
            max_tokens: of each continuation; None: as the search was told.
            temperature: None: as the search was told.

        Returns:
            The children in the order of `nodes`, without those that failed.
        """
        first, granted = yield from self._expand(nodes, samples, mode, max_tokens, temperature)
        children = _runs(first, granted)
        return children[self._usable(children)]

    def advance(self, nodes: Ids, **sampling: Any) -> PendingNodes:
        """Move every open node on to one continuation; arguments as in `expand`.

        Returns:
            The nodes after it, in their order: a node that is not open stays, one whose
            continuation failed is left out.
        """
        first, granted = yield from self._expand(nodes, 1, **sampling)
        after = np.where(granted > 0, first, nodes)
        return after[self._usable(after)]

    def score(self, nodes: Ids) -> PendingNodes:
        """Score the nodes that are not scored yet; returns those that have a score, in order."""
        steps = nodes[self.engine.depth[nodes] > 0]  # a root has nothing to score
        new = np.unique(steps[np.isnan(self.engine.value[steps])])
        if len(new):
            self.engine.request_score(new)
            yield
        return nodes[~np.isnan(self.engine.value[nodes]) & self._usable(nodes)]

    def grow(self, nodes: Ids, samples: Any = 1, **sampling: Any) -> PendingNodes:
        """`expand`, then `score`."""
        children = yield from self.expand(nodes, samples, **sampling)
        return (yield from self.score(children))

    def step(self, nodes: Ids, **sampling: Any) -> PendingNodes:
        """`advance`, then `score`."""
        after = yield from self.advance(nodes, **sampling)
        return (yield from self.score(after))

    def judge(self, nodes: Ids) -> Generator[None, None, Bools]:
        """Ask whether nodes are correct; False where the judge fails."""
        new = np.unique(nodes[self.engine.flags[nodes] & TreeSearch.JUDGED == 0])
        if len(new):
            self.engine.request_judge(new)
            yield
        return self._has(nodes, TreeSearch.CORRECT)

    def _expand(
        self,
        nodes: Ids,
        samples: Any,
        mode: Mode = "step",
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> Generator[None, None, tuple[Ids, Ids]]:
        """The number of the first child of each node's request, and how many it has."""
        wanted = np.where(self.open(nodes), samples, 0)
        places = np.flatnonzero(wanted)
        counts = self.engine.node_count
        granted = np.zeros(len(nodes), np.int64)
        granted[places] = self.engine.request_expand(nodes[places], wanted[places], mode=mode)
        problem = self.problem(nodes)
        self._spent[problem[granted < wanted]] = True
        before = offsets_of(granted)[:-1]
        within = before - before[np.searchsorted(problem, problem)] if len(nodes) else before
        first = self.roots[problem] + counts[problem] + within
        children = _runs(first, granted)
        self.batch[children] = np.repeat(first, granted)
        if len(children):
            default = self.default_sampling
            self.sampling = Sampling(
                default.temperature if temperature is None else temperature,
                default.max_tokens,
                default.max_step_tokens if max_tokens is None else max_tokens,
                default.stop,
            )
            yield
            self.sampling = default
        return first, granted

    # --- where nodes stand ------------------------------------------------------------------

    def problem(self, nodes: Ids) -> Ids:
        """The problem of each node."""
        return nodes // self.engine.max_nodes

    def offsets(self, nodes: Ids) -> Ids:
        """Where the nodes of each problem begin and end, ``[problems + 1]``."""
        return np.searchsorted(self.problem(nodes), np.arange(len(self.problems) + 1))

    def draws(self, children: Ids) -> Ids:
        """Where the children that one request drew begin and end, ``[requests + 1]``."""
        begins = np.flatnonzero(np.diff(self.batch[children], prepend=-1))
        return np.append(begins, len(children))

    def count(self, nodes: Ids) -> Ids:
        """How many nodes each problem has, ``[problems]``."""
        return np.bincount(self.problem(nodes), minlength=len(self.problems))

    def ended(self, nodes: Ids) -> Bools:
        """Whether the response ends at the node."""
        return self._has(nodes, TreeSearch.TERMINAL)

    def open(self, nodes: Ids) -> Bools:
        """Whether the node can be continued, and its problem has a budget left for it."""
        return self._usable(nodes) & ~self.ended(nodes) & ~self._spent[self.problem(nodes)]

    def moving(self, nodes: Ids) -> Bools:
        """Whether some of the nodes of its problem is open."""
        return self.count(nodes[self.open(nodes)])[self.problem(nodes)] > 0

    def idle(self, nodes: Ids, children: Ids) -> Ids:
        """The nodes that have not ended, of problems that drew none: their budget is spent."""
        drew = self.count(children)[self.problem(nodes)] > 0
        return nodes[~drew & ~self.ended(nodes)]

    def steps(self, node: int) -> list[str]:
        """The steps from the root to a node."""
        known = self._steps.get(node) or self._older_steps.get(node)
        if known is None:
            if node not in self.own_text:
                return []  # the root
            before = self.steps(int(self.engine.parent[node]))
            known = before + self.own_steps.get(node, [self.own_text[node]])
            if len(self._steps) >= _STEPS_KEPT:
                self._steps, self._older_steps = {}, self._steps
            self._steps[node] = known
        return known

    def texts(self, nodes: Ids) -> list[str]:
        """The whole response up to each node."""
        return ["".join(self.steps(node)) for node in nodes.tolist()]

    def answers(self, nodes: Ids) -> list[str | None]:
        """The final answer of each response that has ended; None elsewhere."""
        extracted = extract_answers(
            text if ended else None
            for text, ended in zip(self.texts(nodes), self.ended(nodes), strict=True)
        )
        return [
            self.policy_answers.get(node, answer)
            for node, answer in zip(nodes.tolist(), extracted, strict=True)
        ]

    def answer_ids(self, nodes: Ids) -> Ids:
        """Equal within a problem where the answers are equal; -1 without an answer."""
        ids = group_answers(self.answers(nodes), self.offsets(nodes), extract=False, verify=None)
        return np.asarray(ids)

    def _usable(self, nodes: Ids) -> Bools:
        gone = self._has(nodes, TreeSearch.PRUNED | TreeSearch.DUPLICATE)
        return self._has(nodes, TreeSearch.EXISTS) & ~gone

    def _has(self, nodes: Ids, flags: int) -> Bools:
        return np.asarray(self.engine.flags[nodes] & flags != 0)

    # --- what they are worth ----------------------------------------------------------------

    def values(self, nodes: Ids, how: str = "last") -> Reals:
        """The step scores up to each node as one number, by the names of `stepscore.aggregate`."""
        if how == "last":
            return self.engine.value[nodes]
        scores, offsets = self.step_scores(nodes)
        return np.asarray(aggregate(scores, offsets, cast("Aggregation", how)))

    def step_scores(self, nodes: Ids) -> tuple[Reals, Ids]:
        """The scores of all steps up to each node, and their offsets ``[nodes + 1]``."""
        path, offsets = self.engine.path(nodes)
        scores = self.engine.value[path]
        if not self.own_scores:
            known = ~np.isnan(scores) & (self.engine.depth[path] > 0)
            return scores[known], offsets_of(known)[offsets]
        roots = set(self.roots.tolist())
        lists = [
            self.own_scores.get(node, [] if np.isnan(score) or node in roots else [score])
            for node, score in zip(path.tolist(), scores.tolist(), strict=True)
        ]
        flat = [score for scores_of_node in lists for score in scores_of_node]
        return np.array(flat, float), offsets_of(map(len, lists))[offsets]

    # --- which of them ----------------------------------------------------------------------

    def best(self, nodes: Ids, k: Any, values: Reals | None = None) -> Ids:
        """The k best nodes of every problem, best first; of equal ones the first.

        Args:
            nodes: ``[n]``.
            k: one number or ``[problems]``.
            values: ``[n]``; None: the score of the last step.
        """
        ranked = self.engine.value[nodes] if values is None else values
        return nodes[top_k(ranked, self.offsets(nodes), k)[0]]

    def first(self, nodes: Ids, n: int | Ids) -> Ids:
        """The first n nodes of every problem, one number or ``[problems]``."""
        rank = np.arange(len(nodes)) - self.offsets(nodes)[self.problem(nodes)]
        return nodes[rank < np.broadcast_to(n, len(self.roots))[self.problem(nodes)]]

    def replicate(self, nodes: Ids, n: int) -> Ids:
        """Go round the nodes of every problem until there are n."""
        return nodes[replicate(self.offsets(nodes), n)[0]]

    def distinct(self, nodes: Ids) -> Ids:
        """The first of the nodes of equal responses, in every problem."""
        return nodes[drop_duplicates(self.texts(nodes), self.offsets(nodes))[0]]

    def join(self, *parts: Ids) -> Ids:
        """All nodes, those of a problem together, in the order of the parts."""
        nodes = np.concatenate([np.empty(0, np.int64), *parts])
        return nodes[np.argsort(self.problem(nodes), kind="stable")]


def _runs(first: Ids, lengths: Ids) -> Ids:
    """``first[i], first[i] + 1, ...``, `lengths[i]` of each."""
    offsets = offsets_of(lengths)
    return np.repeat(first - offsets[:-1], lengths) + np.arange(offsets[-1])
