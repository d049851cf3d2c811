"""The formulas of Monte Carlo tree search: what a node is worth, and which child comes next."""

from __future__ import annotations

import math
from typing import Any

from stepscore.reference.tree_search_nodes import PRUNED, SCORED, TERMINAL, Node

_GUMBEL_DRAW = 2**32 - 1


class Formulas:
    """A rule with its parameters, those of `stepscore.TreeSearch.select`.

    Args:
        rule: all parameters by name.
        simulations: per problem in all.
        seed: of the random numbers.
    """

    def __init__(self, rule: dict[str, Any], simulations: int, seed: int) -> None:
        self.rule, self.simulations, self.seed = rule, simulations, seed

    def begun(self, node: Node) -> int:
        """Visits, and simulations in flight."""
        return node.visits + node.in_flight

    def unvisited(self, node: Node) -> bool:
        """Whether the child counts as one without visits."""
        counts = self.rule["virtual_loss"] == "count"
        return (node.visits if counts else self.begun(node)) == 0

    def value(self, node: Node) -> float:
        """(W + m v) / (N + m + eps), with the constant virtual loss (W - loss O) / (N + O)."""
        constant = self.rule["virtual_loss"] == "constant"
        total = node.value_sum - (self.rule["loss"] * node.in_flight if constant else 0.0)
        if self.rule["backup"] != "mean":
            return total
        visits = node.visits + (node.in_flight if constant else 0)
        weight = self.rule["value_count"]
        total += weight * node.scored
        return float(total / (visits + weight + self.rule["mean_epsilon"]))

    def q(self, node: Node) -> float:
        """Q = r + discount V."""
        return node.reward + float(self.rule["discount"]) * self.value(node)

    def q_of_score(self, node: Node) -> float:
        """Q of the node's own score."""
        return node.reward + float(self.rule["discount"]) * node.scored

    def priors(self, node: Node) -> dict[Node, float]:
        """P of every child."""
        kind, known = self.rule["prior"], [c for c in node.children if c.usable]
        if kind == "one":
            return dict.fromkeys(node.children, 1.0)
        if kind == "exp":
            return {c: math.exp(c.logprob) for c in known}
        if kind == "softmax":
            return _softmax({c: c.logprob for c in known})
        means = {c: c.logprob / max(1, c.tokens) for c in known}
        if kind == "exp_of_mean":
            return {c: math.exp(mean) for c, mean in means.items()}
        if kind == "softmax_of_mean":
            return _softmax(means)
        return _softmax({c: c.scored for c in known})

    def growth(self, visits: int) -> float:
        """(c + ln((N + c_base + 1) / c_base)) sqrt N."""
        c, base = self.rule["c"], self.rule["c_base"]
        grown = c if math.isinf(base) else c + math.log((visits + base + 1) / base)
        return float(grown) * math.sqrt(visits)

    def scores(self, node: Node) -> dict[Node, float]:
        """The score of every child under the rule."""
        value = node.scored if node.visits == 0 else self.value(node)
        children = [c for c in node.children if c.usable]
        seen = [self.q(c) for c in children if not self.unvisited(c)]
        least, greatest = min([value, *seen]), max([value, *seen])
        unvisited = self.rule["unvisited"]

        def q(child: Node) -> float:
            if not self.unvisited(child):
                return self.q(child)
            if unvisited == "value":
                return self.q_of_score(child)
            return {"zero": 0.0, "parent": value, "least": least}[unvisited]

        if self.rule["rule"] == "uct":
            offset = self.rule["count_offset"]
            log = self.rule["log_factor"] * math.log(max(1, self.begun(node) + offset))

            def uct(child: Node) -> float:
                if self.unvisited(child) and unvisited == "first":
                    return math.inf
                if self.unvisited(child) and unvisited == "bonus":
                    return self.q_of_score(child) + float(self.rule["bonus"])
                return q(child) + float(self.rule["c"]) * math.sqrt(
                    log / max(1, self.begun(child) + offset)
                )

            return {c: uct(c) for c in children}
        if self.rule["rule"] == "gumbel":
            return self.gumbel_scores(node, children)
        priors, growth = self.priors(node), self.growth(self.begun(node))
        if self.rule["rule"] == "muzero":
            scale = max(greatest - least, 1e-8)
            return {
                c: (0.0 if self.unvisited(c) else (self.q(c) - least) / scale)
                + priors[c] * growth / (1 + self.begun(c))
                for c in children
            }
        return {c: q(c) + priors[c] * growth / (1 + self.begun(c)) for c in children}

    # --- Gumbel -----------------------------------------------------------------------------

    def completed(self, node: Node, children: list[Node]) -> dict[Node, float]:
        """s(q), the mixed value in place of what is missing."""
        priors = _softmax({c: c.logprob for c in children})
        visits = sum(map(self.begun, children))
        seen = [c for c in children if not self.unvisited(c)]
        total = sum(priors[c] for c in seen)
        mean = sum(priors[c] * self.q(c) for c in seen) / total if seen else 0.0
        mixed = (node.scored + visits * mean) / (visits + 1)
        qs = {c: mixed if self.unvisited(c) else self.q(c) for c in children}
        least, greatest = min(qs.values()), max(qs.values())
        factor = self.rule["visit_offset"] + max(map(self.begun, children))
        factor *= self.rule["value_scale"]
        return {c: factor * (qs[c] - least) / max(greatest - least, 1e-8) for c in children}

    def gumbel_scores(self, node: Node, children: list[Node]) -> dict[Node, float]:
        """At the root g + l + s(q), below softmax(l + s(q)) - n / (1 + sum n)."""
        completed = self.completed(node, children)
        if node.parent is not None:
            wanted = _softmax({c: c.logprob + completed[c] for c in children})
            visits = sum(map(self.begun, children))
            return {c: wanted[c] - self.begun(c) / (1 + visits) for c in children}
        greatest = max(c.logprob for c in children)
        scores = {}
        for child in children:
            noise = child.uniform(self.seed, _GUMBEL_DRAW) + 2.0**-54
            gumbel = -self.rule["gumbel_scale"] * math.log(-math.log(noise))
            scores[child] = max(-1e9, gumbel + child.logprob - greatest + completed[child])
        return scores

    def considered(self, root: Node, free: list[Node], open_: list[Node]) -> list[Node]:
        """The children that sequential halving considers now."""
        children = [c for c in root.children if c.usable]
        considered = min(self.rule["considered"], len(children))
        sequence = _considered_visits(considered, self.simulations)
        visits = sequence[min(sum(map(self.begun, children)), len(sequence) - 1)]
        chosen = [c for c in free if self.begun(c) == visits]
        if chosen or len(free) < len(open_) or not free:
            return chosen
        fewest = min(map(self.begun, free))
        return [c for c in free if self.begun(c) == fewest]

    def is_end(self, node: Node) -> bool:
        """Whether a simulation cannot go on from here."""
        return node.has(TERMINAL) or node.depth >= self.rule["max_depth"]

    def given_back(self, node: Node) -> float:
        """What a node gives back where a simulation ends at it."""
        if node.has(TERMINAL):
            known = self.rule["ends"] == "outcome" and not math.isnan(node.outcome)
            return node.outcome if known else node.scored
        deep = self.is_end(node) and not math.isinf(self.rule["depth_value"])
        return float(self.rule["depth_value"]) if deep else node.scored

    def current(self, node: Node) -> float:
        """V as the selection sees it: the score before the first visit."""
        return node.scored if self.unvisited(node) else self.value(node)

    def with_roll_forward(self, node: Node, value: float) -> float:
        """(1 - a) V + a max over the values that the node rolls forward to."""
        path = rolled_forward(node)
        if not path:
            return value
        weight = self.rule["roll_weight"]
        return float(value * (1 - weight) + max(0.0, *(step.value for step in path)) * weight)

    def end_simulation(self, leaf: Node) -> None:
        """Release the path, and back up what the leaf gives, unless it failed."""
        for node in leaf.path():
            node.in_flight -= 1
            node.blocked = False
        if leaf.has(PRUNED):
            return
        known = leaf.known_children
        if self.rule["backup_from"] == "best_child" and known:
            backed_up = [max(known, key=self.q_of_score)]
        elif self.rule["backup_from"] == "children" and leaf.children:
            backed_up = [c for c in known if not c.closed]
        else:
            backed_up = [leaf]
        if self.rule["terminals"] == "once":
            ends = [c for c in known if self.is_end(c) and not c.closed]
            if self.rule["backup_from"] != "children":
                backed_up += ends
            for node in [*ends, *([leaf] if self.is_end(leaf) else [])]:
                node.closed = True
        for node in backed_up:
            self.back_up(node)

    def back_up(self, start: Node) -> None:
        """G(leaf) = v; G(parent) = r(child) + discount G(child)."""
        gain = self.given_back(start)
        for node in reversed(start.path()):
            node.visits += 1
            if self.rule["backup"] == "mean":
                node.value_sum += gain
            elif self.rule["backup"] == "max":
                node.value_sum = gain if node.visits == 1 else max(node.value_sum, gain)
            elif node is start:
                if node.visits == 1:  # later it keeps what it rolled forward to
                    node.value_sum = self.with_roll_forward(node, gain)
            else:  # weighted: sum V_c n_c / sum n_c
                visits = sum(c.visits for c in node.children)
                node.value_sum = sum(c.value_sum * c.visits for c in node.children) / visits
            gain = node.reward + self.rule["discount"] * gain


def rolled_forward(node: Node) -> list[Node]:
    """The steps after a node along the greatest values, outside the tree."""
    path: list[Node] = []
    while node.rolled:
        scored = [step for step in node.rolled if step.has(SCORED)]
        if not scored:
            break
        node = max(scored, key=lambda step: step.value)
        path.append(node)
    return path


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
