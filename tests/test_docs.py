"""Documentation that runs: docstring examples, pages, whole programs, command lines.

Pages that are followed as a whole, with the commands on them and what these print, are in
`test_walks.py`.
"""

from __future__ import annotations

import doctest
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from page_blocks import PAGES, ROOT, WALKED, Block, blocks_of, inside

from stepscore.cli.main import COMMANDS as MAIN_COMMANDS
from stepscore.cli.main import _parser

PACKAGE = ROOT / "python" / "stepscore"
PROGRAMS = sorted((ROOT / "docs" / "examples").glob("*.py"))


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


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
PYTHON = [block for block in BLOCKS if block.language == "python"]


@pytest.mark.parametrize(
    "page",
    sorted({block.page for block in PYTHON if not block.not_run} - set(WALKED)),
    ids=inside,
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


# --- links ----------------------------------------------------------------------------------

LINK = re.compile(r"\]\((?!https?:)([^)\s#]*)(?:#([^)\s]+))?\)")


def text_of(page: Path) -> str:
    """Without blocks of code, in which a bracket is no link and a # no heading."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=inside)
def test_links_lead_somewhere(page: Path) -> None:
    for name, anchor in LINK.findall(text_of(page)):
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{inside(page)}: {name}"
        assert not anchor or anchor in anchors_of(target), f"{inside(page)}: {name}#{anchor}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in seen and page.suffix == ".md":
            seen.add(page)
            waiting += [(page.parent / name).resolve() for name, _ in LINK.findall(text_of(page))]
    assert {page for page in PAGES if page not in seen} == set()


# --- figures --------------------------------------------------------------------------------


def test_the_figures_of_the_readme_are_measured_ones() -> None:
    measured = (ROOT / "benchmarks" / "RESULTS.md").read_text()
    table = (ROOT / "README.md").read_text().partition("| times as fast |")[2]
    rows = [row.strip("|").split("|") for row in table.partition("\n\n")[0].splitlines()[2:]]
    assert len(rows) >= 10
    for cells in rows:
        for figure in re.findall(r"\d[\d.,]*\d|\d", " ".join(cells)):
            plain = re.escape(figure.removeprefix("0"))
            assert re.search(rf"(?<![\d.,])0?{plain}(?!\d|[.,]\d)", measured), (cells, figure)


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
    if block.language not in ("python", "text")
    for line in block.code.replace("\\\n", " ").splitlines()
    if line.startswith("stepscore ")
]


def test_there_are_command_lines() -> None:
    shown = {shlex.split(line)[1] for _, line in COMMANDS}
    assert shown == set(MAIN_COMMANDS)


@pytest.mark.parametrize(("block", "line"), COMMANDS, ids=str)
def test_a_command_line_parses(block: Block, line: str) -> None:
    arguments = shlex.split(line, comments=True)[1:]
    try:
        parsed = _parser().parse_args(arguments)
    except SystemExit as error:
        pytest.fail(f"{block}: {line}: exit {error.code}")
    assert parsed.command == arguments[0]
