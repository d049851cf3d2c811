"""Traces that grow and fork: only their new tokens go through the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import Argument, InputError, InputTypeError
from stepscore.lists import as_lists
from stepscore.ragged import offsets_of
from stepscore.scoring.arguments import TraceArguments, addressed, check_traces
from stepscore.scoring.render import Renderer
from stepscore.scoring.running_scores import with_running
from stepscore.scoring.score_options import NonFinite
from stepscore.scoring.score_traces import check_finite
from stepscore.scoring.scores import StepScores, further_readings
from stepscore.scoring.session_memory import KeyValueMemory, MemoryLimitError, SessionStats
from stepscore.scoring.session_nodes import TraceForest, TraceNode
from stepscore.scoring.solution_reader import SolutionReader

if TYPE_CHECKING:
    from stepscore.scoring.forward.engine import Engine
    from stepscore.scoring.session_branches import Branch, BranchScores

__all__ = ["Branches", "MemoryLimitError", "Session", "SessionStats"]


@dataclass(frozen=True)
class Branches:
    """What `Session.extend` made.

    Attributes:
        nodes: one per branch, in the order of the call.
        scores: of the new steps of each branch.
    """

    nodes: list[int]
    scores: StepScores


class Session:
    """Traces of some problems that grow step by step; made by `ProcessRewardModel.session`.

    A node is a trace up to some step; the roots are the problems. `extend` continues nodes by steps
    and forwards only the tokens that are new, those of all branches together. A fork copies
    nothing. Nodes that are no longer needed are released with `free` or `keep`.

    A score is that of `ProcessRewardModel.score` for the whole trace: in float32 on a CPU bit for
    bit, elsewhere as far as scores move there (``prm.sharing.moves``). Where a model gives one
    score to a solution, each step has that of the solution that ends with it.

    Attributes:
        roots: the node of each problem.
        stats: what was forwarded, and what is kept.

    Examples:
        >>> import stepscore
        >>> prm = stepscore.load("lab")
        >>> session = prm.session("85+95-16+20+11-30=?")
        >>> first = session.extend(session.roots[0], ["85+95=180", "85+95=170"])
        >>> session.keep(first.nodes[:1])
        >>> second = session.extend(first.nodes[0], ["180-16=164"])
        >>> session.steps(second.nodes[0])
        ['85+95=180', '180-16=164']
        >>> session.close()
    """

    def __init__(
        self,
        engine: Engine,
        reader: SolutionReader,
        renderer: Renderer,
        problems: Sequence[str],
        *,
        name: str,
        memory_limit: int | None,
        nan: NonFinite,
    ) -> None:
        # Imported here, because it needs torch, which a session of verdicts does without.
        from stepscore.scoring.forward.memory import free_memory, token_bytes

        self._engine = engine
        self._reader = reader.of_prefixes()
        self._nan = nan
        self._renderer = replace(renderer, recipe=self._reader.recipe)
        self._name = name
        self._lock = Lock()
        self._nodes = TraceForest()
        self.stats = SessionStats()
        limit = free_memory(engine.device) // 2 if memory_limit is None else memory_limit
        self._memory = KeyValueMemory(limit, token_bytes(engine.backbone), self.stats)
        self.roots: list[int] = []
        self.begin(problems)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, node: object) -> bool:
        return node in self._nodes

    def __repr__(self) -> str:
        kept = f"{len(self)} nodes, {self.stats.kept_bytes / 1e6:.1f} MB"
        return f"Session({self._name!r}, {kept if self._nodes.is_open else 'closed'})"

    def begin(self, problems: Sequence[str]) -> list[int]:
        """Add problems, and give their roots.

        Raises:
            TypeError, ValueError: problems that cannot be laid out, a closed session; none was
                added.
        """
        for index, problem in enumerate(problems):
            fault = self._reader.fault_in_problem(problem)
            if fault is not None:
                raise addressed(fault, "session", Argument("problems", index=(index,)))
        with self._lock:
            self._nodes.check_open()
            readings = len(self._renderer.recipe.readings)
            roots = [self._nodes.add_root(problem, readings) for problem in problems]
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
                step that contains the separator, a trace that is too long, a score that is not
                finite; `MemoryLimitError`: a branch that alone needs more than the memory limit.
                The message names the place; nothing was changed.
            RuntimeError: in a fork of the process that loaded the model.
        """
        self._engine.check_process("extend")
        nodes, steps = as_lists(nodes), as_lists(steps)
        with self._lock:
            parents, added = self._branches_of(nodes, steps)
            whole = [[*node.steps, *new] for node, new in zip(parents, added, strict=True)]
            arguments = self._arguments(parents, steps)
            branches, whole, stripped = self._rendered(arguments, parents, whole)
            results = self._read(branches)
            offsets = offsets_of(list(map(len, added)))
            recipe = self._renderer.recipe
            none_read = np.zeros((0, len(recipe.token_readings)), dtype=np.float32)
            read = np.concatenate([none_read, *(result.scores for result in results)])
            earlier = [node.readings for node in parents]
            values = with_running(recipe, recipe.of_steps(read), offsets, earlier)
            none = np.zeros(len(added), dtype=np.int64)
            if self._nan == "error":
                first = [len(node.steps) for node in parents]
                number_format = self._engine.number_format
                check_finite(arguments, values, offsets, none, first, number_format=number_format)
            children = []
            # A branch of several sequences goes on with what the last of them, the longest, holds.
            last = {branch.index: i for i, branch in enumerate(branches)}
            for index, (parent, all_steps) in enumerate(zip(parents, whole, strict=True)):
                known = np.concatenate(
                    [parent.readings, values[offsets[index] : offsets[index + 1]]]
                )
                token_ids, prefix = branches[last[index]].token_ids, results[last[index]].prefix
                children.append(self._nodes.add_child(parent, all_steps, known, token_ids, prefix))
            self._memory.count()
        scores = StepScores(
            values[:, 0].copy(),
            offsets,
            recipe,
            none,
            {},
            stripped,
            further_readings(recipe.readings, values),
        )
        return Branches(children, scores)

    def steps(self, node: int) -> list[str]:
        """The steps of a trace, from the root to a node."""
        return list(self._nodes[node].steps)

    def scores(self, node: int) -> NDArray[np.float32]:
        """Their scores ``[steps]``."""
        return np.array(self._nodes[node].scores)

    def free(self, nodes: int | Iterable[int]) -> None:
        """Release nodes and all that continues them; releasing one twice is an error."""
        with self._lock:
            for number in [nodes] if isinstance(nodes, int) else list(nodes):
                self._nodes.free(number)
            self._memory.count()

    def keep(self, nodes: Iterable[int]) -> None:
        """Release all nodes except these, their ancestors and the roots."""
        with self._lock:
            self._nodes.keep(nodes)
            self._memory.count()

    def close(self) -> None:
        """Release everything; the session cannot be used afterwards."""
        with self._lock:
            self._nodes.close()
            self._memory.count()

    def _branches_of(
        self, nodes: int | Sequence[int], steps: str | Sequence[Any]
    ) -> tuple[list[TraceNode], list[list[str]]]:
        """One node and one list of new steps per branch."""
        if isinstance(nodes, (int, np.integer)) and not isinstance(nodes, bool):
            given = [steps] if isinstance(steps, str) else steps
            numbers = [nodes] * len(given) if isinstance(given, (list, tuple)) else []
        elif isinstance(nodes, (list, tuple)):
            given, numbers = steps, list(nodes)
        else:
            raise InputTypeError(
                "a node, which is a whole number, or a list of nodes",
                got=type(nodes).__name__,
                advice="pass what extend or roots gave",
                argument="nodes",
                where="extend",
            )
        if not isinstance(given, (list, tuple)):
            raise InputTypeError(
                "a list, one item per node, each a step or a list of steps",
                got=type(given).__name__,
                advice="put it into a list" if isinstance(given, str) else "pass a list",
                argument="steps",
                where="extend",
            )
        if len(numbers) != len(given):
            raise InputError(
                f"one item per node ({len(numbers)})",
                got=str(len(given)),
                advice="repeat a node for each of its branches",
                argument="steps",
                where="extend",
            )
        added = [[step] if isinstance(step, str) else step for step in given]
        for branch, new in enumerate(added):
            if not isinstance(new, (list, tuple)) or not new:
                raise InputError(
                    "a step, or a list of at least one step",
                    got=repr(new),
                    argument=Argument("steps", index=(branch,)),
                    where="extend",
                )
        return [self._nodes[number] for number in numbers], [list(new) for new in added]

    def _arguments(
        self, parents: Sequence[TraceNode], steps: str | Sequence[Any]
    ) -> TraceArguments:
        def solution(trace: int, *step: int) -> Argument:
            if isinstance(steps, str) or isinstance(steps[trace], str):
                step = ()
            # The steps before were checked when they came, so that only new ones can be at fault.
            new = [number - len(parents[trace].steps) for number in step]
            return Argument("steps", index=(trace, *new))

        return TraceArguments("extend", lambda trace: Argument("nodes", index=(trace,)), solution)

    def _rendered(
        self, arguments: TraceArguments, parents: Sequence[TraceNode], whole: list[list[str]]
    ) -> tuple[list[Branch], list[list[str]], dict[int, int]]:
        """The sequences of the branches in which new steps are read, in the order of the branches.

        Returns:
            They, the steps of each branch as they are read, and the tokens that were removed there.
        """
        if not parents:
            return [], [], {}
        problems = [node.problem for node in parents]
        traces = check_traces(arguments, self._reader, problems, whole)
        rendered = self._renderer.render(arguments, traces, None)
        packed, sequences = rendered.traces, rendered.sequence_offsets
        from stepscore.scoring.session_branches import Branch

        branches = []
        for index, parent in enumerate(parents):
            known = len(parent.steps) * rendered.positions_per_step
            first_new = packed.step_offsets[sequences[index]] + known
            for sequence in range(sequences[index], sequences[index + 1]):
                tokens = packed.token_ids[packed.offsets[sequence] : packed.offsets[sequence + 1]]
                first, last = packed.step_offsets[sequence : sequence + 2]
                positions = packed.positions[max(first, first_new) : last]
                if len(positions):
                    branches.append(Branch(index, parent, tokens, positions))
        return branches, [list(steps) for steps in traces.steps], traces.stripped

    def _read(self, branches: Sequence[Branch]) -> list[BranchScores]:
        """Forward the new tokens of branches: all together, or by halves where they must."""
        if not branches:
            return []
        from stepscore.scoring.session_branches import forward_branches

        memory = self._memory
        memory.tick()
        prefixes = [branch.cached_prefix() for branch in branches]
        memory.use(prefixes)
        new_tokens = sum(
            len(branch.token_ids) - (0 if prefix is None else prefix.tokens)
            for branch, prefix in zip(branches, prefixes, strict=True)
        )
        if memory.make_room(new_tokens, prefixes):
            return forward_branches(self._engine, memory, self.stats, branches, prefixes)
        if len(branches) > 1:
            half = len(branches) // 2
            return self._read(branches[:half]) + self._read(branches[half:])
        [branch] = branches
        need = len(branch.token_ids) * memory.token_bytes
        raise MemoryLimitError(
            f"a branch whose keys and values fit the limit of {memory.limit / 1e6:.3g} MB",
            got=f"{len(branch.token_ids)} tokens, about {need / 1e6:.3g} MB",
            advice=("pass a larger ", Argument("memory_limit"), " to prm.session"),
            argument=Argument("steps", index=(branch.index,)),
            where="extend",
        )
