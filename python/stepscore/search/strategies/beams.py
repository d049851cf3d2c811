"""Beam searches: level by level the best traces go on."""

from __future__ import annotations

import numpy as np

from stepscore.errors import InputError
from stepscore.search.strategies.parameters import check_multiple
from stepscore.search.tree import Ids, PendingNodes, Reals, Tree


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
) -> PendingNodes:
    """Beam search with shrinking width: every beam that ends leaves one place less.

    The root draws `width` steps, later each beam draws width / beams; the best of them, as many as
    there are beams that have not ended, go on.

    Args:
        tree: of the problems.
        width: continuations in a round, a multiple of `beams`.
        beams: traces wanted.
        depth: rounds at most.
        how: makes the score of a trace of those of its steps; ties: the first.
        duplicates: ``"drop"``: of equal traces the first stays; ``"keep"``: all.

    Source: c-o-tts (RyanLiu112/compute-optimal-tts) with its defaults; ``beams=1, width=5, depth=4,
    duplicates="keep"`` is the step-level beam search of AlphaMath (Super_MARIO, its B1 and B2).
    """
    check_multiple(width=width, beams=beams)
    live, ended = tree.roots, tree.join()
    for level in range(depth):
        children = yield from tree.grow(live, width if level == 0 else width // beams)
        if not len(children):
            break
        live = tree.idle(live, children)
        if duplicates == "drop":
            children = tree.distinct(children)
        places = beams - tree.count(ended)
        kept = tree.best(children, places, tree.values(children, how))
        ended = tree.join(ended, kept[tree.ended(kept)])
        live = tree.join(live, kept[~tree.ended(kept)])
    return tree.join(ended, live)


def outcome_beam(
    tree: Tree,
    *,
    width: int = 20,
    beams: int = 4,
    depth: int = 10,
    beta: float = 1.0,
    beta_on: str = "process",
    how: str = "mean",
) -> PendingNodes:
    r"""Beam search by process and outcome: :math:`f = h + \beta g`.

    With h the `outcome` of a trace by the second scorer and g the aggregate of its step scores.

    Args:
        tree: of the problems.
        width: continuations in a round, a multiple of `beams`.
        beams: traces wanted; one that ends leaves one place less.
        depth: rounds at most.
        beta: weight.
        beta_on: ``"process"``, as written; ``"outcome"``: :math:`f = g + \beta h`, as in A*.
        how: makes g of the step scores.

    Source: BiRM (chenwxOggai/BiRM): defaults as in the code; its scripts use beta 1.5, 3.0 and 3.5.
    ``beta_on="outcome"`` follows the description of others.
    """
    check_multiple(width=width, beams=beams)
    live, ended = tree.roots, tree.join()
    for level in range(depth):
        children = yield from tree.grow(live, width if level == 0 else width // beams)
        if not len(children):
            break
        live = tree.idle(live, children)
        children = tree.distinct(children)
        kept = tree.best(
            children,
            beams - tree.count(ended),
            process_and_outcome(tree, children, beta, beta_on, how),
        )
        ended = tree.join(ended, kept[tree.ended(kept)])
        live = tree.join(live, kept[~tree.ended(kept)])
    return tree.join(ended, live)


def process_and_outcome(tree: Tree, nodes: Ids, beta: float, beta_on: str, how: str) -> Reals:
    """The score f of `outcome_beam` and `best_first`."""
    process, outcome = tree.values(nodes, how), tree.outcome[nodes]
    if np.isnan(outcome).any():
        raise InputError(
            "a second scorer, of the outcome, because the strategy reads it",
            got="none",
            argument="value",
            where="search",
        )
    return outcome + beta * process if beta_on == "process" else process + beta * outcome
