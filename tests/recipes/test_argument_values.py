"""What an argument takes: by its annotation, of a file and of a command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from stepscore.cli.main import main
from stepscore.errors import InputError, InputTypeError
from stepscore.recipes import recipe_by_name, recipe_from, recipe_names
from stepscore.recipes.argument_values import PYTHON_ONLY, UnfitError, takes, value_of
from stepscore.recipes.registry import named, published

Choice = Literal["min", "mean"]
TAKEN: list[tuple[Any, Any, Any]] = [
    (str, "a", "a"),
    (str | None, None, None),
    (str | None, "none", "none"),
    (float | None, "none", None),
    (int, "3", 3),
    (int, 3.0, 3),
    (float, "1e-3", 0.001),
    (float | str, "0.5", 0.5),
    (bool, "yes", True),
    (bool, "False", False),
    (bool, True, True),
    (Choice, "min", "min"),
    (Sequence[int], ["1", 2], (1, 2)),
    (Sequence[int], "7", (7,)),
    (tuple[str, ...], ["a b", "c"], ("a b", "c")),
    (tuple[float, float], ["0.25", 1], (0.25, 1.0)),
    (Mapping[str, float], {"A": 1}, {"A": 1.0}),
    (Mapping[str, float], ["A: x:1", "B:0"], {"A: x": 1.0, "B": 0.0}),
    (Sequence[tuple[str, float]], [["It is right.", 5]], (("It is right.", 5.0),)),
    (Sequence[tuple[str, float]], "It is: right:-1", (("It is: right", -1.0),)),
    (Sequence[tuple[str, float]] | Callable[[str], Any], {"a": 2}, (("a", 2.0),)),
]
REFUSED: list[tuple[Any, Any]] = [
    (str, 5),
    (str, True),
    (str, {"layers": ["x"]}),
    (str, None),
    (int, True),
    (int, 2.5),
    (int, "2.5"),
    (float, "nan"),
    (float, float("inf")),
    (float, []),
    (bool, 1),
    (bool, "maybe"),
    (Choice, "max"),
    (Choice, ["min"]),
    (Sequence[int], ["a"]),
    (Sequence[str], [1]),
    (tuple[float, float], ["1"]),
    (tuple[float, float], [1, 2, 3]),
    (Mapping[str, float], ["A"]),
    (Mapping[str, float], {"A": "x"}),
    (Callable[[str], str], "print"),
    (Any, "x"),
]


@pytest.mark.parametrize(("hint", "given", "value"), TAKEN)
def test_a_value_becomes_what_the_argument_takes(hint: Any, given: Any, value: Any) -> None:
    read = value_of(hint, given)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(("hint", "given"), REFUSED)
def test_any_other_value_is_refused(hint: Any, given: Any) -> None:
    with pytest.raises(UnfitError):
        value_of(hint, given)


def test_what_is_taken_is_said_in_words() -> None:
    assert takes(float | str) == "a number or a text"
    assert takes(Choice | None) == "one of min, mean"
    assert takes(tuple[float, float]) == "2 numbers"
    assert takes(Sequence[str]) == "a list of texts"
    assert takes(Mapping[str, float]) == "a list of TEXT:NUMBER"
    assert takes(Callable[[str], str] | None) == takes(Any) == PYTHON_ONLY


@pytest.mark.parametrize(
    "name", [name for name in recipe_names() if named(published()[name]).parameters]
)
def test_no_recipe_takes_a_description_for_an_argument(name: str) -> None:
    """beta-prm made a head whose name was a dict; every argument of every recipe is a plain one."""
    function = named(published()[name])
    for argument in function.parameters:
        needed = dict.fromkeys(function.required, "1") | {argument: {"layers": ["x"], "outputs": 2}}
        with pytest.raises(
            InputTypeError, match=f"^{name}: {argument}: expected (a|one of) .*; got {{'lay"
        ):
            recipe_by_name(name, **needed)


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ("skywork", r"beta-prm: like: expected one of .*; got 'skywork'; did you mean 'skywork-o1"),
        (
            "r-prm",
            r"like: expected .*; got 'r-prm', which writes its verdicts; pass one that needs",
        ),
        ("fover-prm", r"like: expected one of .*; got 'fover-prm'; .*that needs no argument"),
        ("eurus-implicit-prm", "like: expected one of "),
        ("step-likelihood", "like: expected one of "),
        ("pathfinder-prm", "like: expected one of "),
        ("acemath-rm", "like: expected one of "),
        ("birm", "like: expected one of "),
    ],
)
def test_a_layout_that_is_none_is_blamed_on_its_own_argument(like: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        recipe_by_name("beta-prm", like=like, head="h")


def test_a_choice_is_told_the_nearest_one() -> None:
    with pytest.raises(InputError, match="got 'sigmod'; did you mean 'sigmoid'") as refused:
        recipe_by_name("babelscape-prm", head="h", activation="sigmod")
    assert not isinstance(refused.value, TypeError)


def test_every_layout_that_is_offered_can_be_read() -> None:
    with pytest.raises(InputError) as refused:
        recipe_by_name("beta-prm", like="?", head="h")
    offered = str(refused.value.expected).removeprefix("one of ").split(", ")
    assert len(offered) > 20
    for like in offered:
        assert recipe_by_name("beta-prm", like=like, head="h").positions_per_step == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"recipe": "fover-prm"},
            "expected the model of 'fover-prm', which no source states; got no such field; add "
            '"model" to it; help(',
        ),
        (
            {"recipe": "beta-prm"},
            "expected the like and the head of 'beta-prm', which no source states; got no such "
            'field; add "like" and "head" to it; help(',
        ),
        ({"recipe": "fover-prm", "model": "x"}, "expected for model, 'llama' or 'qwen'; got 'x'"),
        ({"recipe": "fover-prm", "model": True}, "for model, a text; got True; put it into quotes"),
        ({"recipe": "beta-prm", "like": "x", "head": "h"}, "expected for like, one of dream-prm"),
        ({"recipe": "fover-pr", "model": "x"}, "expected for recipe, one of acemath-rm, "),
        (
            {"recipe": "r-prm"},
            "expected for recipe, a recipe that reads hidden states; got 'r-prm'",
        ),
    ],
)
def test_a_file_is_told_what_its_fields_lack(
    content: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError) as refused:
        recipe_from(path)
    assert str(refused.value).startswith(f"{path}: {message}") or message in str(refused.value)
    assert str(refused.value).startswith(f"{path}: expected ")
    if content["recipe"] != "r-prm":
        assert main(["check", "lab", "--recipe", str(path)]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert "recipe_by_name" not in error
        assert "--" not in error.partition(str(path))[2].partition("help(")[0]


@pytest.mark.parametrize("command", ["score", "check", "recipes"])
def test_no_flag_is_advised_that_there_is_not(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps({"problem": "1+1=?", "candidates": ["1+1=2"]}))
    recipe = ["--recipe", "eurus-implicit-prm:reference=none,coef=2"]
    line = {
        "score": ["score", str(source), "-o", str(tmp_path / "out"), "--model", "lab", *recipe],
        "check": ["check", "lab", *recipe],
        "recipes": ["recipes", "show", recipe[1], "--model", "lab"],
    }
    assert main(line[command]) == 2
    error = capsys.readouterr().err
    assert "--template" not in error
    assert "--system" not in error
    typed = "eurus-implicit-prm:reference=none,coef=2.0,reading=accumulative,variant=card,template="
    assert f"pass {'' if command == 'recipes' else '--recipe '}{typed}..." in error
