"""The wheels that `make wheels` has made, each installed into a bare environment."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BUILT = sorted((ROOT / "dist" / "wheels").glob("*.whl"))

Install = Callable[..., Path]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--wheel-tools", required=True, help="the folder with auditwheel's python")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "wheel" in metafunc.fixturenames:
        if not BUILT:
            raise pytest.UsageError("dist/wheels holds no wheel; type: make wheels")
        metafunc.parametrize("wheel", BUILT, ids=lambda path: path.name, scope="session")


@pytest.fixture(scope="session")
def tools(request: pytest.FixtureRequest) -> str:
    """The Python of the environment that builds wheels."""
    return str(Path(request.config.getoption("--wheel-tools")).absolute() / "python")


@pytest.fixture(scope="session")
def auditwheel(tools: str) -> tuple[str, ...]:
    return tools, "-m", "auditwheel"


@pytest.fixture(scope="session")
def zig(tools: str) -> tuple[str, ...]:
    return tools, "-m", "ziglang"


@pytest.fixture(scope="session")
def install(tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Install a file into an environment with nothing else, and give its folder of programs."""

    def made(python: str, file: Path, *arguments: str) -> Path:
        home = tmp_path_factory.mktemp("bare")
        subprocess.run([python, "-m", "venv", home], check=True)
        # No path and no settings of a developer reach into it.
        pip = [home / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "-q", "install"]
        limits = ["-c", ROOT / "constraints.txt"]
        subprocess.run([*pip, *limits, *arguments, file], check=True, env=bare_environment())
        return home / "bin"

    return made


def bare_environment(**variables: str) -> dict[str, str]:
    """The environment without what belongs to Python or to stepscore."""
    own = ("PYTHON", "STEPSCORE", "VIRTUAL_ENV", "OMP_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return {**kept, **variables}
