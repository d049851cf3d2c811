"""Families that write their verdicts, as they are typed: with arguments, and from files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("httpx")

from fake_model import read
from text_server import Said, text_server

from stepscore.cli.families import typed_family
from stepscore.cli.main import main
from stepscore.errors import InputError
from stepscore.recipes.recipe_arguments import RecipeCall
from stepscore.scoring.generative import JUDGES, VERDICTS, SilentPolicy, generative_families

Write = Callable[..., str]
RECORD = {"id": 1, "problem": "6 * 7?", "candidates": ["6 * 7 is 42", "6 * 7 is 41"]}
SHOWN = {
    "capo": "{problem} {solution}",
    "gm-prm": "{problem} {solution}",
    "likert": "{problem} {step}",
    "prompted-verdict": "{problem} {step}",
    "rubric": "{problem} {solution} {criterion}",
    "spark": "{problem} {solution}",
    "stepwiser": "{problem} {previous} {step}",
}
PAIRS = "{problem} {first} {second}"
OF = {
    "criteria": (("It is right, and short.", 5.0), ("It is rude.", -1.0)),
    "points": {"A": 1.0, "B": 0.0, "level: both": 0.5},
    "unsure": (0.25, 0.75),
    "verdict": r"Better: (A|B|level: both)",
}


def needed(function: Any) -> dict[str, Any]:
    shown = SHOWN.get(function.name, PAIRS)
    return {name: OF.get(name, shown) for name in function.required}


FUNCTIONS = [each for each in (*VERDICTS.values(), *JUDGES.values()) if each.name != "web-shepherd"]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda each: each.name)
def test_every_family_is_made_as_it_is_typed_and_as_a_file_has_it(
    function: Any, tmp_path: Path
) -> None:
    first = [SilentPolicy()] if function.first else []
    wanted = function.make(*first, **needed(function))
    typed = str(RecipeCall(function.name, function.path, needed(function)))
    path = tmp_path / "family.json"
    path.write_text(json.dumps({function.argument: function.name, **needed(function)}))
    for text in (typed, str(path)):
        family = typed_family(text, function.argument)
        assert family.name == function.name
        made = family.make(function, *first)
        if function.first:
            assert made.recipe == wanted.recipe or made.recipe.parameters == (
                wanted.recipe.parameters
            )
        else:
            assert made.fingerprint == wanted.fingerprint


def test_every_name_is_a_family_and_the_other_way_round() -> None:
    families = {each.name: each for each in generative_families()}
    assert families.keys() == VERDICTS.keys() | JUDGES.keys()
    for function in (*VERDICTS.values(), *JUDGES.values()):
        assert families[function.name].required == tuple(function.required)
        where = __import__("importlib").import_module(
            f"stepscore.{function.path.rpartition('.')[0]}"
        )
        assert callable(getattr(where, function.path.rpartition(".")[2]))


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda each: each.name)
def test_what_an_argument_takes_is_said_of_each(function: Any) -> None:
    [family] = [each for each in generative_families() if each.name == function.name]
    assert {each.name for each in family.arguments} == function.parameters.keys()
    assert all(each.takes and each.about for each in family.arguments), family.arguments


def test_typed_arguments_reach_the_server(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    out = tmp_path / "out.jsonl"
    prompt = "Problem: {problem}\\nSteps, all of them:\\n{solution}"
    with text_server() as server:
        server.script = lambda body: Said(
            ["\\boxed{1}" if "41" in body["messages"][0]["content"] else "\\boxed{none}"]
        )
        recipe = f"capo:votes=3,temperature=0.5,voting=average,prompt={prompt}".replace(
            "Steps,", "Steps\\,"
        )
        command = ["score", write(RECORD), "-o", str(out), "--recipe", recipe]
        assert main([*command, "--model", server.url, "--served-as", "m"]) == 0
        bodies = server.bodies
    assert len(bodies) == 2 * 3
    assert {body["temperature"] for body in bodies} == {0.5}
    asked = bodies[0]["messages"][0]["content"]
    assert asked.startswith("Problem: 6 * 7?\nSteps, all of them:\nStep 1: 6 * 7 is 4")
    [line] = read(out)
    scored = line["stepscore"]["candidates"]
    assert [each["step_scores"] for each in scored] == [[1.0], [0.0]]
    assert line["stepscore"]["provenance"]["recipe"]["voting"] == "average"


BAD = [
    ("r-prm:vots=2", "got 'vots'; did you mean 'votes'? it takes votes, temperature"),
    ("r-prm:votes=two", "--recipe r-prm:votes=two: expected a whole number; got 'two'\n"),
    ("r-prm:votes=2,votes=3", "expected votes once; got it twice; leave one out"),
    ("r-prm:", "expected NAME:ARG=VALUE,ARG=VALUE; got no ARG=VALUE"),
    ("r-prm:votes=0", "expected at least 1; got 0"),
    ("dyve:unsure=0.2", "expected 2 numbers; got ['0.2']; each of them is typed by itself"),
    ("capo", "pass --recipe capo:prompt=...; help(stepscore.scoring.verdicts.capo) and"),
    ("capo:prompt=x", "expected a prompt with the placeholder {problem}; got 'x'"),
    ("capo:prompt=x,voting=avg", "voting=avg: expected one of average, majority, intersection; "),
    (
        "genprm:run_code=x",
        "got 'run_code', a value of Python; pass it to stepscore.scoring.verdict",
    ),
    ("web-shepherd:by=text", "expected the checklist and the state of 'web-shepherd'"),
]


@pytest.mark.parametrize(("recipe", "message"), BAD)
def test_what_is_wrong_is_named_before_a_model_is_loaded(
    recipe: str, message: str, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["score", write(RECORD), "-o", str(tmp_path / "out"), "--model", "no/such/model"]
    assert main([*line, "--recipe", recipe]) == 2
    assert message in capsys.readouterr().err


FILES = [
    ({"recipe": "capo"}, "expected the prompt of 'capo', which no source states; got no such fie"),
    ({"recipe": "capo", "prompt": 5}, "for prompt, a text; got 5; put it into quotes"),
    ({"recipe": "capo", "promt": "x"}, "got 'promt'; did you mean 'prompt'? capo has prompt, "),
    ({"recipe": "capo", "prompt": "x"}, "for prompt, a prompt with the placeholder {problem}"),
    ({"recipe": "dyve", "unsure": [0.5]}, "for unsure, 2 numbers; got [0.5]"),
    ({"recipe": "r-prm", "votes": True}, "for votes, a whole number; got True"),
]


@pytest.mark.parametrize(("content", "message"), FILES)
def test_what_is_wrong_in_a_file_is_named_with_its_field(
    content: dict[str, Any],
    message: str,
    write: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(content))
    line = ["score", write(RECORD), "-o", str(tmp_path / "out"), "--model", "m"]
    assert main([*line, "--recipe", str(path)]) == 2
    error = capsys.readouterr().err
    assert f"score: error: {path}: expected " in error
    assert message in error
    assert "--recipe" not in error.partition(str(path))[2], "nothing of it is typed in a shell"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["--judge", "rmm"],
            "--judge rmm: expected one of j1, .*; got 'rmm'; did you mean 'rrm'",
        ),
        (["--judge", "r-prm"], "got 'r-prm', which scores solutions one by one; type stepscore sc"),
        (["--judge", "s2j"], "pass --judge s2j:prompt=...,verdict=...,points=...; help"),
        (["--judge", "rrm:max_tokens=x"], "--judge rrm:max_tokens=x: expected a whole number"),
        (
            ["--judge", "rrm:temperature=1", "--temperature", "0.5"],
            "expected temperature once; got it twice",
        ),
    ],
)
def test_a_judge_that_is_typed_wrong(
    more: list[str],
    message: str,
    write: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = ["judge", write(RECORD), "-o", str(tmp_path / "out"), "--policy", "http://h/v1"]
    assert main([*line, "--policy-model", "m", *more]) == 2
    assert re.search(message.replace("(", r"\("), capsys.readouterr().err)


@pytest.mark.parametrize("command", ["check", "convert-checkpoint", "bench"])
def test_a_family_is_refused_where_hidden_states_are_read(
    command: str, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "capo.json"
    path.write_text(json.dumps({"recipe": "capo", "prompt": "{problem}{solution}"}))
    places = {
        "check": ["check", "lab"],
        "convert-checkpoint": ["convert-checkpoint", "lab", str(tmp_path / "out")],
        "bench": ["bench", "forward", write(RECORD), "--model", "lab"],
    }
    for recipe, name in (("r-prm", "r-prm"), ("r-prm:votes=2", "r-prm"), (str(path), "capo")):
        assert main([*places[command], "--recipe", recipe]) == 2
        error = capsys.readouterr().err
        assert f"got {name}, a family that writes its verdicts: " in error
        assert f"stepscore score IN -o OUT --recipe {name} --model MODEL" in error
        assert "did you mean" not in error


@pytest.mark.parametrize("command", ["score", "check"])
def test_a_judge_in_place_of_a_recipe_is_told_the_command(
    command: str, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named, own = tmp_path / "named.json", tmp_path / "own.json"
    named.write_text('{"recipe": "rrm"}')
    own.write_text('{"judge": "rrm"}')
    line = {
        "score": ["score", write(RECORD), "-o", str(tmp_path / "out"), "--model", "lab"],
        "check": ["check", "lab"],
    }
    for recipe, judge in (("rrm", "rrm"), (str(named), "rrm"), (str(own), str(own))):
        assert main([*line[command], "--recipe", recipe]) == 2
        error = capsys.readouterr().err
        assert "got rrm, which compares two solutions and scores none; type stepscore ju" in error
        assert f"--judge {judge} --policy MODEL" in error
    line = ["judge", write(RECORD), "-o", str(tmp_path / "out"), "--policy", "m"]
    assert main([*line, "--judge", str(named)]) == 2
    assert f"{named}: expected a field judge with the name of a fam" in capsys.readouterr().err


@pytest.mark.parametrize(("typo", "name"), [("prompted", "prompted-verdict"), ("capoo", "capo")])
def test_a_typo_of_a_family_is_told_the_family(
    typo: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in (["recipes", "show", typo], ["check", "lab", "--recipe", typo]):
        assert main(line) == 2
        assert f"got {typo!r}; did you mean {name!r}?" in capsys.readouterr().err


@pytest.mark.parametrize("recipe", [[], ["--recipe", "trl-prm"]])
def test_a_server_needs_a_family(
    recipe: list[str], write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = ["--model", "http://h:1/v1"]
    assert main(["score", write(RECORD), "-o", str(tmp_path / "out"), *url, *recipe]) == 2
    error = capsys.readouterr().err
    assert "add --recipe NAME, such as r-prm, and --served-as NAME" in error
    assert "no such folder" not in error
    assert main(["check", "http://h:1/v1", *recipe]) == 2
    assert "got a URL; a model behind a server writes texts" in capsys.readouterr().err


def test_a_family_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "show", "r-prm"]) == 0
    text = capsys.readouterr().out
    assert "r-prm: author; https://github.com/NJUNLP/R-PRM\n  writes     its verdict" in text
    assert "votes (default: 10): a whole number\n" in text
    assert "  next: stepscore score IN -o OUT --recipe r-prm --model MODEL\n" in text
    assert main(["recipes", "show", "s2j"]) == 0
    text = capsys.readouterr().out
    assert "points (required): a list of TEXT:NUMBER\n" in text
    assert "judge IN -o OUT --judge s2j:prompt=...,verdict=...,points=... --policy MODEL" in text
    assert main(["recipes", "show", "web-shepherd"]) == 0
    assert "web_shepherd(policy, checklist=..., state=...) in Python" in capsys.readouterr().out
    assert main(["recipes", "show", "capo", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["required"] == ["prompt"]
    assert main(["recipes", "show", "r-prm", "--model", "lab"]) == 2
    assert "--model lab: expected a recipe that reads hidden states" in capsys.readouterr().err
    assert main(["recipes", "show", "r-prm:votes=x"]) == 2
    assert "expected a whole number; got 'x'" in capsys.readouterr().err


def test_the_files_of_the_documentation_make_families(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    page = (Path(__file__).parents[2] / "docs" / "generative_verdicts.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    for block, option in zip(blocks, ("recipe", "judge"), strict=True):
        path = tmp_path / f"{option}.yaml"
        path.write_text(block)
        family = typed_family(str(path), option)
        function = (VERDICTS | JUDGES)[family.name]
        assert family.make(function, *([SilentPolicy()] if function.first else []))


def test_a_name_without_show_is_told_what_to_type(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "trl-prm"]) == 2
    assert "type stepscore recipes show trl-prm" in capsys.readouterr().err


DRAWN = [
    {"votes": 0},
    {"max_tokens": 0},
    {"temperature": -1.0},
    {"votes": 2, "temperature": -1.0},
    {"by": "guess"},
]


@pytest.mark.parametrize("options", DRAWN, ids=str)
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda each: each.name)
def test_no_family_draws_by_what_nobody_can_draw_by(function: Any, options: dict[str, Any]) -> None:
    if not options.keys() <= function.parameters.keys():
        return
    if (
        function.name == "natural-program"
        and "votes" not in options
        and "max_tokens" not in options
    ):
        return  # one vote is drawn without chance, whatever the temperature
    first = [SilentPolicy()] if function.first else []
    with pytest.raises(InputError, match=f"{next(reversed(options))}: expected"):
        function.make(*first, **needed(function), **options)


@pytest.mark.parametrize("function", VERDICTS.values(), ids=lambda each: each.name)
def test_every_family_refuses_what_is_no_policy(function: Any) -> None:
    given = dict.fromkeys(function.required, print) if function.name == "web-shepherd" else None
    with pytest.raises(InputError, match="policy: expected a policy that writes texts"):
        function.make(object(), **(needed(function) if given is None else given))


def test_a_fault_of_a_family_keeps_its_kind() -> None:
    with pytest.raises(TypeError):
        typed_family("r-prm:votes=x", "recipe").make(VERDICTS["r-prm"], SilentPolicy())
    with pytest.raises(InputError):
        typed_family("r-prm:votes=0", "recipe").make(VERDICTS["r-prm"], SilentPolicy())
