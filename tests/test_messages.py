"""The library speaks of its arguments; only cli/ knows flags."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from stepscore import errors

PACKAGE = Path(errors.__file__).parent
FLAG = re.compile(r"--[a-z]")
STYLE_SHEET = ":root {"
# Scripts of their own, with options of their own.
SCRIPTS = {"lab/train.py", "lab/evaluate.py"}


def library() -> list[Path]:
    paths = []
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE).as_posix()
        if not inside.startswith("cli/") and inside not in SCRIPTS:
            paths.append(path)
    return paths


def flags_in(path: Path) -> list[str]:
    """The lines with a flag in a string; a style sheet's own names, ``var(--ink)``, are none."""
    spoken = []
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        if STYLE_SHEET not in node.value:
            spoken += [f"{path.name}:{node.lineno}: {flag}" for flag in FLAG.findall(node.value)]
    return spoken


@pytest.mark.parametrize("path", library(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_no_message_of_the_library_names_a_flag(path: Path) -> None:
    spoken = flags_in(path)
    assert not spoken, f'say the argument, as errors.Argument("overwrite", True): {spoken}'


def test_a_flag_is_seen_in_messages_and_docstrings(tmp_path: Path) -> None:
    path = tmp_path / "speaks.py"
    path.write_text('"""See --help."""\nname = f"pass --rule {1}"\n# --comment\nx = 3 --2\n')
    assert len(flags_in(path)) == 2
