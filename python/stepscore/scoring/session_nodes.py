"""The nodes of a session: a forest of traces that continue each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import InputError, InputTypeError

if TYPE_CHECKING:
    from stepscore.scoring.forward.key_values import Prefix


@dataclass(eq=False)
class TraceNode:
    """A trace up to some step; a root has no steps.

    Attributes:
        number: what the session calls it.
        parent: the trace that it continues; None for a root.
        problem: the text before the steps.
        steps: from the root on.
        readings: of every step, the score first ``[steps, readings]``.
        token_ids: of the whole trace, as far as it was forwarded.
        prefix: the keys and values of these tokens; None where there are none.
        children: what continues it.
    """

    number: int
    parent: TraceNode | None
    problem: str
    steps: list[str]
    readings: NDArray[np.float32]
    token_ids: NDArray[np.int32]
    prefix: Prefix | None
    children: list[TraceNode] = field(default_factory=list)

    @property
    def scores(self) -> NDArray[np.float32]:
        """One per step."""
        return self.readings[:, 0]


class TraceForest:
    """Nodes by number; a number is never given twice."""

    def __init__(self) -> None:
        self._nodes: dict[int, TraceNode] = {}
        self._next = 0
        self.is_open = True

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, number: object) -> bool:
        return number in self._nodes

    def check_open(self) -> None:
        """Refuse a session that was closed."""
        if not self.is_open:
            raise InputError(
                "an open session",
                got="one that is closed",
                advice="open another one with prm.session(problems)",
                where="session",
            )

    def __getitem__(self, number: object) -> TraceNode:
        self.check_open()
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
            raise InputTypeError(
                "a node, which is a whole number",
                got=type(number).__name__,
                advice="pass what extend or roots gave",
                where="session",
            )
        node = self._nodes.get(int(number))
        if node is None:
            freed = 0 <= number < self._next
            raise InputError(
                "a node of this session",
                got=f"node {number}, which {'was freed' if freed else 'does not exist'}",
                advice="pass what extend or roots gave, and keep what is still wanted",
                where="session",
            )
        return node

    def add_root(self, problem: str, readings: int = 1) -> int:
        """Add a problem."""
        nothing, no_tokens = np.zeros((0, readings), dtype=np.float32), np.zeros(0, dtype=np.int32)
        return self._add(TraceNode(self._next, None, problem, [], nothing, no_tokens, None))

    def add_child(
        self,
        parent: TraceNode,
        steps: list[str],
        readings: NDArray[np.float32],
        token_ids: NDArray[np.int32],
        prefix: Prefix | None,
    ) -> int:
        """Continue a node by the last of these steps."""
        node = TraceNode(self._next, parent, parent.problem, steps, readings, token_ids, prefix)
        parent.children.append(node)
        return self._add(node)

    def free(self, number: object) -> None:
        """Release a node and all that continues it."""
        node = self[number]
        if node.parent is not None:
            node.parent.children.remove(node)
        freed = [node]
        while freed:
            node = freed.pop()
            del self._nodes[node.number]
            freed.extend(node.children)
            node.prefix = None  # now: nodes refer to each other, and would wait for the collector

    def keep(self, numbers: Iterable[object]) -> None:
        """Release all nodes except these, their ancestors and the roots."""
        kept = {node.number for node in self._nodes.values() if node.parent is None}
        for number in numbers:
            node: TraceNode | None = self[number]
            while node is not None:
                kept.add(node.number)
                node = node.parent
        for number in self._nodes.keys() - kept:
            if number in self._nodes:  # else it went with another one
                self.free(number)

    def close(self) -> None:
        """Release everything."""
        self.is_open = False
        for node in self._nodes.values():
            node.prefix = None
        self._nodes.clear()

    def _add(self, node: TraceNode) -> int:
        self._nodes[node.number] = node
        self._next += 1
        return node.number
