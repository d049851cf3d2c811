"""The core compiles with clang, for processors and systems that are not at hand."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

AVX512 = "-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c"
TARGETS = [
    ("aarch64-linux-gnu.2.28", "baseline", ""),
    ("aarch64-macos", "baseline", ""),
    ("x86_64-macos", "avx512", AVX512),
    ("x86_64-macos", "avx2", "-mavx2 -mfma -mf16c"),
]


@pytest.mark.parametrize(("target", "level", "flags"), TARGETS)
def test_the_core_compiles(
    target: str, level: str, flags: str, zig: tuple[str, ...], tmp_path: Path
) -> None:
    common = ["-target", target, "-std=c++20", "-O0", "-ffp-contract=off", "-Wno-psabi"]
    common += [f"-I{ROOT / 'cpp'}", f"-I{ROOT / 'cpp' / 'include'}"]
    leaf_loops = ROOT / "cpp" / "simd" / "leaf_loops.cc"
    sources = [leaf_loops] if level == "avx2" else sorted((ROOT / "cpp").rglob("*.cc"))
    assert leaf_loops in sources
    faults = []
    for source in sources:
        more = [f"-DSTEPSCORE_LEVEL={level}", *flags.split()] if source == leaf_loops else []
        done = subprocess.run(
            [*zig, "c++", *common, *more, "-c", source, "-o", tmp_path / "out.o"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0 or "warning:" in done.stderr:
            faults.append(done.stderr)
    assert not faults, "\n".join(faults)
