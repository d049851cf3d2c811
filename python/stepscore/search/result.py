"""What a search found."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, SupportsIndex, overload

import numpy as np

from stepscore.ops import TreeSearch
from stepscore.search.tree import Tree


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
        worth: by what it was chosen or not: `score`, unless the strategy has a score of its own or
            `choose` names another; NaN without any.
    """

    steps: list[str]
    scores: list[float]
    score: float
    answer: str | None
    complete: bool
    node: int
    worth: float = math.nan

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

    @property
    def no_answer(self) -> str | None:
        """Why there is no answer, one line; None where there is one."""
        if self.answer is not None:
            return None
        if not self.traces:
            why = "there is no trace"
        elif not any(trace.complete for trace in self.traces):
            why = (
                f"none of its {len(self.traces):,} traces has ended: the budget was spent, or the "
                "strategy takes no more steps"
            )
        elif not any(trace.complete and trace.answer is not None for trace in self.traces):
            ended = sum(trace.complete for trace in self.traces)
            why = f"none of its {ended:,} traces that have ended states an answer"
        else:
            why = "no trace that states an answer took part in the vote"
        return why if self.status == "done" else f"{self.status}; {why}"


class SearchResult(Sequence[ProblemResult]):
    """What a search found, one `ProblemResult` per problem: a list of them, and what it took.

    Attributes:
        strategy: its name.
        calls: calls of ``policy``, ``scorer``, ``value`` and ``judge``, those that failed included.
        seconds: of the whole search.
    """

    def __init__(
        self,
        strategy: str,
        results: list[ProblemResult],
        trees: list[tuple[Tree, int]],
        calls: dict[str, int],
        seconds: float,
    ) -> None:
        self.strategy, self.calls, self.seconds = strategy, calls, seconds
        self._results, self._trees = results, trees

    def __len__(self) -> int:
        return len(self._results)

    @overload
    def __getitem__(self, index: SupportsIndex) -> ProblemResult: ...
    @overload
    def __getitem__(self, index: slice) -> list[ProblemResult]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> ProblemResult | list[ProblemResult]:
        return self._results[index]

    def __iter__(self) -> Iterator[ProblemResult]:
        return iter(self._results)

    def __repr__(self) -> str:
        failed = sum(result.status != "done" for result in self)
        return (
            f"SearchResult({self.strategy!r}, problems={len(self)}, failed={failed}, "
            f"calls={self.calls}, seconds={self.seconds:.3g})"
        )

    @property
    def answers(self) -> list[str | None]:
        """The answer of every problem."""
        return [result.answer for result in self]

    @property
    def texts(self) -> list[str]:
        """The winning response of every problem."""
        return [result.text for result in self]

    def tree(self, index: int) -> list[TreeNode]:
        """The whole tree of a problem, ascending by number."""
        tree, problem = self._trees[index]
        engine, root = tree.engine, int(tree.roots[problem])
        numbers = root + np.flatnonzero(
            engine.flags[root : root + int(engine.node_count[problem])] & TreeSearch.EXISTS
        )
        result = self._results[index]
        chosen: set[int] = set()
        if result.winner >= 0:
            last = np.array([root + result.traces[result.winner].node])
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
        rows = [asdict(result) for result in self]
        for row in rows:
            for trace in row["traces"]:
                trace["score"] = _number(trace["score"])
                trace["worth"] = _number(trace["worth"])
        return rows


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
