"""``import stepscore``: quick, on NumPy alone, with documented names."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import numpy as np
import pytest

import stepscore
from stepscore import reference

# Of other people, and of the standard library what costs milliseconds.
FRAMEWORKS = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "huggingface_hub",
    "httpx",
    "pyarrow",
    "math_verify",
    "sympy",
    "tqdm",
    "matplotlib",
    "jinja2",
)
SLOW = ("asyncio", "concurrent", "logging", "multiprocessing", "sqlite3", "ssl", "http", "argparse")
# Of the package what most users never need.
LATE = (
    "verifier",
    "policies",
    "scoring",
    "recipes",
    "search",
    "rewards",
    "evaluation",
    "jobs",
    "cli",
    "lab",
)


def fresh(code: str) -> str:
    """What a new interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_takes_less_than_a_fifth_of_a_second() -> None:
    # NumPy is what every caller has imported already. Of the processor's time, and the best of
    # several runs: the machine may be busy, the package is not slower for it.
    code = (
        "import time, numpy; begin = time.process_time(); import stepscore;"
        "print(time.process_time() - begin)"
    )
    assert min(float(fresh(code)) for _ in range(5)) < 0.2


def test_import_brings_nothing_heavy() -> None:
    # Beyond what NumPy brings.
    heavy = {*FRAMEWORKS, *SLOW, *(f"stepscore.{room}" for room in LATE)}
    code = (
        "import sys, numpy; before = set(sys.modules); import stepscore;"
        f"print(sorted({heavy} & (set(sys.modules) - before)))"
    )
    assert fresh(code).strip() == "[]"


WITHOUT_FRAMEWORKS = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {FRAMEWORKS}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""


def test_the_ops_work_where_torch_is_absent() -> None:
    code = (
        WITHOUT_FRAMEWORKS
        + """
import numpy as np, stepscore, stepscore.reference
one = np.ones((2, 3), np.float32)
print(stepscore.value_head(one, one[:1]).tolist(), stepscore.mlp_head(one, [(one, None)]).tolist())
print(stepscore.aggregate([0.5, 0.25], [0, 2], ["min", "prod"]).tolist())
print(stepscore.vote([0, 1], [0.1, 0.2], [0, 2], "weighted").winner.tolist())
print([field.tolist() for field in stepscore.find_steps([1, 9], [0, 2], 9)])
"""
    )
    assert fresh(code).splitlines() == [
        "[[3.0], [3.0]] [[3.0, 3.0], [3.0, 3.0]]",
        "[[0.25, 0.125]]",
        "[1]",
        "[[1], [0, 1]]",
    ]


def test_scoring_without_torch_says_what_is_missing() -> None:
    code = (
        WITHOUT_FRAMEWORKS
        + """
import stepscore
try:
    stepscore.load
except ImportError as error:
    print(error)
"""
    )
    assert fresh(code).strip(), "stepscore.load must raise ImportError without torch"


OWN = [name for name in stepscore.__all__ if name not in ("ProcessRewardModel", "Ranked", "load")]


@pytest.mark.parametrize("name", stepscore.__all__)
def test_public_names_exist_and_are_documented(name: str) -> None:
    if name in ("ProcessRewardModel", "Ranked", "StepScores", "load"):
        pytest.importorskip("torch")
        pytest.importorskip("transformers")
    value = getattr(stepscore, name)
    assert inspect.getdoc(value), f"stepscore.{name} has no docstring"
    if inspect.isclass(value):
        assert value.__doc__ != value.__base__.__doc__, f"{name} has its base's docstring"


def test_the_list_of_public_names_is_sorted_and_complete() -> None:
    assert sorted(stepscore.__all__) == list(stepscore.__all__)
    assert set(stepscore.__all__) <= set(dir(stepscore))
    for name in stepscore.ops.__all__:
        assert name in stepscore.__all__
        assert getattr(stepscore, name) is getattr(stepscore.ops, name)
    # A Rule is an argument of an op, whose specification takes it as well.
    assert reference.__all__ == [name for name in stepscore.ops.__all__ if name != "Rule"]


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="module 'stepscore' has no attribute 'agregate'"):
        stepscore.agregate  # noqa: B018


def test_version_is_the_installed_one() -> None:
    from importlib.metadata import version

    assert stepscore.__version__ == version("stepscore")


def test_the_examples_of_shapes_in_the_docstrings_hold() -> None:
    hidden, weight = np.ones((4, 3), np.float32), np.ones((2, 3), np.float32)
    assert stepscore.value_head(hidden, weight).shape == (4, 2)
    assert stepscore.value_head(hidden, weight, activation="difference").shape == (4, 1)
    assert json.dumps(stepscore.aggregate([0.5], [0, 1], "min").tolist()) == "[0.5]"
