"""Traces that grow and fork: only their new tokens go through the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from threading import Lock
from typing import Any
from weakref import WeakSet

import numpy as np
import torch
from numpy.typing import NDArray

from stepscore.errors import Argument
from stepscore.scoring.arguments import (
    TraceArguments,
    Traces,
    addressed,
    check_problem,
    check_traces,
)
from stepscore.scoring.forward.engine import (
    DeviceScores,
    Engine,
    out_of_memory,
    read_plan,
    smaller_budget,
    warn_of_budget,
)
from stepscore.scoring.forward.key_values import Prefix, Segment
from stepscore.scoring.forward.memory import free_memory, token_bytes
from stepscore.scoring.forward.packed_traces import PackedTraces
from stepscore.scoring.forward.plan import plan
from stepscore.scoring.render import Renderer
from stepscore.scoring.scores import StepScores


class MemoryLimitError(ValueError):
    """A branch that alone needs more than a session may keep."""


@dataclass(frozen=True)
class Branches:
    """What `Session.extend` made.

    Attributes:
        nodes: one per branch, in the order of the call.
        scores: of the new steps of each branch.
    """

    nodes: list[int]
    scores: StepScores


@dataclass
class SessionStats:
    """What a session did so far.

    Attributes:
        given: tokens that scoring every branch from its first token would have forwarded.
        forwarded: tokens that were forwarded.
        dropped: tokens whose keys and values were given up for the memory limit.
        kept_bytes: keys and values that are kept now.
        peak_bytes: the most of them at any time.
    """

    given: int = 0
    forwarded: int = 0
    dropped: int = 0
    kept_bytes: int = 0
    peak_bytes: int = 0


@dataclass(eq=False)
class _Node:
    """A step, or several given at once; a root has none."""

    number: int
    parent: _Node | None
    problem: str
    steps: list[str]  # from the root on
    scores: NDArray[np.float32]  # one per step
    token_ids: NDArray[np.int32]  # of the whole trace, as far as it was forwarded
    path: Prefix | None  # with the keys and values of token_ids
    children: list[_Node] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _Branch:
    """A trace to score: its tokens, and where its new steps are read."""

    parent: _Node
    token_ids: NDArray[np.int32]
    positions: NDArray[np.int64]

    def continues(self, nodes: Iterable[_Node]) -> Prefix | None:
        """The longest beginning of the trace whose keys and values are there.

        The tokens that are read are never part of it: their hidden states are wanted.
        """
        best, longest = None, 0
        for node in nodes:
            if node.path is None:
                continue
            most = min(node.path.cached, int(self.positions[0]))
            same = _common(self.token_ids[:most], node.token_ids[:most])
            if same > longest:
                best, longest = node.path, same
        return None if best is None else best.first(longest)


class Session:
    """Traces of some problems that grow step by step; made by `ProcessRewardModel.session`.

    A node is a trace up to some step; the roots are the problems. `extend` continues nodes by steps
    and forwards only the tokens that are new, of all branches together. A fork copies nothing. What
    is no longer wanted is given back with `free` or `keep`.

    A score is that of `ProcessRewardModel.score` for the whole trace, to about 1e-6 in float32.

    Attributes:
        roots: the node of each problem.
        stats: what was forwarded, and what is kept.
    """

    def __init__(
        self,
        engine: Engine,
        renderer: Renderer,
        problems: Sequence[str],
        *,
        name: str,
        memory_limit: int | None,
    ) -> None:
        self._engine = engine
        self._renderer = renderer
        self._name = name
        self._limit = free_memory(engine.device) // 2 if memory_limit is None else memory_limit
        self._token_bytes = token_bytes(engine.backbone)
        # Those that some node leads to: the others are gone with their last reference.
        self._segments: WeakSet[Segment] = WeakSet()
        self._clock = 0
        self._lock = Lock()
        self._open = True
        self._nodes: dict[int, _Node] = {}
        self._made = 0
        self.stats = SessionStats()
        self.roots: list[int] = []
        self.begin(problems)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._nodes)

    def __repr__(self) -> str:
        state = (
            f"{len(self)} nodes, {self.stats.kept_bytes / 1e6:.1f} MB" if self._open else "closed"
        )
        return f"Session({self._name!r}, {state})"

    def begin(self, problems: Sequence[str]) -> list[int]:
        """Take more problems in, and give their roots.

        Raises:
            TypeError, ValueError: problems that cannot be laid out, a closed session; none was
                taken in.
        """
        for index, problem in enumerate(problems):
            fault = check_problem(self._renderer.recipe, problem)
            if fault is not None:
                raise addressed(fault, "session", Argument("problems", index=(index,)))
        nothing, no_tokens = np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int32)
        with self._lock:
            self._check_open()
            roots = [self._add(None, own, [], nothing, no_tokens, None) for own in problems]
            self.roots += roots
        return roots

    def extend(self, nodes: int | Sequence[int], steps: str | Sequence[Any]) -> Branches:
        """Continue traces by steps, and score these.

        Args:
            nodes: one node for all steps, or one for each.
            steps: each a step, or a list of steps that are added one after the other. One step can
                be given alone, for one node.

        Raises:
            TypeError: an argument of another type.
            ValueError: a closed session, a node that is not there or was freed, an empty step, a
                step that contains the separator, a trace that is too long; `MemoryLimitError`: a
                branch that alone needs more than the memory limit. The message names the place;
                nothing was changed.
        """
        with self._lock:
            parents, added = self._checked(nodes, steps)
            full = [[*node.steps, *own] for node, own in zip(parents, added, strict=True)]
            arguments = TraceArguments(
                "extend",
                lambda trace: Argument("nodes", index=(trace,)),
                lambda trace, *step: Argument(
                    "steps", index=(trace, *(k - len(parents[trace].steps) for k in step))
                ),
            )
            recipe = self._renderer.recipe
            traces = check_traces(arguments, recipe, [n.problem for n in parents], full)
            branches = self._rendered(arguments, parents, traces)
            scores: list[NDArray[np.float32]] = [np.zeros(0, dtype=np.float32)] * len(branches)
            ends: list[Prefix | None] = [None] * len(branches)
            self._score(branches, np.arange(len(branches)), scores, ends)
            made = []
            for parent, own, branch, score, end in zip(
                parents, full, branches, scores, ends, strict=True
            ):
                total = np.concatenate([parent.scores, score])
                made.append(self._add(parent, parent.problem, own, total, branch.token_ids, end))
            self._count()
        offsets = np.cumsum([0, *map(len, scores)])
        values = np.concatenate([np.zeros(0, dtype=np.float32), *scores])
        none = np.zeros(len(made), dtype=np.int64)
        return Branches(made, StepScores(values, offsets, recipe, none))

    def steps(self, node: int) -> list[str]:
        """The steps of a trace, from the root to a node."""
        return list(self._node(node).steps)

    def scores(self, node: int) -> NDArray[np.float32]:
        """Their scores ``[steps]``."""
        return np.array(self._node(node).scores)

    def free(self, nodes: int | Iterable[int]) -> None:
        """Give nodes back, with all that continues them; freeing one twice is an error."""
        with self._lock:
            for number in [nodes] if isinstance(nodes, int) else list(nodes):
                self._free(self._node(number))
            self._count()

    def keep(self, nodes: Iterable[int]) -> None:
        """Free all nodes but these, what leads to them, and the roots."""
        with self._lock:
            wanted = set(self.roots)
            for number in nodes:
                node: _Node | None = self._node(number)
                while node is not None:
                    wanted.add(node.number)
                    node = node.parent
            for number in self._nodes.keys() - wanted:
                if number in self._nodes:  # else it went with another one
                    self._free(self._nodes[number])
            self._count()

    def close(self) -> None:
        """Give everything back; the session cannot be used after it."""
        with self._lock:
            self._open = False
            for node in self._nodes.values():
                node.path = None
            self._nodes.clear()
            self._count()

    def _add(self, parent: _Node | None, *fields: Any) -> int:
        number = self._made
        self._made += 1
        self._nodes[number] = node = _Node(number, parent, *fields)
        if parent is not None:
            parent.children.append(node)
        return number

    def _free(self, node: _Node) -> None:
        if node.parent is not None:
            node.parent.children.remove(node)
        gone = [node]
        while gone:
            one = gone.pop()
            del self._nodes[one.number]
            gone.extend(one.children)
            one.path = None  # now: nodes refer to each other, and would wait for the collector

    def _check_open(self) -> None:
        if not self._open:
            raise ValueError("session: it is closed; open another one with prm.session(problems)")

    def _node(self, number: int) -> _Node:
        self._check_open()
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
            raise TypeError(
                f"session: a node is a whole number; got {type(number).__name__}; pass what extend "
                "or roots gave"
            )
        node = self._nodes.get(int(number))
        if node is None:
            known = 0 <= number < self._made
            raise ValueError(
                f"session: node {number} {'was freed' if known else 'does not exist'}; pass what "
                "extend or roots gave, and keep what is still wanted"
            )
        return node

    def _checked(
        self, nodes: int | Sequence[int], steps: str | Sequence[Any]
    ) -> tuple[list[_Node], list[list[str]]]:
        """One node and one list of steps per branch."""
        one = isinstance(nodes, (int, np.integer)) and not isinstance(nodes, bool)
        if isinstance(steps, str):
            if not one:
                raise TypeError(
                    "extend: steps must be a list, one item per node; got str; put it into a list"
                )
            steps = [steps]
        if not isinstance(steps, (list, tuple)):
            raise TypeError(
                f"extend: steps must be a list, each item a step or a list of steps; got "
                f"{type(steps).__name__}; pass a list"
            )
        numbers = [int(nodes)] * len(steps) if one else list(nodes)  # type: ignore[arg-type]
        if len(numbers) != len(steps):
            raise ValueError(
                f"extend: steps must hold one item per node: expected {len(numbers)}; got "
                f"{len(steps)}; repeat a node for each of its branches"
            )
        added = [[step] if isinstance(step, str) else step for step in steps]
        for branch, own in enumerate(added):
            if not isinstance(own, (list, tuple)) or not own:
                raise ValueError(
                    f"extend: steps[{branch}] must be a step or a list of at least one step; got "
                    f"{own!r}"
                )
        return [self._node(number) for number in numbers], [list(own) for own in added]

    def _rendered(
        self, arguments: TraceArguments, parents: Sequence[_Node], traces: Traces
    ) -> list[_Branch]:
        if not parents:
            return []
        packed = self._renderer.render(arguments, traces, None).traces
        branches = []
        for branch, parent in enumerate(parents):
            tokens = packed.token_ids[packed.offsets[branch] : packed.offsets[branch + 1]]
            first, last = packed.step_offsets[branch : branch + 2]
            positions = packed.positions[first + len(parent.steps) : last]
            branches.append(_Branch(parent, tokens, positions))
        return branches

    def _score(
        self,
        branches: Sequence[_Branch],
        chosen: NDArray[np.int64],
        scores: list[NDArray[np.float32]],
        ends: list[Prefix | None],
    ) -> None:
        """Forward the new tokens of some branches: all together, or by halves where they must."""
        if not len(chosen):
            return
        own = [branches[branch] for branch in chosen]
        self._clock += 1
        paths = [branch.continues([branch.parent, *branch.parent.children]) for branch in own]
        self._use(paths)
        if not self._make_room(own, paths):
            if len(chosen) == 1:
                need = len(own[0].token_ids) * self._token_bytes
                raise MemoryLimitError(
                    f"extend: steps[{chosen[0]}] needs the keys and values of "
                    f"{len(own[0].token_ids)} tokens, about {need / 1e6:.3g} MB; memory_limit "
                    f"is {self._limit / 1e6:.3g} MB; pass a larger one to prm.session"
                )
            half = len(chosen) // 2
            self._score(branches, chosen[:half], scores, ends)
            self._score(branches, chosen[half:], scores, ends)
            return
        for branch, (score, end) in zip(chosen, self._forward(own, paths), strict=True):
            scores[branch], ends[branch] = score, end

    def _forward(
        self, branches: Sequence[_Branch], paths: Sequence[Prefix | None]
    ) -> list[tuple[NDArray[np.float32], Prefix | None]]:
        """Give the scores of the new steps of each branch, and the path that ends with it."""
        costs = self._engine.costs
        if costs is None:
            return [(score, None) for score in self._forward_whole(branches)]
        # Branches that continue one path are a group, whose new tokens are a trie.
        places: dict[tuple[int, int], int] = {}
        group = [places.setdefault(_place(path), len(places)) for path in paths]
        order = np.argsort(group, kind="stable")
        grouped = [paths[group.index(g)] for g in range(len(places))]
        starts = [0 if path is None else path.tokens for path in grouped]
        parts = [branches[i].token_ids[starts[group[i]] :] for i in order]
        offsets = np.cumsum([0, *map(len, parts)])
        steps = [branches[i].positions for i in order]
        tokens = PackedTraces(
            np.concatenate(parts), offsets, np.concatenate(steps), np.cumsum([0, *map(len, steps)])
        )
        groups = np.cumsum([0, *np.bincount(group)])
        engine, budget = self._engine, self._engine.token_budget
        while True:
            planned = plan(
                tokens.token_ids,
                offsets,
                token_budget=budget,
                costs=costs,
                groups=groups,
                starts=starts,
            )
            read, pieces = DeviceScores(), dict[int, Prefix]()
            used = {path.segment: path.segment.used for path in grouped if path is not None}
            try:
                read_plan(
                    engine.backbone,
                    engine.head,
                    planned,
                    tokens,
                    read,
                    prefixes=grouped,
                    keep=pieces,
                )
                break
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                for segment, before in used.items():
                    segment.used = before
                if not out_of_memory(error):
                    raise
                self._evict(0)
                budget = smaller_budget("extend", budget, planned, error)
        if budget != engine.token_budget:
            warn_of_budget("extend", engine.token_budget, budget)
            engine.token_budget = budget
        self.stats.given += sum(len(branch.token_ids) for branch in branches)
        self.stats.forwarded += planned.forwarded
        self._use(pieces.values())
        self._count()
        values = np.empty(len(tokens.positions), dtype=np.float32)
        values[read.steps()] = read.values()
        made: list[tuple[NDArray[np.float32], Prefix | None]] = [(values, None)] * len(branches)
        for trace, branch in enumerate(order):
            begin, end = tokens.step_offsets[trace : trace + 2]
            last = len(branches[branch].token_ids) - 1
            piece = int(planned.last_piece[trace])
            while planned.start[piece] > last:
                piece = int(planned.parent[piece])
            beyond = int(planned.start[piece] + planned.lengths[piece]) - 1 - last
            whole = pieces[piece]
            made[branch] = values[begin:end], Prefix(whole.segment, whole.length - beyond)
        return made

    def _forward_whole(self, branches: Sequence[_Branch]) -> Iterator[NDArray[np.float32]]:
        """For a model that shares nothing."""
        tokens = [branch.token_ids for branch in branches]
        steps = [branch.positions for branch in branches]
        offsets = np.cumsum([0, *map(len, steps)])
        packed = PackedTraces(
            np.concatenate(tokens),
            np.cumsum([0, *map(len, tokens)]),
            np.concatenate(steps),
            offsets,
        )
        values = self._engine.read("extend", packed)
        self.stats.given += len(packed.token_ids)
        self.stats.forwarded += len(packed.token_ids)
        return (values[begin:end] for begin, end in pairwise(offsets))

    def _use(self, paths: Iterable[Prefix | None]) -> None:
        """Note what is used now."""
        for path in paths:
            for segment, _ in () if path is None else path.parts:
                segment.last_use = self._clock
                self._segments.add(segment)

    def _make_room(self, branches: Sequence[_Branch], paths: Sequence[Prefix | None]) -> bool:
        """Drop what was not used for longest; False where even that leaves too little."""
        new = sum(
            len(branch.token_ids) - (0 if path is None else path.tokens)
            for branch, path in zip(branches, paths, strict=True)
        )
        # A segment that a branch goes on in may make room for half as much again.
        grown = {path.segment for path in paths if path is not None}
        new += sum(segment.capacity // 2 for segment in grown if segment.prefix is not None)
        return self._evict(self._limit - new * self._token_bytes)

    def _evict(self, limit: int) -> bool:
        """Drop the least recently used keys and values until the limit holds, but none in use."""
        self._count()
        # What continues a segment was used no later than it: from the leaves to the roots.
        for segment in sorted(self._segments, key=_idle):
            if self.stats.kept_bytes <= limit:
                break
            if segment.last_use < self._clock and not segment.dropped:
                self.stats.kept_bytes -= segment.nbytes
                self.stats.dropped += segment.used
                segment.drop()
        return self.stats.kept_bytes <= limit

    def _count(self) -> None:
        self.stats.kept_bytes = sum(segment.nbytes for segment in self._segments)
        self.stats.peak_bytes = max(self.stats.peak_bytes, self.stats.kept_bytes)


def _idle(segment: Segment) -> tuple[int, int]:
    return segment.last_use, 0 if segment.prefix is None else -len(segment.prefix.parts)


def _common(a: NDArray[np.int32], b: NDArray[np.int32]) -> int:
    """How many tokens two traces begin with."""
    length = min(len(a), len(b))
    apart = np.flatnonzero(a[:length] != b[:length])
    return int(apart[0]) if len(apart) else length


def _place(path: Prefix | None) -> tuple[int, int]:
    return (0, 0) if path is None else (id(path.segment), path.length)
