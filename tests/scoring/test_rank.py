"""Ranking: best first, ties as they came, many problems as one call."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import numpy as np
import pytest

from stepscore.scoring import Ranked, score_traces

CANDIDATES = [
    "We add 3 and 4.\nThe sum is 7.",
    ["She sells 9 eggs.", "So the answer is 9"],
    "Therefore, the total is 12.",
    "We add 3 and 4.\nThe sum is 7.",
    "Half of 10 + 6 is 8.\nSo x is 3.\nThe value is x = 12.",
]


@pytest.mark.parametrize("how", [None, "min", "mean", "prod", "first"])
def test_best_comes_first(how, loaded):
    prm = loaded("trl")
    ranking = prm.rank("What is 3 + 4?", CANDIDATES, how=how)
    scores = prm.score("What is 3 + 4?", CANDIDATES)
    totals = scores.aggregate(how)
    assert sorted(ranked.index for ranked in ranking) == list(range(5))
    values = [ranked.score for ranked in ranking]
    assert values == sorted(values, reverse=True)
    for ranked in ranking:
        assert isinstance(ranked, Ranked)
        assert ranked.score == totals[ranked.index]
        assert ranked.step_scores == scores.to_list()[ranked.index]


def test_ties_keep_the_order_of_the_input(loaded):
    ranking = loaded("trl").rank("What is 3 + 4?", CANDIDATES)
    order = [ranked.index for ranked in ranking]
    assert order.index(0) + 1 == order.index(3)


def test_the_default_is_the_last_step(loaded):
    for ranked in loaded("trl").rank("What is 3 + 4?", CANDIDATES):
        assert ranked.score == ranked.step_scores[-1]


def test_top_k_cuts_the_ranking(loaded):
    prm = loaded("trl")
    assert prm.rank("What?", CANDIDATES, top_k=2) == prm.rank("What?", CANDIDATES)[:2]
    assert len(prm.rank("What?", CANDIDATES, top_k=50)) == 5


def test_the_text_of_steps_is_their_lines(loaded):
    texts = {ranked.index: ranked.text for ranked in loaded("trl").rank("What?", CANDIDATES)}
    assert texts[0] == CANDIDATES[0]
    assert texts[1] == "She sells 9 eggs.\nSo the answer is 9"


def test_many_problems_are_ranked_as_alone(loaded):
    prm = loaded("trl")
    problems = ["What is 3 + 4?", "How many eggs?", "What is half of 16?"]
    candidates = [CANDIDATES, CANDIDATES[1:3], CANDIDATES[2:]]
    rankings = prm.rank_many(problems, candidates, how="min", top_k=3)
    for problem, solutions, ranking in zip(problems, candidates, rankings, strict=True):
        alone = prm.rank(problem, solutions, how="min", top_k=3)
        assert [ranked.index for ranked in ranking] == [ranked.index for ranked in alone]
        np.testing.assert_allclose(
            [ranked.score for ranked in ranking],
            [ranked.score for ranked in alone],
            rtol=0,
            atol=3e-6,
        )
    assert prm.rank_many([], []) == []


def test_a_truncated_candidate_comes_last(loaded):
    prm = loaded("trl")
    long = "\n".join(["We add 3 and 4."] * 120)
    with pytest.warns(UserWarning, match="steps of 1 solutions"):
        ranking = prm.rank("What?", [long, *CANDIDATES], how="first", truncation="steps")
    assert ranking[-1].index == 0
    assert np.isnan(ranking[-1].score)
    assert not any(np.isnan(ranked.score) for ranked in ranking[:-1])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("show_progress", "stream", "shown"),
    [
        (None, io.StringIO, False),
        (None, Terminal, True),
        (True, io.StringIO, True),
        (False, Terminal, False),
    ],
)
def test_a_bar_is_shown_when_a_person_watches(show_progress, stream, shown, loaded, monkeypatch):
    monkeypatch.setattr(score_traces, "_WORTH_A_BAR", 0.0)
    monkeypatch.setattr(sys, "stderr", stream())
    prm = replace(loaded("trl"), token_budget=1, show_progress=show_progress)
    candidates = [f"The sum is {total}." for total in range(12)]
    prm.rank("What?", candidates)
    bar = sys.stderr.getvalue()
    assert ("12/12" in bar) == shown, "it counts steps to the last"
    assert ("step/s" in bar or "s/step" in bar) == shown
    assert (f"score {prm.name}" in bar) == shown


def test_no_bar_for_a_short_run(loaded, monkeypatch):
    monkeypatch.setattr(score_traces, "_WORTH_A_BAR", 3600.0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    loaded("trl").rank("What?", CANDIDATES)
    assert sys.stderr.getvalue() == ""


def test_a_bar_that_was_asked_for_does_not_wait(loaded, monkeypatch):
    monkeypatch.setattr(score_traces, "_WORTH_A_BAR", 3600.0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    replace(loaded("trl"), show_progress=True).rank("What?", CANDIDATES)
    assert "10/10" in sys.stderr.getvalue()


def test_an_unknown_aggregation_is_refused_before_the_forward_pass(loaded, monkeypatch):
    prm = loaded("trl")
    monkeypatch.setattr(prm.backbone, "forward", lambda **_: pytest.fail("forwarded"))
    with pytest.raises(ValueError, match="rank: how: expected one of min, max"):
        prm.rank("What?", CANDIDATES, how="median")


def test_top_k_may_be_any_whole_number(loaded):
    prm = loaded("trl")
    assert len(prm.rank("What?", CANDIDATES, top_k=np.int64(1))) == 1


def test_a_candidate_of_step_scores_is_a_whole_number(loaded):
    scores = loaded("trl").score("What?", CANDIDATES)
    with pytest.raises(TypeError, match="a candidate, which is a whole number"):
        scores[0:2]
    with pytest.raises(IndexError, match="candidate 99 of"):
        scores[99]
