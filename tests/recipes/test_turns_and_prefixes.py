"""Label turns and prefix probes: the authors' loops, in one pass, and never a token twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from rows import ROWS, Row
from test_rows import write_checkpoint

import stepscore
from stepscore import recipes
from stepscore.errors import InputError
from stepscore.recipes.places import Places
from stepscore.scoring.forward.plan import ForwardCosts
from stepscore.scoring.head_readings import read_head
from stepscore.scoring.score_traces import _whole_steps

PROBLEM = "How many eggs does she sell?"
STEPS = ["We add 3 and 4.", "The sum is 7.", "So x is 12", "Half of 10 is 5.", "The total is 7."]
TURNS = ["rlhflow-prm", "fover-prm, Llama", "fover-prm, Qwen", "visual-prm"]
PREFIXES = ["universal-prm", "pathfinder-prm", "pathfinder-prm, ProcessBench"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Each row's tiny checkpoint once: the model, its body and its head in float64."""
    kept = {}

    def make(name: str) -> tuple[stepscore.ProcessRewardModel, Row, torch.nn.Module, object]:
        if name not in kept:
            row, folder = ROWS[name], tmp_path_factory.mktemp("prm") / "model"
            body, head = write_checkpoint(row, folder)
            prm = stepscore.load(folder, recipe=row.recipe)
            assert prm.costs is not None, prm.sharing
            kept[name] = replace(prm, costs=ForwardCosts(1, 0)), row, body, head
        return kept[name]

    return make


@contextmanager
def counted(prm: stepscore.ProcessRewardModel) -> Iterator[list[int]]:
    """Count the tokens that go into the backbone, whoever sends them."""
    counts: list[int] = []
    hook = prm.backbone.get_input_embeddings().register_forward_pre_hook(
        lambda _, inputs: counts.append(inputs[0].numel())
    )
    try:
        yield counts
    finally:
        hook.remove()


@torch.no_grad()
def loop(row: Row, body: torch.nn.Module, head: object, steps: list[str]) -> tuple[list, int]:
    """The authors' loop: a forward pass per step, and what it costs."""
    tokenizer, values, cost = row.tokenizer(), [], 0
    for k in range(1, len(steps) + 1):
        sequences = row.sequences(tokenizer, PROBLEM, steps[:k])
        count = len(sequences) // (1 if len(sequences) == 1 else k)
        for ids, places in sequences[-count:]:
            hidden = body(torch.tensor([ids])).last_hidden_state[0]
            cost += len(ids)
            some = places[-1:] if len(sequences) == 1 and row.recipe.places is None else places
            values += [float(row.score(tokenizer, head(hidden[place]))) for place in some]
    return row.joined(values), cost


@pytest.mark.parametrize("name", TURNS)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_one_pass_is_the_loop_over_conversations(made, name, count):
    prm, row, body, head = made(name)
    steps = STEPS[:count]
    expected, cost = loop(row, body, head, steps)
    with counted(prm) as tokens:
        scores = prm.score(PROBLEM, [steps])
    np.testing.assert_allclose(scores.values, expected, rtol=0, atol=1e-5)
    assert sum(tokens) < cost


@pytest.mark.parametrize("name", TURNS)
def test_equal_steps_cost_half_of_their_number_less(made, name):
    prm, row, body, head = made(name)
    steps = [STEPS[0]] * 6
    _, cost = loop(row, body, head, steps)
    with counted(prm) as tokens:
        prm.score(PROBLEM, [steps])
    assert cost / sum(tokens) >= (len(steps) + 1) / 2


@pytest.mark.parametrize("name", PREFIXES)
def test_a_pass_over_prefixes_is_the_loop_over_them(made, name):
    prm, row, body, head = made(name)
    expected, _ = loop(row, body, head, STEPS)
    scores = prm.score(PROBLEM, [STEPS, STEPS[:2]])
    np.testing.assert_allclose(scores.values, expected + expected[:2], rtol=0, atol=1e-5)


