"""``--recipe NAME:ARG=VALUE``: what a recipe leaves to its user, on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import stepscore
from stepscore.cli.main import main
from stepscore.cli.recipe_options import typed_recipe
from stepscore.errors import InputError
from stepscore.recipes import recipe_by_name, summaries
from stepscore.recipes.recipe_arguments import RecipeCall, arguments_of, required_arguments
from stepscore.recipes.registry import check_arguments, published

Write = Callable[..., str]
PROBLEM = {"id": 1, "problem": "?", "candidates": ["x = 1"]}
# Values of arguments that take any text or number.
TEXTS = {
    "coef": "0.001",
    "beta": "2",
    "classes": "2",
    "prompt": "{problem}<｜Assistant｜><think>\n",
}


def values_of(argument: Any) -> list[str]:
    return list(argument.choices) or [TEXTS.get(argument.name, "a b")]


@pytest.mark.parametrize("name", [row.name for row in summaries() if row.arguments])
def test_every_argument_of_every_recipe_can_be_typed(name: str) -> None:
    entry = published()[name]
    arguments = arguments_of(entry)
    needed = {each.name: values_of(each)[0] for each in arguments if each.required}
    for each in arguments:
        for value in values_of(each):
            given = {**needed, each.name: value}
            typed = str(RecipeCall(name, "", given))
            assert typed_recipe(typed).as_config() == recipe_by_name(name, **given).as_config()
            # It arrived: what config.json keeps of it is the value, or nothing where it is as
            # without it.
            kept = dict(typed_recipe(typed).parameters)
            assert str(kept.get(each.name, value)) in (value, str(float_of(value)))
    assert {each.name for each in arguments if each.required} == {*required_arguments(entry)}


def float_of(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value


@pytest.mark.parametrize(
    ("typed", "separator"),
    [
        (r"\n\n", "\n\n"),
        (r"\t", "\t"),
        (r"\,", ","),
        (r"a\,b=c", "a,b=c"),
        (r"\\n", "\\n"),
        (r"\boxed{x}", r"\boxed{x}"),
        ("a:b=", "a:b="),
        ("\n", "\n"),
        (r".\json", r".\json"),
        ("x.json", "x.json"),
        ("\\", "\\"),
    ],
)
def test_a_value_is_what_was_typed(typed: str, separator: str) -> None:
    assert typed_recipe(f"trl-prm:separator={typed}").separator == separator
    again = str(RecipeCall("trl-prm", "", {"separator": separator}))
    assert typed_recipe(again).separator == separator


BAD = [
    (
        "trl-prm:seperator=x",
        "--recipe trl-prm:seperator=x: expected an argument of 'trl-prm'; got 'seperator'; "
        "did you mean 'separator'? it takes separator\n",
    ),
    ("versa-prm:model=x", "an argument of 'versa-prm'; got 'model'; it takes none\n"),
    (
        "fover-prm:model=qwn",
        "--recipe fover-prm:model=qwn: expected 'llama' or 'qwen'; got 'qwn'; pass one of these\n",
    ),
    ("trl-prm:separator=a,b", r"got 'b' without a name and a =; a comma of a value is typed as \,"),
    ("trl-prm:", "expected NAME:ARG=VALUE,ARG=VALUE; got no ARG=VALUE"),
    ("trl-prm:separator=a,separator=b", "expected separator once; got it twice"),
    ("trl-pm:separator=a", "did you mean 'trl-prm'?"),
    (
        "eurus-implicit-prm:coef=1",
        "expected the reference of 'eurus-implicit-prm', which no source states; got none; pass "
        "--recipe eurus-implicit-prm:reference=..., or",
    ),
]


@pytest.mark.parametrize(("recipe", "message"), BAD)
def test_what_cannot_be_read_is_named(
    recipe: str, message: str, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["score", write(PROBLEM), "-o", str(tmp_path / "out"), "--model", "m"]
    assert main([*line, "--recipe", recipe]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "line",
    [
        ["score", "IN", "-o", "OUT", "--model", "m", "--recipe", "RECIPE"],
        ["rerank", "IN", "-o", "OUT", "--model", "m", "--recipe", "RECIPE"],
        [
            *["search", "IN", "-o", "OUT", "--policy", "lab", "--strategy", "beam"],
            *["--model", "m", "--recipe", "RECIPE"],
        ],
        ["bench", "forward", "IN", "--model", "m", "--recipe", "RECIPE"],
        ["check", "m", "--recipe", "RECIPE"],
        ["convert-checkpoint", "m", "OUT", "--recipe", "RECIPE"],
        ["recipes", "show", "RECIPE", "--model", "lab"],
    ],
    ids=lambda line: line[0],
)
def test_every_command_reads_it(
    line: list[str], write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"IN": write(PROBLEM), "OUT": str(tmp_path / "out"), "RECIPE": "fover-prm:modle=qwen"}
    assert main([places.get(word, word) for word in line]) == 2
    assert "did you mean 'model'? it takes model" in capsys.readouterr().err


def test_options_of_their_own_stand_beside_it(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    given: dict[str, Any] = {}

    def load(name: str, **options: Any) -> Any:
        given.update(options)
        raise InputError("no more", argument="model")

    monkeypatch.setitem(stepscore.__dict__, "load", load)
    line = ["score", write(PROBLEM), "-o", str(tmp_path / "out"), "--model", "m"]
    eurus = ["--recipe", "eurus-implicit-prm:variant=best_of_n,reading=single"]
    assert main([*line, *eurus, "--reference", "none", "--coef", "0.5"]) == 2
    assert dict(given["recipe"].parameters) == {
        "reference": "none",
        "coef": "0.5",
        "reading": "single",
        "variant": "best_of_n",
    }
    capsys.readouterr()
    assert main([*line, "--recipe", "trl-prm:separator=a", "--separator", "b"]) == 2
    assert "expected separator once; got it twice" in capsys.readouterr().err


@pytest.mark.parametrize("name", [row.name for row in summaries() if row.required])
def test_a_detected_recipe_says_what_to_type(
    name: str, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def load(*places: str, **options: Any) -> Any:
        check_arguments(published()[name], {}, "load")

    monkeypatch.setitem(stepscore.__dict__, "load", load)
    assert main(["score", write(PROBLEM), "-o", str(tmp_path / "o"), "--model", "m"]) == 2
    message = capsys.readouterr().err
    needed = ",".join(f"{each}=..." for each in required_arguments(published()[name]))
    assert "error: --model m: expected the " in message
    assert f"; pass --recipe {name}:{needed}, or write" in message
    assert f"`stepscore recipes show {name}`" in message
    monkeypatch.setitem(stepscore.__dict__, "convert_checkpoint", load)
    assert main(["convert-checkpoint", "m", str(tmp_path / "o")]) == 2
    assert f"FOLDER m: expected the {needed.partition('=')[0]}" in capsys.readouterr().err


def test_the_arguments_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "show", "fover-prm"]) == 0
    text = capsys.readouterr().out
    assert "model (required): one of llama, qwen\n" in text
    assert "`llama` is that of Llama 3.1" in text
    assert "typed with the name, as fover-prm:model=...\n" in text
    assert main(["recipes", "show", "fover-prm:model=qwen"]) == 0
    assert "readings   score = softmax" in capsys.readouterr().out
    assert main(["recipes", "show", "rlhflow-prm"]) == 0
    text = capsys.readouterr().out
    assert "variant (default: 'author'): one of author, search-and-learn, processbench\n" in text
    assert main(["recipes", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    [model] = rows["fover-prm"]["arguments"]
    assert (model["name"], model["required"]) == ("model", True)
    assert (model["choices"], model["default"]) == (["llama", "qwen"], None)
    assert rows["eurus-implicit-prm"]["required"] == ["reference", "coef"]
    assert main(["recipes", "show", "trl-prm", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["arguments"][0]["default"] == "\n"
