"""Scores without texts: the reward files of kimsh0507/RewardMATH_official."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stepscore.records.convert.layout import (
    Layout,
    Objects,
    columns_of,
    has_lists,
    record_of,
    text_of,
    wrong,
)

# Who wrote the one right solution of a problem.
CHOSEN = "human_to_GPT-4"


def matches(content: Mapping[str, Any]) -> bool:
    """The generators of the solutions, and a score for each."""
    return has_lists(content, "solution_reference", "score")


def read(objects: Objects, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Read a file.

    An object is a problem. ``solution_reference`` names the generator of every solution, and the
    right one is that of ``human_to_GPT-4``, wherever it stands. ``score`` holds for each its step
    scores (of a PRM) or one number (of a reward model). A file of verdicts on pairs has
    ``chosen_position`` beside: it names the generators of the wrong solutions alone, and becomes
    one record per pair, in which the side that the judge preferred has score 1 and the other 0.
    There are no texts, so that the solutions have no answers.
    """
    for index, (place, content) in enumerate(objects):
        problem = text_of(content, "problem", place)
        if "chosen_position" in content:
            yield from _pairs(f"rewardmath-{index}", problem, content, place)
            continue
        generators, scores = columns_of(content, ("solution_reference", "score"), place)
        if generators.count(CHOSEN) != 1:
            raise wrong(
                f'one solution of "{CHOSEN}", the right one',
                generators,
                place,
                ("solution_reference",),
            )
        candidates = [
            {_kind(score, number, place): score, "generator": generator,
             "correct": generator == CHOSEN}
            for number, (generator, score) in enumerate(zip(generators, scores, strict=True))
        ]  # fmt: skip
        yield record_of(f"rewardmath-{index}", problem, candidates)


def _kind(score: object, number: int, place: str) -> str:
    if isinstance(score, list):
        return "step_scores"
    if isinstance(score, (int, float)) and not isinstance(score, bool):
        return "score"
    expected = "step scores, a number, or verdicts beside chosen_position"
    raise wrong(expected, score, place, ("score", number))


def _pairs(
    name: str, problem: str, content: Mapping[str, Any], place: str
) -> Iterator[dict[str, Any]]:
    names = ("solution_reference", "score", "chosen_position")
    for number, (generator, verdict, chosen) in enumerate(
        zip(*columns_of(content, names, place), strict=True)
    ):
        if generator == CHOSEN:
            raise wrong(
                f'wrong solutions alone, so none of "{CHOSEN}"',
                generator,
                place,
                ("solution_reference", number),
            )
        if chosen not in ("A", "B"):
            raise wrong('"A" or "B"', chosen, place, ("chosen_position", number))
        # A verdict that is neither prefers nobody: the authors count it as a loss of the right one.
        other = "B" if chosen == "A" else "A"
        yield record_of(
            f"{name}-{number}",
            problem,
            [
                {"score": int(verdict == chosen), "generator": CHOSEN, "correct": True},
                {"score": int(verdict == other), "generator": generator, "correct": False},
            ],
        )


REWARDMATH = Layout(
    "rewardmath",
    "RewardMATH's results",
    "results of kimsh0507/RewardMATH_official: step scores, scores or verdicts",
    matches,
    read,
)
