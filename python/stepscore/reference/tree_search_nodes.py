"""Nodes, trees and requests of the reference: an object each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

BUDGETS = ("samples", "tokens", "prm_tokens")
EXISTS, TERMINAL, PRUNED, DUPLICATE, EXPANDED, SCORED, JUDGED, CORRECT = (
    1 << bit for bit in range(8)
)


@dataclass(eq=False)
class Node:
    """A step."""

    number: int
    tree: Tree
    parent: Node | None
    depth: int = 0
    children: list[Node] = field(default_factory=list)
    flags: int = 1
    visits: int = 0
    in_flight: int = 0
    waiting: int = 0
    expanding: int = 0
    answer_id: int = -1
    path_tokens: int = 0
    text: str = ""
    value_sum: float = 0.0
    value: float = math.nan
    reward: float = 0.0
    logprob: float = 0.0
    outcome: float = math.nan
    rolled: list[Node] | None = None  # steps that its value was taken from, outside the tree
    pending: bool = False
    closed: bool = False
    blocked: bool = False

    def path(self) -> list[Node]:
        """From the root to here."""
        return ([] if self.parent is None else self.parent.path()) + [self]

    def has(self, flag: int) -> bool:
        """Whether any of these flags is set."""
        return bool(self.flags & flag)

    @property
    def usable(self) -> bool:
        """Whether a search may come here."""
        return not self.has(PRUNED | DUPLICATE)

    @property
    def scored(self) -> float:
        """Its score; 0 before there is one."""
        return self.value if self.has(SCORED) else 0.0

    @property
    def tokens(self) -> int:
        """Of its step."""
        return self.path_tokens - (0 if self.parent is None else self.parent.path_tokens)

    @property
    def known_children(self) -> list[Node]:
        """Those that a search may come to, and that are scored."""
        return [c for c in self.children if c.usable and c.has(SCORED)]

    def uniform(self, seed: int, draw: int) -> float:
        """A random number of the node in [0, 1)."""
        return uniform(seed, self.tree.key, self.number - self.tree.root.number, draw)


@dataclass(eq=False)
class Tree:
    """What a problem has: its root, its budgets, its simulations that wait for answers."""

    root: Node = field(init=False)
    key: int
    budget: dict[str, float]
    used: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BUDGETS, 0))
    nodes: int = 1
    simulations: int = 0
    leaves: list[Node] = field(default_factory=list)
    found: Node | None = None


@dataclass(eq=False)
class Ticket:
    """A request."""

    kind: int  # 0 expand, 1 score, 2 judge
    node: Node
    leaf: Node | None
    first: int = -1
    samples: int = 0
    mode: int = 0
    state: str = "queued"
    rolls: bool = False


class TicketQueue:
    """Requests of one kind that wait to be asked, by problem."""

    def __init__(self, problems: int) -> None:
        self.waiting: list[list[Ticket]] = [[] for _ in range(problems)]
        self.next_problem = 0

    def take(self, most: int, per_problem: int | None) -> list[Ticket]:
        """In turns, one request of a problem after the other's; those of one problem together."""
        problems = len(self.waiting)
        order = [(self.next_problem + i) % problems for i in range(problems)]
        taken: dict[int, list[Ticket]] = {p: [] for p in order}
        left, served = most, True
        while left and served:
            served = False
            for p in order:
                full = per_problem is not None and len(taken[p]) >= per_problem
                if left and self.waiting[p] and not full:
                    taken[p].append(self.waiting[p].pop(0))
                    left, served = left - 1, True
                    if not left:
                        self.next_problem = (p + 1) % problems
        tickets = [ticket for p in order for ticket in taken[p]]
        for ticket in tickets:
            ticket.state = "asked"
        return tickets


class TreeNodes:
    """What stands in the trees, as `stepscore.TreeSearch` shows it."""

    EXISTS, TERMINAL, PRUNED, DUPLICATE = EXISTS, TERMINAL, PRUNED, DUPLICATE
    EXPANDED, SCORED, JUDGED, CORRECT = EXPANDED, SCORED, JUDGED, CORRECT

    problems: int
    max_nodes: int
    seed: int
    nodes: dict[int, Node]

    def _problem(self, node: Node) -> int:
        return node.number // self.max_nodes

    def frontier(self) -> tuple[Any, Any]:
        """See `stepscore.TreeSearch.frontier`."""
        numbers, offsets = [], [0]
        for p in range(self.problems):
            for number in sorted(self.nodes):
                node = self.nodes[number]
                open_ = node.usable and not node.has(self.TERMINAL)
                if self._problem(node) == p and open_ and not node.children and not node.expanding:
                    numbers.append(number)
            offsets.append(len(numbers))
        return np.array(numbers, np.int64), np.array(offsets)

    def path(self, nodes: Any) -> tuple[Any, Any]:
        """See `stepscore.TreeSearch.path`."""
        paths = [[node.number for node in self.nodes[int(n)].path()] for n in nodes]
        flat = [number for path in paths for number in path]
        return np.array(flat, np.int64), np.cumsum([0, *map(len, paths)])

    def text(self, nodes: Any) -> list[str]:
        """See `stepscore.TreeSearch.text`."""
        return ["".join(node.text for node in self.nodes[int(n)].path()) for n in nodes]

    def uniform(self, nodes: Any, draws: Any = 0) -> Any:
        """See `stepscore.TreeSearch.uniform`."""
        return np.array(
            [
                self.nodes[int(n)].uniform(self.seed, int(d))
                for n, d in zip(nodes, np.broadcast_to(draws, len(nodes)), strict=True)
            ]
        )

    def fields(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Number and fields of every node."""
        for number, node in sorted(self.nodes.items()):
            links = [-1 if node.parent is None else node.parent.number]
            links += [child.number for child in node.children]
            same = ("visits", "in_flight", "depth", "answer_id", "path_tokens", "flags")
            real = ("value_sum", "value", "reward", "logprob", "outcome")
            yield (
                number,
                {
                    "links": links,
                    **{name: getattr(node, name) for name in same + real},
                },
            )


def _philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x32-10 (Salmon et al. 2011)."""
    (a, b, c, d), (k0, k1) = counter, key
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * a, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c, 2**32)
        a, b, c, d = high1 ^ b ^ k0, low1, high0 ^ d ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return [a, b, c, d]


def uniform(seed: int, key: int, node: int, draw: int) -> float:
    """A random number in [0, 1), 53 bits."""
    key %= 2**64
    bits = _philox([key % 2**32, key >> 32, node, draw], [seed % 2**32, seed >> 32])
    return ((bits[0] >> 5) * 2**26 + (bits[1] >> 6)) / 2**53
