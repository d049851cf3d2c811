"""Pairs judged by a real language model: plumbing, and the same ranking alone and beside others."""

from __future__ import annotations

import math

import pytest
import smollm2

from stepscore.scoring.pairs import PairwiseJudge, pair_verifier

FAMILY = pair_verifier(
    "letters",
    prompt="Question: {problem}\n\nAnswer A: {first}\n\nAnswer B: {second}\n\nWhich is better? "
    "Reply with one letter, A or B.",
    verdict=r"\b(A|B)\b",
    points={"A": 1, "B": 0},
    max_tokens=12,
)


def test_a_real_model_ranks_alone_as_beside_others() -> None:
    if (reason := smollm2.missing()) is not None:
        pytest.skip(reason)
    pytest.importorskip("torch")
    from stepscore.policies import HuggingFacePolicy

    policy = HuggingFacePolicy.load(str(smollm2.folder()), device="cpu", dtype="float32")
    judge = PairwiseJudge(policy, FAMILY, seed=2)
    problems = ["What is 2 + 2?", "Which is larger, 9 or 11?"]
    candidates = [["It is 4.", "It is 5."], ["11 is larger.", "9."]]
    together = judge.compare_many(problems, candidates, on_missing="keep")
    alone = judge.compare(problems[1], candidates[1], on_missing="keep")
    assert [match.texts for match in together[1].matches] == [m.texts for m in alone.matches]
    assert sum(each.asked for each in together) == 4
    assert any(each.missing < each.asked for each in together)
    for each in together:
        assert each.missing == sum(not math.isfinite(p) for m in each.matches for p in (
            *m.shown_first, *m.shown_second,
        ))  # fmt: skip
