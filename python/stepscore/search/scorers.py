"""Scorers: what says how good a step is. Any function from a list of `ScoreRequest` will do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from stepscore.errors import InputError
from stepscore.ops import mlp_head, value_head
from stepscore.ops.value_head import Activation, Inner
from stepscore.scoring.scores import check_direction
from stepscore.scoring.session_memory import MemoryLimitError
from stepscore.search.requests import ScoreRequest

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel


class PrmScorer:
    """A process reward model that forwards only what is new.

    A step's score is that of `ProcessRewardModel.score` for the whole trace ``"".join(steps)``, in
    float32 on a CPU bit for bit; ``docs/equal_bits.md`` says how far scores move elsewhere. The
    recipe splits that text by itself: where a step of the search holds several of its steps, the
    last of them counts; where it holds the beginning of one, the score is that of the beginning,
    ended there. Of a model that gives one score to a solution, a trace gets the score of what
    stands there so far, as if it were the solution.

    Traces live in one session of the model. Equal traces are scored once, whichever nodes they
    belong to. Keys and values that were not used for longest, those of abandoned traces first of
    all, are dropped at the memory limit; `release` gives all of a problem back.

    Args:
        prm: the model, from `stepscore.load`.
        memory_limit: the most bytes of keys and values; None takes half of the free memory.

    Raises:
        ValueError: a model whose scores are better the lower they are.
    """

    def __init__(self, prm: ProcessRewardModel, *, memory_limit: int | None = None) -> None:
        check_direction("PrmScorer", prm.recipe)
        self.prm = prm
        # A score that is not finite is the fault of one trace, which the search names.
        self.session = prm.session([], memory_limit=memory_limit, nan="propagate")
        self._roots: dict[str, int] = {}
        # problem -> the steps that the model has read, from the first on -> their session node
        self._known: dict[str, dict[tuple[str, ...], int]] = {}

    def __call__(self, requests: Sequence[ScoreRequest]) -> list[float | list[float] | ValueError]:
        """Score traces; each gets a score per step of the search, or one where the model has one.

        A trace that cannot be laid out, because it is empty or holds the model's separator or
        another special token, gets an error in place of its scores; special tokens that end it,
        such as ``<|im_end|>``, are removed.

        Raises:
            ValueError: what else `Session.extend` refuses, such as a trace that is too long.
        """
        split = self.prm.reader.split
        traces = [tuple(split("".join(request.steps))) for request in requests]
        faults = [self._fault(*pair) for pair in zip(requests, traces, strict=True)]
        good = [index for index, fault in enumerate(faults) if fault is None]
        problems = [requests[index].problem for index in good]
        wanted = [traces[index] for index in good]
        self._begin(problems)
        try:
            self._extend(list(dict.fromkeys(zip(problems, wanted, strict=True))))
        except MemoryLimitError:
            whole = self.prm.score(problems, [list(trace) for trace in wanted], nan="propagate")
            scores = [of_trace.tolist() for of_trace in whole]
        else:
            scores = [
                self.session.scores(self._known[problem][trace]).tolist()
                for problem, trace in zip(problems, wanted, strict=True)
            ]
        answers: list[float | list[float] | ValueError] = [fault or [] for fault in faults]
        for index, of_trace in zip(good, scores, strict=True):
            if not self.prm.reader.reads_steps:
                [answers[index]] = of_trace
                continue
            counts = _counts(requests[index].steps, split)
            answers[index] = [of_trace[max(0, count - 1)] for count in counts]
        return answers

    def release(self, problems: Iterable[str]) -> None:
        """Give back what is kept of problems that are finished; they may come again."""
        for problem in set(problems) & self._roots.keys():
            self.session.free(self._roots.pop(problem))
            del self._known[problem]

    def close(self) -> None:
        """Give everything back; the scorer cannot be used after it."""
        self.session.close()
        self._roots.clear()
        self._known.clear()

    def _begin(self, problems: Sequence[str]) -> None:
        fresh = [problem for problem in dict.fromkeys(problems) if problem not in self._roots]
        for problem, root in zip(fresh, self.session.begin(fresh), strict=True):
            self._roots[problem] = root
            self._known[problem] = {(): root}

    def _fault(self, request: ScoreRequest, trace: Sequence[str]) -> ValueError | None:
        if not trace:
            return ValueError(f"expected a step with text; got {request.steps!r:.60}")
        reader = self.prm.reader
        faults = (reader.fault_in_step(step) for step in trace)
        fault = reader.fault_in_problem(request.problem) or next(filter(None, faults), None)
        return None if fault is None else ValueError(fault)

    def _extend(self, traces: Sequence[tuple[str, tuple[str, ...]]]) -> None:
        """Let the session read what it does not know, from the longest beginning that it does."""
        new = [(problem, trace) for problem, trace in traces if trace not in self._known[problem]]
        if not new:
            return
        nodes, rest = [], []
        for problem, trace in new:
            known = self._known[problem]
            length = next(k for k in range(len(trace) - 1, -1, -1) if trace[:k] in known)
            nodes.append(known[trace[:length]])
            rest.append(list(trace[length:]))
        for (problem, trace), node in zip(new, self.session.extend(nodes, rest).nodes, strict=True):
            self._known[problem][trace] = node


class Hidden(Protocol):
    """A policy that shows its hidden states: `HuggingFacePolicy` and the lab's do."""

    def hidden_states(self, problems: Sequence[str], traces: Sequence[Sequence[str]]) -> Any:
        """The state at the last token of each trace, ``[traces, H]``."""
        ...


