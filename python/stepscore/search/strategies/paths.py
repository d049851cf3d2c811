"""Searches that follow one trace, and turn back where it goes wrong."""

from __future__ import annotations

import numpy as np

from stepscore.ragged import offsets_of
from stepscore.search.tree import Ids, PendingNodes, Tree
from stepscore.voting.first_error import first_error


def greedy(
    tree: Tree, *, m: int = 4, accept: float, depth: int = 40, expansions: int = 80
) -> PendingNodes:
    """Follow the best step; where none is good enough, turn back to the next best before.

    Of a node's m continuations those with a score of at least `accept` are tried, best first. A
    node without any is a dead end: its parent's next one is tried.

    Args:
        tree: of the problems.
        m: continuations of a node.
        accept: score that a step needs.
        depth: of a trace at most; deeper is a dead end.
        expansions: of a problem in all; then, or when nothing is left to try, the best leaf counts.

    Source: heuristic greedy search with a PRM, which tells good, neutral and bad steps apart
    ("Let's reward step by step", arXiv 2310.10080). Unverified: its classes are one threshold here.
    """
    stacks: list[list[int]] = [[root] for root in tree.roots.tolist()]  # the next to try is last
    used = np.zeros(len(stacks), np.int64)
    ended, seen = tree.join(), tree.join()
    while True:
        current = np.array([stack[-1] for stack in stacks if stack], np.int64)
        done = tree.ended(current)
        ended = tree.join(ended, current[done])
        for problem in tree.problem(current[done]).tolist():
            stacks[problem] = []
        problems = tree.problem(current[~done])
        for problem in problems[used[problems] >= expansions].tolist():
            stacks[problem] = []
        current = np.array([stack.pop() for stack in stacks if stack], np.int64)
        if not len(current):
            break
        deep = tree.engine.depth[current] >= depth
        used[tree.problem(current)] += ~deep
        children = yield from tree.grow(current[~deep], m)
        seen = tree.join(seen, children)
        good = children[tree.values(children) >= accept]
        for node in tree.best(good, m)[::-1].tolist():
            stacks[int(tree.problem(np.array(node)))].append(node)
    leaves = seen[tree.engine.child_count[seen] == 0]
    without = tree.count(ended)[tree.problem(leaves)] == 0
    return tree.join(ended, leaves[without])


def pats(
    tree: Tree,
    *,
    mode: int = 0,
    samples_of_mode: tuple[int, ...] = (8, 4, 2),
    good: float = 0.85,
    fair: float = 0.75,
    bad: float = 0.4,
    penalties: int = 1,
    iterations: int = 35,
) -> PendingNodes:
    """Follow one trace with as many samples as its steps are hard.

    The best of the samples, with score r, is the next step. r >= `good`: mode + 1 (fewer samples);
    r < `fair`: mode 0. r < `bad`: the step is rejected, mode 0, and sampled again, at most
    `penalties` times in a row; then it is taken.

    Args:
        tree: of the problems.
        mode: at the beginning.
        samples_of_mode: samples of each mode.
        good, fair, bad: thresholds.
        penalties: rejections in a row.
        iterations: draws at most.

    Source: PATS (NJUNLP/PATS), with its defaults. Repeated steps are passed over: those that are
    equal among the samples, or to an earlier step of the trace. Its list of allowed characters is
    left to the policy.
    """
    current: Ids = tree.roots.copy()
    modes, rejected = np.full(len(current), mode), np.zeros(len(current), np.int64)
    for _ in range(iterations):
        children = yield from tree.grow(current, np.array(samples_of_mode)[modes])
        if not len(children):
            break
        best = tree.best(_new_steps(tree, children), 1)
        for node, score in zip(best.tolist(), tree.values(best).tolist(), strict=True):
            problem = int(tree.problem(np.array(node)))
            if score < bad and rejected[problem] < penalties:
                rejected[problem] += 1
                modes[problem] = 0
                continue
            rejected[problem] = 0
            current[problem] = node
            if score >= good:
                modes[problem] = min(modes[problem] + 1, len(samples_of_mode) - 1)
            elif score < fair:
                modes[problem] = 0
    return current


def _new_steps(tree: Tree, children: Ids) -> Ids:
    """Those whose step neither an earlier sibling nor the trace before has."""
    kept, seen = [], set()
    for node in children.tolist():
        steps = tree.steps(node)
        sample = (int(tree.batch[node]), tree.own_text[node])
        if sample not in seen and steps[-1] not in steps[:-1]:
            kept.append(node)
        seen.add(sample)
    return np.array(kept, np.int64)


def refine(
    tree: Tree,
    *,
    n: int = 4,
    rounds: int = 2,
    threshold: float = 0.5,
    locate: str = "first",
    depth: int = 40,
    how: str = "min",
) -> PendingNodes:
    """Draw n traces; cut each at its first wrong step and draw its rest again.

    A new trace takes the place of the old one where its score is higher.

    Args:
        tree: of the problems.
        n: traces.
        rounds: how often each is refined.
        threshold: a step is wrong below it.
        locate: ``"first"``, ``"lowest"`` or ``"drop"``, see `stepscore.search.first_error`.
        depth: steps of a trace at most.
        how: makes the score of a trace of those of its steps.

    Source: refinement from the first error that a PRM finds; without one published form.
    """
    traces = yield from run_on(tree, tree.replicate(tree.roots, n), depth)
    traces = yield from _score_paths(tree, traces)
    for _ in range(rounds):
        wrong = first_error(*tree.step_scores(traces), threshold=threshold, how=locate)
        cut = np.flatnonzero(wrong >= 0)
        path, offsets = tree.engine.path(traces[cut])
        parents = path[offsets[:-1] + wrong[cut]]
        replaced = traces.copy()
        redrawn = yield from tree.expand(parents)
        origin = _origins(tree, parents, redrawn)
        grown = yield from run_on(tree, redrawn, depth)
        grown = yield from _score_paths(tree, grown)
        for new in grown.tolist():
            ancestors = set(tree.engine.path(np.array([new]))[0].tolist())
            place = next(cut[at] for first, at in origin.items() if first in ancestors)
            pair = tree.values(np.array([new, replaced[place]]), how)
            if pair[0] > pair[1]:
                replaced[place] = new
        traces = replaced
    return traces


def _origins(tree: Tree, parents: Ids, redrawn: Ids) -> dict[int, int]:
    """First node of a redrawn trace -> its place among the parents."""
    left: dict[int, list[int]] = {}
    for place, parent in enumerate(parents.tolist()):
        left.setdefault(parent, []).append(place)
    return {node: left[int(tree.engine.parent[node])].pop(0) for node in redrawn.tolist()}


def run_on(tree: Tree, nodes: Ids, depth: int) -> PendingNodes:
    """Move traces on, step by step, until they end."""
    for _ in range(depth):
        if not tree.open(nodes).any():
            break
        nodes = yield from tree.advance(nodes)
    return nodes


def _score_paths(tree: Tree, nodes: Ids) -> PendingNodes:
    """Score all steps of traces at once; returns the traces of which all have a score."""
    path, offsets = tree.engine.path(nodes)
    below_root = tree.engine.depth[path] > 0
    scored = yield from tree.score(path[below_root])
    whole = offsets_of(below_root & ~np.isin(path, scored))
    kept: Ids = nodes[np.diff(whole[offsets]) == 0]
    return kept
