"""A checkpoint with another head of the same recipe: the message says what to pass."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rows import ROWS
from test_detection import evidence
from test_rows import written

import stepscore
from stepscore.errors import InputError
from stepscore.recipes import Evidence, Recipe, detect, recipe_by_name
from stepscore.recipes.fitting_head import fitting_call

H = 8


def head_of(classes: int) -> dict[str, tuple[int, ...]]:
    return {"score.0.weight": (H, H), "score.2.weight": (classes, H)}


@pytest.mark.parametrize("classes", [1, 2, 7])
def test_another_number_of_classes(classes: int) -> None:
    call = fitting_call(recipe_by_name("vgs-value"), head_of(classes), H)
    assert str(call) == f"vgs-value:classes={classes}"
    checkpoint: Evidence = evidence("Qwen2ForClassifier", head_of(classes))
    with pytest.raises(InputError, match=rf"pass recipe=.*vgs_value\(classes='{classes}'\)"):
        detect(checkpoint)


def test_no_other_argument_fits() -> None:
    assert fitting_call(recipe_by_name("vgs-value"), {"score.2.weight": (2, H)}, H) is None
    assert fitting_call(recipe_by_name("trl-prm"), {"score.weight": (5, H)}, H) is None
    own = replace(recipe_by_name("vgs-value"), name="my-own")
    assert fitting_call(own, head_of(1), H) is None


@pytest.mark.parametrize(
    ("row", "recipe", "advice"),
    [
        ("vgs-value, one class", recipe_by_name("vgs-value"), r"vgs_value\(classes='1'\)"),
        ("vgs-value", recipe_by_name("vgs-value", classes="1"), r"vgs_value\(classes='3'\)"),
    ],
)
def test_a_loaded_checkpoint(row: str, recipe: Recipe, advice: str, tmp_path) -> None:
    written(ROWS[row], tmp_path)
    with pytest.raises(InputError, match=f"load: .*pass recipe=stepscore.recipes.{advice}"):
        stepscore.load(tmp_path, recipe=recipe)


def test_a_bias_that_is_not_there() -> None:
    shapes = {"score_head.weight": (3, H)}
    call = fitting_call(recipe_by_name("reasoneval-7b"), shapes, H)
    assert str(call) == "reasoneval-7b:bias=no"
