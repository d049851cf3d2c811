"""Documentation that runs: docstring examples, pages, whole programs, command lines."""

from __future__ import annotations

import doctest
import importlib
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from stepscore.cli.main import _parser

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "python" / "stepscore"
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "python/stepscore/lab/README.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
PROGRAMS = sorted((ROOT / "docs" / "examples").glob("*.py"))


def inside(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# --- docstrings -----------------------------------------------------------------------------

MODULES = sorted(
    ".".join(path.relative_to(ROOT / "python").with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text()
)
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def test_there_are_examples() -> None:
    assert {"stepscore.ops.prefix_trie", "stepscore.scoring.model"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        pytest.skip(f"needs {error.name}")
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False)
    failures: list[str] = []
    for test in doctest.DocTestFinder().find(module, name):
        runner.run(test, out=failures.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(failures)


# --- pages ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """A piece of code on a page.

    Attributes:
        page: where it stands.
        line: of its first line, from 1.
        language: behind the fence; empty: a shell, or nothing.
        code: its text.
        not_run: the reason why it is not run; empty where it is.
    """

    page: Path
    line: int
    language: str
    code: str
    not_run: str

    def __str__(self) -> str:
        return f"{inside(self.page)}:{self.line}"

    def compiled(self):
        """With the lines of the page, for tracebacks."""
        return compile("\n" * (self.line - 1) + self.code, inside(self.page), "exec")


def blocks_of(page: Path) -> list[Block]:
    blocks, begin, fence = [], 0, None
    lines = page.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        if (mark := re.fullmatch(r"```(\w*)", line)) is None:
            continue
        if fence is None:
            begin, fence = number, mark[1]
            continue
        before = lines[begin - 2] if begin > 1 else ""
        reason = re.fullmatch(r"<!-- not run: (.+) -->", before)
        code = "\n".join(lines[begin : number - 1]) + "\n"
        blocks.append(Block(page, begin + 1, fence, code, reason[1] if reason else ""))
        fence = None
    assert fence is None, f"{inside(page)}:{begin} opens a block that nothing closes"
    return blocks


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
PYTHON = [block for block in BLOCKS if block.language == "python"]


@pytest.mark.parametrize(
    "page", sorted({block.page for block in PYTHON if not block.not_run}), ids=inside
)
def test_the_blocks_of_a_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in PYTHON:
        if block.page == page and not block.not_run:
            exec(block.compiled(), namespace)


@pytest.mark.parametrize("block", [block for block in PYTHON if block.not_run], ids=str)
def test_a_block_that_is_not_run(block: Block) -> None:
    block.compiled()  # at least it is Python
    pytest.skip(block.not_run)


# --- programs -------------------------------------------------------------------------------


def test_there_are_programs() -> None:
    assert len(PROGRAMS) >= 3
    assert "(docs/examples)" in (ROOT / "README.md").read_text()


# In one process: each would wait for torch.
RUN = """
import contextlib, io, runpy, sys, traceback, warnings
warnings.filterwarnings("error", category=DeprecationWarning, module="__main__")
for program in sys.argv[1:]:
    shown = io.StringIO()
    try:
        with contextlib.redirect_stdout(shown):
            runpy.run_path(program, run_name="__main__")
    except BaseException:
        sys.exit(f"{program}: {traceback.format_exc()}")
    if not shown.getvalue().strip():
        sys.exit(f"{program} shows nothing of what it does")
"""


def test_the_programs(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    done = subprocess.run(
        [sys.executable, "-c", RUN, *map(str, PROGRAMS)],
        cwd=tmp_path,
        env={**os.environ, "OMP_WAIT_POLICY": "passive"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "an example runs without a warning"


# --- command lines --------------------------------------------------------------------------

COMMANDS = [
    (block, line)
    for block in BLOCKS
    if block.language != "python"
    for line in block.code.splitlines()
    if line.startswith("stepscore ")
]


@pytest.mark.parametrize(("block", "line"), COMMANDS, ids=str)
def test_a_command_line_parses(block: Block, line: str) -> None:
    arguments = shlex.split(line, comments=True)[1:]
    try:
        parsed = _parser().parse_args(arguments)
    except SystemExit as error:
        pytest.fail(f"{block}: {line}: exit {error.code}")
    assert parsed.command == arguments[0]
