"""The shape of the house: complete columns, arrows that point down."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import stepscore
from stepscore import ops, reference

ROOT = Path(__file__).resolve().parents[1]

PACKAGE = ROOT / "python" / "stepscore"
HEADERS = ROOT / "cpp" / "include" / "stepscore"

# Headers that are no op: the small tools.
TOOLS = {"tensor_view", "token_rows", "scalar_math", "parallel", "check"}
STEMS = sorted(path.stem for path in HEADERS.glob("*.h") if path.stem not in TOOLS)

# --- columns --------------------------------------------------------------------------------


@pytest.mark.parametrize("stem", STEMS)
def test_a_column_has_every_file(stem: str) -> None:
    files = [
        f"cpp/{stem}.cc",
        f"src/bind_{stem}.cc",
        f"python/stepscore/ops/{stem}.py",
        f"python/stepscore/reference/{stem}.py",
        f"tests/test_{stem}.py",
        f"tests/cpp/{stem}_test.cc",
        f"benchmarks/bench_{stem}.py",
    ]
    missing = [name for name in files if not (ROOT / name).is_file()]
    assert not missing, f"the column {stem} lacks {missing}"


@pytest.mark.parametrize(
    "folder", ["cpp/*.cc", "src/bind_*.cc", "cuda/*.cu", "tests/cpp/*_test.cc"]
)
def test_no_file_stands_outside_a_column(folder: str) -> None:
    tools = TOOLS | {"device", "device_probe"}
    for path in ROOT.glob(folder):
        stem = path.stem.removeprefix("bind_").removesuffix("_test")
        assert stem in STEMS or stem in tools, f"{path.name} belongs to no header in cpp/include"


@pytest.mark.parametrize("folder", ["ops", "reference"])
def test_a_further_file_of_an_op_bears_its_name(folder: str) -> None:
    # X.py holds what is public, X_<part>.py beside it what X.py would be too long with.
    for path in (PACKAGE / folder).glob("*.py"):
        parts = [stem for stem in STEMS if path.stem.startswith(f"{stem}_")]
        assert path.stem in (*STEMS, "__init__") or parts, f"{path.name} belongs to no op"


@pytest.mark.parametrize("stem", STEMS)
def test_a_column_is_registered(stem: str) -> None:
    line = f"bind_{stem}(module);"
    assert line in (ROOT / "src" / "core_module.cc").read_text()
    if (ROOT / "cuda" / f"{stem}.cu").is_file():
        assert line in (ROOT / "src" / "cuda_module.cc").read_text()
    assert f"void bind_{stem}(" in (ROOT / "src" / "bindings.h").read_text()
    build = (ROOT / "CMakeLists.txt").read_text()
    for source in (f"cpp/{stem}.cc", f"src/bind_{stem}.cc", f"cuda/{stem}.cu"):
        assert source in build or not (ROOT / source).is_file(), f"CMake does not build {source}"
    assert re.search(rf"foreach\(op [^)]*\b{stem}\b", build), f"CMake does not run {stem}_test"


@pytest.mark.parametrize("stem", STEMS)
def test_a_column_says_where_it_stands_on_a_gpu(stem: str) -> None:
    # cuda/X.cu, or one line in the header: "// GPU: not yet", or "// GPU: no sense: <reason>".
    said = re.findall(
        r"^// GPU: (not yet|no sense: \S.+)$", (HEADERS / f"{stem}.h").read_text(), re.M
    )
    there = (ROOT / "cuda" / f"{stem}.cu").is_file()
    assert len(said) == (0 if there else 1), (
        f"{stem}: either cuda/{stem}.cu exists, or {stem}.h has one line '// GPU: not yet' or "
        f"'// GPU: no sense: <reason>'; the .cu is {'there' if there else 'missing'}, the header "
        f"says {said}"
    )


def public_ops(path: Path) -> list[str]:
    """The public functions and classes; a NamedTuple is the result of an op, not an op."""
    return [
        node.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
        or (isinstance(node, ast.ClassDef) and "NamedTuple" not in map(ast.unparse, node.bases))
        if not node.name.startswith("_") and "overload" not in map(ast.unparse, node.decorator_list)
    ]


def in_snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


@pytest.mark.parametrize("stem", STEMS)
def test_a_column_is_exported_and_specified(stem: str) -> None:
    names = public_ops(PACKAGE / "ops" / f"{stem}.py")
    assert names
    assert public_ops(PACKAGE / "reference" / f"{stem}.py") == names
    for name in names:
        assert name in ops.__all__
        assert name in reference.__all__
        assert getattr(stepscore, name) is getattr(ops, name)
    stub = (PACKAGE / "_core.pyi").read_text()
    bindings = (ROOT / "src" / f"bind_{stem}.cc").read_text()
    bound = re.findall(r'(?:module\.def\(|py::class_<\w+>\(module, )"(\w+)"', bindings)
    # What a class of Python calls is a class of the core, or a function of the same name.
    assert set(map(in_snake_case, names)) <= set(map(in_snake_case, bound))
    for name in bound:
        assert re.search(rf"^(def|class) {name}\b", stub, re.M)


def test_the_columns_of_this_version_are_found() -> None:
    assert {"aggregate", "prefix_trie", "step_boundary", "value_head", "vote"} <= set(STEMS)


@pytest.mark.parametrize("stem", [s for s in STEMS if (ROOT / "cuda" / f"{s}.cu").is_file()])
def test_a_kernel_is_in_every_list(stem: str) -> None:
    header = (ROOT / "cuda" / "launchers.h").read_text()
    kernel = (ROOT / "cuda" / f"{stem}.cu").read_text()
    bindings = (ROOT / "src" / f"bind_{stem}.cc").read_text()
    on_cpu, on_gpu = ((ROOT / "src" / to / "backend.h").read_text() for to in ("cpu", "cuda"))
    launcher = re.compile(r"^Status (\w+)\(", re.M)
    launched = set(launcher.findall(header)) & set(launcher.findall(kernel))
    assert launched, f"launchers.h has nothing of {stem}.cu"
    for name in launched:
        assert f"cuda::{name}(" in on_gpu, f"src/cuda/backend.h does not call {name}"
    called = set(re.findall(r"\bbackend::(\w+)\(", bindings))
    assert called, f"bind_{stem}.cc calls no backend"
    for name in called:
        assert re.search(rf"\b{name}[(;]", on_cpu), f"src/cpu/backend.h lacks {name}"
        assert re.search(rf"\b{name}\(", on_gpu), f"src/cuda/backend.h lacks {name}"


def test_every_kernel_file_is_built_and_run_by_the_gpu_tests() -> None:
    # Where there is a CUDA compiler, the build itself shows that each of them compiles.
    build = (ROOT / "CMakeLists.txt").read_text()
    for path in (ROOT / "cuda").glob("*.cu"):
        assert f"cuda/{path.name}" in build, f"CMake does not build {path.name}"
    run = (ROOT / "tests" / "cpp" / "cuda_ops_test.cu").read_text()
    header = (ROOT / "cuda" / "launchers.h").read_text()
    for name in re.findall(r"^Status (\w+)\(", header, re.M):
        assert f"cuda::{name}(" in run, f"cuda_ops_test.cu does not run {name}"


# --- arrows ---------------------------------------------------------------------------------

# Who stands at one height does not know its neighbours, but for the pairs in SIDEWAYS.
RANK = {
    "__main__": 11,
    "cli": 10,
    "server": 10,
    "jobs": 9,
    "training": 8,
    "labeling": 8,
    "report": 7,
    "search": 6,
    "rewards": 6,
    "evaluation": 6,
    "lab": 6,
    "scoring": 5,
    "records": 5,
    "voting": 4,
    "answers": 4,
    "recipes": 4,
    "policies": 4,
    "reference": 4,
    "ops": 3,
    "ragged": 2,
    "files": 2,
    "verifier": 2,
    "hub": 2,
    "progress": 2,
    "tallies": 2,
    "arrays": 1,
    "credentials": 0,
    "lists": 1,
    "errors": 0,
    "renamed": 0,
    "seeds": 0,
    "_core": -1,
    "_cuda": -1,
}
# The command that starts a server.
SIDEWAYS: set[tuple[str, str]] = {("cli", "server")}

TORCH_FOLDERS = ("scoring", "recipes", "policies", "rewards/adapters", "training", "lab", "hub")


def python_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(tree: ast.AST) -> Iterator[tuple[ast.Import | ast.ImportFrom, list[str]]]:
    """Every import, also in a function and under TYPE_CHECKING, with the names it may load."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield node, [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node, [f"{node.module}.{alias.name}" for alias in node.names]


