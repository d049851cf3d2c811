"""Search trees of many problems: one object per node, one simulation after the other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stepscore.ops.tree_search_requests import EvaluateRequests, ExpandRequests, Requests
from stepscore.ops.tree_search_rules import DEFAULTS, SELECTION_RULES, SelectionRule
from stepscore.reference.tree_search_nodes import (
    BUDGETS,
    Node,
    Ticket,
    TicketQueue,
    Tree,
    TreeNodes,
)
from stepscore.reference.tree_search_rules import Formulas, rolled_forward

_MODES = ("step", "block", "partial", "rollout")


class TreeSearch(TreeNodes):
    """Arguments, verbs and fields: those of ``stepscore.TreeSearch``, without files."""

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
        given = dict(zip(BUDGETS, (samples, tokens, prm_tokens), strict=True))
        budgets = {
            name: np.broadcast_to(math.inf if value is None else value, problems)
            for name, value in given.items()
        }
        self.trees = []
        self.nodes = {}
        for p in range(problems):
            tree = Tree(
                int(p if keys is None else keys[p]), {name: b[p] for name, b in budgets.items()}
            )
            tree.root = Node(p * max_nodes, tree, None)
            self.nodes[tree.root.number] = tree.root
            self.trees.append(tree)
        self.tickets: list[Ticket] = []
        self.queues = [TicketQueue(problems) for _ in ("expand", "score", "judge")]
        self._follow({**DEFAULTS}, 0)

    def _follow(self, rule: dict[str, Any], simulations: int) -> None:
        self.rule = rule
        self.formulas = Formulas(rule, simulations, self.seed)

    # --- requests ---------------------------------------------------------------------------

    def _samples_left(self, tree: Tree) -> int:
        if any(tree.used[name] >= tree.budget[name] for name in ("tokens", "prm_tokens")):
            return 0
        return int(min(tree.budget["samples"] - tree.used["samples"], self.max_nodes - tree.nodes))

    def _queue(self, ticket: Ticket) -> None:
        if ticket.leaf is not None:
            ticket.leaf.waiting += 1
        self.queues[ticket.kind].waiting[self._problem(ticket.node)].append(ticket)
        self.tickets.append(ticket)

    def _queue_expand(
        self, node: Node, samples: int, mode: int, leaf: Node | None, *, rolls: bool = False
    ) -> None:
        tree = node.tree
        node.expanding += not rolls
        first = tree.root.number + tree.nodes
        tree.nodes += samples
        tree.used["samples"] += samples
        self._queue(Ticket(0, node, leaf, first, samples, mode, rolls=rolls))

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
            self._queue(Ticket(1, self.nodes[int(number)], None))

    def request_judge(self, nodes: Any) -> None:
        """See `stepscore.TreeSearch.request_judge`."""
        for number in nodes:
            self._queue(Ticket(2, self.nodes[int(number)], None))

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
            tickets = self.queues[kind].take(most, per_problem)
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
        numbers: list[int] = []
        for i, number in enumerate(tickets):
            ticket = self.tickets[int(number)]
            ticket.state = "told"
            parent = ticket.node
            added: list[Node] = []
            for k, j in enumerate(range(child_offsets[i], child_offsets[i + 1])):
                child = Node(ticket.first + k, parent.tree, parent, parent.depth + 1)
                tokens = 0 if token_counts is None else int(token_counts[j])
                child.text = "" if texts is None else texts[j]
                child.path_tokens = parent.path_tokens + tokens
                child.logprob = 0.0 if logprob is None else float(logprob[j])
                child.answer_id = -1 if answer_id is None else int(answer_id[j])
                if terminal is not None and terminal[j]:
                    child.flags |= self.TERMINAL
                in_search = ticket.leaf is not None and not ticket.rolls
                merges = self.merge or (in_search and self.rule["duplicates"] == "merge")
                if merges and any(child.text == other.text for other in added):
                    child.flags |= self.DUPLICATE
                if ticket.rolls:
                    child.flags |= self.PRUNED
                parent.tree.used["tokens"] += tokens
                self.nodes[child.number] = child
                added.append(child)
            if ticket.rolls:
                parent.rolled = added
            else:
                parent.children = sorted(parent.children + added, key=lambda node: node.number)
                parent.expanding -= 1
                parent.flags |= self.EXPANDED
                self._close_if_barren(parent)
            numbers += [child.number for child in added]
            if ticket.leaf is not None and self.rule["evaluate"] == "children":
                for child in added:
                    if not child.has(self.DUPLICATE):
                        self._queue(Ticket(1, child, ticket.leaf))
            self._answered(ticket.leaf)
        return np.array(numbers, np.int64)

    def _close_if_barren(self, node: Node) -> None:
        if not node.children and not node.expanding:
            node.flags |= self.TERMINAL if node.has(self.EXPANDED) else self.PRUNED

    def tell_score(
        self, tickets: Any, values: Any, rewards: Any = None, *, outcomes: Any = None
    ) -> None:
        """See `stepscore.TreeSearch.tell_score`."""
        for i, number in enumerate(tickets):
            ticket = self.tickets[int(number)]
            ticket.state = "told"
            node = ticket.node
            node.value = float(values[i])
            node.reward = 0.0 if rewards is None else float(rewards[i])
            node.outcome = math.nan if outcomes is None else float(outcomes[i])
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
                self.queues[ticket.kind].waiting[self._problem(ticket.node)].append(ticket)
                continue
            ticket.state = "failed"
            if ticket.kind == 0 and not ticket.rolls:
                ticket.node.expanding -= 1
                self._close_if_barren(ticket.node)
            elif ticket.kind == 1:
                ticket.node.flags |= self.PRUNED
            self._answered(ticket.leaf)

    def _answered(self, leaf: Node | None) -> None:
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
            self.formulas.end_simulation(end)

    def _go_on(self, leaf: Node) -> Node:
        """A rollout goes on to the best child, which is expanded unless it is the end."""
        if self.rule["roll_steps"]:
            self._roll_on(leaf)
            return leaf
        known = leaf.known_children
        if self.rule["backup_from"] != "rollout" or leaf.has(self.PRUNED) or not known:
            return leaf
        leaf = max(known, key=self.formulas.q_of_score)
        leaf.in_flight += 1
        samples = min(self.samples, self._samples_left(leaf.tree))
        at_end = leaf.has(self.TERMINAL) or leaf.depth >= self.rule["max_depth"]
        if samples and not at_end and not leaf.children:
            leaf.pending = True
            self._queue_expand(leaf, samples, 0, leaf)
        return leaf

    def _roll_on(self, leaf: Node) -> None:
        """The best child of the leaf is rolled forward by one more step."""
        known = leaf.known_children
        if leaf.has(self.PRUNED) or not known:
            return
        child = max(known, key=self.formulas.q_of_score)
        path = rolled_forward(child)
        at = path[-1] if path else child
        samples = min(self.rule["roll_samples"], self._samples_left(leaf.tree))
        done = child.visits or at.rolled is not None or len(path) == self.rule["roll_steps"]
        if done or self.formulas.is_end(at) or not samples:
            return
        at.rolled = []
        leaf.pending = True
        self._queue_expand(at, samples, 0, leaf, rolls=True)

    # --- selection --------------------------------------------------------------------------

    def select(
        self,
        rule: SelectionRule,
        *,
        simulations: int,
        samples: int,
        leaves: int = 1,
        **parameters: Any,
    ) -> int:
        """See `stepscore.TreeSearch.select`."""
        self._follow({**DEFAULTS, **SELECTION_RULES[rule], **parameters}, simulations)
        self.samples = samples
        return sum(self._simulate(tree, simulations, samples, leaves) for tree in self.trees)

    def _simulate(self, tree: Tree, simulations: int, samples: int, leaves: int) -> int:
        begun = 0
        if self.deterministic and tree.leaves:
            return 0
        while len(tree.leaves) < leaves:
            at_root = tree.root.visits == 0 and not tree.root.children
            at_root &= self.rule["root"] == "before"
            if not at_root and tree.simulations >= simulations:
                break
            leaf = self._descend(tree.root)
            if leaf is None:
                break
            if leaf is not tree.root and self.formulas.current(leaf) >= self.rule["gate"]:
                tree.found, tree.root.closed = leaf, True
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
                self.formulas.end_simulation(leaf)
                continue
            leaf.pending = True
            tree.leaves.append(leaf)
            if granted:
                self._queue_expand(leaf, granted, 0, leaf)
            if scores:
                self._queue(Ticket(1, leaf, leaf))
        return begun

    def _descend(self, root: Node) -> Node | None:
        if root.pending or root.closed or root.has(self.PRUNED):
            return None
        node = root
        while node.children and node.depth < self.rule["max_depth"]:
            open_ = [c for c in node.children if c.usable and not c.closed]
            free = [c for c in open_ if not c.pending and not c.blocked]
            if self.rule["rule"] == "gumbel" and node is root:
                free = self.formulas.considered(root, free, open_)
            if free:
                score = self.formulas.scores(node)
                node = max(free, key=lambda c: score[c])  # the first of equals
            else:  # nothing below: once more from the root, which goes elsewhere
                node.closed, node.blocked = not open_, bool(open_)
                if node is root:
                    return None
                if not open_ and self.rule["exhausted"] == "stop":
                    root.closed = True
                    return None
                node = root
        return node

    @property
    def found(self) -> Any:
        """See `stepscore.TreeSearch.found`."""
        return np.array([-1 if t.found is None else t.found.number for t in self.trees])

    # --- results ----------------------------------------------------------------------------

    def best(self, by: str = "visits") -> Any:
        """See `stepscore.TreeSearch.best`."""
        numbers = []
        for tree in self.trees:
            children = [c for c in tree.root.children if c.usable]
            if by == "value":
                children = [c for c in children if c.visits]
                mean = self.rule["backup"] == "mean"
                score = {c: c.value_sum / (c.visits if mean else 1) for c in children}
            else:
                score = {c: float(c.visits) for c in children}
            if by == "gumbel" and children:
                score = self.formulas.gumbel_scores(tree.root, children)
                most = max(c.visits for c in children)
                children = [c for c in children if c.visits == most]
            numbers.append(max(children, key=lambda c: score[c]).number if children else -1)
        return np.array(numbers, np.int64)

    def prune(self, nodes: Any) -> None:
        """See `stepscore.TreeSearch.prune`."""
        for number in nodes:
            self.nodes[int(number)].flags |= self.PRUNED
