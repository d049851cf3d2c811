"""Code of users under ``mypy --strict``: what passes, what must not, and the names it may say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest

import stepscore
from stepscore import TreeSearch, _core, resample, tempering
from stepscore.ops import frontier, tree_search_nodes
from stepscore.ops import tree_search_rules as rules

# Their modules bear the names of functions.
aggregate, tree_search, value_head, vote = (
    import_module(f"stepscore.ops.{op}")
    for op in ("aggregate", "tree_search", "value_head", "vote")
)

ROOT = Path(__file__).resolve().parents[1]
USERS = ROOT / "tests" / "typing"

# The package is read for its types alone; its own mistakes are those of `make lint`.
CONFIG = """\
[mypy]
strict = true
python_version = 3.10
follow_imports = silent

[mypy-numpy.*]
ignore_errors = true

# Of torch what a tensor and a layer are: all of it takes half a minute.
[mypy-torch.*]
follow_imports = skip

[mypy-torch,torch._C,torch._tensor,torch.nn,torch.nn.parameter,torch.nn.modules.*]
follow_imports = silent

[mypy-transformers.*,tokenizers.*,pyarrow.*,safetensors.*,huggingface_hub.*,tqdm.*]
ignore_missing_imports = true
follow_imports = skip
"""


def found_by_mypy(folder: Path, files: list[str], path: str, *options: str) -> Counter[Any]:
    """File, line and code of every error in these files."""
    pytest.importorskip("mypy")
    config = folder / "mypy.ini"
    config.write_text(CONFIG)
    command = [sys.executable, "-m", "mypy", "--config-file", str(config), "--no-error-summary"]
    done = subprocess.run(
        [*command, "--cache-dir", str(folder / "cache"), *options, *files],
        cwd=USERS,
        env={**os.environ, "MYPYPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: Counter[Any] = Counter()
    for line in done.stdout.splitlines():
        error = re.fullmatch(r"([\w./-]+):(\d+): error: .*\[([\w-]+)\]", line)
        if error is not None and error[1] in files:
            found[error[1], int(error[2]), error[3]] += 1
    return found


def expected_in(files: list[str]) -> Counter[Any]:
    """What the comments ``# E: code`` say."""
    return Counter(
        (name, number, code)
        for name in files
        for number, line in enumerate((USERS / name).read_text().splitlines(), 1)
        for code in re.findall(r"# E: ([\w-]+)", line)
    )


def test_users_of_numpy_and_torch(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    files = sorted(path.name for path in USERS.glob("*.py"))
    expected = expected_in(files)
    assert len(expected) > 20
    assert found_by_mypy(tmp_path, files, str(ROOT / "python")) == expected


def test_users_of_numpy_without_torch(tmp_path: Path) -> None:
    # What mypy may read is NumPy and this package alone.
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "numpy").symlink_to(Path(np.__file__).parent)
    path = os.pathsep.join([str(ROOT / "python"), str(tmp_path / "packages")])
    files = ["mistakes.py", "numpy_user.py"]
    assert found_by_mypy(tmp_path, files, path, "--no-site-packages") == expected_in(files)


# --- the Literals against the names of the core ----------------------------------------------


KEPT: list[np.ndarray] = []  # a view does not keep its array alive


def view(values: Any, dtype: str = "float64") -> Any:
    KEPT.append(np.array(values, dtype))
    return _core.TensorView.of_numpy(KEPT[-1])


def whole(*values: int) -> Any:
    return view(values, "int64")


def rows() -> Any:
    return view([[1]], "float32")


QUEUE = _core.Queue()


def select(parameter: str) -> Callable[[str], Any]:
    settings: dict[str, Any] = {**rules.DEFAULTS}
    return lambda name: _core.Selection(simulations=1, samples=1, **{**settings, parameter: name})


# A call of the core with a name that is none of those that it knows.
CALLS: dict[str, tuple[Any, Callable[[str], Any]]] = {
    "aggregate: how": (
        aggregate.Aggregation,
        lambda name: _core.aggregate(
            view([1]), whole(0, 1), [name], None, False, 0.0, 0.1, view([1]), QUEUE
        ),
    ),
    "value_head: activation": (
        value_head.Activation,
        lambda name: _core.value_head(rows(), rows(), None, None, name, rows(), QUEUE),
    ),
    "mlp_head: inner": (
        value_head.Inner,
        lambda name: _core.mlp_head(
            rows(), [(rows(), None)], None, name, "identity", rows(), QUEUE
        ),
    ),
    "rebase_allotment: arith": (
        frontier.Arithmetic,
        lambda name: _core.rebase_allotment(view([1]), whole(0, 1), whole(1), 0.2, name, whole(1)),
    ),
    "resample: method": (
        frontier.Resampling,
        lambda name: _core.resample(view([1]), whole(0, 1), whole(1), name, 0, None, 0),
    ),
    "tempering: how": (
        frontier.Tempering,
        lambda name: _core.tempering(view([1]), whole(0, 1), name, 0.5, 0.5, 0.5, 1, 1, view([1])),
    ),
    "TreeSearch.request_expand: mode": (
        tree_search.Mode,
        lambda name: TreeSearch(1, max_nodes=4)._core.request_expand(
            np.array([0]), np.array([1]), name
        ),
    ),
    "TreeSearch.best: by": (
        tree_search_nodes.Choice,
        lambda name: TreeSearch(1, max_nodes=4)._core.best_children(name),
    ),
    **{
        f"TreeSearch.select: {parameter}": (hint, select(parameter))
        for parameter, hint in get_type_hints(rules.Settings).items()
        if get_origin(hint) is Literal
    },
}


def names_of_the_core(call: Callable[[str], Any]) -> tuple[str, ...] | None:
    """Those that its error gives; None where it takes any name."""
    try:
        call("?")
    except ValueError as error:
        return tuple(re.split(r", | or ", re.split("choose from |must be |; got", str(error))[1]))
    return None


@pytest.mark.parametrize("name", CALLS)
def test_a_literal_has_the_names_of_the_core(name: str) -> None:
    literal, call = CALLS[name]
    names = names_of_the_core(call)
    if names is None:
        pytest.skip("the core takes any name here")
    assert names == get_args(literal)


def test_the_names_of_rules_are_those_of_the_core() -> None:
    assert tuple(row["name"] for row in _core.vote_rules()) == get_args(vote.RuleName)
    assert tuple(rules.SELECTION_RULES) == get_args(rules.SelectionRule)
    assert set(rules.DEFAULTS) == set(get_type_hints(rules.Settings))


@pytest.mark.parametrize(
    ("argument", "literal", "call"),
    [
        ("nan", aggregate.NanPolicy, lambda x: stepscore.aggregate([1.0], [0, 1], "min", nan=x)),
        (
            "arith",
            frontier.Arithmetic,
            lambda x: stepscore.rebase_allotment([1], [0, 1], 1, arith=x),
        ),
        ("method", frontier.Resampling, lambda x: resample([1.0], [0, 1], 1, method=x)),
        ("how", frontier.Tempering, lambda x: tempering([1.0], [0, 1], 0.1, how=x)),
    ],
)
def test_names_that_python_checks(argument: str, literal: Any, call: Callable[[str], Any]) -> None:
    for name in get_args(literal):
        call(name)
    expected = " or ".join(f'"{name}"' for name in get_args(literal))
    with pytest.raises(ValueError, match=f"{argument} must be {expected}; got"):
        call("?")
