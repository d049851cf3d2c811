"""Search trees of many problems: one object per node, one simulation after the other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stepscore.ops.tree_search import DEFAULTS, RULES, EvaluateRequests, ExpandRequests, Requests

_MODES = ("step", "block", "partial", "rollout")
_GUMBEL_DRAW = 2**32 - 1
_BUDGETS = ("samples", "tokens", "prm_tokens")


@dataclass(eq=False)
class _Node:
    number: int
    tree: _Tree
    parent: _Node | None
    depth: int = 0
    children: list[_Node] = field(default_factory=list)
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
    pending: bool = False
    closed: bool = False
    blocked: bool = False

    def path(self) -> list[_Node]:
        """From the root to here."""
        return ([] if self.parent is None else self.parent.path()) + [self]

    def has(self, flag: int) -> bool:
        return bool(self.flags & flag)

    @property
    def usable(self) -> bool:
        return not self.has(TreeSearch.PRUNED | TreeSearch.DUPLICATE)

    @property
    def scored(self) -> float:
        return self.value if self.has(TreeSearch.SCORED) else 0.0


@dataclass(eq=False)
class _Tree:
    """What a problem has: its root, its budgets, its simulations that wait for answers."""

    root: _Node = field(init=False)
    key: int
    budget: dict[str, float]
    used: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_BUDGETS, 0))
    nodes: int = 1
    simulations: int = 0
    leaves: list[_Node] = field(default_factory=list)


@dataclass(eq=False)
class _Ticket:
    kind: int  # 0 expand, 1 score, 2 judge
    node: _Node
    leaf: _Node | None
    first: int = -1
    samples: int = 0
    mode: int = 0
    state: str = "queued"


class TreeSearch:
    """Arguments, verbs and fields: those of ``stepscore.TreeSearch``, without files."""

    EXISTS, TERMINAL, PRUNED, DUPLICATE, EXPANDED, SCORED, JUDGED, CORRECT = (
        1 << bit for bit in range(8)
    )

    def __init__(
        self,
        problems: int,
        *,
        max_nodes: int,
        seed: int = 0,
        keys: Any = None,
        samples: Any = None,
        tokens: Any = None,
        prm_tokens: Any = None,
        deterministic: bool = True,
        duplicates: str = "keep",
    ) -> None:
        self.problems, self.max_nodes, self.seed = problems, max_nodes, seed
        self.deterministic, self.merge = deterministic, duplicates == "merge"
        given = dict(zip(_BUDGETS, (samples, tokens, prm_tokens), strict=True))
        budgets = {
            name: np.broadcast_to(math.inf if value is None else value, problems)
            for name, value in given.items()
        }
        self.trees = []
        self.nodes: dict[int, _Node] = {}
        for p in range(problems):
            tree = _Tree(
                int(p if keys is None else keys[p]), {name: b[p] for name, b in budgets.items()}
            )
            tree.root = _Node(p * max_nodes, tree, None)
            self.nodes[tree.root.number] = tree.root
            self.trees.append(tree)
        self.tickets: list[_Ticket] = []
        self.queues: list[list[list[int]]] = [[[] for _ in range(problems)] for _ in range(3)]
        self.turn = [0, 0, 0]
        self.rule: dict[str, Any] = dict(DEFAULTS)

    # --- requests ---------------------------------------------------------------------------

    def _samples_left(self, tree: _Tree) -> int:
        if any(tree.used[name] >= tree.budget[name] for name in ("tokens", "prm_tokens")):
            return 0
        return int(min(tree.budget["samples"] - tree.used["samples"], self.max_nodes - tree.nodes))

    def _queue(self, ticket: _Ticket) -> None:
        if ticket.leaf is not None:
            ticket.leaf.waiting += 1
        self.queues[ticket.kind][self._problem(ticket.node)].append(len(self.tickets))
        self.tickets.append(ticket)

    def _queue_expand(self, node: _Node, samples: int, mode: int, leaf: _Node | None) -> None:
        tree = node.tree
        node.expanding += 1
        first = tree.root.number + tree.nodes
        tree.nodes += samples
        tree.used["samples"] += samples
        self._queue(_Ticket(0, node, leaf, first, samples, mode))

    def _problem(self, node: _Node) -> int:
        return node.number // self.max_nodes

    def request_expand(self, nodes: Any, samples: Any = 1, *, mode: str = "step") -> Any:
        """See `stepscore.TreeSearch.request_expand`."""
        granted = []
        for number, wanted in zip(nodes, np.broadcast_to(samples, len(nodes)), strict=True):
            node = self.nodes[int(number)]
            granted.append(min(int(wanted), self._samples_left(node.tree)))
            if granted[-1]:
                self._queue_expand(node, granted[-1], _MODES.index(mode), None)
        return np.array(granted, np.int64)

    def request_score(self, nodes: Any) -> None:
        """See `stepscore.TreeSearch.request_score`."""
        for number in nodes:
            self._queue(_Ticket(1, self.nodes[int(number)], None))

    def request_judge(self, nodes: Any) -> None:
        """See `stepscore.TreeSearch.request_judge`."""
        for number in nodes:
            self._queue(_Ticket(2, self.nodes[int(number)], None))

    def _take(self, kind: int, most: int, per_problem: int | None) -> list[_Ticket]:
        """In turns, one request of a problem after the other's."""
        queues = self.queues[kind]
        order = [(self.turn[kind] + i) % self.problems for i in range(self.problems)]
        taken: dict[int, list[int]] = {p: [] for p in order}
        left, served = most, True
        while left and served:
            served = False
            for p in order:
                full = per_problem is not None and len(taken[p]) >= per_problem
                if left and queues[p] and not full:
                    taken[p].append(queues[p].pop(0))
                    left, served = left - 1, True
                    if not left:
                        self.turn[kind] = (p + 1) % self.problems
        tickets = [self.tickets[t] for p in order for t in taken[p]]
        for ticket in tickets:
            ticket.state = "asked"
        return tickets

    def ask(
        self,
        max_expand: int = 256,
        max_score: int = 1024,
        *,
        max_judge: int = 1024,
        per_problem: int | None = None,
    ) -> Requests:
        """See `stepscore.TreeSearch.ask`."""

        def columns(kind: int, most: int) -> list[Any]:
            tickets = self._take(kind, most, per_problem)
            above = [t.node.parent for t in tickets]
            parent_tokens = [0 if node is None else node.path_tokens for node in above]
            return [
                np.array(column, np.int64)
                for column in (
                    [self.tickets.index(t) for t in tickets],
                    [t.node.number for t in tickets],
                    [self._problem(t.node) for t in tickets],
                    [t.samples for t in tickets] if kind == 0 else parent_tokens,
                    [t.mode for t in tickets],
                )
            ]

        return Requests(
            ExpandRequests(*columns(0, max_expand)),
            EvaluateRequests(*columns(1, max_score)[:4]),
            EvaluateRequests(*columns(2, max_judge)[:4]),
        )

    # --- answers ----------------------------------------------------------------------------

    def tell_expand(
        self,
        tickets: Any,
        child_offsets: Any,
        *,
        texts: list[str] | None = None,
        token_counts: Any = None,
        logprob: Any = None,
        terminal: Any = None,
        answer_id: Any = None,
    ) -> Any:
        """See `stepscore.TreeSearch.tell_expand`."""
        told = []
        for i, number in enumerate(tickets):
            ticket = self.tickets[int(number)]
            ticket.state = "told"
            parent = ticket.node
            added: list[_Node] = []
            for k, j in enumerate(range(child_offsets[i], child_offsets[i + 1])):
                child = _Node(ticket.first + k, parent.tree, parent, parent.depth + 1)
                tokens = 0 if token_counts is None else int(token_counts[j])
                child.text = "" if texts is None else texts[j]
                child.path_tokens = parent.path_tokens + tokens
                child.logprob = 0.0 if logprob is None else float(logprob[j])
                child.answer_id = -1 if answer_id is None else int(answer_id[j])
                if terminal is not None and terminal[j]:
                    child.flags |= self.TERMINAL
                if self.merge and any(child.text == other.text for other in added):
                    child.flags |= self.DUPLICATE
                parent.tree.used["tokens"] += tokens
                self.nodes[child.number] = child
                added.append(child)
            parent.children = sorted(parent.children + added, key=lambda node: node.number)
            parent.expanding -= 1
            parent.flags |= self.EXPANDED
            self._close_if_barren(parent)
            told += [child.number for child in added]
            if ticket.leaf is not None and self.rule["evaluate"] == "children":
                for child in added:
                    if not child.has(self.DUPLICATE):
                        self._queue(_Ticket(1, child, ticket.leaf))
            self._answered(ticket.leaf)
        return np.array(told, np.int64)

    def _close_if_barren(self, node: _Node) -> None:
        if not node.children and not node.expanding:
            node.flags |= self.TERMINAL if node.has(self.EXPANDED) else self.PRUNED

    def tell_score(self, tickets: Any, values: Any, rewards: Any = None) -> None:
        """See `stepscore.TreeSearch.tell_score`."""
        for i, number in enumerate(tickets):
            ticket = self.tickets[int(number)]
            ticket.state = "told"
            node = ticket.node
            node.value = float(values[i])
            node.reward = 0.0 if rewards is None else float(rewards[i])
            node.flags |= self.SCORED
            before = 0 if node.parent is None else node.parent.path_tokens
            node.tree.used["prm_tokens"] += node.path_tokens - before
            self._answered(ticket.leaf)

    def tell_judge(self, tickets: Any, correct: Any) -> None:
        """See `stepscore.TreeSearch.tell_judge`."""
        for number, right in zip(tickets, correct, strict=True):
            ticket = self.tickets[int(number)]
            ticket.state = "told"
            ticket.node.flags &= ~self.CORRECT
            ticket.node.flags |= self.JUDGED | (self.CORRECT if right else 0)

    def fail(self, tickets: Any, *, retry: bool = True) -> None:
        """See `stepscore.TreeSearch.fail`."""
        for number in tickets:
            ticket = self.tickets[int(number)]
            if retry:
                ticket.state = "queued"
                self.queues[ticket.kind][self._problem(ticket.node)].append(int(number))
                continue
            ticket.state = "failed"
            if ticket.kind == 0:
                ticket.node.expanding -= 1
                self._close_if_barren(ticket.node)
            elif ticket.kind == 1:
                ticket.node.flags |= self.PRUNED
            self._answered(ticket.leaf)

    def _answered(self, leaf: _Node | None) -> None:
        if leaf is None:
            return
        leaf.waiting -= 1
        if leaf.waiting:
            return
        leaf.pending = False
        tree = leaf.tree
        done = tree.leaves if self.deterministic else [leaf]
        if any(other.waiting for other in done):
            return
        ends = [self._go_on(other) for other in done]
        tree.leaves = [end for end in tree.leaves if end not in done] + ends
        if any(end.pending for end in ends):
            return
        for end in ends:
            tree.leaves.remove(end)
            self._end_simulation(end)

    def _go_on(self, leaf: _Node) -> _Node:
        """A rollout goes on to the best child, which is expanded unless it is the end."""
        known = self._known_children(leaf)
        if self.rule["backup_from"] != "rollout" or leaf.has(self.PRUNED) or not known:
            return leaf
        leaf = max(known, key=self._q_of_score)
        leaf.in_flight += 1
        samples = min(self.samples, self._samples_left(leaf.tree))
        at_end = leaf.has(self.TERMINAL) or leaf.depth >= self.rule["max_depth"]
        if samples and not at_end and not leaf.children:
            leaf.pending = True
            self._queue_expand(leaf, samples, 0, leaf)
        return leaf

    def _known_children(self, node: _Node) -> list[_Node]:
        return [c for c in node.children if c.usable and c.has(self.SCORED)]

    # --- backup -----------------------------------------------------------------------------

    def _end_simulation(self, leaf: _Node) -> None:
        for node in leaf.path():
            node.in_flight -= 1
            node.blocked = False
        if leaf.has(self.PRUNED):
            return
        known = self._known_children(leaf)
        once = self.rule["terminals"] == "once"
        if self.rule["backup_from"] == "best_child" and known:
            backed_up = [max(known, key=self._q_of_score)]
        elif self.rule["backup_from"] == "children" and leaf.children:
            backed_up = [c for c in known if not c.closed]
        else:
            backed_up = [leaf]
        if once:
            ends = [c for c in known if c.has(self.TERMINAL) and not c.closed]
            if self.rule["backup_from"] != "children":
                backed_up += ends
            for node in [*ends, *([leaf] if leaf.has(self.TERMINAL) else [])]:
                node.closed = True
        for node in backed_up:
            self._back_up(node)

    def _back_up(self, start: _Node) -> None:
        """G(leaf) = v; G(parent) = r(child) + discount G(child)."""
        gain = start.scored
        for node in reversed(start.path()):
            node.visits += 1
            if self.rule["backup"] == "mean":
                node.value_sum += gain
            elif self.rule["backup"] == "max":
                node.value_sum = gain if node.visits == 1 else max(node.value_sum, gain)
            elif node is start:
                node.value_sum = gain
            else:  # weighted: sum V_c n_c / sum n_c
                visits = sum(c.visits for c in node.children)
                node.value_sum = sum(c.value_sum * c.visits for c in node.children) / visits
            gain = node.reward + self.rule["discount"] * gain

    # --- selection --------------------------------------------------------------------------

    def select(
        self, rule: str, *, simulations: int, samples: int, leaves: int = 1, **parameters: Any
    ) -> int:
        """See `stepscore.TreeSearch.select`."""
        self.rule = {**DEFAULTS, **RULES[rule], **parameters}
        self.limit, self.samples = simulations, samples
        return sum(self._simulate(tree, simulations, samples, leaves) for tree in self.trees)

    def _simulate(self, tree: _Tree, simulations: int, samples: int, leaves: int) -> int:
        begun = 0
        if self.deterministic and tree.leaves:
            return 0
        while len(tree.leaves) < leaves:
            at_root = tree.root.visits == 0 and not tree.root.children
            if not at_root and tree.simulations >= simulations:
                break
            leaf = self._descend(tree.root)
            if leaf is None:
                break
            ends = bool(
                leaf.has(self.TERMINAL) or leaf.children or leaf.depth >= self.rule["max_depth"]
            )
            scores = not leaf.has(self.SCORED)
            scores &= leaf is not tree.root or self.rule["evaluate"] == "leaf"
            granted = 0 if ends else min(samples, self._samples_left(tree))
            if not ends and not granted:
                break
            tree.simulations += not at_root
            begun += 1
            for node in leaf.path():
                node.in_flight += 1
            if ends and not scores:
                self._end_simulation(leaf)
                continue
            leaf.pending = True
            tree.leaves.append(leaf)
            if granted:
                self._queue_expand(leaf, granted, 0, leaf)
            if scores:
                self._queue(_Ticket(1, leaf, leaf))
        return begun

    def _descend(self, root: _Node) -> _Node | None:
        if root.pending or root.closed or root.has(self.PRUNED):
            return None
        node = root
        while node.children and node.depth < self.rule["max_depth"]:
            open_ = [c for c in node.children if c.usable and not c.closed]
            free = [c for c in open_ if not c.pending and not c.blocked]
            if self.rule["rule"] == "gumbel" and node is root:
                free = self._considered(root, free, open_)
            if free:
                score = self._scores(node)
                node = max(free, key=lambda c: score[c])  # the first of equals
            else:  # nothing below: once more from the root, which goes elsewhere
                node.closed, node.blocked = not open_, bool(open_)
                if node is root:
                    return None
                node = root
        return node

    def _begun(self, node: _Node) -> int:
        return node.visits + node.in_flight

    def _unvisited(self, node: _Node) -> bool:
        counts = self.rule["virtual_loss"] == "count"
        return (node.visits if counts else self._begun(node)) == 0

    def _value(self, node: _Node) -> float:
        """(W + m v) / (N + m + eps), with the constant virtual loss (W - loss O) / (N + O)."""
        constant = self.rule["virtual_loss"] == "constant"
        total = node.value_sum - (self.rule["loss"] * node.in_flight if constant else 0.0)
        if self.rule["backup"] != "mean":
            return total
        visits = node.visits + (node.in_flight if constant else 0)
        weight = self.rule["value_count"]
        total += weight * node.scored
        return float(total / (visits + weight + self.rule["mean_epsilon"]))

    def _q(self, node: _Node) -> float:
        return node.reward + float(self.rule["discount"]) * self._value(node)

    def _q_of_score(self, node: _Node) -> float:
        return node.reward + float(self.rule["discount"]) * node.scored

    def _priors(self, node: _Node) -> dict[_Node, float]:
        kind, known = self.rule["prior"], [c for c in node.children if c.usable]
        if kind == "one":
            return dict.fromkeys(node.children, 1.0)
        if kind == "exp":
            return {c: math.exp(c.logprob) for c in known}
        if kind == "softmax":
            return _softmax({c: c.logprob for c in known})
        return _softmax({c: c.scored for c in known})

    def _growth(self, visits: int) -> float:
        c, base = self.rule["c"], self.rule["c_base"]
        grown = c if math.isinf(base) else c + math.log((visits + base + 1) / base)
        return float(grown) * math.sqrt(visits)

    def _scores(self, node: _Node) -> dict[_Node, float]:
        """The score of every child under the rule."""
        own = node.scored if node.visits == 0 else self._value(node)
        children = [c for c in node.children if c.usable]
        seen = [self._q(c) for c in children if not self._unvisited(c)]
        least, greatest = min([own, *seen]), max([own, *seen])
        unvisited = self.rule["unvisited"]

        def q(child: _Node) -> float:
            if not self._unvisited(child):
                return self._q(child)
            if unvisited == "value":
                return self._q_of_score(child)
            return {"zero": 0.0, "parent": own, "least": least}[unvisited]

        if self.rule["rule"] == "uct":
            log = self.rule["log_factor"] * math.log(max(1, self._begun(node)))

            def uct(child: _Node) -> float:
                if self._unvisited(child) and unvisited == "first":
                    return math.inf
                if self._unvisited(child) and unvisited == "bonus":
                    return self._q_of_score(child) + float(self.rule["bonus"])
                return q(child) + float(self.rule["c"]) * math.sqrt(
                    log / max(1, self._begun(child))
                )

            return {c: uct(c) for c in children}
        if self.rule["rule"] == "gumbel":
            return self._gumbel_scores(node, children)
        priors, growth = self._priors(node), self._growth(self._begun(node))
        if self.rule["rule"] == "muzero":
            scale = max(greatest - least, 1e-8)
            return {
                c: (0.0 if self._unvisited(c) else (self._q(c) - least) / scale)
                + priors[c] * growth / (1 + self._begun(c))
                for c in children
            }
        return {c: q(c) + priors[c] * growth / (1 + self._begun(c)) for c in children}

    # --- Gumbel -----------------------------------------------------------------------------

    def _completed(self, node: _Node, children: list[_Node]) -> dict[_Node, float]:
        """s(q), the mixed value in place of what is missing."""
        priors = _softmax({c: c.logprob for c in children})
        visits = sum(map(self._begun, children))
        seen = [c for c in children if not self._unvisited(c)]
        total = sum(priors[c] for c in seen)
        mean = sum(priors[c] * self._q(c) for c in seen) / total if seen else 0.0
        mixed = (node.scored + visits * mean) / (visits + 1)
        qs = {c: mixed if self._unvisited(c) else self._q(c) for c in children}
        least, greatest = min(qs.values()), max(qs.values())
        factor = self.rule["visit_offset"] + max(map(self._begun, children))
        factor *= self.rule["value_scale"]
        return {c: factor * (qs[c] - least) / max(greatest - least, 1e-8) for c in children}

    def _gumbel_scores(self, node: _Node, children: list[_Node]) -> dict[_Node, float]:
        completed = self._completed(node, children)
        if node.parent is not None:
            wanted = _softmax({c: c.logprob + completed[c] for c in children})
            visits = sum(map(self._begun, children))
            return {c: wanted[c] - self._begun(c) / (1 + visits) for c in children}
        greatest = max(c.logprob for c in children)
        scores = {}
        for child in children:
            noise = self._uniform(child, _GUMBEL_DRAW) + 2.0**-54
            gumbel = -self.rule["gumbel_scale"] * math.log(-math.log(noise))
            scores[child] = max(-1e9, gumbel + child.logprob - greatest + completed[child])
        return scores

    def _considered(self, root: _Node, free: list[_Node], open_: list[_Node]) -> list[_Node]:
        """The children that sequential halving considers now."""
        children = [c for c in root.children if c.usable]
        considered = min(self.rule["considered"], len(children))
        sequence = _considered_visits(considered, self.limit)
        visits = sequence[min(sum(map(self._begun, children)), len(sequence) - 1)]
        chosen = [c for c in free if self._begun(c) == visits]
        if chosen or len(free) < len(open_) or not free:
            return chosen
        fewest = min(map(self._begun, free))
        return [c for c in free if self._begun(c) == fewest]

    # --- results ----------------------------------------------------------------------------

    def best(self, by: str = "visits") -> Any:
        """See `stepscore.TreeSearch.best`."""
        found = []
        for tree in self.trees:
            children = [c for c in tree.root.children if c.usable]
            if by == "value":
                children = [c for c in children if c.visits]
                mean = self.rule["backup"] == "mean"
                score = {c: c.value_sum / (c.visits if mean else 1) for c in children}
            else:
                score = {c: float(c.visits) for c in children}
            if by == "gumbel" and children:
                score = self._gumbel_scores(tree.root, children)
                most = max(c.visits for c in children)
                children = [c for c in children if c.visits == most]
            found.append(max(children, key=lambda c: score[c]).number if children else -1)
        return np.array(found, np.int64)

    def prune(self, nodes: Any) -> None:
        """See `stepscore.TreeSearch.prune`."""
        for number in nodes:
            self.nodes[int(number)].flags |= self.PRUNED

    def frontier(self) -> tuple[Any, Any]:
        """See `stepscore.TreeSearch.frontier`."""
        found, offsets = [], [0]
        for p in range(self.problems):
            for number in sorted(self.nodes):
                node = self.nodes[number]
                open_ = node.usable and not node.has(self.TERMINAL)
                if self._problem(node) == p and open_ and not node.children and not node.expanding:
                    found.append(number)
            offsets.append(len(found))
        return np.array(found, np.int64), np.array(offsets)

    def path(self, nodes: Any) -> tuple[Any, Any]:
        """See `stepscore.TreeSearch.path`."""
        paths = [[node.number for node in self.nodes[int(n)].path()] for n in nodes]
        flat = [number for path in paths for number in path]
        return np.array(flat, np.int64), np.cumsum([0, *map(len, paths)])

    def text(self, nodes: Any) -> list[str]:
        """See `stepscore.TreeSearch.text`."""
        return ["".join(node.text for node in self.nodes[int(n)].path()) for n in nodes]

    def _uniform(self, node: _Node, draw: int) -> float:
        return _uniform(self.seed, node.tree.key, node.number - node.tree.root.number, draw)

    def uniform(self, nodes: Any, draws: Any = 0) -> Any:
        """See `stepscore.TreeSearch.uniform`."""
        return np.array(
            [
                self._uniform(self.nodes[int(n)], int(d))
                for n, d in zip(nodes, np.broadcast_to(draws, len(nodes)), strict=True)
            ]
        )

    def fields(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Number and fields of every node."""
        for number, node in sorted(self.nodes.items()):
            links = [-1 if node.parent is None else node.parent.number]
            links += [child.number for child in node.children]
            same = ("visits", "in_flight", "depth", "answer_id", "path_tokens", "flags")
            real = ("value_sum", "value", "reward", "logprob")
            yield (
                number,
                {
                    "links": links,
                    **{name: getattr(node, name) for name in same + real},
                },
            )


def _softmax(logits: dict[Any, float]) -> dict[Any, float]:
    greatest = max(logits.values(), default=0.0)
    weights = {key: math.exp(logit - greatest) for key, logit in logits.items()}
    total = sum(weights.values())
    return {key: weight / total for key, weight in weights.items()}


def _considered_visits(considered: int, simulations: int) -> list[int]:
    """Visits of the child that sequential halving takes in each simulation, as in mctx."""
    if considered <= 1:
        return list(range(simulations))
    rounds = math.ceil(math.log2(considered))
    sequence: list[int] = []
    visits, left = [0] * considered, considered
    while len(sequence) < simulations:
        for _ in range(max(1, simulations // (rounds * left))):
            sequence += visits[:left]
            visits[:left] = [n + 1 for n in visits[:left]]
        left = max(2, left // 2)
    return sequence[:simulations]


def _philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x32-10 (Salmon et al. 2011)."""
    (a, b, c, d), (k0, k1) = counter, key
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * a, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c, 2**32)
        a, b, c, d = high1 ^ b ^ k0, low1, high0 ^ d ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return [a, b, c, d]


def _uniform(seed: int, key: int, node: int, draw: int) -> float:
    """In [0, 1), 53 bits."""
    key %= 2**64
    bits = _philox([key % 2**32, key >> 32, node, draw], [seed % 2**32, seed >> 32])
    return ((bits[0] >> 5) * 2**26 + (bits[1] >> 6)) / 2**53