def distinct_tokens(row: Row, every: list[list[str]]) -> int:
    """The tokens of traces, each as often as it has another beginning behind it."""
    beginnings = set()
    for steps in every:
        for ids, places in row.sequences(row.tokenizer(), PROBLEM, steps):
            beginnings |= {tuple(ids[: end + 1]) for end in range(max(places) + 1)}
    return len(beginnings)


FORKED = [STEPS, STEPS[:3], [*STEPS[:2], "No."], ["No.", *STEPS[1:]]]


@pytest.mark.parametrize("name", [*PREFIXES, "rlhflow-prm"])
def test_every_token_goes_through_the_model_once(made, name):
    prm, row, *_ = made(name)
    with counted(prm) as tokens:
        scores = prm.score(PROBLEM, FORKED)
    assert sum(tokens) == distinct_tokens(row, FORKED)
    whole = replace(prm, costs=None).score(PROBLEM, FORKED)
    assert scores.values.tobytes() == whole.values.tobytes()
    for known, readings in whole.readings.items():
        assert scores.readings[known].tobytes() == readings.tobytes()


@pytest.mark.parametrize("name", [*PREFIXES, "rlhflow-prm"])
def test_so_it_does_in_a_session(made, name):
    prm, row, *_ = made(name)
    expected = prm.score(PROBLEM, FORKED)
    with counted(prm) as tokens, prm.session(PROBLEM) as session:
        first = session.extend(session.roots[0], [STEPS[0], "No."])
        second = session.extend(first.nodes, [STEPS[1], list(STEPS[1:])])
        third = session.extend([second.nodes[0]] * 2, [list(STEPS[2:]), "No."])
        forked = [third.nodes[0], third.nodes[1], second.nodes[1]]
        grown = [session.scores(node) for node in forked]
        assert session.stats.forwarded == sum(tokens)
    assert sum(tokens) == distinct_tokens(row, FORKED)
    for scores, known in zip(grown, [expected[0], expected[2], expected[3]], strict=True):
        assert scores.tobytes() == known.tobytes()
    for key, values in third.scores.readings.items():
        begin, end = expected.offsets[:2]
        assert values[:3].tobytes() == expected.readings[key][begin + 2 : end].tobytes()
    assert third.scores.offsets.tolist() == [0, 3, 4]


@pytest.mark.parametrize("name", [*PREFIXES, *TURNS])
def test_a_session_without_sharing_gives_the_same(made, name):
    prm, *_ = made(name)
    expected = prm.score(PROBLEM, [STEPS[:3]])
    with replace(prm, costs=None).session(PROBLEM) as session:
        first = session.extend(session.roots[0], [STEPS[0]])
        last = session.extend(first.nodes[0], [STEPS[1:3]])
    assert session.stats.forwarded > 0
    assert last.scores.values.tobytes() == expected.values[1:].tobytes()


@pytest.mark.parametrize("name", [*PREFIXES, *TURNS])
def test_a_step_whose_probe_is_past_the_limit_is_left_out_whole(made, name):
    prm, row, *_ = made(name)
    ends = {}  # of each step: the tokens up to the last place that is read
    for k in (1, 2, 3):
        sequences = row.sequences(row.tokenizer(), PROBLEM, STEPS[:k])
        count = len(sequences) // k or 1
        ends[k] = max(place for _, places in sequences[-count:] for place in places) + 1
    whole = prm.score(PROBLEM, [STEPS[:3]])
    for limit, read in [(ends[3], 3), (ends[3] - 1, 2), (ends[2], 2), (ends[2] - 1, 1)]:
        short = replace(prm, max_length=limit)
        assert (
            short.score(PROBLEM, [STEPS[:read]]).values.tobytes() == whole.values[:read].tobytes()
        )
        if read == 3:
            continue
        with pytest.raises(ValueError, match=rf"at most {limit} tokens .*got {ends[3]} tokens"):
            short.score(PROBLEM, [STEPS[:3]])
        with pytest.warns(UserWarning, match=f"{3 - read} steps of 1 solutions"):
            scores = short.score(PROBLEM, [STEPS[:3]], truncation="steps")
        assert scores.truncated.tolist() == [3 - read]
        assert scores.values[:read].tobytes() == whole.values[:read].tobytes()
        assert np.isnan(scores.values[read:]).all()
        for key, values in scores.readings.items():
            assert values[:read].tobytes() == whole.readings[key][:read].tobytes()
            assert np.isnan(values[read:]).all()
        kept = short.score(PROBLEM, [STEPS[:3], STEPS[:1]], on_bad="keep")
        assert list(kept.skipped) == [0]
        assert kept.values.tobytes() == whole.values[:1].tobytes()
        with short.session(PROBLEM) as session, pytest.raises(ValueError, match="steps\\[0\\]"):
            session.extend(session.roots[0], [STEPS[:3]])