class ValueHeadScorer:
    r"""A value head on the policy's own hidden states: :math:`V(s) = a(W h_{last} + b)`.

    With `layers` the head is an MLP: :math:`V(s) = a(W_L\, g(\ldots g(W_1 h_{last} + b_1) \ldots) +
    b_L)`.

    Args:
        policy: gives the state at the last token of a step.
        weight: ``[k, H]``; or None, where there are `layers`.
        bias: ``[k]``, or None.
        activation: as in `stepscore.value_head`.
        column: the output that is the value; the last by default.
        layers: ``[(weight, bias or None), ...]``, as in `stepscore.mlp_head`, first layer first.
        inner: between the layers, as in `stepscore.mlp_head`.

    Raises:
        InputError: a weight and layers, or neither; a column that the head does not have.

    Source: AlphaMath (arXiv 2405.03553), whose head is an affine layer and ``activation="tanh"``.
    Value-guided search (arXiv 2505.17373) has an MLP over three classes and reads the probability
    of column 1: ``layers=..., activation="softmax", column=1``; what is between its layers is
    unverified.
    """

    def __init__(
        self,
        policy: Hidden,
        weight: Any = None,
        bias: Any = None,
        *,
        activation: Activation = "identity",
        column: int = -1,
        layers: Sequence[tuple[Any, Any]] | None = None,
        inner: Inner = "relu",
    ) -> None:
        if (weight is None) == (layers is None):
            raise InputError(
                "one of weight and layers",
                got="neither" if weight is None else "both",
                argument="layers",
                where="ValueHeadScorer",
            )
        self.policy, self.weight, self.bias = policy, weight, bias
        self.layers = [(weight, bias)] if layers is None else list(layers)
        self.activation, self.inner, self.column = activation, inner, column
        if not self.layers:
            raise InputError(
                "at least one layer", got="none", argument="layers", where="ValueHeadScorer"
            )
        outputs = 1 if activation == "difference" else len(self.layers[-1][0])
        if not -outputs <= column < outputs:
            raise InputError(
                f"one of the {outputs} outputs of the head, counted from 0 or back from -1",
                got=str(column),
                argument="column",
                where="ValueHeadScorer",
            )

    def __call__(self, requests: Sequence[ScoreRequest]) -> list[float]:
        """Give the value of every node.

        Raises:
            ValueError: as `stepscore.mlp_head`: a weight that does not fit the hidden states.
        """
        hidden = self.policy.hidden_states(
            [request.problem for request in requests], [request.steps for request in requests]
        )
        if len(self.layers) == 1:
            weight, bias = self.layers[0]
            values = value_head(hidden, weight, bias, activation=self.activation)
        else:
            values = mlp_head(hidden, self.layers, inner=self.inner, activation=self.activation)
        return [float(value) for value in np.asarray(values[:, self.column])]


def _counts(steps: Sequence[str], split: Any) -> list[int]:
    """How many steps of the recipe there are up to the end of each step of the search."""
    text, counts = "", []
    for step in steps:
        text += step
        counts.append(len(split(text)))
    return counts
