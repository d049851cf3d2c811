"""Recipes with heads of their own: traces that grow, lists of them, and their states.

A layout that lays a beginning out in other tokens than the whole would give other scores there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from rows import ROWS as ALL_ROWS
from test_rows import traces_of, written

import stepscore
from stepscore.errors import InputError

# Those that write a checkpoint as its authors do.
ROWS = {name: row for name, row in ALL_ROWS.items() if row.write is not None}
OF_STEPS = {name: row for name, row in ROWS.items() if row.recipe.unit == "step"}


@pytest.fixture(scope="module")
def models_of(tmp_path_factory):
    """Load each row's model once."""
    kept: dict[str, stepscore.ProcessRewardModel] = {}

    def load(name: str) -> stepscore.ProcessRewardModel:
        if name not in kept:
            folder: Path = tmp_path_factory.mktemp("row")
            written(ROWS[name], folder)
            kept[name] = stepscore.load(folder, recipe=ROWS[name].recipe)
        return kept[name]

    return load


@pytest.mark.parametrize("name", OF_STEPS)
def test_a_trace_that_grows_has_the_bits_of_the_whole(name, models_of):
    prm, row = models_of(name), OF_STEPS[name]
    for problem, steps in traces_of(row):
        whole = prm.score(problem, [steps])
        with prm.session(problem) as session:
            node, grown = session.roots[0], []
            for step in steps:
                branch = session.extend(node, [step])
                node = branch.nodes[0]
                grown.append(branch.scores.values)
        assert np.concatenate(grown).tobytes() == whole.values.tobytes()
        assert len(whole.values) == len(steps)


@pytest.mark.parametrize("name", ROWS)
def test_sharing_padding_and_batches_change_nothing(name, models_of):
    prm, row = models_of(name), ROWS[name]
    problems, solutions = map(list, zip(*traces_of(row), strict=True))
    together = prm.score(problems, solutions).values
    alone = [
        prm.score(problem, [steps]).values
        for problem, steps in zip(problems, solutions, strict=True)
    ]
    assert np.concatenate(alone).tobytes() == together.tobytes()
    backwards = prm.score(problems[::-1], solutions[::-1])
    assert np.concatenate(list(backwards)[::-1]).tobytes() == together.tobytes()


@pytest.mark.parametrize("name", ["birm", "birm, least reward, BOS", "llemma-prm"])
def test_the_ids_alone_tell_where_steps_are_read(name, models_of):
    prm, row = models_of(name), ROWS[name]
    problem, steps = traces_of(row)[2]
    encoded = prm.recipe.encode(prm.tokenizer, [f"{problem}\n\nMore?"], [steps])
    given = {"step_counts": [len(steps)]}
    if name == "llemma-prm":
        head = f"# Question\n\n{problem}\n\nMore?\n\n# Solution\n\n"
        given = {"prompt_lengths": [len(prm.tokenizer(head)["input_ids"])]}
    ids, offsets = encoded.token_ids, encoded.offsets
    found = prm.recipe.positions(ids, offsets, tokenizer=prm.tokenizer, **given)
    assert [part.tolist() for part in found] == [
        encoded.positions.tolist(),
        encoded.step_offsets.tolist(),
    ]
    with torch.no_grad():
        hidden = prm.backbone(input_ids=torch.from_numpy(ids).long()[None]).last_hidden_state
    read = prm.read(hidden, ids[None], offsets, **given)
    scored = prm.score(f"{problem}\n\nMore?", [steps])
    np.testing.assert_allclose(read.values, scored.values, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["vgs-value", "metastone-sprm", "rest-mcts-value", "dream-prm"])
def test_where_they_do_not_they_are_not_guessed(name, models_of):
    prm = models_of(name)
    encoded = prm.recipe.encode(prm.tokenizer, ["p"], [traces_of(ROWS[name])[0][1]])
    with pytest.raises(InputError, match="no id of its input ends a step"):
        prm.recipe.positions(encoded.token_ids, encoded.offsets, tokenizer=prm.tokenizer)


def test_rewards_of_all_numbers_are_not_multiplied(models_of):
    problem, steps = traces_of(ROWS["birm"])[2]
    with pytest.raises(InputError, match=r"scores in \[0, 1\], which prod needs"):
        models_of("birm").rank(problem, [steps], how="prod")
