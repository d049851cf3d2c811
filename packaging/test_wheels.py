"""Every wheel: what it asks of the system, and that it computes what a development build does."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Install, bare_environment
from wheels import found_pythons

NEWEST = (2, 28)  # of glibc
LARGEST = 12e6
LIBRARIES = re.compile(r"(lib(c|m|dl|rt|pthread)|ld-linux-x86-64)\.so\.\d")
LEVELS = ("baseline", "avx2", "avx512")
SCORED = {"id": 1, "answer": "4", "candidates": ["The answer is 4.", "The answer is 5."]}


def run(*command: Any, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command away from the sources."""
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        cwd="/",
        env=bare_environment(**variables),
        check=False,
    )


@pytest.fixture(scope="session")
def here() -> dict[str, Any]:
    """What the development build computes."""
    told = run(sys.executable, ROOT / "packaging" / "installed.py")
    assert told.returncode == 0, told.stdout + told.stderr
    return dict(json.loads(told.stdout))


@pytest.fixture(scope="session")
def bare(wheel: Path, install: Install) -> Path:
    """The programs of an environment with this wheel and NumPy alone."""
    tag = wheel.name.split("-")[2]
    fitting = [
        str(path) for path in found_pythons() if f"cp{path.name[6:].replace('.', '')}" == tag
    ]
    assert fitting, f"there is no interpreter for {tag}"
    return install(fitting[0], wheel)


@pytest.fixture
def modules(wheel: Path, tmp_path: Path) -> list[Path]:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".so")]
        return [Path(archive.extract(name, tmp_path)) for name in names]


def test_auditwheel_asks_for_no_newer_system(wheel: Path, auditwheel: tuple[str, ...]) -> None:
    said = run(*auditwheel, "show", wheel).stdout
    policy = re.search(r'platform\s+tag:\s+"manylinux_(\d+)_(\d+)_x86_64"', " ".join(said.split()))
    assert policy is not None, said
    assert (int(policy[1]), int(policy[2])) <= NEWEST
    assert "manylinux_2_28_x86_64" in wheel.name


def test_modules_ask_for_old_symbols_alone(modules: list[Path]) -> None:
    assert sorted(path.name.partition(".")[0] for path in modules) == ["_core", "_cuda"]
    for module in modules:
        needs = run("readelf", "-V", "-W", module).stdout
        numbers = {
            tuple(map(int, each.split("."))) for each in re.findall(r"GLIBC_([\d.]+)", needs)
        }
        assert (2, 2, 5) in numbers  # the pattern fits what readelf says
        assert max(numbers) <= NEWEST, module.name
        assert not re.search("GLIBCXX|CXXABI|GCC_", needs), module.name
        wanted = re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", "-W", module).stdout)
        assert [each for each in wanted if not LIBRARIES.fullmatch(each)] == []


def test_modules_show_nothing_but_how_they_are_initialised(modules: list[Path]) -> None:
    for module in modules:
        shown = run("nm", "-D", "--defined-only", module).stdout.split("\n")
        names = [line.split()[-1] for line in shown if line]
        assert names == [f"PyInit_{module.name.partition('.')[0]}"]


def test_size(wheel: Path) -> None:
    assert wheel.stat().st_size < LARGEST


def test_it_computes_the_bits_of_the_development_build(bare: Path, here: dict[str, Any]) -> None:
    told = run(bare / "python", ROOT / "packaging" / "installed.py")
    assert told.returncode == 0, told.stdout + told.stderr
    there = json.loads(told.stdout)
    assert str(bare.parent) in there["file"]
    assert there["level"] == here["level"]
    assert there["hashes"] == here["hashes"]
    levels = {name.split()[0] for name in there["hashes"]}
    assert len(there["hashes"]) >= 50 * len(levels)
    print(f"{len(there['hashes'])} equal hashes over {sorted(levels)}")


def test_the_environment_forces_its_level(bare: Path, here: dict[str, Any]) -> None:
    usable = {name.split()[0] for name in here["hashes"]}
    code = "import stepscore; print(stepscore.cpu_level())"
    for level in LEVELS:
        told = run(bare / "python", "-c", code, STEPSCORE_CPU=level)
        assert told.stdout.strip() == level or level not in usable, told.stderr


def test_the_gpu_module_is_inside_and_refuses_politely(bare: Path, here: dict[str, Any]) -> None:
    code = "from stepscore import _cuda; import stepscore; print(*stepscore.cuda_available())"
    told = run(bare / "python", "-c", code)
    assert told.returncode == 0, told.stderr
    usable, _, reason = told.stdout.strip().partition(" ")
    assert "no CUDA module" not in reason
    if not here["gpu"]:
        assert (usable, bool(reason)) == ("False", True)


def test_commands(bare: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps(SCORED))
    for arguments in (["demo", "--help"], ["--version"], ["vote", source], ["doctor"]):
        told = run(bare / "stepscore", *arguments)
        assert told.returncode == 0, told.stderr
        assert told.stdout
    told = run(bare / "stepscore", "doctor", "--json")
    missing = [each["name"] for each in json.loads(told.stdout)["packages"] if not each["version"]]
    assert "torch" in missing


def test_the_source_distribution_builds(
    install: Install, tmp_path: Path, here: dict[str, Any]
) -> None:
    from scikit_build_core.build import build_sdist

    before = os.getcwd()
    os.chdir(ROOT)
    try:
        file = tmp_path / build_sdist(str(tmp_path))
    finally:
        os.chdir(before)
    shutil.unpack_archive(file, tmp_path / "unpacked", filter="data")
    [sources] = (tmp_path / "unpacked").iterdir()
    assert (sources / "tests" / "test_vote.py").is_file()
    programs = install(
        sys.executable, sources, "--config-settings=cmake.define.CMAKE_CUDA_COMPILER="
    )
    told = run(programs / "python", sources / "packaging" / "installed.py")
    assert told.returncode == 0, told.stdout + told.stderr
    assert json.loads(told.stdout)["hashes"] == here["hashes"]
