"""Packed traces -> step scores: plan, forward, read; with smaller batches where memory runs out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from stepscore.scoring.forward.choice import cheapest_plan
from stepscore.scoring.forward.forward_pass import hidden_states
from stepscore.scoring.forward.head import StepHead
from stepscore.scoring.forward.key_values import Prefix
from stepscore.scoring.forward.packed_traces import PackedTraces
from stepscore.scoring.forward.placement import input_device
from stepscore.scoring.forward.plan import ForwardCosts, Plan, plan_padded

# A batch below this is not worth trying when a larger one did not fit.
_LEAST_BUDGET = 32
# How torch's CPU allocator says it; a GPU's raises torch.OutOfMemoryError.
_CPU_OUT_OF_MEMORY = "allocate memory"


@dataclass(eq=False)
class Engine:
    """A backbone and a head, and how traces go through them.

    Attributes:
        backbone: the stock model.
        head: the head's weights.
        token_budget: the most tokens of a batch; less, once that did not fit into memory.
        costs: what plans take, to choose the cheapest; None forwards every trace whole, padded.
        rope_switch_length: the length at which the model changes its rotary frequencies; None for
            most.
        cache_limit: the most tokens of a trace whose keys and values are kept.
        process: the process that can run it: threads of torch do not survive a fork.
    """

    backbone: torch.nn.Module
    head: StepHead
    token_budget: int
    costs: ForwardCosts | None
    rope_switch_length: int | None
    cache_limit: int | None = None
    process: int = field(default_factory=os.getpid)

    def check_process(self, call: str) -> None:
        """Refuse to wait in a fork for threads that it does not have.

        Raises:
            RuntimeError: another process than that of the model.
        """
        if os.getpid() != self.process:
            raise RuntimeError(
                f"{call}: expected the process that loaded the model ({self.process}); got a fork "
                f"of it ({os.getpid()}), in which torch would wait forever for threads that it "
                "lost; load the model in this process, or start it with "
                'multiprocessing.get_context("spawn")'
            )

    @property
    def device(self) -> torch.device:
        """Where the backbone runs."""
        return input_device(self.backbone)

    @property
    def number_format(self) -> str:
        """What the hidden states are in, such as ``bfloat16``."""
        return str(next(self.backbone.parameters()).dtype).removeprefix("torch.")

    def plan(self, traces: PackedTraces, token_budget: int) -> Plan:
        """Plan the forward passes of traces."""
        if self.costs is None:
            return plan_padded(
                traces.token_ids,
                traces.offsets,
                token_budget=token_budget,
                rope_switch_length=self.rope_switch_length,
            )
        return cheapest_plan(
            traces.token_ids,
            traces.offsets,
            token_budget=token_budget,
            costs=self.costs,
            cache_limit=self.cache_limit,
            rope_switch_length=self.rope_switch_length,
        )

    def read(
        self,
        call: str,
        traces: PackedTraces,
        on_steps: Callable[[int], object] = int,
        on_plan: Callable[[Plan], object] = len,
    ) -> NDArray[np.float32]:
        """Score every step: float32 ``[steps, readings]``.

        Where memory runs out, the batches are made smaller and the traces that are left go on with
        them; a warning says which budget worked.

        Args:
            call: the public call that is served, for messages.
            traces: the traces.
            on_steps: is told how many steps each batch has read.
            on_plan: is told every plan before it is forwarded.
        """
        values = np.empty((len(traces.positions), self.head.width), dtype=np.float32)
        unread = np.arange(len(values))
        budget = self.token_budget
        while len(unread):
            unfinished = np.unique(traces.trace_of_step()[unread])
            part = traces.take(unfinished)
            steps = traces.steps_of(unfinished)
            planned = self.plan(part, budget)
            on_plan(planned)
            scores = DeviceScores()
            try:
                read_plan(self.backbone, self.head, planned, part, scores, on_steps)
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                budget = smaller_budget(call, budget, planned, error)
            read = steps[scores.steps()]
            if len(read):
                values[read] = scores.values()
            unread = np.setdiff1d(unread, read, assume_unique=True)
        if budget != self.token_budget:
            warn_of_budget(call, self.token_budget, budget)
            self.token_budget = budget
        return values


class DeviceScores:
    """Scores of steps, left on their device until all are there, so that no batch waits."""

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
        """Their scores ``[steps, readings]``, at least of one: the one copy from a GPU."""
        values: NDArray[np.float32] = torch.cat(self._scores).cpu().numpy()
        return values


def read_plan(
    backbone: torch.nn.Module,
    head: StepHead,
    planned: Plan,
    traces: PackedTraces,
    scores: DeviceScores,
    on_steps: Callable[[int], object] = int,
    *,
    prefixes: Sequence[Prefix | None] = (None,),
    keep: dict[int, Prefix] | None = None,
) -> None:
    """Forward the batches of a plan, and read each step where its trace's tokens went."""
    rows = planned.rows(traces.trace_of_step(), traces.positions)
    order = np.argsort(rows, kind="stable")
    bounds = planned.batch_rows()
    cuts = np.searchsorted(rows[order], bounds)
    for batch, hidden in enumerate(hidden_states(backbone, planned, prefixes=prefixes, keep=keep)):
        steps = order[cuts[batch] : cuts[batch + 1]]
        if len(steps):
            scores.add(steps, head.read(hidden, rows[steps] - bounds[batch], traces, steps))
            on_steps(len(steps))


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on a CPU."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return _CPU_OUT_OF_MEMORY in str(error)


def smaller_budget(call: str, budget: int, planned: Plan, error: BaseException) -> int:
    """Give half the tokens of the largest batch; raise where that is not worth trying."""
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


def warn_of_budget(call: str, before: int, after: int, stacklevel: int = 6) -> None:
    """Warn of the budget that worked, at the line of the caller `stacklevel` frames up."""
    warnings.warn(
        f"{call}: batches of {before} tokens did not fit into memory; {after} did; pass "
        f"load(..., token_budget={after})",
        stacklevel=stacklevel,
    )
