"""The stubs of the compiled modules against the modules themselves."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

STUBS = ROOT / "python" / "stepscore"

# Torch and NumPy are left unread: the names and signatures of the stubs do not depend on them.
MYPY = """\
[mypy]
mypy_path = python
follow_imports = skip
follow_imports_for_stubs = True
ignore_missing_imports = True
"""
# The metaclass of pybind11 is an accident of its classes, not their interface.
CLASSES = {
    "_core": ["TensorView", "Queue", "Selection", "TreeSearch"],
    "_cuda": ["Borrowed", "Owned"],
}
ALLOWED = "".join(f"stepscore.{name}.{kind}\n" for name, kinds in CLASSES.items() for kind in kinds)


def compiled(name: str):
    try:
        return import_module(f"stepscore.{name}")
    except ImportError as error:
        if name == "_cuda":
            pytest.skip(f"this build has no _cuda: {error}")
        raise


@pytest.mark.parametrize("name", ["_core", "_cuda"])
def test_stubtest_finds_the_same_names(name: str, tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    compiled(name)
    config, allowed = tmp_path / "mypy.ini", tmp_path / "allowed.txt"
    config.write_text(MYPY)
    allowed.write_text(ALLOWED)
    command = [sys.executable, "-m", "mypy.stubtest", f"stepscore.{name}"]
    options = ["--mypy-config-file", str(config), "--allowlist", str(allowed)]
    done = subprocess.run(
        [*command, *options, "--ignore-unused-allowlist"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def written_by_pybind(text: str) -> str:
    """A type as pybind11 prints it, as a stub spells it."""
    text = text.replace("typing.SupportsFloat | typing.SupportsIndex", "float")
    text = text.replace("typing.SupportsInt | typing.SupportsIndex", "int")
    text = re.sub(r"stepscore\._c\w+\.|collections\.abc\.|typing_extensions\.", "", text)
    text = re.sub(r"numpy\.typing\.NDArray\[numpy\.(\w+)\]", r"NDArray[np.\1]", text)
    text = re.sub(r"\btuple\b(?!\[)", "tuple[Any, ...]", text)
    return text.replace("numpy.ndarray", "np.ndarray[Any, Any]")


def signature(function: ast.FunctionDef) -> tuple[list[tuple[str, str | None]], str | None]:
    def spelled(annotation: ast.expr | None) -> str | None:
        return None if annotation is None else ast.unparse(annotation)

    arguments = [(a.arg, spelled(a.annotation)) for a in function.args.args]
    return arguments, spelled(function.returns)


@pytest.mark.parametrize("name", ["_core", "_cuda"])
def test_signatures_are_those_that_pybind_prints(name: str) -> None:
    # stubtest cannot see them: pybind11 keeps the signature in the docstring.
    module = compiled(name)
    stub = ast.parse((STUBS / f"{name}.pyi").read_text())
    functions = [node for node in stub.body if isinstance(node, ast.FunctionDef)]
    assert functions
    for function in functions:
        line = getattr(module, function.name).__doc__.splitlines()[0]
        printed = ast.parse(f"def {written_by_pybind(line)}: ...").body[0]
        assert isinstance(printed, ast.FunctionDef)
        assert signature(function) == signature(printed), function.name


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name, kinds in CLASSES.items() for kind in kinds]
)
def test_the_members_of_the_classes_have_the_printed_signatures(name: str, kind: str) -> None:
    made = getattr(compiled(name), kind)
    stub = ast.parse((STUBS / f"{name}.pyi").read_text())
    (written,) = (
        node for node in stub.body if isinstance(node, ast.ClassDef) and node.name == kind
    )
    functions = [node for node in written.body if isinstance(node, ast.FunctionDef)]
    assert functions
    for function in functions:
        member = getattr(made, function.name)
        if isinstance(member, property):
            assert member.fget is not None
            said = member.fget.__doc__
            assert said is not None
            returned = written_by_pybind(said.strip().splitlines()[0]).partition(" -> ")[2]
            assert signature(function)[1] == returned, function.name
            continue
        line = member.__doc__.splitlines()[0]
        printed = ast.parse(f"def {written_by_pybind(line)}: ...").body[0]
        assert isinstance(printed, ast.FunctionDef)
        ours, theirs = signature(function)[0], signature(printed)[0]
        assert [argument for argument, _ in ours] == [argument for argument, _ in theirs]
        assert signature(function)[1] == signature(printed)[1]
