"""Every recipe against an independent reading: full logits or full head, float64, one at a time."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from models import BUILDERS
from sweep import SWEEP

import stepscore


@pytest.mark.parametrize("kind", BUILDERS)
@pytest.mark.parametrize("token_budget", [1, 150, 700, 100_000])
def test_scores_are_the_independent_reading(kind, token_budget, tiny, loaded, mixed):
    # A token at a time takes long, and a few traces show it: the fourth is of the first's problem.
    some = slice(4 if token_budget == 1 and not SWEEP else None)
    problems, solutions = (each[some] for each in mixed)
    scores = replace(loaded(kind), token_budget=token_budget).score(problems, solutions)
    expected = [tiny(kind).read(*trace) for trace in zip(problems, solutions, strict=True)]
    assert [len(values) for values in scores] == [len(steps) for steps in solutions]
    np.testing.assert_allclose(scores.values, np.concatenate(expected), rtol=0, atol=1e-5)
    assert np.std(scores.values) > 0.01, "the tiny model must tell its inputs apart"


@pytest.mark.parametrize("kind", ["qwen", "shepherd", "skywork", "trl"])
def test_the_order_of_the_input_changes_no_bit(kind, loaded, mixed):
    problems, solutions = mixed
    prm = replace(loaded(kind), token_budget=300)
    straight = prm.score(problems, solutions)
    order = list(range(len(solutions)))
    random.Random(7).shuffle(order)
    shuffled = prm.score([problems[i] for i in order], [solutions[i] for i in order])
    for place, index in enumerate(order):
        assert shuffled[place].tobytes() == straight[index].tobytes()


@pytest.mark.parametrize("kind", ["qwen", "shepherd", "skywork", "trl"])
def test_equal_calls_give_equal_bits(kind, loaded, mixed):
    problems, solutions = mixed
    first, second = (loaded(kind).score(problems, solutions) for _ in range(2))
    assert first.values.tobytes() == second.values.tobytes()


@pytest.mark.parametrize("kind", ["qwen", "shepherd", "skywork", "trl"])
def test_other_batches_agree_closely(kind, loaded, mixed):
    # Torch's matrix products round by the shape of the batch: close, and not bit for bit.
    problems, solutions = mixed
    prm = loaded(kind)
    together = prm.score(problems, solutions)
    for index, trace in enumerate(zip(problems, solutions, strict=True)):
        alone = prm.score(trace[0], [trace[1]])
        np.testing.assert_allclose(alone.values, together[index], rtol=0, atol=3e-6)


def test_the_tail_gives_equal_bits_for_equal_hidden_states(loaded):
    from stepscore.scoring.forward.head import read_steps

    torch.manual_seed(0)
    hidden = torch.randn(301, 48)
    positions = np.arange(0, 301, 3)
    for kind in ("qwen", "shepherd", "skywork", "trl"):
        head = loaded(kind).head
        together = read_steps(head, hidden, positions)
        alone = [read_steps(head, hidden[t : t + 1].clone(), np.array([0])) for t in positions]
        assert together.numpy().tobytes() == torch.cat(alone).numpy().tobytes()


def test_equal_candidates_get_equal_scores_from_one_forward(loaded, mixed):
    problems, solutions = mixed
    prm = loaded("qwen")
    doubled = prm.score(problems * 2, solutions * 2)
    once = prm.score(problems, solutions)
    assert doubled.values.tobytes() == 2 * once.values.tobytes()


def test_a_mask_would_change_nothing(tiny, mixed):
    from stepscore.scoring.forward.forward_pass import hidden_states
    from stepscore.scoring.forward.plan import plan_padded

    prm = stepscore.load(tiny("shepherd").folder, recipe="math-shepherd", share=False)
    encoded = prm.recipe.encode(prm.tokenizer, *mixed)
    made = plan_padded(encoded.token_ids, encoded.offsets, token_budget=100_000)
    [bare] = hidden_states(prm.backbone, made)
    rows = [
        torch.from_numpy(piece.astype(np.int64))
        for piece in np.split(made.token_ids, made.offsets[1:-1])
    ]
    batch = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], True)
    assert not mask.all()
    with torch.inference_mode():
        masked = prm.backbone(
            input_ids=batch, attention_mask=mask, use_cache=False
        ).last_hidden_state
    bare = bare.view(*batch.shape, -1)
    torch.testing.assert_close(bare[mask.bool()], masked[mask.bool()], rtol=0, atol=2e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("kind", ["qwen", "shepherd", "skywork", "trl"])
def test_half_precision_is_near(kind, dtype, tiny, mixed):
    problems, solutions = mixed
    options = {} if kind in ("qwen", "skywork", "trl") else {"recipe": "math-shepherd"}
    prm = stepscore.load(tiny(kind).folder, dtype=dtype, **options)
    assert prm.dtype == getattr(torch, dtype)
    expected = [tiny(kind).read(*trace) for trace in zip(problems, solutions, strict=True)]
    scores = prm.score(problems, solutions)
    tolerance = 0.15 if dtype == "bfloat16" else 0.02
    np.testing.assert_allclose(scores.values, np.concatenate(expected), rtol=0, atol=tolerance)


def test_a_problem_may_serve_all_solutions(loaded, mixed):
    _, solutions = mixed
    prm = loaded("trl")
    shared = prm.score("What is 1?", solutions)
    each = prm.score(["What is 1?"] * len(solutions), solutions)
    assert shared.values.tobytes() == each.values.tobytes()


def test_texts_are_split_into_their_steps(loaded):
    steps = ["We add 3 and 4.", "The sum is 7."]
    for kind, text in {
        "qwen": "We add 3 and 4.\n\nThe sum is 7.\n\n",
        "shepherd": "Step 1: We add 3 and 4. ки\nStep 2: The sum is 7. ки",
        "skywork": "We add 3 and 4.\nThe sum is 7.\n\n\n",
        "trl": "We add 3 and 4.\n\nThe sum is 7.\n",
    }.items():
        prm = loaded(kind)
        by_text = prm.score("What is 1?", [text])
        by_steps = prm.score("What is 1?", [steps])
        assert by_text.to_list() == by_steps.to_list(), kind


def test_blank_lines_of_skywork_are_seen_and_not_scored(tiny, loaded):
    scores = loaded("skywork").score("What is 1?", ["We add 3.\n\n\nThe sum is 7."])
    expected = tiny("skywork").read("What is 1?", ["We add 3.", "", "", "The sum is 7."])
    assert len(scores.values) == 2
    np.testing.assert_allclose(scores.values, expected, rtol=0, atol=1e-5)


def test_models_are_values(loaded):
    prm = loaded("trl")
    assert dataclasses.replace(prm, token_budget=1).token_budget == 1
    assert repr(prm).startswith("ProcessRewardModel(")
