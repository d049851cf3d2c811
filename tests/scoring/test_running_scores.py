"""Scores that take in the steps before: the same alone, in a batch, in a session, and of states."""

from __future__ import annotations

from pathlib import Path

import models
import numpy as np
import pytest
import torch
from models import HIDDEN, PROBLEMS, STEPS
from transformers import AutoModelForCausalLM, Qwen2Config

import stepscore
from stepscore.errors import InputError
from stepscore.recipes import birm
from stepscore.recipes.running import Running

SOLUTIONS = [STEPS, STEPS[:2], STEPS[2:], [STEPS[0]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("birm")
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(Qwen2Config(**models._sizes()))
    model.save_pretrained(folder)
    models.byte_level_tokenizer().save_pretrained(folder)
    stored = {}
    for name in ("outcome", "process"):
        stored[f"{name}_gain"], stored[f"{name}_bias"] = torch.randn(1), torch.randn(1)
        stored[f"{name}_vscore_head.weight"] = torch.randn(1, HIDDEN) / 7
    torch.save(stored, folder / "verifier.pth")
    return folder


def test_a_running_sum_by_hand():
    read = np.array([1.0, 4.0, -2.0], np.float32)
    expected = {
        "mean": [1.0, 2.5, 1.0],
        "min": [1.0, 1.0, -2.0],
        "max": [1.0, 4.0, 4.0],
        "last": [1.0, 4.0, -2.0],
    }
    for how, values in expected.items():
        assert Running("r", how, 0.5).added(read).tolist() == [value / 2 for value in values]
        assert Running("r", how, 0.5).added(read[:0]).tolist() == []


@pytest.mark.parametrize("how", ["mean", "min", "max", "last"])
def test_a_solution_s_score_is_its_value_and_the_rewards_of_its_steps(how, folder):
    prm = stepscore.load(folder, recipe=birm(how, beta=1.5))
    scores = prm.score(PROBLEMS[0], SOLUTIONS)
    reduce = {"mean": np.mean, "min": np.min, "max": np.max, "last": lambda x: x[-1]}[how]
    expected = []
    for begin, end in zip(scores.offsets[:-1], scores.offsets[1:], strict=True):
        process, outcome = (scores.readings[name][begin:end] for name in ("process", "outcome"))
        expected.append(outcome[-1] + 1.5 * reduce(process.astype(np.float64)))
    np.testing.assert_allclose(scores.aggregate(), expected, rtol=0, atol=1e-6)
    ranked = prm.rank(PROBLEMS[0], SOLUTIONS)
    assert [each.index for each in ranked] == np.argsort(-np.array(expected)).tolist()
    assert ranked[0].score == pytest.approx(max(expected), abs=1e-6)
    # A beginning has the score of the solution that ends with it.
    assert scores[0][: len(SOLUTIONS[1])].tobytes() == scores[1].tobytes()


def test_it_is_the_same_in_a_session_and_of_hidden_states(folder):
    prm = stepscore.load(folder, recipe=birm())
    whole = prm.score(PROBLEMS[0], [STEPS])
    with prm.session(PROBLEMS[0]) as session:
        node, grown, rewards = session.roots[0], [], []
        for steps in ([STEPS[0]], STEPS[1:3], *([step] for step in STEPS[3:])):
            branch = session.extend([node, node], [steps, [STEPS[4]]])
            node = branch.nodes[0]
            grown.append(branch.scores[0])
            rewards.append(branch.scores.readings["process"][: len(steps)])
        assert np.concatenate(grown).tobytes() == whole.values.tobytes()
        assert np.concatenate(rewards).tobytes() == whole.readings["process"].tobytes()
        assert session.scores(node).tobytes() == whole.values.tobytes()
    encoded = prm.recipe.encode(prm.tokenizer, [PROBLEMS[0]], [STEPS])
    with torch.no_grad():
        ids = torch.from_numpy(encoded.token_ids).long()[None]
        hidden = prm.backbone(input_ids=ids).last_hidden_state
    read = prm.read(hidden, ids, encoded.offsets, step_counts=[len(STEPS)])
    np.testing.assert_allclose(read.values, whole.values, rtol=0, atol=1e-5)
    assert read.readings.keys() == whole.readings.keys() == {"process", "outcome"}


def test_steps_that_are_left_out_have_no_score_and_take_none_away(folder):
    prm = stepscore.load(folder, recipe=birm(), max_length=60)
    whole = stepscore.load(folder, recipe=birm()).score(PROBLEMS[0], [STEPS])
    with pytest.warns(UserWarning, match="were not scored"):
        cut = prm.score(PROBLEMS[0], [STEPS], truncation="steps")
    kept = len(STEPS) - int(cut.truncated[0])
    assert 0 < kept < len(STEPS)
    assert cut.values[:kept].tobytes() == whole.values[:kept].tobytes()
    assert np.isnan(cut.values[kept:]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beta": "one"}, r"birm: beta: expected a finite number; got 'one'"),
        ({"beta": float("inf")}, r"birm: beta: expected a finite number"),
        (
            {"aggregate": "median"},
            r"^aggregate: expected mean, min, max or last; got 'median'",
        ),
    ],
)
def test_arguments_that_mean_nothing(arguments, message):
    with pytest.raises(InputError, match=message):
        birm(**arguments)