def test_no_step_fits_where_the_first_does_not(made):
    prm, *_ = made("pathfinder-prm")
    with pytest.warns(UserWarning, match="3 steps of 1 solutions"):
        scores = replace(prm, max_length=20).score(PROBLEM, [STEPS[:3]], truncation="steps")
    assert np.isnan(scores.values).tolist() == [True] * 3


def test_path_finder_s_answers_are_readings(made):
    prm, *_ = made("pathfinder-prm")
    scores = prm.score(PROBLEM, [STEPS])
    assert list(scores.readings) == ["math", "consistency", "correctness"]
    math, consistency, correctness = scores.readings.values()
    gate = (math < 0.5) | (consistency < 0.5)
    assert 0 < gate.mean() < 1, "else this test shows nothing"
    np.testing.assert_array_equal(scores.values, np.where(gate, np.float32(-1), correctness))
    best, worst = prm.rank(PROBLEM, [STEPS[:1], STEPS[:2]], how="min")
    assert best.score >= worst.score
    errors_alone, *_ = made("pathfinder-prm, ProcessBench")
    assert set(errors_alone.score(PROBLEM, [STEPS]).values.tolist()) <= {-1.0, 1.0}


def test_other_ways_to_score_give_the_same_readings(made):
    prm, *_ = made("pathfinder-prm")
    expected = prm.score(PROBLEM, FORKED)

    async def streamed() -> list[stepscore.StepScores]:
        return [each.scores async for each in prm.ascore_stream(PROBLEM, FORKED)]

    for begin, end, scores in zip(
        expected.offsets[:-1], expected.offsets[1:], asyncio.run(streamed()), strict=True
    ):
        assert scores.values.tobytes() == expected.values[begin:end].tobytes()
        for key, values in scores.readings.items():
            assert values.tobytes() == expected.readings[key][begin:end].tobytes()
    ranked = prm.rank(PROBLEM, FORKED, how="min")
    assert [each.index for each in ranked] == np.argsort(
        -expected.aggregate("min"), kind="stable"
    ).tolist()


def test_a_bar_counts_steps_and_not_questions():
    told: list[int] = []
    on_positions = _whole_steps(told.append, 3)
    for count in (1, 1, 4, 2, 1):
        on_positions(count)
    assert told == [0, 0, 2, 0, 1]


