"""What the tests share: options, the data folder, fixtures over array kinds and CPU levels."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from array_kinds import KINDS, Kind
from fake_model import FakeModel
from hypothesis import settings
from same_bits import LEVELS

import stepscore
from stepscore import _core

# Before torch is loaded. Threads that spin while they wait take the processors of the other test
# processes, and as many processes as processors need one thread each.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Plans that do not depend on how busy the machine is, and no file in anybody's cache folder.
os.environ["STEPSCORE_MACHINE_RATES"] = json.dumps(
    {"flops": 4e11, "call": 1e-6, "number": 2e-10, "fork": 6e-5, "piece": 4e-5, "merge": 3e-9}
)

# A deadline measures the machine, not the code. The same examples on every run, so that a red run
# can be repeated; STEPSCORE_HYPOTHESIS=explore looks further.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("STEPSCORE_HYPOTHESIS", "repeatable"))

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-gpu", action="store_true", help="fail where a test would skip for want of a GPU"
    )


def pytest_collection_finish() -> None:
    """Leave the tests and the imported libraries, which stay, out of every later collection."""
    gc.freeze()


@pytest.fixture
def gpu(request: pytest.FixtureRequest) -> str:
    """The names of the CUDA devices; without one the test is skipped."""
    usable, reason = stepscore.cuda_available()
    if not usable and request.config.getoption("--require-gpu"):
        pytest.fail(f"--require-gpu: {reason}")
    if not usable:
        pytest.skip(f"needs a GPU: {reason}")
    return reason


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data: STEPSCORE_DATA, or shared/data beside the project."""
    folder = Path(os.environ.get("STEPSCORE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs the data folder; {folder} does not exist, STEPSCORE_DATA may name it")
    return folder


@pytest.fixture(autouse=True)
def _restore_threads_and_level() -> Iterator[None]:
    threads, level = stepscore.num_threads(), stepscore.cpu_level()
    least = _core.set_least_work(0)
    _core.set_least_work(least)
    yield
    _core.set_least_work(least)
    stepscore.set_num_threads(threads)
    _core.set_cpu_level(level)


@pytest.fixture(scope="session")
def levels() -> list[str]:
    """The CPU levels of this machine; baseline is always among them."""
    before, usable = stepscore.cpu_level(), []
    for name in LEVELS:
        try:
            _core.set_cpu_level(name)
        except ValueError:
            continue
        usable.append(name)
    _core.set_cpu_level(before)
    assert "baseline" in usable
    return usable


@pytest.fixture(params=KINDS, ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """Put a fake behind stepscore.load."""
    model = FakeModel()
    monkeypatch.setitem(stepscore.__dict__, "load", lambda name, **options: model)
    return model


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write records (or raw lines) into a file."""

    def write_lines(*lines: Any, name: str = "in.jsonl") -> str:
        path = tmp_path / name
        raw = [
            line
            if isinstance(line, bytes)
            else (line if isinstance(line, str) else json.dumps(line)).encode()
            for line in lines
        ]
        path.write_bytes(b"\n".join(raw) + b"\n")
        return str(path)

    return write_lines
