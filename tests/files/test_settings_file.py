"""Files that people write, and what a stranger may write into one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stepscore.errors import InputError
from stepscore.files.settings_file import read_settings, read_yaml

pytest.importorskip("yaml")

# Nine levels of nine references each: a thousand million values in less than a kilobyte.
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)


def test_aliases_in_aliases_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(LAUGHS)
    assert len(LAUGHS) < 1000
    # In a process of its own: read as it stands it would take the memory of this one.
    read = "import sys, stepscore; stepscore.recipes.recipe_from(sys.argv[1])"
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_CPU, (20, 20)); {read}"
    command = [sys.executable, "-c", limited, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert f"{path}:2: expected no aliases of YAML; got *a; write out there what" in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("my.yaml", "a: &a\n- *a\n", r"my\.yaml:2: expected no aliases of YAML; got \*a"),
        ("my.yaml", "a: &a {b: 1}\nc: {<<: *a}\n", r"my\.yaml:2: expected no aliases of YAML"),
        (
            "my.yaml",
            "[" * 3000 + "]" * 3000,
            r"my\.yaml: expected YAML; got maximum recursion",
        ),
        ("my.json", "[" * 100_000, r"my\.json: expected JSON; got maximum recursion depth"),
        ("my.yaml", "a: 2024-99-99\n", r"my\.yaml: expected YAML; got month must be in 1\.\.12"),
        ("my.json", '{"a": ' + "1" * 5000 + "}", r"my\.json: expected JSON; got Exceeds the limit"),
        ("my.json", '{"a": {"b": 1, "b": 2}}', r"my\.json: expected every field once; got 'b'"),
        ("my.yaml", "a:\n- b: 1\n  b: 2\n", r"my\.yaml: expected every field once; got 'b'"),
    ],
)
def test_what_cannot_be_read_names_the_file(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_settings(path)


def test_the_ending_decides_unless_yaml_is_meant(tmp_path: Path) -> None:
    path = tmp_path / "options.conf"
    path.write_text("n: 1\n")
    assert read_yaml(path) == {"n": 1}
    with pytest.raises(InputError, match=r"options\.conf:1: expected JSON"):
        read_settings(path)
