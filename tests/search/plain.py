"""Every strategy once more: one problem, lists of objects, sorted(); nothing of the engine."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tables import Tables

import stepscore
from stepscore import reference
from stepscore.search import ExpandRequest
from stepscore.search.driver.seeds import problem_keys, sample_seeds

MAX_TOKENS = 2048


@dataclass(eq=False)
class Node:
    number: int
    parent: Node | None
    text: str
    tokens: int
    ended: bool
    rollout: bool = False
    logprob: float = 0.0
    score: float | None = None
    own_scores: list[float] = field(default_factory=list)
    outcome: float = math.nan

    @property
    def path(self) -> list[Node]:
        return ([] if self.parent is None else self.parent.path) + [self]

    @property
    def response(self) -> str:
        return "".join(node.text for node in self.path)

    @property
    def scores(self) -> list[float]:
        return [score for node in self.path for score in node.own_scores]

    @property
    def depth(self) -> int:
        return len(self.path) - 1

    @property
    def answer(self) -> str | None:
        if not self.ended:
            return None
        return reference.extract_answers([self.response])[0]


class World:
    """One problem: draws nodes with numbers of their own, and scores them."""

    def __init__(self, tables: Tables, problem: str, seed: int = 0) -> None:
        self.tables, self.problem, self.seed = tables, problem, seed
        self.key = int(problem_keys([problem])[0])
        self.root = Node(0, None, "", 0, False)
        self.count = 1
        self.nodes = [self.root]

    def draw(
        self,
        node: Node,
        n: int,
        mode: Any = "step",
        max_tokens: int = 512,
        temperature: float = 0.8,
    ) -> list[Node]:
        left = MAX_TOKENS - sum(one.tokens for one in node.path)
        most = left if mode == "rollout" else min(max_tokens, left)
        numbers = range(self.count, self.count + n)
        self.count += n
        seeds = sample_seeds(self.seed, self.key, list(numbers))
        request = ExpandRequest(
            self.problem,
            self.steps(node),
            n,
            mode,
            most,
            temperature,
            (),
            seeds,
        )
        made = []
        for number, seed in zip(numbers, seeds, strict=True):
            sample = self.tables.sample(request, seed)
            ended = sample.terminal or sample.tokens >= left
            made.append(
                Node(number, node, sample.text, sample.tokens, ended, mode == "rollout",
                     sample.logprob)
            )  # fmt: skip
        self.nodes += made
        return made

    def steps(self, node: Node) -> list[str]:
        found = []
        for one in node.path[1:]:
            found += one.text.splitlines(keepends=True) if one.rollout else [one.text]
        return found

    def score(self, nodes: list[Node]) -> list[Node]:
        for node in nodes:
            if node.score is None and node.parent is not None:
                before, steps = len(self.steps(node.parent)), self.steps(node)
                node.own_scores = [
                    self.tables.value_of(self.problem, steps[: k + 1])
                    for k in range(before, len(steps))
                ]
                node.score = node.own_scores[-1]
                node.outcome = self.tables.value_of(self.problem, steps, "outcome")
        return nodes

    def one_step(self, node: Node, **how: Any) -> Node:
        return node if node.ended else self.draw(node, 1, **how)[0]

    def resample(
        self, nodes: list[Node], weights: list[float], n: int, draw: int, **how: Any
    ) -> Any:
        drawn, _ = reference.resample(
            weights, [0, len(weights)], n, seed=self.seed, keys=[self.key], draw=draw, **how
        )
        return [nodes[i] for i in drawn]


def reduced(node: Node, how: str) -> float:
    scores = node.scores
    return {
        "last": lambda: scores[-1],
        "min": lambda: min(scores),
        "mean": lambda: float(stepscore.aggregate(np.array(scores), [0, len(scores)], "mean")[0]),
        "prod": lambda: math.prod(scores),
    }[how]()


def ranked(nodes: list[Node], value: Callable[[Node], float]) -> list[Node]:
    return sorted(nodes, key=lambda node: -value(node))


def best_of_n(w: World, n: int, how: str = "last") -> list[Node]:
    return w.score(w.draw(w.root, n, "rollout"))


def self_consistency(w: World, n: int, stop_rule: str, threshold: float) -> list[Node]:
    drawn: list[Node] = []
    while len(drawn) < n:
        drawn += w.draw(w.root, min(max(2, len(drawn)), n - len(drawn)), "rollout")
        counts = sorted(Counter(node.answer for node in drawn if node.answer).values())[::-1]
        a, b = [*counts, 0, 0][:2]
        beyond = sum(math.comb(a + b + 1, k) for k in range(b + 1)) / 2 ** (a + b + 1)
        agree = 1 - beyond if stop_rule == "beta" else a / max(sum(counts), 1)
        if sum(counts) >= 2 and agree >= threshold:
            break
    return drawn


def adaptive_n(
    w: World, n: int, confidence: float, probe: int = 1, how: str = "last"
) -> list[Node]:
    first = w.score(w.draw(w.root, probe, "rollout"))
    p = min(max(float(np.mean([reduced(node, how) for node in first])), 1e-4), 1 - 1e-4)
    needed = min(math.ceil(math.log(1 - confidence) / math.log(1 - p)), n)
    more = needed - probe
    return first + (w.score(w.draw(w.root, more, "rollout")) if more > 0 else [])


def beam(
    w: World, n: int, m: int, depth: int, how: str = "last", duplicates: str = "keep"
) -> list[Node]:
    beams, ended = [w.root] * n, []
    for level in range(depth):
        mode = "rollout" if level == depth - 1 else "step"
        beams = w.score([w.draw(node, 1, mode)[0] for node in beams])
        ended += [node for node in beams if node.ended]
        beams = [node for node in beams if not node.ended]
        if not beams:
            break
        if duplicates == "drop":
            seen: dict[str, Node] = {}
            for node in beams:
                seen.setdefault(node.response, node)
            beams = list(seen.values())
        kept = ranked(beams, lambda node: reduced(node, how))[: n // m]
        beams = [node for node in beams if node in kept]
        beams = [beams[i % len(beams)] for i in range(n)]
    else:
        ended += beams if depth == 0 else []
    return ended[:n]


def beam_with_finished(w: World, n: int, width: int, depth: int, how: str = "last") -> list[Node]:
    copies = n // width
    beams = [w.root] * copies
    for _ in range(depth):
        if all(node.ended for node in beams):
            break
        beams = w.score([w.one_step(node) for node in beams])
        beams = ranked(beams, lambda node: reduced(node, how))[:width] * copies
    return beams


def step_beam(
    w: World, width: int, beams: int, depth: int, how: str = "last", duplicates: str = "drop",
    value: Callable[[Node], float] | None = None,
) -> list[Node]:  # fmt: skip
    live, ended = [w.root], []
    for level in range(depth):
        drawn = [c for node in live for c in w.draw(node, width if level == 0 else width // beams)]
        children = w.score(drawn)
        if duplicates == "drop":
            texts: set[str] = set()
            children = [c for c in children if not (c.response in texts or texts.add(c.response))]  # type: ignore[func-returns-value]
        order = ranked(children, value or (lambda node: reduced(node, how)))
        kept = order[: beams - len(ended)]
        ended += [node for node in kept if node.ended]
        live = [node for node in kept if not node.ended]
        if not live:
            break
    return ended + live


def outcome_beam(
    w: World, width: int, beams: int, depth: int, beta: float, beta_on: str = "process",
    how: str = "mean", duplicates: str = "keep", finished: str = "compete",
) -> list[Node]:  # fmt: skip
    def value(node: Node) -> float:
        g, h = reduced(node, how), node.outcome
        return h + beta * g if beta_on == "process" else g + beta * h

    if finished == "leave":
        return step_beam(w, width, beams, depth, duplicates=duplicates, value=value)
    kept = [w.root]
    for level in range(depth):
        again = width if level == 0 else width // beams
        drawn = [
            c for node in kept for c in ([node] * again if node.ended else w.draw(node, again))
        ]
        drawn = ranked(w.score(drawn), value)
        if duplicates == "drop":
            texts = [node.response for node in drawn]
            first = [texts.index(node.response) == i for i, node in enumerate(drawn)]
            drawn = [n for n, f in zip(drawn, first, strict=True) if f] + [
                n for n, f in zip(drawn, first, strict=True) if not f
            ]
        kept = drawn[:beams]
        if all(node.ended for node in kept):
            break
    return list(dict.fromkeys(kept))


def dvts(w: World, n: int, m: int, depth: int, how: str = "last", lookahead: int = 0) -> list[Node]:
    found: list[Node] = []
    beams = [w.root] * (n // m)
    for level in range(depth):
        families = [w.score(w.draw(node, m)) for node in beams]
        ahead = greedy_ahead(w, [c for family in families for c in family], lookahead)
        beams = []
        for family in families:
            best = ranked(family, lambda c: reduced(ahead[c], how))[0]  # noqa: B023
            if best.ended or level == depth - 1:
                found += family
            else:
                beams.append(best)
        if not beams:
            break
    return found


def greedy_ahead(w: World, nodes: list[Node], steps: int) -> dict[Node, Node]:
    ahead = {node: node for node in nodes}
    for _ in range(steps):
        ahead = {node: w.one_step(end, temperature=0.0) for node, end in ahead.items()}
    w.score(list(ahead.values()))
    return ahead


def lookahead_beam(
    w: World, n: int, m: int, depth: int, lookahead: int = 1, discount: float = 1.0,
    alpha: float = 1.0,
) -> list[Node]:  # fmt: skip
    beams, ended = [w.root], []
    for level in range(depth):
        children = [c for node in beams for c in w.draw(node, m if level else n)]
        w.score(children)
        ahead = greedy_ahead(w, children, lookahead)

        def value(node: Node) -> float:
            v, later = node.scores[-1], ahead[node]  # noqa: B023 - called in this round
            k = later.depth - node.depth
            return v + alpha * (discount**k * later.scores[-1] - v)

        ended += [node for node in children if node.ended]
        beams = ranked([node for node in children if not node.ended], value)[: n // m]
        if not beams:
            break
    return ended + beams


def rebase(
    w: World, width: int, depth: int, balance: float = 0.2, how: str = "last",
    arith: str = "float32",
) -> list[Node]:  # fmt: skip
    ended: list[Node] = []
    wanted = [(w.root, width)]
    for _ in range(depth):
        children = w.score([c for node, k in wanted if k for c in w.draw(node, k)])
        if not children:
            break
        for node in children:
            if node.ended:
                ended.append(node)
                width -= 1
        live = [node for node in children if not node.ended]
        scores = [reduced(node, how) for node in live]
        counts = reference.rebase_allotment(
            scores, [0, len(live)], max(width, 0), temperature=balance, arith=arith
        )
        order = sorted(range(len(live)), key=lambda i: (-scores[i], -i))
        wanted = [(live[i], int(counts[i])) for i in order]
    return ended + [node for node, _ in wanted]


def blocks(w: World, n: int, width: int, block: int, depth: int) -> list[Node]:
    traces = [w.root] * (n // width)
    for _ in range(depth):
        active = [node for node in traces if not node.ended]
        drawn = w.score([c for node in active for c in w.draw(node, width, "block", block)])
        best = ranked(drawn, lambda node: node.scores[-1])[: len(active)]
        traces = [node for node in traces if node.ended] + best
    return traces


def finish(w: World, nodes: list[Node]) -> list[Node]:
    whole = [node for node in nodes if node.ended or node.text.endswith("\n")]
    rest = [node for node in nodes if node not in whole]
    return whole + w.score([w.one_step(node) for node in rest])


def early_rejection(w: World, n: int, m: int, tau: int, depth: int) -> list[Node]:
    beams, ended = [w.root] * n, []
    for _ in range(depth):
        begun = w.score([w.draw(node, 1, "partial", tau)[0] for node in beams])
        kept = ranked(begun, lambda node: node.scores[-1])[: n // m]
        kept = finish(w, sorted(kept, key=lambda node: node.number))
        ended += [node for node in kept if node.ended]
        live = [node for node in kept if not node.ended]
        if not live:
            beams = []
            break
        beams = [live[i % len(live)] for i in range(n)]
    return ended + beams


def needed(p: float, confidence: float, shares: int = 1) -> int:
    p = min(max(p, 1e-4), 1 - 1e-4)
    return math.ceil(math.log(1 - confidence) / math.log(1 - p) / shares)


def adaptive_beam(
    w: World, n: int, width: int, every: int, depth: int, adapt: str = "k",
    confidence: float = 0.99,
) -> list[Node]:  # fmt: skip
    beams, samples = [w.root], n
    for level in range(depth):
        nodes = [c for node in beams for c in ([node] if node.ended else w.draw(node, samples))]
        for _ in range(every - 1):
            nodes = [w.one_step(node) for node in nodes]
        w.score(nodes)
        if level == depth - 1:
            return nodes
        best = ranked(nodes, lambda node: node.scores[-1])
        beams, samples = best[: n // width], width
        if adapt == "k":
            for k in range(1, len(beams) + 1):
                if k * width >= needed(best[k - 1].scores[-1], confidence):
                    beams = beams[:k]
                    break
        else:
            worst = min(node.scores[-1] for node in beams)
            samples = min(needed(worst, confidence, n // width), width)
        if all(node.ended for node in beams):
            break
    return beams


def reward_sampling(w: World, n: int, m: int, beta: float, depth: int) -> list[Node]:
    traces, ended = [w.root] * n, []
    for level in range(depth):
        families = [w.score(w.draw(node, m)) for node in traces]
        traces = []
        for family in families:
            weights = [node.scores[-1] ** beta for node in family]
            key = (w.key + family[0].number + 2**63) % 2**64 - 2**63
            chosen, _ = reference.resample(weights, [0, m], 1, seed=w.seed, keys=[key], draw=level)
            traces.append(family[int(chosen[0])])
        if level < depth - 1:
            ended += [node for node in traces if node.ended]
            traces = [node for node in traces if not node.ended]
    return ended + traces


def speculative(
    w: World, n: int, m: int, tau: int, reject: float, consistency: float, depth: int
) -> list[Node]:
    traces, ended = [w.root] * n, []
    for level in range(depth):
        families = [w.score(w.draw(node, m, "partial", tau)) for node in traces]
        kept = []
        for family in families:

            def rank(node: Node) -> float:
                r = node.scores[-1]
                before = node.scores[-2] if len(node.scores) > 1 else r
                return r - consistency * abs(r - before)

            good = [node for node in family if node.scores[-1] >= reject] or family
            kept.append(ranked(good, rank)[0])
        traces = finish(w, kept)
        if level < depth - 1:
            ended += [node for node in traces if node.ended]
            traces = [node for node in traces if not node.ended]
    return ended + traces


def softmax(values: list[float]) -> list[float]:
    top = max(values)
    return [math.exp(value - top) for value in values]


def log_odds(r: float, clip: float = 1e-7) -> float:
    r = min(max(r, clip), 1 - clip)
    return math.log(r / (1 - r))


def particles(
    w: World, n: int, depth: int, how: str = "last", clip: float = 1e-7,
    resampling: str = "multinomial", weight_temperature: float = 1.0, temper: str | None = None,
    temper_end: float = 1.0, finished: str = "compete",
) -> list[Node]:  # fmt: skip
    moving, set_aside = [w.root] * n, []
    for t in range(depth):
        moving = w.score([w.one_step(node) for node in moving])
        if finished == "leave":
            set_aside += [node for node in moving if node.ended]
            moving = [node for node in moving if not node.ended]
        if not moving:
            break
        logits = [log_odds(reduced(node, how), clip) / weight_temperature for node in moving]
        p = [min(max(x / sum(softmax(logits)), 1e-7), 1 - 1e-7) for x in softmax(logits)]
        heat, progress = 1.0, (t + 1) / depth
        if temper == "linear":
            share = min(1.0, t / max(depth - 1, 1))
            heat = 1 - (1 - temper_end / weight_temperature) * share
        elif temper and progress < 0.5 and (ess := 1 / sum(x * x for x in p)) < 0.5 * len(p):
            entropy = -sum(x * math.log(x) for x in p)
            entropy = entropy / math.log(len(p)) if len(p) > 2 else entropy
            heat = {
                "ess": len(p) / ess * (1 - progress),
                "entropy": 1 / (entropy + (1 - entropy) * progress),
                "base": 2 - progress,
            }[temper]
            heat = max(1.0, heat)
        weights = softmax([x / heat for x in logits])
        count = len(moving) if finished == "leave" else n
        moving = w.resample(moving, weights, count, t, method=resampling)
        if all(node.ended for node in moving):
            break
    return set_aside + moving


def particle_gibbs(
    w: World,
    n: int,
    sweeps: int,
    depth: int,
    how: str = "last",
    clip: float = 1e-7,
    weigh: str = "final",
) -> list[Node]:
    reference_trace: list[Node] = []
    everything: list[Node] = []
    for sweep in range(sweeps):
        free = n - len(reference_trace)
        current = [w.root] * free
        for t in range(depth):
            current = w.score([w.one_step(node) for node in current])
            cut = [node.path[min(t + 1, node.depth)] for node in reference_trace]
            population = current + cut
            ahead = [node.path[min(t + 2, node.depth)] for node in reference_trace]
            weighed = current + (reference_trace if weigh == "final" else ahead)
            weights = softmax([log_odds(reduced(node, how), clip) for node in weighed])
            current = w.resample(population, weights, free, sweep * (depth + 1) + t)
            if all(node.ended for node in current):
                break
        everything = current + reference_trace
        weights = softmax([log_odds(reduced(node, how), clip) for node in everything])
        reference_trace = w.resample(everything, weights, 1, sweep * (depth + 1) + depth)
    return everything


def feynman_kac(
    w: World, n: int, depth: int, potential: str, strength: float, every: int = 1,
    threshold: float | None = None,
) -> list[Node]:  # fmt: skip
    @dataclass
    class Particle:
        node: Node
        known: list[float] = field(default_factory=list)  # r at the choices so far
        product: float = 1.0
        chosen: Node | None = None

    def g(particle: Particle, last: bool) -> float:
        r = particle.known
        power = {
            "diff": 0.0
            if particle.chosen is particle.node
            else r[-1] - (r[-2] if len(r) > 1 else 0.0),
            "max": max(r),
            "add": sum(r),
            "rt": r[-1],
        }[potential]
        value = math.exp(strength * power)
        if last and potential != "diff":
            value = math.exp(strength * particle.node.scores[-1]) / particle.product
        return min(value, 1e10)

    current = [Particle(w.root) for _ in range(n)]
    for t in range(1, depth + 1):
        current = [
            Particle(w.one_step(p.node), list(p.known), p.product, p.chosen) for p in current
        ]
        w.score([p.node for p in current])
        last = t == depth or all(p.node.ended for p in current)
        if not last and t % every:
            continue
        weights = []
        for p in current:
            if p.chosen is not p.node:
                p.known.append(p.node.scores[-1])
            weights.append(g(p, last))
        ess = sum(weights) ** 2 / sum(x * x for x in weights)
        draws = threshold is None or ess < threshold * n
        for p, weight in zip(current, weights, strict=True):
            p.chosen = p.node
            p.product *= weight if draws and potential != "" else 1.0
        if draws:
            chosen, _ = reference.resample(weights, [0, n], n, seed=w.seed, keys=[w.key], draw=t)
            current = [current[i] for i in chosen]
        if all(p.node.ended for p in current):
            break
    return [p.node for p in current]


def greedy(w: World, m: int, accept: float, depth: int, expansions: int) -> list[Node]:
    stack = [w.root]
    while stack:
        node = stack[-1]
        if node.ended:
            return [node]
        if expansions == 0:
            break
        stack.pop()
        if node.depth >= depth:
            continue
        expansions -= 1
        children = w.score(w.draw(node, m))
        good = [child for child in children if child.scores[-1] >= accept]
        stack += ranked(good, lambda child: child.scores[-1])[::-1]
    parents = {node.parent for node in w.nodes}
    return [node for node in w.nodes[1:] if node not in parents]


def pats(w: World, iterations: int, samples_of_mode: tuple[int, ...], **how: Any) -> list[Node]:
    node, mode, rejected = w.root, how.get("mode", 0), 0
    for _ in range(iterations):
        if node.ended:
            break
        seen = {one.text for one in node.path[1:]}
        fresh = []
        for child in w.score(w.draw(node, samples_of_mode[mode])):
            if child.text not in seen:
                seen.add(child.text)
                fresh.append(child)
        if not fresh:
            continue
        best = ranked(fresh, lambda child: child.scores[-1])[0]
        r = best.scores[-1]
        if r < 0.4 and rejected < how.get("penalties", 1):
            mode, rejected = 0, rejected + 1
            continue
        node, rejected = best, 0
        if r >= 0.85:
            mode = min(mode + 1, len(samples_of_mode) - 1)
        elif r < 0.75:
            mode = 0
    return [node]


def refine(
    w: World, n: int, rounds: int, depth: int, threshold: float = 0.5, locate: str = "first",
    how: str = "min",
) -> list[Node]:  # fmt: skip
    def run_on(nodes: list[Node], steps: int) -> list[Node]:
        for _ in range(steps):
            nodes = [w.one_step(node) for node in nodes]
        w.score([one for node in nodes for one in node.path])
        return nodes

    traces = run_on([w.root] * n, depth)
    for _ in range(rounds):
        cuts = {}
        for place, trace in enumerate(traces):
            wrong = [k for k, r in enumerate(trace.scores) if r < threshold]
            if wrong and locate == "first":
                cuts[place] = trace.path[wrong[0]]
            elif wrong:
                cuts[place] = trace.path[min(wrong, key=lambda k: trace.scores[k])]
        drawn = [w.draw(node, 1)[0] for node in cuts.values()]
        for place, new in zip(cuts, run_on(drawn, depth), strict=True):
            if reduced(new, how) > reduced(traces[place], how):
                traces[place] = new
    return traces


def best_first(
    w: World, expansions: int, m: int, beams: int = 1, beta: float | None = None,
    beta_on: str = "outcome", how: str = "last",
) -> list[Node]:  # fmt: skip
    def f(node: Node) -> float:
        if node.parent is None:
            return 0.0
        g, h = reduced(node, how), node.outcome
        if beta is None:
            return g
        return g + beta * h if beta_on == "outcome" else h + beta * g

    waiting, ended = [w.root], []
    for _ in range(expansions):
        best = None
        while waiting and len(ended) < beams:
            best = min(waiting, key=lambda node: (-f(node), node.number))
            if not best.ended:
                break
            waiting.remove(best)
            ended.append(best)
        if not waiting or len(ended) == beams or best is None:
            break
        waiting.remove(best)
        waiting += w.score(w.draw(best, m))
    if len(ended) < beams:
        ended += sorted(waiting, key=lambda node: (-f(node), node.number))[:beams]
    return ended


def mcts(
    w: World, simulations: int, m: int, leaves: int, select: str = "puct", decode: str = "ended",
    squash: str = "none", **rule: Any,
) -> Any:  # fmt: skip
    """By the plain tree of the specification, node for node."""
    size = 2048
    tree = reference.TreeSearch(1, max_nodes=size, seed=w.seed, keys=[w.key])
    by_number = {0: w.root}
    while tree.select(select, simulations=simulations, samples=m, leaves=leaves, **rule):
        while (asked := tree.ask()) and len(asked.expand.tickets) + len(asked.score.tickets):
            for ticket, node, samples in zip(
                asked.expand.tickets, asked.expand.nodes, asked.expand.samples, strict=True
            ):
                children = w.draw(by_number[int(node)], int(samples))
                by_number.update({child.number: child for child in children})
                told = tree.tell_expand(
                    [ticket],
                    [0, len(children)],
                    texts=[c.text for c in children],
                    token_counts=[c.tokens for c in children],
                    logprob=[c.logprob for c in children],
                    terminal=[c.ended for c in children],
                )
                assert told.tolist() == [c.number for c in children]
            for ticket, node in zip(asked.score.tickets, asked.score.nodes, strict=True):
                scored = w.score([by_number[int(node)]])[0]
                scored.score = 0.0 if scored is w.root else scored.score
                tree.tell_score([ticket], [scored.score])
    w.tree = tree  # type: ignore[attr-defined]
    assert decode == "ended"
    gone = {number for number, node in tree.nodes.items() if not node.usable}
    scored = [n for n in w.nodes[1:] if n.score is not None and n.number not in gone]
    ends = [node for node in scored if node.ended]
    return ends or scored


def omega_prm(
    w: World, k: int, searches: int, rollouts: int, depth: int, alpha: float = 0.5,
    beta: float = 0.9, length: float = 500.0, c: float = 0.125,
) -> list[Node]:  # fmt: skip
    mc: dict[Node, float] = {}
    visits: Counter[Node] = Counter()
    pool: list[tuple[Node, Node]] = []
    ends: list[Node] = []

    def estimate(state: Node) -> float | None:
        if len(ends) >= rollouts:
            return None
        last = [state] * k
        for _ in range(depth):
            last = [w.one_step(node) for node in last]
        ends.extend(last)
        right = [node.ended and "The answer is 2" in node.response for node in last]
        mc[state] = state.outcome = sum(right) / k
        visits[state] += 1
        if 0 < mc[state] < 1:
            pool.extend((state, node) for node, ok in zip(last, right, strict=True) if not ok)
        return mc[state]

    def priority(item: tuple[Node, Node]) -> float:
        state, end = item
        words = len(end.response[len(state.response) :].split())
        u = c * math.sqrt(sum(visits.values())) / (1 + visits[state])
        return alpha ** (1 - mc[state]) * beta ** (words / length) + u

    def everything() -> Iterator[None]:
        estimate(w.root)
        for _ in range(searches):
            if not pool:
                return
            state, end = max(pool, key=priority)
            pool.remove((state, end))
            nodes = end.path[state.depth + 1 :]
            left, right = 0, len(nodes) - 1
            while left <= right:
                middle = (left + right) // 2
                value = estimate(nodes[middle])
                if value is None:
                    return
                left, right = (left, middle - 1) if value == 0 else (middle + 1, right)
        yield

    list(everything())
    return ends
