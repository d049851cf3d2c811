"""Monte Carlo tree searches as their authors' loops run them: one problem, dictionaries."""

from __future__ import annotations

import math
from collections import defaultdict

from plain import Node, World


class Visits:
    """What a loop counts: N and W of every node, and the children that it may go to."""

    def __init__(self, w: World) -> None:
        self.w, self.root = w, w.root
        self.n: dict[Node, int] = defaultdict(int)
        self.total: dict[Node, float] = defaultdict(float)
        self.children: dict[Node, list[Node]] = {}

    def update_recursive(self, node: Node, value: float) -> None:
        for each in node.path:
            self.n[each] += 1
            self.total[each] += value

    def expand(self, node: Node, samples: int, *, distinct: bool = True) -> list[Node]:
        drawn = self.w.draw(node, samples)
        first: dict[str, Node] = {}
        for child in drawn:
            first.setdefault(child.text, child)
        self.children[node] = self.w.score(list(first.values()) if distinct else drawn)
        return self.children[node]

    def counts(self) -> dict[int, int]:
        return {node.number: self.n[node] for node in self.w.nodes}


def prior(node: Node) -> float:
    """exp(cumulative log-probability / tokens)"""
    return math.exp(node.logprob / node.tokens)


def value(node: Node) -> float:
    return 0.0 if node.score is None else node.score


def super_mario(
    w: World, iterations: int, samples: int, max_depth: float = math.inf, c: float = 1.5
) -> Visits:
    """Super_MARIO at inference: puct among children that are not terminal, terminals once."""
    tree, terminal = Visits(w), set()

    def puct(child: Node, parent: Node) -> float:
        n = tree.n[child]
        q = tree.total[child] / n if n else 0.0
        return q + c * prior(child) * math.sqrt(tree.n[parent]) / (1 + n)

    def selection() -> Node | None:
        node = w.root
        while tree.children.get(node) or node in terminal:
            going = [child for child in tree.children.get(node, []) if child not in terminal]
            if not going:
                terminal.add(node)
                return None
            node = max(going, key=lambda child: puct(child, node))
        return node

    current: Node | None = w.root
    for _ in range(iterations):
        if current is None:  # then its solver asks for nothing more
            break
        candidates = []
        for child in tree.expand(current, samples, distinct=False):
            if child.ended:
                terminal.add(child)
                candidates.append(child)
            elif child.depth > max_depth:
                terminal.add(child)
                tree.update_recursive(child, -1.0)
        tree.update_recursive(current, value(current))
        for child in candidates:
            tree.update_recursive(child, value(child))
        current = selection()
    return tree


def offline_inference(tree: Visits, b1: int) -> list[Node]:
    """The answers that Super_MARIO takes from a finished tree, the best q_value first."""

    def q_value(node: Node) -> float:
        return tree.total[node] / tree.n[node] if tree.n[node] else 0.0

    answers: list[Node] = []
    current, top = [tree.root], b1
    for _ in range(max(node.depth for node in tree.w.nodes)):
        children = [child for node in current for child in tree.children.get(node, [])]
        current = sorted(children, key=q_value, reverse=True)[:top]
        for node in list(current):
            if node.ended or not tree.children.get(node):
                answers += [node] if node.ended else []
                current.remove(node)
                top -= 1
    return sorted(answers, key=q_value, reverse=True)


def vanila_mcts(
    w: World, num_path: int, samples: int, max_length: float = math.inf, *, normalized: bool = True
) -> tuple[Visits, list[Node]]:
    """openr's and compute-optimal-tts's: every path goes on to a terminal."""
    tree = Visits(w)
    tree.expand(w.root, samples)
    paths = []
    for _ in range(num_path):
        node = w.root
        while node is w.root or not (node.ended or node.depth >= max_length):
            if node not in tree.children:
                tree.expand(node, samples)
            siblings = tree.children[node]
            mass = sum(map(prior, siblings)) if normalized else 1.0
            growth = math.log((tree.n[node] + 19652 + 1) / 19652) + 1.25
            growth *= math.sqrt(tree.n[node])

            def ucb(child: Node) -> float:
                n = tree.n[child]
                v = tree.total[child] / n if n else value(child)
                return v + growth / (n + 1) * prior(child) / mass  # noqa: B023

            node = max(siblings, key=ucb)
        v = tree.total[node] / tree.n[node] if tree.n[node] else value(node)
        tree.update_recursive(node, v)
        paths.append(node)
    return tree, paths


def masprm(
    w: World, n_simulations: int, max_children: int, c: float = 2.0, *, orm: bool = False
) -> tuple[Visits, Node]:
    """MASPRM's inference, and the node to which it decodes; scores are logits."""
    tree = Visits(w)

    def v_init(node: Node) -> float:
        return math.tanh(value(node)) if node.parent else 0.0

    def q_mean(node: Node) -> float:
        return (tree.total[node] + v_init(node)) / (tree.n[node] + 1)

    for _ in range(n_simulations):
        node = w.root
        while not node.ended:
            if node not in tree.children:
                tree.expand(node, max_children)
            log = math.log(max(tree.n[node] + 1, 1))
            node = max(
                tree.children[node],
                key=lambda child: q_mean(child) + c * math.sqrt(log / (tree.n[child] + 1)),
            )
        tree.update_recursive(node, math.tanh(node.outcome) if orm else v_init(node))
    node = w.root
    while not node.ended and node in tree.children:
        node = max(tree.children[node], key=q_mean)
    return tree, node


def rest_mcts(
    w: World, iterations: int, branch: int, *, c: float = 0.4, alpha: float = 0.5,
    gate: float = 0.9, roll_steps: int = 2, roll_branch: int = 1,
) -> tuple[Visits, Node]:  # fmt: skip
    """ReST-MCTS* with its value model, and the node that it takes."""
    tree = Visits(w)
    v: dict[Node, float] = {w.root: 0.0}

    def ucb(child: Node, parent: Node) -> float:
        n = tree.n[child]
        return v[child] + (c * math.sqrt(2 * math.log(tree.n[parent]) / n) if n else 1.0)

    for _ in range(iterations):
        node = w.root
        while tree.children.get(node):
            node = max(tree.children[node], key=lambda child: ucb(child, node))
        if v[node] >= gate:
            return tree, node
        if not node.ended:
            for child in tree.expand(node, branch):
                v[child] = value(child)
            rolled = max(tree.children[node], key=lambda child: v[child])
            best, at, steps = 0.0, rolled, 0
            while not at.ended and steps < roll_steps:
                drawn = w.score(w.draw(at, roll_branch))
                at = max(drawn, key=value)
                best, steps = max(best, value(at)), steps + 1
            if steps:
                v[rolled] = v[rolled] * (1 - alpha) + best * alpha
            tree.n[rolled] += 1
        for each in reversed(node.path):
            tree.n[each] += 1
            if tree.children.get(each):
                kids = tree.children[each]
                v[each] = sum(v[k] * tree.n[k] for k in kids) / sum(tree.n[k] for k in kids)

    def best_v(node: Node) -> Node:
        top = node
        for child in tree.children.get(node, []):
            below = best_v(child)
            top = below if v[below] >= v[top] else top
        return top

    return tree, best_v(w.root)
