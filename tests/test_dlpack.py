"""Arrays of other libraries at the boundary, tried on CPU memory: taken once, given back always."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stepscore import _core

_cuda: Any = pytest.importorskip("stepscore._cuda", reason="this build has no CUDA module")


class Watched(np.ndarray):
    """An array whose end can be seen."""


def watched(array: np.ndarray) -> tuple[Any, Callable[[], bool]]:
    """The array, and whether anybody still holds its memory."""
    made = array.view(Watched)
    reference = weakref.ref(made)

    def held() -> bool:
        gc.collect()
        return reference() is not None

    return made, held


def minimum(values: Any, count: int) -> np.ndarray:
    """Read a view of numbers through the core."""
    offsets, out = np.array([0, count]), np.zeros((1, 1), np.float32)
    _core.aggregate(
        values,
        _core.TensorView.of_numpy(offsets),
        ["min"],
        None,
        False,
        0.0,
        0.1,
        _core.TensorView.of_numpy(out),
        _core.Queue(),
    )
    return out


def test_an_array_is_borrowed_and_given_back() -> None:
    array, held = watched(np.array([3.0, 2.0, 5.0], np.float32))
    borrowed = _cuda.Borrowed(array.__dlpack__())
    assert borrowed.device == -1
    assert borrowed.view.dtype == "float32"
    del array
    assert held()
    assert minimum(borrowed.view, 3) == 2.0
    view = borrowed.view
    del borrowed
    assert held(), "a view keeps what it shows"
    assert minimum(view, 3) == 2.0
    del view
    assert not held()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "int64", "bool"])
def test_every_dtype_has_its_name(dtype: str) -> None:
    assert _cuda.Borrowed(np.zeros((2, 3), dtype).__dlpack__()).view.dtype == dtype


def test_torchs_bfloat16() -> None:
    torch = pytest.importorskip("torch")
    capsule = torch.zeros(3, dtype=torch.bfloat16).__dlpack__()
    assert _cuda.Borrowed(capsule).view.dtype == "bfloat16"


def test_strides_and_offsets_are_those_of_the_array() -> None:
    array = np.arange(20, dtype=np.float32)
    assert minimum(_cuda.Borrowed(array[7:].__dlpack__()).view, 13) == 7.0
    with pytest.raises(ValueError, match=r"contiguous in its last dimension \(stride 1, got 2\)"):
        minimum(_cuda.Borrowed(array[::2].__dlpack__()).view, 10)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint64", "complex64"])
def test_other_dtypes_are_refused_and_given_back(dtype: str) -> None:
    array, held = watched(np.zeros(3, dtype))
    capsule = array.__dlpack__()
    with pytest.raises(TypeError, match="unsupported DLPack type: code"):
        _cuda.Borrowed(capsule)
    del array, capsule
    assert not held()


def test_more_dimensions_than_the_core_knows_are_refused_and_given_back() -> None:
    array, held = watched(np.zeros((1, 1, 1, 1, 1), np.float32))
    capsule = array.__dlpack__()
    with pytest.raises(ValueError, match="at most 4 dimensions; got 5"):
        _cuda.Borrowed(capsule)
    del array, capsule
    assert not held()


def test_a_capsule_can_be_taken_once() -> None:
    array, held = watched(np.zeros(3, np.float32))
    capsule = array.__dlpack__()
    borrowed = _cuda.Borrowed(capsule)
    with pytest.raises(TypeError, match="a DLPack capsule that nobody has taken yet"):
        _cuda.Borrowed(capsule)
    assert borrowed.view.dtype == "float32"
    del array, capsule
    assert held()
    del borrowed
    assert not held()


def versioned(array: Any) -> Any:
    try:
        return array.__dlpack__(max_version=(1, 0))
    except TypeError as error:
        pytest.skip(f"NumPy {np.__version__} makes no capsules of version 1: {error}")


def test_a_capsule_of_version_1_is_taken_once_and_given_back() -> None:
    array, held = watched(np.array([3.0, 2.0, 5.0], np.float32))
    capsule = versioned(array)
    borrowed = _cuda.Borrowed(capsule)
    assert not borrowed.read_only
    assert minimum(borrowed.view, 3) == 2.0
    with pytest.raises(TypeError, match="a DLPack capsule that nobody has taken yet"):
        _cuda.Borrowed(capsule)
    del array, capsule
    assert held()
    del borrowed
    assert not held()


def test_a_read_only_array_says_so() -> None:
    array = np.zeros(3, np.float32)
    array.flags.writeable = False
    assert _cuda.Borrowed(versioned(array)).read_only


def test_a_refused_capsule_of_version_1_is_given_back() -> None:
    array, held = watched(np.zeros(3, np.int8))
    capsule = versioned(array)
    with pytest.raises(TypeError, match="unsupported DLPack type: code"):
        _cuda.Borrowed(capsule)
    del array, capsule
    assert not held()


def test_a_capsule_that_nobody_takes_is_given_back() -> None:
    array, held = watched(np.zeros(3, np.float32))
    capsule = array.__dlpack__()
    del array
    assert held()
    del capsule
    assert not held()


def test_what_is_no_capsule_is_refused() -> None:
    with pytest.raises(TypeError):
        _cuda.Borrowed(np.zeros(3, np.float32))


# --- without a device -----------------------------------------------------------------------

WITHOUT_DEVICES = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}


def fresh(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=WITHOUT_DEVICES,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_module_imports_and_answers_without_a_device() -> None:
    usable, reason = fresh(
        "from stepscore import _cuda\nprint(*_cuda.probe_device(), sep='|')"
    ).split("|")
    assert usable == "False"
    assert reason


def test_the_refusal_names_the_reason() -> None:
    code = """
import stepscore
class Foreign:
    shape = (2,)
    def __dlpack_device__(self): return 2, 0
    def __dlpack__(self, **_): raise AssertionError
usable, reason = stepscore.cuda_available()
assert not usable
try:
    stepscore.aggregate(Foreign(), [0, 2], "min")
except stepscore.DeviceError as error:
    assert reason in str(error), (reason, str(error))
    print(error)
"""
    said = fresh(code)
    assert said.startswith("aggregate: values is on cuda:0, and the CUDA ops are not usable: ")
    assert said.endswith("; pass it on the CPU to compute there")


def test_nothing_of_the_cuda_path_imports_torch() -> None:
    code = """
import sys
import stepscore
from stepscore import _cuda
try:
    stepscore.aggregate(type("Foreign", (), {
        "shape": (2,), "__dlpack_device__": lambda self: (2, 0)})(), [0, 2], "min", stream=0)
except stepscore.DeviceError:
    print("torch" in sys.modules)
"""
    assert fresh(code) == "False"


def test_an_op_without_a_device_is_a_device_error() -> None:
    code = """
import numpy as np
import stepscore
from stepscore import _core, _cuda
try:
    _cuda.Owned([2], "float32", _core.Queue(0, 0))
except stepscore.DeviceError as error:
    print(error)
"""
    assert fresh(code).startswith("allocate: CUDA: ")
