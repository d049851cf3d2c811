"""What a search found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from stepscore.ops import TreeSearch, vote
from stepscore.search.tree import Ids, Tree


@dataclass(frozen=True)
class Trace:
    """A candidate of a search.

    Attributes:
        steps: joined they are its text.
        scores: of the steps that were scored.
        score: these as one number; NaN without any.
        answer: its final answer; None: it has none, or has not ended.
        complete: whether it has ended.
        node: its last node's number in the problem's tree.
    """

    steps: list[str]
    scores: list[float]
    score: float
    answer: str | None
    complete: bool
    node: int

    @property
    def text(self) -> str:
        """The whole response."""
        return "".join(self.steps)


@dataclass(frozen=True)
class TreeNode:
    """A node of a problem's tree.

    Attributes:
        number: in the tree; the root's is 0.
        parent: number of the node before; -1 at the root.
        depth: edges from the root.
        text: its own steps.
        value: its score; None: not scored.
        outcome: its score by the second scorer, or its estimate in `omega_prm`; None: none.
        visits: simulations through it, in Monte Carlo tree search.
        mean: of what was backed up; None without visits.
        logprob: of its text under the policy.
        terminal: whether the response ends here.
        pruned: whether it left the search.
        chosen: whether it is on the path to the winner.
    """

    number: int
    parent: int
    depth: int
    text: str
    value: float | None
    outcome: float | None
    visits: int
    mean: float | None
    logprob: float
    terminal: bool
    pruned: bool
    chosen: bool


@dataclass(frozen=True)
class ProblemCosts:
    """What was spent on a problem.

    Attributes:
        samples: continuations asked for.
        tokens: tokens of the continuations.
        prm_tokens: tokens of the steps that were scored, each once.
        seconds: its share of the models' time in this run: that of a call is shared evenly by its
            requests; answers taken from a journal cost none.
    """

    samples: int
    tokens: int
    prm_tokens: int
    seconds: float = field(compare=False)


@dataclass(frozen=True)
class ProblemResult:
    """What a search found for one problem.

    Attributes:
        problem: its text.
        answer: the answer that won; None: no complete trace has one.
        text: the response that won: of `answer`, else the best there is.
        winner: its place in `traces`; -1 without traces.
        status: ``"done"``; ``"failed: "`` with the first reason: some request found no answer, and
            the search went on without it; or ``"cut: "``: its tree was full.
        traces: the strategy's candidates, in its order.
        costs: see `ProblemCosts`.
    """

    problem: str
    answer: str | None
    text: str
    winner: int
    status: str
    traces: list[Trace]
    costs: ProblemCosts


class SearchResult(Sequence[ProblemResult]):
    """What a search found, one `ProblemResult` per problem.

    Attributes:
        strategy: its name.
        calls: calls of ``policy``, ``scorer``, ``value`` and ``judge``, those that failed included.
        seconds: of the whole search.
    """

    def __init__(
        self,
        strategy: str,
        found: list[ProblemResult],
        trees: list[tuple[Tree, int]],
        calls: dict[str, int],
        seconds: float,
    ) -> None:
        self.strategy, self.calls, self.seconds = strategy, calls, seconds
        self._found, self._trees = found, trees

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, index: Any) -> Any:
        return self._found[index]

    def __repr__(self) -> str:
        failed = sum(one.status != "done" for one in self)
        return (
            f"SearchResult({self.strategy!r}, problems={len(self)}, failed={failed}, "
            f"calls={self.calls}, seconds={self.seconds:.3g})"
        )

    @property
    def answers(self) -> list[str | None]:
        """The answer of every problem."""
        return [one.answer for one in self]

    @property
    def texts(self) -> list[str]:
        """The winning response of every problem."""
        return [one.text for one in self]

    def tree(self, index: int) -> list[TreeNode]:
        """The whole tree of a problem, ascending by number."""
        tree, problem = self._trees[index]
        engine, root = tree.engine, int(tree.roots[problem])
        numbers = root + np.flatnonzero(
            engine.flags[root : root + int(engine.node_count[problem])] & TreeSearch.EXISTS
        )
        found = self._found[index]
        chosen: set[int] = set()
        if found.winner >= 0:
            last = np.array([root + found.traces[found.winner].node])
            chosen = set(engine.path(last)[0].tolist())
        nodes = []
        for node in numbers.tolist():
            flags, visits = int(engine.flags[node]), int(engine.visits[node])
            nodes.append(
                TreeNode(
                    number=node - root,
                    parent=-1 if node == root else int(engine.parent[node]) - root,
                    depth=int(engine.depth[node]),
                    text=tree.own_text.get(node, ""),
                    value=_number(engine.value[node]),
                    outcome=_number(tree.outcome[node]),
                    visits=visits,
                    mean=float(engine.value_sum[node]) / visits if visits else None,
                    logprob=float(engine.logprob[node]),
                    terminal=bool(flags & TreeSearch.TERMINAL),
                    pruned=bool(flags & (TreeSearch.PRUNED | TreeSearch.DUPLICATE)),
                    chosen=node in chosen,
                )
            )
        return nodes

    def to_list(self) -> list[dict[str, Any]]:
        """One dictionary per problem, of what JSON knows; NaN scores are None."""
        rows = [asdict(one) for one in self]
        for row in rows:
            for trace in row["traces"]:
                trace["score"] = _number(trace["score"])
        return rows


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def choose(
    tree: Tree, candidates: Ids, how: str, rule: str
) -> list[tuple[list[Trace], int, str | None]]:
    """The traces of every problem, the place of the winner among them (-1: none), its answer.

    Complete traces with an answer vote. Where there is none, the best complete trace wins, else the
    best of all: the highest score, then the first.
    """
    candidates = tree.join(candidates[tree.engine.depth[candidates] > 0])
    offsets = tree.offsets(candidates)
    scores, complete = tree.values(candidates, how), tree.ended(candidates)
    answers, ids = tree.answers(candidates), tree.answer_ids(candidates)
    if rule == "best_of_n":  # of equal scores the first wins, not the answer that was seen first
        ids = np.where(ids < 0, -1, np.arange(len(ids)))
    voted = vote(ids, None if rule == "majority" else scores, offsets, rule, nan="drop").winner
    values, value_offsets = tree.step_scores(candidates)
    steps = [tree.steps(node) for node in candidates.tolist()]
    numbers = (candidates % tree.engine.max_nodes).tolist()
    ranked = np.where(np.isnan(scores), -np.inf, scores)
    chosen = []
    for problem in range(len(tree.problems)):
        begin, end = int(offsets[problem]), int(offsets[problem + 1])
        winner = int(voted[problem])
        if winner < 0 and begin < end:
            winner = max(range(begin, end), key=lambda i: (complete[i], ranked[i]))
        traces = [
            Trace(
                steps[i],
                values[value_offsets[i] : value_offsets[i + 1]].tolist(),
                float(scores[i]),
                answers[i],
                bool(complete[i]),
                numbers[i],
            )
            for i in range(begin, end)
        ]
        answer = answers[winner] if winner >= 0 else None
        chosen.append((traces, winner - begin if winner >= 0 else -1, answer))
    return chosen
