"""How long a file and a function may be, and that CONTRIBUTING says why one is longer."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYTHON_FILE, PYTHON_FUNCTION = 400, 60
NATIVE_FILE, NATIVE_FUNCTION = 500, 100

PYTHON = sorted((ROOT / "python" / "stepscore").rglob("*.py"))
NATIVE = sorted(
    path
    for folder in ("cpp", "cuda", "src")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".h", ".cc", ".cu", ".cuh")
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def reasons() -> dict[str, str]:
    """The section of CONTRIBUTING that says of files and functions why they are longer."""
    section = (ROOT / "CONTRIBUTING.md").read_text().split("## Longer than the limits\n")[1]
    section = section.split("\n## ")[0]
    return dict(re.findall(r"^- `([^`]+)`: (\S.*)$", section, re.M))


def code_lines(lines: list[str], comment: str) -> int:
    return sum(bool(line.strip()) and not line.strip().startswith(comment) for line in lines)


def python_functions(path: Path) -> Iterator[tuple[str, int]]:
    """The name of every function, and its lines of code without its docstring."""
    text = path.read_text()
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            if body:
                yield node.name, code_lines(lines[body[0].lineno - 1 : node.end_lineno], "#")


def native_functions(path: Path) -> Iterator[tuple[str, int]]:
    """The head of every brace that opens behind a parenthesis and is closed in its own column."""
    lines = path.read_text().splitlines()
    for begin, line in enumerate(lines):
        opens = re.match(r"^( {0,2})\S.*\) (?:const )?(?:noexcept )?(?:: .*)?\{$", line)
        opens = opens or re.match(r"^( {0,2}) {2,}\S.*\) (?:const )?(?:noexcept )?\{$", line)
        if opens and not re.match(r"\s*(if|for|while|switch|else|\})", line):
            for end in range(begin + 1, len(lines)):
                closing = re.match(r"^( {0,2})\}", lines[end])
                if closing:
                    yield line.strip(), code_lines(lines[begin + 1 : end], "//")
                    break


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_python_files_and_functions_are_short(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= PYTHON_FILE or name_of(path) in reasons(), f"{lines} lines"
    for function, length in python_functions(path):
        place = f"{name_of(path)}:{function}"
        assert length <= PYTHON_FUNCTION or place in reasons(), f"{function}: {length} lines"


@pytest.mark.parametrize("path", NATIVE, ids=name_of)
def test_native_files_and_functions_are_short(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= NATIVE_FILE or name_of(path) in reasons(), f"{lines} lines"
    for function, length in native_functions(path):
        assert length <= NATIVE_FUNCTION, f"{function}: {length} lines of code"


def test_every_reason_is_needed() -> None:
    for place in reasons():
        file, _, function = place.partition(":")
        path = ROOT / file
        assert path.is_file(), f"{place} is not there any more"
        if function:
            assert max(n for name, n in python_functions(path) if name == function) > (
                PYTHON_FUNCTION
            ), f"{place} is short enough"
        else:
            limit = PYTHON_FILE if path.suffix == ".py" else NATIVE_FILE
            assert len(path.read_text().splitlines()) > limit, f"{place} is short enough"


def test_long_functions_are_noticed(tmp_path: Path) -> None:
    body = "\n".join(f"    x{i} = {i}" for i in range(70))
    python = tmp_path / "long.py"
    python.write_text(f'def long():\n    """Doc.\n\n    More.\n    """\n{body}\n')
    assert list(python_functions(python)) == [("long", 70)]
    statements = "\n".join(f"  f({i});" for i in range(120))
    native = tmp_path / "long.cc"
    native.write_text(
        f"namespace a {{\n\nint64_t long_one(int a,\n                 int b) {{\n{statements}\n}}\n"
        f"\nstruct B {{\n  void method() const {{\n  {statements}\n  }}\n}};\n\n}}\n"
    )
    assert [length for _, length in native_functions(native)] == [120, 120]
