"""Rendered traces -> step scores: plan, forward, read, and go on with less when memory runs out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from stepscore.scoring.checkpoint.head import HeadWeights, read_steps
from stepscore.scoring.forward.forward_pass import hidden_states
from stepscore.scoring.forward.key_values import Prefix
from stepscore.scoring.forward.plan import Costs, Plan, plan, plan_padded

# A batch below this is not worth trying when a larger one did not fit.
_LEAST_BUDGET = 32
# How torch's CPU allocator says it; a GPU's raises torch.OutOfMemoryError.
_CPU_OUT_OF_MEMORY = "allocate memory"


@dataclass(frozen=True)
class Tokens:
    """Traces as packed tokens, and where their steps are read.

    Attributes:
        token_ids: packed ids ``[tokens]``.
        offsets: where each trace begins and ends ``[traces + 1]``.
        positions: one per step, counted from its trace's first token ``[steps]``.
        step_offsets: the steps of each trace ``[traces + 1]``.
    """

    token_ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    positions: NDArray[np.int64]
    step_offsets: NDArray[np.int64]

    def trace_of_step(self) -> NDArray[np.int64]:
        """The trace of every step."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.step_offsets))

    def take(self, traces: NDArray[np.int64]) -> Tokens:
        """Some of the traces."""
        tokens = [self.token_ids[self.offsets[i] : self.offsets[i + 1]] for i in traces]
        steps = [self.positions[self.step_offsets[i] : self.step_offsets[i + 1]] for i in traces]
        return Tokens(
            np.concatenate([self.token_ids[:0], *tokens]),
            np.cumsum([0, *map(len, tokens)]),
            np.concatenate([self.positions[:0], *steps]),
            np.cumsum([0, *map(len, steps)]),
        )


@dataclass(eq=False)
class Engine:
    """A backbone and a head, and how traces go through them.

    Attributes:
        backbone: the stock model.
        head: the head's weights.
        token_budget: the most tokens of a batch; less, once that did not fit into memory.
        costs: what sharing a prefix saves and costs; None forwards every trace whole, padded.
        turn: the length at which the model changes its rotary frequencies; None for most.
        cache_limit: the most tokens of a trace whose keys and values are kept.
    """

    backbone: torch.nn.Module
    head: HeadWeights
    token_budget: int
    costs: Costs | None
    turn: int | None
    cache_limit: int | None = None

    @property
    def device(self) -> torch.device:
        """Where the backbone runs."""
        return next(self.backbone.parameters()).device

    def plan(self, tokens: Tokens, token_budget: int) -> Plan:
        """Plan the forward passes of traces."""
        if self.costs is None:
            return plan_padded(
                tokens.token_ids, tokens.offsets, token_budget=token_budget, turn=self.turn
            )
        return plan(
            tokens.token_ids,
            tokens.offsets,
            token_budget=token_budget,
            costs=self.costs,
            cache_limit=self.cache_limit,
        )

    def read(
        self, call: str, tokens: Tokens, on_steps: Callable[[int], object] = int
    ) -> NDArray[np.float32]:
        """Score every step.

        Where memory runs out, the batches are made smaller and the traces that are left go on with
        them; a warning says which budget worked.

        Args:
            call: the public call that is served, for messages.
            tokens: the traces.
            on_steps: is told how many steps each batch has read.
        """
        values = np.empty(len(tokens.positions), dtype=np.float32)
        left = np.arange(len(values))
        budget = self.token_budget
        while len(left):
            unread = np.unique(tokens.trace_of_step()[left])
            part = tokens.take(unread)
            index = _steps_of(tokens, unread)
            planned = self.plan(part, budget)
            read = Scores()
            try:
                read_plan(self.backbone, self.head, planned, part, read, on_steps)
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                budget = smaller_budget(call, budget, planned, error)
            values[index[read.steps()]] = read.values()
            left = np.setdiff1d(left, index[read.steps()], assume_unique=True)
        if budget != self.token_budget:
            warn_of_budget(call, self.token_budget, budget)
            self.token_budget = budget
        return values


class Scores:
    """The scores of some steps, on their device until all are there: nothing waits before."""

    def __init__(self) -> None:
        self._steps: list[NDArray[np.int64]] = []
        self._scores: list[torch.Tensor] = []

    def add(self, steps: NDArray[np.int64], scores: torch.Tensor) -> None:
        """Note the scores of some steps."""
        self._steps.append(steps)
        self._scores.append(scores)

    def steps(self) -> NDArray[np.int64]:
        """Which steps, in the order in which they were read."""
        return np.concatenate([np.zeros(0, dtype=np.int64), *self._steps])

    def values(self) -> NDArray[np.float32]:
        """Their scores: the one copy from a GPU."""
        if not self._scores:
            return np.zeros(0, dtype=np.float32)
        values: NDArray[np.float32] = torch.cat(self._scores).cpu().numpy()
        return values


def read_plan(
    backbone: torch.nn.Module,
    head: HeadWeights,
    planned: Plan,
    tokens: Tokens,
    read: Scores,
    on_steps: Callable[[int], object] = int,
    *,
    paths: Sequence[Prefix | None] = (None,),
    keep: dict[int, Prefix] | None = None,
) -> None:
    """Forward the batches of a plan, and read each step where its trace's tokens went."""
    rows = planned.rows(tokens.trace_of_step(), tokens.positions)
    order = np.argsort(rows, kind="stable")
    ends = planned.batch_rows()
    cuts = np.searchsorted(rows[order], ends)
    for batch, hidden in enumerate(hidden_states(backbone, planned, paths=paths, keep=keep)):
        steps = order[cuts[batch] : cuts[batch + 1]]
        if len(steps):
            read.add(steps, read_steps(head, hidden, rows[steps] - ends[batch]))
            on_steps(len(steps))


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on a CPU."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return _CPU_OUT_OF_MEMORY in str(error)


def smaller_budget(call: str, budget: int, planned: Plan, error: BaseException) -> int:
    """Half the tokens of the largest batch; raises where that is not worth trying."""
    largest = int(np.diff(planned.batch_rows()).max())
    half = min(budget, largest) // 2
    if half < _LEAST_BUDGET:
        raise RuntimeError(
            f"{call}: memory ran out with batches of {largest} tokens ({error}); free memory, or "
            "load the model with a smaller dtype"
        ) from error
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return half


def warn_of_budget(call: str, before: int, after: int) -> None:
    """Report the budget that worked."""
    warnings.warn(
        f"{call}: batches of {before} tokens did not fit into memory; {after} did; pass "
        f"load(..., token_budget={after})",
        stacklevel=5,
    )


def _steps_of(tokens: Tokens, traces: NDArray[np.int64]) -> NDArray[np.int64]:
    """The steps of some traces, as `Tokens.take` has them one behind the other."""
    offsets = tokens.step_offsets
    parts = [np.arange(offsets[trace], offsets[trace + 1]) for trace in traces]
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])
