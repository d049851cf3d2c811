"""Beam searches: level by level the best traces go on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stepscore.ops.frontier import drop_duplicates
from stepscore.search.strategies.parameters import check_choice, check_multiple, model_missing
from stepscore.search.tree import Ids, PendingNodes, Reals, Tree

BETA_ON = ("process", "outcome")  # of `outcome_beam` and `best_first`


def beam(
    tree: Tree,
    *,
    n: int = 4,
    m: int = 4,
    depth: int = 40,
    how: str = "last",
    duplicates: str = "keep",
) -> PendingNodes:
    """Beam search: n beams take a step each; the best n / m of them are copied to n again.

    A beam that ends is set aside. The last of `depth` rounds runs to the end of the response. The
    candidates are the first n beams that ended.

    Args:
        tree: of the problems.
        n: beams, a multiple of m.
        m: n / m beams are kept; ties: the first.
        depth: rounds.
        how: makes the score of a beam of those of its steps.
        duplicates: ``"drop"`` keeps one of equal beams; ``"keep"`` all.

    Source: beam_search of huggingface/search-and-learn with its defaults. There the order of equal
    scores is unspecified, and the beams that ended are repeated up to n, which changes no winner.
    """
    check_multiple(n=n, m=m)
    check_choice("duplicates", duplicates, ("keep", "drop"))
    beams, ended = tree.replicate(tree.roots, n), tree.join()
    for level in range(depth):
        last = level == depth - 1
        beams = yield from tree.step(beams, mode="rollout" if last else "step")
        ended = tree.join(ended, beams[tree.ended(beams)])
        beams = beams[~tree.ended(beams)]
        if not tree.open(beams).any():
            break
        if duplicates == "drop":
            beams = tree.distinct(beams)
        kept = tree.best(beams, n // m, tree.values(beams, how))
        beams = tree.replicate(np.sort(kept), n)
    return tree.first(tree.join(ended, beams), n)


def beam_with_finished(
    tree: Tree, *, n: int = 16, width: int = 4, depth: int = 40, how: str = "last"
) -> PendingNodes:
    """Beam search in which beams that have ended keep their score and their place.

    n / width beams begin; from then on the best `width` of all are copied, in turns, to n.

    Args:
        tree: of the problems.
        n: beams, a multiple of `width`.
        width: beams that are kept, best first; ties: the first.
        depth: rounds at most.
        how: makes the score of a beam of those of its steps.

    Source: BeamSearch of its_hub 1.2.0: its budget is n, its n / width copies of `width` beams.
    """
    check_multiple(n=n, width=width)
    beams = tree.replicate(tree.roots, n // width)
    for _ in range(depth):
        moving = tree.moving(beams)
        if not moving.any():
            break
        moved = yield from tree.step(beams[moving])
        kept = tree.best(moved, width, tree.values(moved, how))
        copies = tree.replicate(kept, n // width * width)
        shorter = tree.count(kept) * (n // width)  # where some failed
        beams = tree.join(beams[~moving], tree.first(copies, shorter))
    return beams


def step_beam(
    tree: Tree,
    *,
    width: int = 10,
    beams: int = 1,
    depth: int = 10,
    how: str = "last",
    duplicates: str = "drop",
    finished: str = "leave",
) -> PendingNodes:
    """Beam search by steps: the root draws `width` steps, later each beam draws width / beams.

    The best of them go on, as many as there are places.

    Args:
        tree: of the problems.
        width: continuations in a round, a multiple of `beams`.
        beams: traces wanted.
        depth: rounds at most.
        how: makes the score of a trace of those of its steps; ties: the first.
        duplicates: ``"drop"``: of equal traces the first stays; ``"keep"``: all.
        finished: ``"leave"``: a beam that ends leaves one place less; ``"compete"``: it stays in
            the beam with its score, as in `outcome_beam`.

    Source: ``"leave"`` is c-o-tts (RyanLiu112/compute-optimal-tts) with its defaults; ``beams=1,
    width=5, depth=4, duplicates="keep"`` is the step-level beam search of AlphaMath (Super_MARIO,
    its B1 and B2). ``finished="compete", duplicates="keep", width=20, beams=4``, with the values of
    an outcome model as scores, is that of OVM (FreedomIntelligence/OVM).
    """
    return (
        yield from _by_levels(
            tree,
            width,
            beams,
            depth,
            lambda nodes: tree.values(nodes, how),
            duplicates=duplicates,
            finished=finished,
        )
    )


def outcome_beam(
    tree: Tree,
    *,
    width: int = 20,
    beams: int = 4,
    depth: int = 10,
    beta: float = 1.0,
    beta_on: str = "process",
    how: str = "mean",
    duplicates: str = "keep",
    finished: str = "compete",
) -> PendingNodes:
    r"""Beam search by process and outcome: :math:`f = h + \beta g`; f chooses the answer too.

    With h the `outcome` of a trace by the second scorer and g the aggregate of its step scores.

    Args:
        tree: of the problems.
        width: continuations in a round, a multiple of `beams`.
        beams: traces that go on, the best first; ties: the first.
        depth: rounds at most.
        beta: weight; 0 is OVM, whose outcome model is the second scorer.
        beta_on: ``"process"``, as written; ``"outcome"``: :math:`f = g + \beta h`, as in A*.
        how: makes g of the step scores.
        duplicates: ``"keep"``: equal traces take a place each; ``"drop"``: a repeated one only
            where there are fewer others than places.
        finished: ``"compete"``: a trace that has ended stays in the beam: in the next round it
            stands width / beams times among the continuations, with its f, and the search of a
            problem ends when all its beams have ended. ``"leave"``: it is set aside and leaves one
            place less.

    Source: BiRM (chenwxOggai/BiRM), which took its loop over from OVM: defaults as in the code,
    where `duplicates` is its ``dedup_mode``; its scripts use beta 1.5, 3.0 and 3.5. There the best
    f of the last beams wins even where that trace has not ended; here one that has ended wins
    before it. ``beta_on="outcome"`` follows the description of others, ``finished="leave"`` nobody.
    """

    check_choice("beta_on", beta_on, BETA_ON)

    def worth(nodes: Ids) -> Reals:
        tree.worth[nodes] = process_and_outcome(tree, nodes, beta, beta_on, how)
        return tree.worth[nodes]

    return (
        yield from _by_levels(
            tree, width, beams, depth, worth, duplicates=duplicates, finished=finished
        )
    )


def _by_levels(
    tree: Tree,
    width: int,
    beams: int,
    depth: int,
    value: Callable[[Ids], Reals],
    *,
    duplicates: str,
    finished: str,
) -> PendingNodes:
    """Level by level the best continuations, as many as there are beams, go on."""
    check_multiple(width=width, beams=beams)
    check_choice("duplicates", duplicates, ("keep", "drop"))
    check_choice("finished", finished, ("compete", "leave"))
    if finished == "leave":
        return (yield from _finished_leave(tree, width, beams, depth, value, duplicates))
    live = tree.roots
    for level in range(depth):
        moving = tree.moving(live)
        if not moving.any():
            break
        samples = width if level == 0 else width // beams
        children = yield from tree.grow(live[moving], samples)
        drawn = in_their_place(tree, live[moving], children, copies=samples)
        values = value(drawn)
        if duplicates == "drop":
            kept = _best_distinct(tree, drawn, beams, values)
        else:
            kept = tree.best(drawn, beams, values)
        live = tree.join(live[~moving], kept)
    return once_each(live)


def _finished_leave(
    tree: Tree,
    width: int,
    beams: int,
    depth: int,
    value: Callable[[Ids], Reals],
    duplicates: str,
) -> PendingNodes:
    live, ended = tree.roots, tree.join()
    for level in range(depth):
        children = yield from tree.grow(live, width if level == 0 else width // beams)
        if not len(children):
            break
        live = tree.idle(live, children)
        if duplicates == "drop":
            children = tree.distinct(children)
        kept = tree.best(children, beams - tree.count(ended), value(children))
        ended = tree.join(ended, kept[tree.ended(kept)])
        live = tree.join(live, kept[~tree.ended(kept)])
    return tree.join(ended, live)


def _best_distinct(tree: Tree, nodes: Ids, k: int, values: Reals) -> Ids:
    """The best of different traces; where there are fewer than k, the best repeated ones too."""
    first = np.zeros(len(nodes), bool)
    first[drop_duplicates(tree.texts(nodes), tree.offsets(nodes))[0]] = True
    kept = tree.best(nodes[first], k, values[first])
    return tree.join(kept, tree.best(nodes[~first], k - tree.count(kept), values[~first]))


def in_their_place(tree: Tree, beams: Ids, children: Ids, *, copies: int = 1) -> Ids:
    """The children of every beam where it stood; of one that has ended, itself so many times.

    A beam whose continuations all failed is gone; one whose problem has no budget left stays.
    """
    drawn: dict[int, list[int]] = {}
    for child, parent in zip(children.tolist(), tree.engine.parent[children].tolist(), strict=True):
        drawn.setdefault(parent, []).append(child)
    stay = dict.fromkeys(tree.idle(beams, children).tolist(), 1)
    stay.update(dict.fromkeys(beams[tree.ended(beams)].tolist(), copies))
    after = [
        node for beam in beams.tolist() for node in drawn.get(beam, [beam] * stay.get(beam, 0))
    ]
    return np.array(after, np.int64)


def once_each(nodes: Ids) -> Ids:
    """The nodes without repetitions, in their order."""
    return np.array(list(dict.fromkeys(nodes.tolist())), np.int64)


def process_and_outcome(tree: Tree, nodes: Ids, beta: float, beta_on: str, how: str) -> Reals:
    """The score f of `outcome_beam` and `best_first`."""
    process, outcome = tree.values(nodes, how), tree.outcome[nodes]
    if np.isnan(outcome).any():
        raise model_missing("value")
    return outcome + beta * process if beta_on == "process" else process + beta * outcome