def without_old_names(tree: ast.Module) -> ast.Module:
    """The module without `__getattr__`: what finds a former name may point upward."""
    body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.FunctionDef) and node.name == "__getattr__")
    ]
    return ast.Module(body, [])


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imports_that_run(tree: ast.AST) -> Iterator[tuple[ast.Import | ast.ImportFrom, list[str]]]:
    """Every import but those under TYPE_CHECKING."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imports(node)
        elif not is_type_checking(node):
            yield from imports_that_run(node)


def layer_of(dotted: str) -> str | None:
    """The layer that `stepscore.x.y` belongs to; names of the package itself count as theirs."""
    parts = dotted.split(".")
    if parts[0] != "stepscore" or len(parts) == 1:
        return None
    name = parts[1]
    if name in RANK or (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file():
        return name
    if name in ops.__all__:
        return "ops"
    if name in ("load", "ProcessRewardModel", "Ranked", "StepScores"):
        return "scoring"
    if name in stepscore.__all__:
        return "arrays"
    return None if name.startswith("__") else name


@pytest.mark.parametrize("path", python_files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_python_imports_point_down(path: Path) -> None:
    here = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if here == "__init__":
        return  # it names everything
    assert here in RANK, f"{here} has no place in the order of the layers"
    for node, names in imports(without_old_names(ast.parse(path.read_text()))):
        for name in names:
            there = layer_of(name)
            if there is None or there == here:
                continue
            assert there in RANK, f"{path.name}:{node.lineno} imports {name}, an unknown layer"
            down = RANK[there] < RANK[here] or (here, there) in SIDEWAYS
            assert down, f"{path.name}:{node.lineno}: {here} must not import {there}"


@pytest.mark.parametrize("path", python_files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_frameworks_are_imported_where_the_design_allows(path: Path) -> None:
    inside = path.relative_to(PACKAGE).as_posix()
    tree = ast.parse(path.read_text())
    at_the_top = {node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)}
    for node, names in imports_that_run(tree):
        if not any(name.split(".")[0] in ("torch", "transformers") for name in names):
            continue
        assert inside.startswith(TORCH_FOLDERS), f"{inside}:{node.lineno} imports a framework"
        if inside.startswith("recipes"):
            assert node not in at_the_top, f"{inside}:{node.lineno}: recipes import lazily"


def modules() -> dict[str, Path]:
    """Every module by its dotted name; a package by that of its `__init__`."""
    found = {}
    for path in python_files():
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def test_no_circle_of_imports_inside_or_between_packages() -> None:
    known = modules()
    arrows: dict[str, set[str]] = {}
    for module, path in known.items():
        there = set()
        for _, names in imports(without_old_names(ast.parse(path.read_text()))):
            for name in names:
                # `from package import module` is an arrow to the module, else to the package.
                target = name if name in known else name.rpartition(".")[0]
                # Everything may be had from the top, which names what stands below.
                if target in known and target not in (module, "stepscore"):
                    there.add(target)
        arrows[module] = there
    arrows.pop("stepscore")
    settled: set[str] = set()

    def walk(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, "a circle: " + " -> ".join((*way[way.index(module) :], module))
        if module in settled:
            return
        for target in sorted(arrows[module]):
            walk(target, (*way, module))
        settled.add(module)

    for module in sorted(arrows):
        walk(module, ())
    assert settled == set(arrows)


def includes(folder: str) -> Iterator[tuple[Path, str]]:
    for path in sorted((ROOT / folder).rglob("*")):
        if path.suffix in (".h", ".cc", ".cu", ".cuh"):
            for name in re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', path.read_text(), re.M):
                yield path, name


FOREIGN = re.compile(r"pybind11|torch|ATen|c10|Python\.h|numpy")


def test_the_core_knows_neither_python_nor_a_framework_nor_cuda() -> None:
    found = list(includes("cpp"))
    assert found
    for path, name in found:
        assert not FOREIGN.search(name), f"{path.name} includes {name}"
        assert not re.search(r"cuda|nvtx|cublas", name), f"{path.name} includes {name}"


def test_the_kernels_know_no_python() -> None:
    for path, name in includes("cuda"):
        assert not FOREIGN.search(name), f"{path.name} includes {name}"


def test_only_the_boundary_includes_pybind11() -> None:
    assert any("pybind11" in name for _, name in includes("src"))
    for path, name in includes("src"):
        assert not re.search(r"torch|ATen|c10", name), f"{path.name} includes {name}"


def test_public_headers_include_public_headers_alone() -> None:
    for path, name in includes("cpp/include"):
        own = (HEADERS.parent / name).is_file()
        standard = re.fullmatch(r"[a-z_]+", name) is not None
        assert own or standard, f"{path.name} includes {name}"


def test_leaf_loops_call_no_inline_function_of_the_standard_library() -> None:
    # The linker would keep one copy for all levels, and a baseline machine could meet AVX-512 code.
    allowed = re.compile(r"simd/|stepscore/|immintrin\.h|arm_neon\.h|math\.h|stdint\.h|cstdint")
    for path, name in includes("cpp/simd"):
        if path.name in ("level.cc", "level.h"):
            continue
        assert allowed.match(name), f"{path.name} includes {name}"
    for name in (
        "aggregate",
        "returns",
        "scalar_math",
        "tensor_view",
        "token_rows",
        "vote",
    ):  # what the leaf loops include
        for inner in re.findall(r"#include <([^>]+)>", (HEADERS / f"{name}.h").read_text()):
            assert inner == "cstdint", f"{name}.h includes <{inner}>"
