"""Scorers of a search: the scores of whole traces, from new tokens alone."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from models import BUILDERS, PROBLEMS, STEPS  # noqa: E402

import stepscore  # noqa: E402
from stepscore import lab  # noqa: E402
from stepscore.errors import InputError  # noqa: E402
from stepscore.lab.continuations import LabContinuationPolicy  # noqa: E402
from stepscore.search.driver.calls import UnusableError, check_score  # noqa: E402
from stepscore.search.requests import ScoreRequest  # noqa: E402
from stepscore.search.scorers import PrmScorer, ValueHeadScorer  # noqa: E402

KINDS = ["qwen", "shepherd", "skywork", "trl"]
EXACT = 1e-5


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    @cache
    def load(kind: str):
        tiny = BUILDERS[kind](tmp_path_factory.mktemp(kind))
        return stepscore.load(tiny.folder, recipe=tiny.recipe, device="cpu", show_progress=False)

    return load


def scores_of(requests: list[ScoreRequest], scorer) -> list[list[float]]:
    found = scorer(requests)
    assert [len(own) for own in found] == [len(request.steps) for request in requests]
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("memory_limit", [None, 200_000])
def test_a_growing_tree_has_the_scores_of_whole_traces(kind, memory_limit, loaded) -> None:
    prm = loaded(kind)
    separator = "\n\n" if kind == "qwen" else "\n"
    scorer = PrmScorer(prm, memory_limit=memory_limit)
    draw = random.Random(4)
    frontier = [(problem, [], -1) for problem in PROBLEMS]
    number = 0
    for _ in range(4):
        requests = []
        for problem, steps, parent in frontier:
            for _ in range(draw.randrange(1, 4)):
                step = f"{draw.choice(STEPS)} {draw.randrange(3)}{separator}"
                requests.append(ScoreRequest(problem, [*steps, step], number := number + 1, parent))
        found = scores_of(requests, scorer)
        wanted = prm.score(
            [request.problem for request in requests],
            ["".join(request.steps) for request in requests],
        )
        np.testing.assert_array_equal(np.concatenate(found), wanted.values)
        kept = draw.sample(requests, min(4, len(requests)))
        frontier = [(request.problem, request.steps, request.node) for request in kept]


def test_only_new_tokens_are_forwarded_and_equal_traces_once(loaded) -> None:
    scorer = PrmScorer(loaded("qwen"))
    steps = [f"{step}\n\n" for step in STEPS]
    scorer([ScoreRequest(PROBLEMS[0], steps[:k], k, k - 1) for k in range(1, 5)])
    before = scorer.session.stats.forwarded
    again = scorer(
        [ScoreRequest(PROBLEMS[0], steps[:4], 9, 8), ScoreRequest(PROBLEMS[0], steps[:2], 10, 9)]
    )
    assert scorer.session.stats.forwarded == before
    assert again[0][:2] == again[1]
    twice = [
        ScoreRequest(PROBLEMS[0], [*steps[:4], "We add 3 and 4.\n\n"], node, 4) for node in (11, 12)
    ]
    first, second = scorer(twice)
    assert first == second
    assert 0 < scorer.session.stats.forwarded - before < 30


def test_steps_of_the_search_may_hold_several_or_half_a_step_of_the_model(loaded) -> None:
    prm = loaded("trl")  # a line is a step
    scorer = PrmScorer(prm)
    steps = ["We add 3 and 4.\nThe sum is 7.\n", "So the an", "swer is 7\n"]
    whole, half = scores_of(
        [ScoreRequest(PROBLEMS[0], steps, 3, 2), ScoreRequest(PROBLEMS[0], steps[:2], 2, 1)], scorer
    )
    lines = prm.score(PROBLEMS[0], ["".join(steps), "".join(steps[:2])])
    np.testing.assert_allclose(whole, lines[0][[1, 2, 2]], atol=EXACT)
    np.testing.assert_allclose(half, lines[1][[1, 2]], atol=EXACT)


def test_an_empty_last_step_has_the_score_of_the_one_before(loaded) -> None:
    scorer = PrmScorer(loaded("trl"))
    ((one,),) = scorer([ScoreRequest(PROBLEMS[0], ["We add 3.\n"], 1, 0)])
    assert scorer([ScoreRequest(PROBLEMS[0], ["We add 3.\n", ""], 2, 1)]) == [[one, one]]


def test_tokens_that_end_a_trace_are_removed_and_others_are_its_fault(loaded) -> None:
    prm = loaded("trl")
    scorer = PrmScorer(prm)
    steps = ["We add 3.\n", "It is 7.<|im_", "end|>\n"]
    ((first, _, last),) = scorer([ScoreRequest(PROBLEMS[0], steps, 1, 0)])
    expected = prm.score(PROBLEMS[0], ["We add 3.\nIt is 7."]).values
    np.testing.assert_allclose([first, last], expected, atol=EXACT)
    good, inside, problem = scorer(
        [
            ScoreRequest(PROBLEMS[0], ["We add 3.\n"], 2, 0),
            ScoreRequest(PROBLEMS[0], ["We <|im_end|> add\n", "x\n"], 3, 0),
            ScoreRequest("What<|im_start|>?", ["x\n"], 4, 0),
        ]
    )
    np.testing.assert_allclose(good, expected[:1], atol=EXACT)
    for fault, text in ((inside, "a step without '<|im_end|>'"), (problem, "a problem without")):
        assert isinstance(fault, ValueError)
        assert text in str(fault)


def test_a_score_that_is_no_number_is_the_fault_of_the_search_that_meets_it(loaded) -> None:
    prm = loaded("trl")
    ((weight, bias),) = prm.head.layers
    broken = replace(prm, head=replace(prm.head, layers=((weight * np.nan, bias),), copies={}))
    requests = [ScoreRequest(problem, ["x\n"], node, 0) for node, problem in enumerate(PROBLEMS, 1)]
    for request, reply in zip(requests, PrmScorer(broken)(requests), strict=True):
        with pytest.raises(UnusableError, match="gave a score of nan"):
            check_score(request, reply)


def test_what_no_session_can_hold_is_scored_whole(loaded) -> None:
    prm = loaded("trl")
    scorer = PrmScorer(prm, memory_limit=3_000)
    steps = [f"{step}\n" for step in STEPS]
    requests = [ScoreRequest(problem, steps, 1, 0) for problem in PROBLEMS]
    found = scores_of(requests, scorer)
    np.testing.assert_array_equal(
        np.concatenate(found), prm.score(PROBLEMS, ["".join(steps)] * 3).values
    )


def test_a_released_problem_may_come_again(loaded) -> None:
    scorer = PrmScorer(loaded("qwen"))
    requests = [ScoreRequest(problem, ["We add 3 and 4.\n\n"], 1, 0) for problem in PROBLEMS]
    first = scorer(requests)
    held = scorer.session.stats.kept_bytes
    scorer.release(PROBLEMS[:2])
    assert len(scorer.session) == 2  # a root and a step
    assert scorer.session.stats.kept_bytes < held
    np.testing.assert_allclose(scorer(requests), first, atol=EXACT)
    scorer.close()
    with pytest.raises(ValueError, match="session: expected an open session"):
        scorer(requests)


def test_what_cannot_be_scored_is_named(loaded) -> None:
    scorer = PrmScorer(loaded("qwen"))
    good = ScoreRequest(PROBLEMS[0], ["We add.\n\n"], 1, 0)
    empty = ScoreRequest(PROBLEMS[0], ["\n\n"], 7, 0)
    tagged = ScoreRequest(PROBLEMS[0], ["We <extra_0> add.\n\n"], 2, 0)
    first, second, third, fourth = scorer([good, empty, tagged, good])
    assert first == fourth == scorer([good])[0]
    assert "expected a step with text" in str(second)
    assert isinstance(second, ValueError)
    assert "'<extra_0>', which ends a step" in str(third)
    assert isinstance(third, ValueError)
    with pytest.raises(ValueError, match="512"):
        scorer([good, ScoreRequest(PROBLEMS[0], ["eggs " * 600], 2, 0)])
    assert len(scorer([good])) == 1
    assert scorer([]) == []


def test_the_value_head_reads_the_last_token_of_the_step() -> None:
    policy = LabContinuationPolicy()
    hidden = policy.model.config.hidden_size
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(2, hidden)).astype(np.float32)
    bias = rng.normal(size=2).astype(np.float32)
    problems = lab.generate(3, seed=0, split="eval")
    requests = [
        ScoreRequest(problem, [step + "\n" for step in lab.true_steps(problem)[:depth]], depth, 0)
        for problem in problems
        for depth in (1, 3)
    ]
    found = ValueHeadScorer(policy, weight, bias, activation="softmax")(requests)
    for request, value in zip(requests, found, strict=True):
        ids = torch.tensor(
            [lab.build_tokenizer()(request.problem + "".join(request.steps)).input_ids]
        )
        with torch.inference_mode():
            state = policy.model.model(ids).last_hidden_state[0, -1].double().numpy()
        logits = weight @ state + bias
        assert value == pytest.approx(1 / (1 + np.exp(logits[0] - logits[1])), abs=1e-4)
    # One output: its only column is the value.
    assert ValueHeadScorer(policy, weight[1:], bias[1:])(requests) == pytest.approx(
        ValueHeadScorer(policy, weight, bias)(requests)
    )


def test_a_value_head_of_several_layers_reads_its_column() -> None:
    policy = LabContinuationPolicy()
    hidden = policy.model.config.hidden_size
    rng = np.random.default_rng(1)
    layers = [
        (rng.normal(size=(7, hidden)), rng.normal(size=7)),
        (rng.normal(size=(3, 7)), None),
    ]
    problems = lab.generate(3, seed=0, split="eval")
    requests = [
        ScoreRequest(problem, [step + "\n" for step in lab.true_steps(problem)[:2]], 2, 0)
        for problem in problems
    ]
    states = np.asarray(
        policy.hidden_states([r.problem for r in requests], [r.steps for r in requests]), float
    )
    first = states @ layers[0][0].T + layers[0][1]
    logits = (first / (1 + np.exp(-first))) @ layers[1][0].T
    for column in (0, 1, 2, -1):
        found = ValueHeadScorer(
            policy, layers=layers, inner="silu", activation="softmax", column=column
        )(requests)
        share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(found, share[:, column], atol=1e-4)
    squashed = ValueHeadScorer(policy, layers=layers, inner="silu", activation="tanh", column=1)(
        requests
    )
    np.testing.assert_allclose(squashed, np.tanh(logits[:, 1]), atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "layers: expected one of weight and layers; got neither"),
        (
            {"weight": np.ones((1, 4)), "layers": [(np.ones((1, 4)), None)]},
            "layers: expected one of weight and layers; got both",
        ),
        ({"layers": []}, "layers: expected at least one layer; got none"),
        (
            {"weight": np.ones((2, 4)), "column": 2},
            "column: expected one of the 2 outputs .*; got 2",
        ),
        ({"weight": np.ones((2, 4)), "activation": "difference", "column": 1}, "column: .* got 1"),
    ],
)
def test_a_value_head_that_is_none(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^ValueHeadScorer: {message}"):
        ValueHeadScorer(LabContinuationPolicy(), **arguments)
