"""Traces that grow and fork: only their new steps are judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import Argument
from stepscore.lists import as_lists
from stepscore.scoring.arguments import addressed, check_traces
from stepscore.scoring.score_options import NonFinite
from stepscore.scoring.session import Branches, Session
from stepscore.scoring.session_memory import SessionStats
from stepscore.scoring.session_nodes import TraceForest, TraceNode
from stepscore.scoring.solution_reader import SolutionReader
from stepscore.scoring.verdicts.scores import VerdictScores, check_verdicts, verdict_scores
from stepscore.scoring.verdicts.verdict import StepVerdict

Trace = tuple[str, tuple[str, ...]]  # problem and steps
# Traces, and known verdicts of beginnings of them -> the verdict of every step.
Judge = Callable[[Sequence[Trace], Mapping[Trace, StepVerdict]], list[list[StepVerdict]]]


class VerdictSession(Session):
    """A `stepscore.scoring.Session` of a generative PRM; made by `GenerativeRewardModel.session`.

    A verifier that judges a step after those before it judges new steps alone. One that judges
    whole traces judges a trace anew when it grows, and its latest verdicts of all steps count.
    """

    def __init__(
        self,
        name: str,
        judge: Judge,
        reader: SolutionReader,
        problems: Sequence[str],
        nan: NonFinite,
        *,
        whole: bool = False,
    ) -> None:
        self._name = name
        self._whole = whole
        self._paid: dict[Trace, list[StepVerdict]] = {}
        self._judge = judge
        self._reader = reader
        self._nan = nan
        self._lock = Lock()
        self._nodes = TraceForest()
        self._verdicts: WeakKeyDictionary[TraceNode, list[StepVerdict]] = WeakKeyDictionary()
        self._memory: Any = SimpleNamespace(count=lambda: None)  # only texts are kept
        self.stats = SessionStats()
        self.roots: list[int] = []
        self.begin(problems)

    def begin(self, problems: Sequence[str]) -> list[int]:
        """Add problems, and give their roots.

        Raises:
            TypeError, ValueError: as `Session.begin`.
        """
        for index, problem in enumerate(problems):
            fault = self._reader.fault_in_problem(problem)
            if fault is not None:
                raise addressed(fault, "session", Argument("problems", index=(index,)))
        with self._lock:
            self._nodes.check_open()
            roots = [self._nodes.add_root(problem) for problem in problems]
            self.roots += roots
        return roots

    def scores(self, node: int) -> NDArray[np.float32]:
        """The scores of a trace ``[steps]``."""
        verdicts = self._verdicts.get(self._nodes[node], [])
        return np.array([verdict.score for verdict in verdicts], dtype=np.float32)

    def extend(self, nodes: int | Sequence[int], steps: str | Sequence[Any]) -> Branches:
        """Continue traces by steps, and judge these; as `Session.extend`.

        Raises:
            TypeError, ValueError: as in `Session.extend`; a step without a verdict, unless the
                session propagates NaN.
            RuntimeError: the policy fails at everything.
        """
        nodes, steps = as_lists(nodes), as_lists(steps)
        with self._lock:
            parents, added = self._branches_of(nodes, steps)
            whole = [[*node.steps, *new] for node, new in zip(parents, added, strict=True)]
            arguments = self._arguments(parents, steps)
            problems = [node.problem for node in parents]
            traces = check_traces(arguments, self._reader, problems, whole)
            pairs = [
                (problem, tuple(each)) for problem, each in zip(problems, traces.steps, strict=True)
            ]
            verdicts = self._verdicts_of(pairs, parents)
            first = [len(node.steps) for node in parents]
            new = [each[begin:] for each, begin in zip(verdicts, first, strict=True)]
            scores: VerdictScores = verdict_scores(self._reader.recipe, new, {}, traces.stripped)
            if self._nan == "error":
                check_verdicts(arguments, scores, first)
            children = []
            for parent, each, of_trace in zip(parents, traces.steps, verdicts, strict=True):
                values = np.array([[verdict.score] for verdict in of_trace], dtype=np.float32)
                no_tokens = np.zeros(0, dtype=np.int32)
                child = self._nodes.add_child(parent, list(each), values, no_tokens, None)
                self._verdicts[self._nodes[child]] = of_trace
                children.append(child)
            for trace in pairs:
                self._paid.pop(trace, None)
        return Branches(children, scores)

    def _verdicts_of(
        self, traces: Sequence[Trace], parents: Sequence[TraceNode]
    ) -> list[list[StepVerdict]]:
        """Give the verdicts of traces: those that there are, and what the judge says of the rest.

        They are kept until a call has made nodes of them: one verdict that does not come is no
        reason to pay for the others again.
        """
        known = {
            (node.problem, tuple(node.steps[: end + 1])): verdict
            for node in parents
            for end, verdict in enumerate(self._verdicts.get(node, ()))
        }
        if not self._whole:
            for (problem, steps), verdicts in self._paid.items():
                known |= {
                    (problem, steps[: end + 1]): verdict
                    for end, verdict in enumerate(verdicts)
                    if verdict.fault is None
                }
        wanted = [
            trace
            for trace in traces
            if trace not in self._paid or any(verdict.fault for verdict in self._paid[trace])
        ]
        self._paid.update(zip(wanted, self._judge(wanted, known), strict=True))
        return [self._paid[trace] for trace in traces]
