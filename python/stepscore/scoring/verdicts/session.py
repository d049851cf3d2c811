"""Traces that grow and fork: only their new steps are judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from types import SimpleNamespace
from typing import Any

import numpy as np

from stepscore.lists import as_lists
from stepscore.scoring.arguments import check_traces
from stepscore.scoring.score_options import NonFinite
from stepscore.scoring.session import Branches, Session
from stepscore.scoring.session_memory import SessionStats
from stepscore.scoring.session_nodes import TraceForest
from stepscore.scoring.solution_reader import SolutionReader
from stepscore.scoring.verdicts.scores import VerdictScores, check_verdicts, verdict_scores
from stepscore.scoring.verdicts.verdict import StepVerdict

# Pairs of problem and steps -> the verdict of every step.
Judge = Callable[[Sequence[tuple[str, tuple[str, ...]]]], list[list[StepVerdict]]]


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
    ) -> None:
        self._name = name
        self._judge = judge
        self._reader = reader
        self._nan = nan
        self._lock = Lock()
        self._nodes = TraceForest()
        self._memory: Any = SimpleNamespace(count=lambda: None)  # only texts are kept
        self.stats = SessionStats()
        self.roots: list[int] = []
        self.begin(problems)

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
            verdicts = self._judge(pairs)
            first = [len(node.steps) for node in parents]
            new = [each[begin:] for each, begin in zip(verdicts, first, strict=True)]
            scores: VerdictScores = verdict_scores(self._reader.recipe, new, {}, traces.stripped)
            if self._nan == "error":
                check_verdicts(arguments, scores, first)
            children = []
            for parent, each, of_trace in zip(parents, traces.steps, verdicts, strict=True):
                values = np.array([verdict.score for verdict in of_trace], dtype=np.float32)
                no_tokens = np.zeros(0, dtype=np.int32)
                children.append(self._nodes.add_child(parent, list(each), values, no_tokens, None))
        return Branches(children, scores)
