"""What stands in the trees of a search: nodes, paths and accounts, to be read."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stepscore import _core
from stepscore.arrays import host_counts, host_integers
from stepscore.ops.tree_search_requests import Ids

Choice: TypeAlias = Literal["visits", "value", "gumbel"]

_FLAGS = _core.NODE_FLAGS
_SCATTERED = _FLAGS["SCATTERED"]  # children of several expansions, linked by next_sibling


class TreeNodes:
    """The nodes of the search trees of many problems.

    A node is a step; its number is ``problem * max_nodes + number in the problem``, the root's
    ``problem * max_nodes``.

    Attributes:
        problems: their number.
        max_nodes: nodes of a problem at most.
        parent: the node before, int32; -1 at a root and at numbers without a node. This and the
            following fields are read-only views, ``[problems * max_nodes]``, never copied.
        first_child, child_count, next_sibling: int32; see `children`.
        depth, visits, in_flight, answer_id, path_tokens: int32. `in_flight` counts the
            simulations below that wait for answers, `path_tokens` the tokens from the root on.
        value, reward, logprob, prior, outcome: float64, as told; `value` and `outcome` are NaN
            before they are.
        value_sum: what is backed up, float64: divided by `visits` the mean, or under the backups
            ``max`` and ``weighted`` the value itself.
        flags: the bits `EXISTS`, `TERMINAL`, `PRUNED`, `DUPLICATE`, `EXPANDED`, `SCORED`, `JUDGED`,
            `CORRECT`, int32.
    """

    EXISTS = _FLAGS["EXISTS"]
    TERMINAL = _FLAGS["TERMINAL"]
    PRUNED = _FLAGS["PRUNED"]
    DUPLICATE = _FLAGS["DUPLICATE"]
    EXPANDED = _FLAGS["EXPANDED"]
    SCORED = _FLAGS["SCORED"]
    JUDGED = _FLAGS["JUDGED"]
    CORRECT = _FLAGS["CORRECT"]

    parent: NDArray[np.int32]
    first_child: NDArray[np.int32]
    next_sibling: NDArray[np.int32]
    child_count: NDArray[np.int32]
    depth: NDArray[np.int32]
    visits: NDArray[np.int32]
    in_flight: NDArray[np.int32]
    answer_id: NDArray[np.int32]
    path_tokens: NDArray[np.int32]
    flags: NDArray[np.int32]
    value: NDArray[np.float64]
    reward: NDArray[np.float64]
    logprob: NDArray[np.float64]
    prior: NDArray[np.float64]
    outcome: NDArray[np.float64]
    value_sum: NDArray[np.float64]

    def __init__(self, core: _core.TreeSearch, problems: int) -> None:
        self._core = core
        for name, field in core.fields().items():
            if name in TreeNodes.__annotations__:
                setattr(self, name, field)
        self.problems = problems
        self.max_nodes = len(self.parent) // problems if problems else 0

    def __repr__(self) -> str:
        nodes = int(self._core.counts()[0].sum())
        return f"TreeSearch(problems={self.problems}, max_nodes={self.max_nodes}, nodes={nodes})"

    @property
    def roots(self) -> Ids:
        """The root of every problem, int64 ``[problems]``."""
        return np.arange(self.problems) * self.max_nodes

    def children(self, node: int) -> Ids:
        """The children of a node, int64, in the order of their requests."""
        first, count = int(self.first_child[node]), int(self.child_count[node])
        if not self.flags[node] & _SCATTERED:
            return np.arange(first, first + count)
        numbers = [first]
        while len(numbers) < count:
            numbers.append(int(self.next_sibling[numbers[-1]]))
        return np.array(numbers, np.int64)

    def frontier(self) -> tuple[Ids, Ids]:
        """The nodes that may be continued, and their offsets, int64 ``[problems + 1]``.

        Nodes without children that are not terminal, pruned or duplicates and have no open request
        for samples, ascending.
        """
        return self._core.frontier()

    def path(self, nodes: Any) -> tuple[Ids, Ids]:
        """The nodes from the root to each of `nodes`, both included, and offsets ``[n + 1]``."""
        return self._core.paths(host_integers("path", "nodes", nodes))

    def text(self, nodes: Any) -> list[str]:
        """The steps from the root to each node, joined; where they were told as texts."""
        payload, offsets = self._core.path_payload(host_integers("text", "nodes", nodes))
        return [
            payload[begin:end].decode("utf-8", "surrogatepass") for begin, end in pairwise(offsets)
        ]

    def tokens(self, nodes: Any) -> tuple[NDArray[np.int32], Ids]:
        """The token ids from the root to each node, packed, and offsets ``[n + 1]``."""
        payload, offsets = self._core.path_payload(host_integers("tokens", "nodes", nodes))
        return np.frombuffer(payload, np.int32), offsets // 4

    def uniform(self, nodes: Any, draws: Any = 0) -> NDArray[np.float64]:
        """Random numbers in [0, 1), ``[n]``: functions of seed, key, node and number of the draw.

        Args:
            nodes: int64 ``[n]``.
            draws: which draw at the node, one number or int64 ``[n]``, from 0.
        """
        nodes = host_integers("uniform", "nodes", nodes)
        return self._core.uniform(nodes, host_counts("uniform", "draws", draws, nodes.shape))

    def best(self, by: Choice = "visits") -> Ids:
        """The child of every root that a finished search chooses, int64 ``[problems]``; -1: none.

        Args:
            by: ``"visits"``, ``"value"`` (mean of what was backed up), or ``"gumbel"`` (greatest
                g + l + s(q) of the most visited). Ties: the lowest number.
        """
        return self._core.best_children(by)

    # --- accounts ---------------------------------------------------------------------------

    def _count(self, which: int) -> Ids:
        counts: tuple[Ids, ...] = self._core.counts()
        return counts[which]

    @property
    def node_count(self) -> Ids:
        """Numbers given in each problem, the root's included, int64 ``[problems]``."""
        return self._count(0)

    @property
    def simulations(self) -> Ids:
        """Simulations begun, int64 ``[problems]``."""
        return self._count(1)

    @property
    def samples_used(self) -> Ids:
        """Samples granted, int64 ``[problems]``."""
        return self._count(2)

    @property
    def tokens_used(self) -> Ids:
        """Tokens of all children that were told, int64 ``[problems]``."""
        return self._count(3)

    @property
    def prm_tokens_used(self) -> Ids:
        """Tokens of the steps that were scored, int64 ``[problems]``."""
        return self._count(4)

    @property
    def found(self) -> Ids:
        """The node whose value passed the `gate` of the rule, int64 ``[problems]``; -1: none."""
        return self._count(6)

    @property
    def open_requests(self) -> int:
        """Requests that wait to be asked, or for their answers."""
        return self._core.open_requests()
