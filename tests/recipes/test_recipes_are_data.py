"""No form in which a recipe is typed or stands in a file runs anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepscore.errors import InputError
from stepscore.recipes import recipe_from


@pytest.mark.parametrize(
    "recipe", ["!!python/object/apply:os.mkdir [{mark}]", "{{name: mine, layout: {python}}}"]
)
def test_yaml_calls_nothing(tmp_path: Path, recipe: str) -> None:
    yaml = pytest.importorskip("yaml")
    path, mark = tmp_path / "my.yaml", tmp_path / "executed"
    python = f"!!python/object/apply:os.mkdir [{mark}]"
    path.write_text(recipe.format(mark=mark, python=python))
    yaml.unsafe_load(path.read_text())  # it is a program, to who reads it as one
    mark.rmdir()
    with pytest.raises(InputError, match=r"my\.yaml:1: expected YAML"):
        recipe_from(path)
    assert not mark.exists()


def test_a_file_of_python_is_no_recipe(tmp_path: Path) -> None:
    path, mark = tmp_path / "my.py", tmp_path / "executed"
    path.write_text(f"import os\nos.mkdir({str(mark)!r})\n")
    with pytest.raises(InputError):
        recipe_from(str(path))
    with pytest.raises(InputError):
        recipe_from(path)
    assert not mark.exists()