def test_gates_take_the_greater_answer_and_the_first_of_equal_ones():
    places = Places(("math", "consistency", "correctness"), 2)
    tiny = np.nextafter(np.float32(0), np.float32(-1))
    rows = [
        # difference and probability of math, consistency, correctness -> score
        ([(2, 0.9), (1, 0.7), (-3, 0.05)], 0.05),
        ([(0, 0.5), (0, 0.5), (0, 0.5)], 0.5),
        ([(tiny, 0.5), (1, 0.7), (3, 0.95)], -1.0),
        ([(1, 0.7), (-1, 0.3), (3, 0.95)], -1.0),
        ([(1, 0.7), (1, 0.7), (np.nan, np.nan)], np.nan),
        ([(-1, 0.3), (np.nan, np.nan), (1, 0.7)], np.nan),
    ]
    values = np.array([answer for row, _ in rows for answer in row], np.float32)
    joined = places.joined(values)
    np.testing.assert_array_equal(joined[:, 0], np.array([each for _, each in rows], np.float32))
    np.testing.assert_array_equal(joined[:, 1:], values[:, 1].reshape(-1, 3))
    assert joined.dtype == np.float32
    assert places.joined(np.zeros((0, 2), np.float32)).shape == (0, 4)


@pytest.mark.parametrize("of", [np.asarray, torch.from_numpy])
def test_hard_labels_are_those_from_the_threshold_on(of):
    [soft] = recipes.visual_prm().readings
    recipe = recipes.visual_prm("hard")
    [hard] = recipe.readings
    assert (hard.threshold, recipe.default_aggregate) == (0.85, "sum")
    hidden = np.array([[3, 0], [0, 3], [1.73, 0], [1.74, 0], [np.nan, 0]], np.float32)
    head = [(of(np.eye(2, dtype=np.float32)), None)]
    values = np.asarray(read_head([soft, hard], head, of(hidden)))
    np.testing.assert_allclose(values[:4, 0], 1 / (1 + np.exp(hidden[:4, 1] - hidden[:4, 0])), 1e-6)
    np.testing.assert_array_equal(values[:, 1], [1, 0, 0, 1, np.nan])


@pytest.mark.parametrize("name", TURNS[:3])
def test_labels_are_found_in_ids_and_read_from_hidden_states(made, name):
    prm, *_ = made(name)
    problems, steps = [PROBLEM, "What?"], [STEPS, STEPS[:1]]
    encoded = prm.recipe.encode(prm.tokenizer, problems, steps)
    found = prm.recipe.positions(encoded.token_ids, encoded.offsets, tokenizer=prm.tokenizer)
    assert [each.tolist() for each in found] == [
        encoded.positions.tolist(),
        encoded.step_offsets.tolist(),
    ]
    with pytest.raises(InputError, match=r"6 of .*in trace 0; got 5"):
        prm.recipe.positions(
            encoded.token_ids, encoded.offsets, tokenizer=prm.tokenizer, step_counts=[6, 1]
        )
    ids = torch.from_numpy(encoded.token_ids[: encoded.offsets[1]]).long()
    with torch.no_grad():
        hidden = prm.backbone(input_ids=ids[None]).last_hidden_state
    scores = prm.read(hidden, ids[None], [0, len(ids)])
    expected = prm.score(PROBLEM, [STEPS])
    np.testing.assert_allclose(scores.values, expected.values, rtol=0, atol=1e-5)


def test_ids_alone_do_not_tell_where_a_prefix_is_read(made):
    prm, *_ = made("universal-prm")
    encoded = prm.recipe.encode(prm.tokenizer, [PROBLEM], [STEPS[:1]])
    with pytest.raises(InputError, match=r"each step has a sequence of its own.*as positions"):
        prm.recipe.positions(encoded.token_ids, encoded.offsets, tokenizer=prm.tokenizer)
    with torch.no_grad():
        hidden = prm.backbone(torch.from_numpy(encoded.token_ids).long()[None]).last_hidden_state
    scores = prm.read(
        hidden, encoded.token_ids, encoded.offsets, positions=(encoded.positions, [0, 1])
    )
    expected = prm.score(PROBLEM, [STEPS[:1]])
    np.testing.assert_allclose(scores.values, expected.values, rtol=0, atol=1e-5)
    prm, *_ = made("pathfinder-prm")
    with pytest.raises(InputError, match="recipe: expected a recipe that reads one token"):
        stepscore.read_steps(prm.recipe, prm.head, hidden[0], None, [0, hidden.shape[1]])
