"""A loaded model in a copy, in a pickle, under autocast, and in a fork."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import traceback
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import stepscore
from stepscore.recipes import eurus_implicit_prm
from stepscore.recipes.recipe_arguments import required_arguments
from stepscore.recipes.registry import published

SOLUTIONS = [["We add 3.", "The sum is 7."], ["x"]]
KINDS = ["qwen", "shepherd", "skywork", "trl"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_deep_copy_scores_the_same_with_weights_of_its_own(kind, loaded):
    prm = loaded(kind)
    expected = prm.score("What?", SOLUTIONS).values
    twin = copy.deepcopy(prm)
    np.testing.assert_array_equal(twin.score("What?", SOLUTIONS).values, expected)
    with torch.no_grad():
        for parameter in twin.backbone.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(prm.score("What?", SOLUTIONS).values, expected)
    assert not np.array_equal(twin.score("What?", SOLUTIONS).values, expected)
    assert copy.deepcopy([prm, prm])[0].recipe is prm.recipe


@pytest.mark.parametrize("kind", KINDS)
def test_a_pickle_says_what_to_load_again(kind, tiny, monkeypatch):
    folder = tiny(kind).folder
    monkeypatch.chdir(folder.parent)
    prm = stepscore.load(folder.name, recipe=tiny(kind).recipe, max_length=100, token_budget=64)
    content = pickle.dumps(prm)
    assert len(content) < 5_000, "no weights"
    monkeypatch.chdir(Path("/"))
    again = pickle.loads(content)
    assert repr(again) == repr(prm)
    assert (again.max_length, again.token_budget, again.costs) == (100, 64, prm.costs)
    np.testing.assert_array_equal(
        again.score("What?", SOLUTIONS).values, prm.score("What?", SOLUTIONS).values
    )
    assert pickle.loads(pickle.dumps(again)).name == folder.name
    with pytest.raises(TypeError, match=r"expected a model that stepscore\.load made"):
        pickle.dumps(replace(prm, load_again=None))


def test_every_recipe_can_be_pickled_and_so_can_scores():
    entries = [entry for entry in published().values() if not required_arguments(entry)]
    for recipe in (
        *(entry.make() for entry in entries),
        eurus_implicit_prm(reference=None, coef=1),
    ):
        again = pickle.loads(pickle.dumps(recipe))
        assert again.as_config() == recipe.as_config()
        assert again.split("Step 1: a\n\nb") == recipe.split("Step 1: a\n\nb")
    scores = stepscore.load("lab").score("1+2=?", ["1+2=3"])
    assert pickle.loads(pickle.dumps(scores)).to_list() == scores.to_list()


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_of_the_caller_changes_nothing(kind, loaded):
    prm = loaded(kind)
    expected = prm.score("What?", SOLUTIONS).values
    with torch.autocast("cpu", dtype=torch.bfloat16):
        np.testing.assert_array_equal(prm.score("What?", SOLUTIONS).values, expected)
        whole = replace(prm, costs=None)
        np.testing.assert_allclose(whole.score("What?", SOLUTIONS).values, expected, atol=1e-5)
        with prm.session("What?") as session:
            made = session.extend(session.roots[0], [SOLUTIONS[0]])
            np.testing.assert_allclose(made.scores.values, expected[:2], rtol=0, atol=1e-5)


def _in_a_fork(prm, session, answers) -> None:
    for call in (
        lambda: prm.score("What?", SOLUTIONS),
        lambda: prm.rank("What?", SOLUTIONS),
        lambda: session.extend(session.roots[0], "x"),
    ):
        try:
            answers.put(str(call()))
        except RuntimeError as error:
            answers.put(str(error))
        except BaseException:
            answers.put(traceback.format_exc())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_says_so_instead_of_waiting(loaded):
    prm = loaded("trl")
    session = prm.session("What?")
    prm.score("What?", SOLUTIONS)
    fork = multiprocessing.get_context("fork")
    answers = fork.Queue()
    child = fork.Process(target=_in_a_fork, args=(prm, session, answers))
    child.start()
    messages = [answers.get(timeout=30) for _ in range(3)]
    child.join(30)
    assert child.exitcode == 0
    for call, message in zip(("score", "rank", "extend"), messages, strict=True):
        assert message.startswith(
            f"{call}: expected the process that loaded the model ({os.getpid()})"
        )
        assert 'multiprocessing.get_context("spawn")' in message
