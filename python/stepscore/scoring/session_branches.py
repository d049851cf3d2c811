"""The new tokens of a session's branches through the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from stepscore.ragged import offsets_of
from stepscore.scoring.forward.engine import (
    DeviceScores,
    Engine,
    out_of_memory,
    read_plan,
    smaller_budget,
    warn_of_budget,
)
from stepscore.scoring.forward.key_values import Prefix
from stepscore.scoring.forward.packed_traces import PackedTraces
from stepscore.scoring.forward.plan import ForwardCosts, Plan, plan
from stepscore.scoring.session_memory import KeyValueMemory, SessionStats
from stepscore.scoring.session_nodes import TraceNode


@dataclass(frozen=True, eq=False)
class Branch:
    """A trace to score: its tokens, and where its new steps are read.

    Attributes:
        index: its place in the call; the sequences of one trace share it.
        parent: the node that it continues.
        token_ids: of the whole trace.
        positions: of the new steps, counted from the trace's first token.
    """

    index: int
    parent: TraceNode
    token_ids: NDArray[np.int32]
    positions: NDArray[np.int64]

    def cached_prefix(self) -> Prefix | None:
        """The longest beginning of the trace whose keys and values are there.

        The tokens that are read are never part of it: their hidden states are wanted.
        """
        best, longest = None, 0
        # A node that is extended again finds what its children have in common with the branch.
        for node in [self.parent, *self.parent.children]:
            if node.prefix is None:
                continue
            most = min(node.prefix.cached, int(self.positions[0]))
            same = _common_length(self.token_ids[:most], node.token_ids[:most])
            if same > longest:
                best, longest = node.prefix, same
        return None if best is None else best.first(longest)


@dataclass(frozen=True, eq=False)
class BranchScores:
    """What the model said of a branch, and the prefix it ends in.

    Attributes:
        scores: of its new steps ``[steps, readings]``.
        prefix: its keys and values; None where none are kept.
    """

    scores: NDArray[np.float32]
    prefix: Prefix | None


def forward_branches(
    engine: Engine,
    memory: KeyValueMemory,
    stats: SessionStats,
    branches: Sequence[Branch],
    prefixes: Sequence[Prefix | None],
) -> list[BranchScores]:
    """Forward the new tokens of branches, and read their new steps.

    Args:
        engine: forwards and reads; its token budget shrinks where memory runs out.
        memory: notes the keys and values that are kept from now on.
        stats: counts the tokens.
        branches: the traces.
        prefixes: what of each is there already.
    """
    if engine.costs is None:
        return _forward_whole(engine, stats, branches)
    groups = _grouped(branches, prefixes)
    planned, values, pieces = _read_with_what_fits(engine, engine.costs, memory, groups)
    stats.given += sum(len(branch.token_ids) for branch in branches)
    stats.forwarded += planned.forwarded
    memory.use(pieces.values())
    memory.count()
    results: list[BranchScores | None] = [None] * len(branches)
    steps = groups.traces.step_offsets
    for trace, index in enumerate(groups.branch):
        last = len(branches[index].token_ids) - 1
        prefix = _ending_at(planned, pieces, int(planned.last_piece[trace]), last)
        results[index] = BranchScores(values[steps[trace] : steps[trace + 1]], prefix)
    return [result for result in results if result is not None]


@dataclass(frozen=True, eq=False)
class _Groups:
    """Branches by the prefix that they continue: the new tokens of a group are a trie.

    Attributes:
        traces: the new tokens of each branch, one group behind the other; positions are those of
            the whole trace.
        branch: the branch of each trace.
        offsets: the traces of each group ``[groups + 1]``.
        prefixes: what each group continues.
        starts: how long that is.
    """

    traces: PackedTraces
    branch: NDArray[np.int64]
    offsets: NDArray[np.int64]
    prefixes: list[Prefix | None]
    starts: list[int]


def _grouped(branches: Sequence[Branch], prefixes: Sequence[Prefix | None]) -> _Groups:
    numbers: dict[tuple[int, int], int] = {}
    group = [numbers.setdefault(_identity(prefix), len(numbers)) for prefix in prefixes]
    order = np.argsort(group, kind="stable")
    of_group = [prefixes[group.index(g)] for g in range(len(numbers))]
    starts = [0 if prefix is None else prefix.tokens for prefix in of_group]
    new = [branches[i].token_ids[starts[group[i]] :] for i in order]
    return _Groups(
        _packed(new, [branches[i].positions for i in order]),
        order,
        offsets_of(np.bincount(group)),
        of_group,
        starts,
    )


def _read_with_what_fits(
    engine: Engine, costs: ForwardCosts, memory: KeyValueMemory, groups: _Groups
) -> tuple[Plan, NDArray[np.float32], dict[int, Prefix]]:
    """Forward the groups in batches as large as memory allows.

    Returns:
        The plan that fitted, the score of every step, and the prefix that ends with each piece.
    """
    traces, budget = groups.traces, engine.token_budget
    while True:
        planned = plan(
            traces.token_ids,
            traces.offsets,
            token_budget=budget,
            costs=costs,
            groups=groups.offsets,
            starts=groups.starts,
        )
        scores, pieces = DeviceScores(), dict[int, Prefix]()
        continued = [prefix.segment for prefix in groups.prefixes if prefix is not None]
        used_before = {segment: segment.used for segment in continued}
        try:
            read_plan(
                engine.backbone,
                engine.head,
                planned,
                traces,
                scores,
                prefixes=groups.prefixes,
                keep=pieces,
            )
            break
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            for segment, used in used_before.items():
                segment.used = used
            if not out_of_memory(error):
                raise
            memory.evict(0)
            budget = smaller_budget("extend", budget, planned, error)
    if budget != engine.token_budget:
        warn_of_budget("extend", engine.token_budget, budget, stacklevel=6)
        engine.token_budget = budget
    readings = len(engine.head.recipe.token_readings)
    values = np.empty((len(traces.positions), readings), dtype=np.float32)
    values[scores.steps()] = scores.values()
    return planned, values, pieces


def _ending_at(planned: Plan, pieces: dict[int, Prefix], piece: int, last: int) -> Prefix:
    """Give the prefix of a trace up to the token at `last`; its own last piece may go on."""
    while planned.start[piece] > last:
        piece = int(planned.parent[piece])
    beyond = int(planned.start[piece] + planned.lengths[piece]) - 1 - last
    return Prefix(pieces[piece].segment, pieces[piece].length - beyond)


def _forward_whole(
    engine: Engine, stats: SessionStats, branches: Sequence[Branch]
) -> list[BranchScores]:
    """For a model that shares nothing."""
    traces = _packed(
        [branch.token_ids for branch in branches], [branch.positions for branch in branches]
    )
    values = engine.read("extend", traces)
    stats.given += len(traces.token_ids)
    stats.forwarded += len(traces.token_ids)
    return [BranchScores(values[begin:end], None) for begin, end in pairwise(traces.step_offsets)]


def _packed(
    token_ids: Sequence[NDArray[np.int32]], positions: Sequence[NDArray[np.int64]]
) -> PackedTraces:
    return PackedTraces(
        np.concatenate(token_ids),
        offsets_of(_lengths(token_ids)),
        np.concatenate(positions),
        offsets_of(_lengths(positions)),
    )


def _lengths(parts: Iterable[NDArray[np.generic]]) -> list[int]:
    return [len(part) for part in parts]


def _common_length(a: NDArray[np.int32], b: NDArray[np.int32]) -> int:
    """How many tokens two traces begin with."""
    length = min(len(a), len(b))
    apart = np.flatnonzero(a[:length] != b[:length])
    return int(apart[0]) if len(apart) else length


def _identity(prefix: Prefix | None) -> tuple[int, int]:
    return (0, 0) if prefix is None else (id(prefix.segment), prefix.length)
