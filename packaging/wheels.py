"""Portable wheels for x86-64 Linux, one for every CPython that this machine has.

The core and the kernels are compiled once, the bindings for each interpreter; portable.cmake says
how they are linked. auditwheel then refuses a wheel that needs more than manylinux_2_28 has.
`make wheels` runs this with the tools that it needs.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "portable"
VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
BACKEND = BUILD / "backend"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
PLATFORM = "manylinux_2_28_x86_64"
_TELL = "import sys, sysconfig, platform; print(sysconfig.get_path('include'), end=';'); "
_TELL += "print(platform.python_implementation(), '%d.%d' % sys.version_info[:2], sep=';')"


def main() -> None:
    """Build what can be built, and say what was left out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="PATH",
        help="an interpreter; may be repeated (default: python3.10 to 3.14 of PATH and of pyenv)",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist" / "wheels", metavar="DIR")
    parser.add_argument("--cpu-only", action="store_true", help="leave the module _cuda out")
    given = parser.parse_args()
    if shutil.which("nvcc") is None and not given.cpu_only:
        sys.exit("wheels: nvcc is not on PATH; add it, or pass --cpu-only for wheels without _cuda")
    begun = time.monotonic()
    pythons = [Path(each) for each in given.python] or found_pythons()
    if not pythons:
        sys.exit("wheels: no interpreter was found; name one with --python")
    install_backend(min(pythons, key=lambda python: python.resolve().name))
    built = [build(python, given.out, cpu_only=given.cpu_only) for python in pythons]
    for wheel in built:
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
    print(f"{len(built)} wheels in {time.monotonic() - begun:.0f} s: {given.out}")


def found_pythons() -> list[Path]:
    """One interpreter of each version, with its headers; what is missing is said."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = []
    for version in VERSIONS:
        name = f"python{version}"
        on_path = shutil.which(name)
        places = [*([Path(on_path)] if on_path else []), *pyenv.glob(f"{version}.*/bin/{name}")]
        reasons = {str(place): fault_of(place, version) for place in places}
        usable = [place for place in places if reasons[str(place)] is None]
        found += usable[:1]
        if not usable:
            why = "; ".join(f"{place}: {reason}" for place, reason in reasons.items())
            print(f"left out: CPython {version}: {why or f'no {name} on PATH or in {pyenv}'}")
    return found


def fault_of(python: Path, version: str) -> str | None:
    """Why no wheel of a version can be built with an interpreter, or None."""
    told = subprocess.run([python, "-c", _TELL], capture_output=True, text=True, check=False)
    if told.returncode != 0:
        return "does not run"
    include, kind, number = told.stdout.strip().split(";")
    if (kind, number) != ("CPython", version):
        return f"is {kind} {number}"
    return None if Path(include, "Python.h").is_file() else f"has no headers in {include}"


def build(python: Path, out: Path, *, cpu_only: bool) -> Path:
    """Build the wheel of one interpreter, and let auditwheel judge and name it."""
    raw, judged = BUILD / "raw", BUILD / "judged"
    for folder in (raw, judged):
        shutil.rmtree(folder, ignore_errors=True)
    settings = {
        "build-dir": str(BUILD / "cmake"),  # one for all: static libraries stay as they are
        "cmake.define.CMAKE_TOOLCHAIN_FILE": str(ROOT / "packaging" / "portable.cmake"),
        "cmake.define.STEPSCORE_ZIG": f"{sys.executable} -m ziglang",
        **({"cmake.define.CMAKE_CUDA_COMPILER": ""} if cpu_only else {}),
    }
    configured = [f"--config-settings={name}={value}" for name, value in settings.items()]
    wheel_of_it = ["wheel", "--no-deps", "--no-build-isolation", *configured, "-w", str(raw), "."]
    run(*PIP, "--python", str(python), *wheel_of_it)
    [wheel] = raw.glob("*.whl")
    run(sys.executable, "-m", "auditwheel", "repair", "--plat", PLATFORM, "-w", judged, wheel)
    [wheel] = judged.glob("*.whl")
    if not cpu_only and not any("/_cuda." in name for name in zipfile.ZipFile(wheel).namelist()):
        sys.exit(f"wheels: {wheel.name} has no module _cuda; nvcc must be 12.8 or newer")
    out.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy2(wheel, out / wheel.name))


def install_backend(oldest: Path) -> None:
    """Install what builds a wheel, all of it Python, into one folder for every interpreter.

    From a place of its own for each, scikit-build-core would begin anew and compile all again.
    """
    target = ["install", "-c", "constraints.txt", "--upgrade", "--target", str(BACKEND)]
    run(*PIP, "--python", str(oldest), *target, "scikit-build-core", "pybind11")


def run(*command: str | Path) -> None:
    """Run a command with the tools and what builds wheels, and show it."""
    print("+", shlex.join(map(str, command)), flush=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(BACKEND)}
    subprocess.run(command, check=True, cwd=ROOT, env=environment)


if __name__ == "__main__":
    main()
