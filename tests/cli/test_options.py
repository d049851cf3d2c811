"""Options: each declared once, and refused with a message that names it."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_model import FakeModel

from stepscore import cli
from stepscore.cli.main import main

Write = Callable[..., str]
RECORD = {"id": 1, "candidates": [{"answer": "1", "score": 0.5}]}
PROBLEM = {"id": 1, "problem": "?", "candidates": ["x = 1"]}


def test_every_option_is_declared_once() -> None:
    flags: Counter[str] = Counter()
    for path in Path(cli.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("add_argument"):
                names = [name.value for name in node.args if isinstance(name, ast.Constant)]
                flags.update(name for name in names if name.startswith("--"))
    # config.py looks for its own option before the others are read.
    assert {name for name, count in flags.items() if count > 1} <= {"--config"}
    assert {"--rule", "--how", "--overwrite", "--seed", "--model", "--skipped"} <= set(flags)


@pytest.mark.parametrize("number", ["abc", "0", "1.5"])
def test_a_number_that_is_none(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["demo", "--problems", number])
    message = f"--problems: must be a whole number of at least 1; got '{number}'"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--how", "min"], "--how: expected one of score for a file with such scores; got min"),
        (["--skipped", "x"], "--skipped: expected --on-error skip beside it; got stop"),
        (["--skipped", "OUT", "--on-error", "skip"], "expected another file than -o"),
        (["--how", "nonsense"], None),
        (["--chunk-size", "0"], None),
        (["--on-error", "maybe"], None),
    ],
)
def test_bad_options(
    options: list[str],
    message: str | None,
    write: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = str(tmp_path / "out")
    options = [out if option == "OUT" else option for option in options]
    arguments = ["vote", write(RECORD), "-o", out, *options]
    if message is None:
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
    else:
        assert main(arguments) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--separator", "x", "--recipe", "math-shepherd"],
            "--separator: expected --recipe trl-prm beside it, the one recipe that has this "
            "choice; got --recipe math-shepherd; leave",
        ),
        (["--separator", "x"], "--separator: expected --recipe trl-prm beside it"),
        (["--separator", "", "--recipe", "trl-prm"], "--separator"),
        (["--numbering", "never"], "--numbering: expected --recipe math-shepherd beside it"),
        (["--coef", "1"], "--coef: expected --recipe eurus-implicit-prm beside it"),
        (
            ["--reference", "none", "--coef", "x", "--recipe", "eurus-implicit-prm"],
            "error: --coef x: expected a number; got 'x'",
        ),
        (
            ["--reference", "none", "--recipe", "eurus-implicit-prm"],
            "expected the coef of 'eurus-implicit-prm', which no source states",
        ),
    ],
)
def test_a_separator_belongs_to_one_recipe(
    options: list[str],
    message: str,
    fake: FakeModel,
    write: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["score", write(PROBLEM), "-o", str(tmp_path / "out"), "--model", "m"]
    assert main([*arguments, *options]) == 2
    assert message in capsys.readouterr().err
