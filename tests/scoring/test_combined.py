"""Combined scores against their formulas, written out number by number."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

import stepscore
from stepscore import StepScores
from stepscore.errors import InputError
from stepscore.recipes import Reading, trl_prm
from stepscore.scoring import combined
from stepscore.scoring.rubrics import web_shepherd
from stepscore.scoring.rubrics.shares import share

NAN = float("nan")
RECIPE = trl_prm()


def scores(*candidates: list[float], lower: bool = False, span=(0.0, 1.0), **more) -> StepScores:
    lengths = [len(candidate) for candidate in candidates]
    values = np.array([value for candidate in candidates for value in candidate], np.float32)
    kind = Reading("score", "identity", (1.0,), span, not lower)
    return StepScores(
        values,
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        replace(RECIPE, readings=(kind,)),
        more.pop("truncated", np.zeros(len(candidates), np.int64)),
        **more,
    )


def close(result: StepScores, *expected: list[float]) -> None:
    assert [len(each) for each in result] == [len(each) for each in expected]
    for got, wanted in zip(result, expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-7)
    low, high = result.recipe.score_range
    finite = result.values[np.isfinite(result.values)]
    assert ((finite >= low - 1e-6) & (finite <= high + 1e-6)).all()


def test_both_directions_turns_the_second_round():
    forward, backward = scores([0.1, 0.2, 0.3], [0.5], []), scores([0.9, 0.8, 0.6], [0.1], [])
    close(combined.both_directions(forward, backward), [0.35, 0.5, 0.6], [0.3], [])
    gated = combined.both_directions(forward, backward, weight=0.75)
    close(gated, [0.225, 0.35, 0.45], [0.4], [])
    assert "gate" in gated.recipe.unverified[-1]


def test_reversed_steps_are_those_of_the_second_order():
    assert combined.reversed_steps([("a", "b", "c"), ["d"]]) == [["c", "b", "a"], ["d"]]


def test_products():
    close(combined.product(scores([0.5, 1.0], [0.2]), scores([0.5, 0.25], [0.0])),
          [0.25, 0.25], [0.0])  # fmt: skip
    with pytest.raises(ValueError, match=r"product: expected scores in \[0, 1\]; got 1\.5"):
        combined.product(scores([0.5]), scores([1.5], span=(0.0, 2.0)))


def test_weighted_dimensions():
    confidence = scores([-2.0, -1.0], span=(-math.inf, 0.0))
    parts = confidence, scores([0.5, 1.0]), scores([0.25, 0.75], lower=True)
    result = combined.weighted(*parts, weights=[0.5, 2.0, -1.0])
    close(result, [-0.25, 0.75])
    assert result.recipe.score_range == (-math.inf, 2.0)
    assert result.recipe.readings[0].higher_is_better
    for weights in ([1.0], [1, NAN, 0], [1, 1, 1, 1]):
        with pytest.raises(ValueError, match="weights: expected 3 finite numbers, one for each"):
            combined.weighted(*parts, weights=weights)
    silent = combined.weighted(*parts, weights=[0.0, 1.0, 0.0])
    assert silent.recipe.score_range == (0.0, 1.0)


def test_an_ensemble_has_a_mean_and_a_spread():
    members = [scores([0.9, 0.2, 0.5], [0.96], [0.99]), scores([0.7, 0.4, 0.1], [0.98], [0.99])]
    result = combined.ensemble(*members, most_spread=0.02, least_sure=0.95)
    close(result.mean, [0.8, 0.3, 0.3], [0.97], [0.99])
    np.testing.assert_allclose(
        result.spread,
        [0.2 / math.sqrt(2), 0.2 / math.sqrt(2), 0.4 / math.sqrt(2), 0.02 / math.sqrt(2), 0.0],
        atol=1e-6,
    )
    assert result.confident.tolist() == [False, True, True]
    with pytest.raises(ValueError, match="at least two members"):
        combined.ensemble(members[0], most_spread=1, least_sure=0)


@pytest.mark.parametrize(
    "combine", [combined.product, combined.ensemble, partial(combined.weighted, weights=[1, 1])]
)
def test_scores_in_a_list_are_told_how_to_be_passed(combine: Callable[..., object]) -> None:
    members = [scores([0.9]), scores([0.7])]
    with pytest.raises(TypeError, match="got list; pass them one by one"):
        combine(members)


def test_what_follows_the_first_predicted_error_leaves_a_candidate_confident():
    sure, unsure = [0.99, 0.01, 0.5], [0.5, 0.01, 0.99]
    members = [scores(sure, unsure, [], [NAN])] * 2
    result = combined.ensemble(*members, most_spread=0.0, least_sure=0.95)
    assert result.confident.tolist() == [True, False, False, False]


def test_the_kinds_of_errors_gate_a_score():
    math_, consistency = scores([0.9, 0.4, 0.9, 0.5]), scores([0.9, 0.9, 0.1, 0.5])
    correctness = scores([0.7, 0.8, 0.9, 0.6])
    close(combined.error_aware(math_, consistency, correctness), [0.7, -1, -1, 0.6])
    close(combined.error_aware(math_, consistency, correctness, stop=True), [0.7, -1, -1, -1])
    close(combined.error_aware(math_, consistency, correctness, error=0), [0.7, 0, 0, 0.6])


def test_pairs_of_steps_are_merged_behind_what_came_before():
    merged, counts = combined.merged_pairs([["a", "b", "c"], ["d"], []], joiner=" ")
    assert merged == [["a b"], ["a", "b c"]]
    assert counts.tolist() == [2, 0, 0]
    fine = scores([0.1, 0.2, 0.3], [0.4], [])
    coarse = scores([0.6], [0.9, 0.7])
    close(combined.hierarchical(fine, coarse), [0.1, 0.4, 0.5], [0.4], [])
    close(combined.hierarchical(fine, coarse, weight=1), [0.1, 0.6, 0.7], [0.4], [])
    with pytest.raises(ValueError, match="merged: expected the 2 merged traces"):
        combined.hierarchical(fine, scores([0.6]))


def test_a_solution_as_one_step():
    assert combined.as_one_step(["a\nb", ["c", "d"]], joiner="\n\n") == [["a\nb"], ["c\n\nd"]]


def test_a_checklists_share():
    yes, begun = scores([1.0, 0.5, 0.0], [0.25], []), scores([0.0, 0.5, 1.0], [0.5], [])
    share = combined.checklist_share(yes, begun)
    np.testing.assert_allclose(share, [(1 + 0.75 + 0.5) / 3, 0.5, NAN])
    np.testing.assert_allclose(combined.checklist_share(yes), [0.5, 0.25, NAN])
    with pytest.raises(ValueError, match=r"partial: expected a number in \[0, 1\]; got 2"):
        combined.checklist_share(yes, begun, partial=2)


def test_a_checklist_has_the_share_that_its_verifier_gives():
    yes, begun, no = [0.5, 0.25, 1.0], [0.5, 0.5, 0.0], [0.0, 0.25, 0.0]
    worth = web_shepherd(
        SimpleNamespace(generate=print), checklist=lambda _: ["a"], state=lambda *_: ""
    ).verifier.words.values
    answers = [
        sum(v * p for v, p in zip(worth, item, strict=True))
        for item in zip(yes, begun, no, strict=True)
    ]
    assert combined.checklist_share(scores(yes), scores(begun))[0] == share(answers, [1] * 3)


def test_scores_relative_to_a_reference():
    candidates = scores([0.5, 0.75], [0.25])
    close(combined.relative_to(candidates, scores([0.1, 0.5])), [0.0, 0.25], [-0.25])
    each = scores([0.5], [1.0, 0.25])
    close(combined.relative_to(candidates, each, how="min"), [0.0, 0.25], [0.0])
    with pytest.raises(ValueError, match="one for each of the 2 candidates"):
        combined.relative_to(candidates, scores([1.0], [1.0], [1.0]))


def test_progress_is_what_a_step_adds():
    close(combined.progress(scores([0.25, 0.75, 0.5], [], [1.0])), [0.25, 0.5, -0.25], [], [1.0])
    close(combined.progress(scores([0.25]), start=0.5), [-0.25])


def test_outcome_and_process_heads():
    outcome, process = scores([0.0, 2.0], [1.0], []), scores([1.0, 3.0], [5.0], [])
    unbounded = [replace(each, recipe=RECIPE) for each in (outcome, process)]
    total = combined.outcome_and_process(*unbounded, beta=0.5)
    np.testing.assert_allclose(total, [3.0, 3.5, NAN])
    np.testing.assert_allclose(
        combined.outcome_and_process(*unbounded, how="last"), [5.0, 6.0, NAN]
    )


def test_a_reading_becomes_scores_of_its_own():
    validity = Reading("validity", "identity", (1.0,))
    redundancy = Reading("redundancy", "identity", (1.0,), higher_is_better=False)
    both = replace(
        scores([0.9, 0.2]),
        recipe=replace(RECIPE, readings=(validity, redundancy)),
        readings={"redundancy": np.float32([0.1, 0.3])},
    )
    alone = combined.reading(both, "redundancy")
    close(alone, [0.1, 0.3])
    assert not alone.recipe.readings[0].higher_is_better
    np.testing.assert_allclose(alone.aggregate("max"), [0.3], rtol=1e-6)
    with pytest.raises(ValueError, match="name: expected one of redundancy; got 'novelty'"):
        combined.reading(both, "novelty")
    with pytest.raises(ValueError, match="product: expected scores that are all better"):
        combined.product(both, alone)


def test_a_candidate_that_one_model_lacks_has_no_scores():
    fault = InputError("a step with text", got="''")
    whole = scores([0.5, 0.5], [0.25], truncated=np.array([0, 0]))
    partly = scores([], [0.5], skipped={0: fault})
    result = combined.product(whole, partly)
    close(result, [], [0.125])
    assert result.skipped == {0: fault}
    cut = scores([0.5, NAN], [0.5], truncated=np.array([1, 0]))
    result = combined.product(whole, cut)
    close(result, [0.25, NAN], [0.125])
    assert result.truncated.tolist() == [1, 0]
    assert math.isnan(result.totals("min")[0])


def test_other_steps_are_refused_and_named():
    with pytest.raises(ValueError, match=r"product: .*got \[2, 1\] steps of candidate 1"):
        combined.product(scores([0.5], [0.5, 0.5]), scores([0.5], [0.5]))
    with pytest.raises(ValueError, match="the same candidates in each"):
        combined.product(scores([0.5]), scores([0.5], [0.5]))


def test_what_is_combined_ranks_like_any_scores():
    prm = stepscore.load("lab")
    problem = "85+95-16+20+11-30=?"
    solutions = [["85+95=180", "180-16=164"], ["85+95=180", "180-16=154"]]
    forward = prm.score(problem, solutions)
    merged, _ = combined.merged_pairs(solutions, joiner="\n")
    result = combined.hierarchical(forward, prm.score(problem, merged), weight=0.25)
    assert result.aggregate("min").argmax() == 0
    assert result.recipe.name.startswith("hierarchical of ")
    assert result.recipe.confidence == "unverified"


def test_a_solution_that_is_a_text_has_no_letters_for_steps():
    for cut in (combined.reversed_steps, combined.merged_pairs):
        with pytest.raises(TypeError, match=r"solutions\[1\]: expected a list.*got str"):
            cut([["a"], "bc"])
        with pytest.raises(TypeError, match=r"solutions: expected a list.*got str"):
            cut("bc")
    with pytest.raises(TypeError, match=r"as_one_step: solutions: expected a list.*got str"):
        combined.as_one_step("bc")


@pytest.mark.parametrize(
    ("combine", "message"),
    [
        # Compared with NaN, no score is below it: no step would be at fault.
        (lambda s: combined.error_aware(s, s, s, threshold=NAN), "threshold: expected a finite"),
        (lambda s: combined.error_aware(s, s, s, error=NAN), "error: expected a finite number"),
        (lambda s: combined.outcome_and_process(s, s, beta=NAN), "beta: expected a finite number"),
        (lambda s: combined.progress(s, start=NAN), "start: expected a finite number"),
        (lambda s: combined.progress(s, start=7), r"start: expected a number in \[0, 1\]"),
        (lambda s: combined.checklist_share(s, s, partial=5), r"partial: expected a number in \[0"),
        (lambda s: combined.checklist_share(s, partial=NAN), r"partial: expected a number in \[0"),
        (
            lambda s: combined.checklist_share(s, scores([0.75, 0.5])),
            "in_progress: .* add up to 1 at most; got 1.25 of an item",
        ),
        (lambda s: combined.weighted(s, weights=["1"]), "weights: expected 1 finite numbers"),
    ],
)
def test_numbers_that_would_make_a_score_of_anything(combine, message):
    with pytest.raises(ValueError, match=message):
        combine(scores([0.5, 0.5]))


def test_what_is_better_the_lower_it_is_takes_points_away():
    good, bad = scores([0.5]), scores([0.25], lower=True)
    close(combined.weighted(good, bad, weights=[1, -1]), [0.25])
    with pytest.raises(
        ValueError, match=r"weights\[1\]: expected a weight below 0 for scores that"
    ):
        combined.weighted(good, bad, weights=[1, 1])


@pytest.mark.parametrize("weight", [-0.1, 1.1, NAN])
def test_a_weight_of_two_is_a_share(weight):
    pair = scores([0.5, 0.25])
    with pytest.raises(ValueError, match=r"both_directions: weight: expected a number in \[0, 1\]"):
        combined.both_directions(pair, pair, weight=weight)
    with pytest.raises(ValueError, match=r"hierarchical: weight: expected a number in \[0, 1\]"):
        combined.hierarchical(pair, scores([0.5, 0.5]), weight=weight)


def test_a_gate_that_truncation_left_out_lets_nothing_through():
    known, left_out = scores([0.9, 0.9]), scores([0.9, NAN], truncated=np.array([1]))
    close(combined.error_aware(known, left_out, known), [0.9, NAN])
    close(combined.error_aware(left_out, known, known), [0.9, NAN])
    wrong = scores([0.9, 0.1])
    close(combined.error_aware(left_out, wrong, known), [0.9, -1.0])
