"""What every op shares: arrays in and out, errors, devices, gradients."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from same_bits import bits

import stepscore
from stepscore import _arrays, _core

ROOT = Path(__file__).resolve().parents[1]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def inputs() -> dict[str, dict[str, np.ndarray]]:
    """Per op, the arrays that it takes."""
    offsets = np.array([0, 3, 3, 8])
    return {
        "value_head": {
            "hidden": normal(8, 40),
            "weight": normal(2, 40, seed=1),
            "bias": normal(2, seed=2),
            "positions": np.array([3, 0, 7]),
        },
        "mlp_head": {
            "hidden": normal(8, 40),
            "weight": normal(2, 40, seed=1),
            "bias": normal(2, seed=2),
            "positions": np.array([3, 0, 7]),
        },
        "aggregate": {"values": np.linspace(0.1, 0.9, 8).astype(np.float32), "offsets": offsets},
        "find_steps": {
            "token_ids": np.array([1, 9, 1, 9, 1, 1, 9, 9]),
            "offsets": offsets,
            "window": np.array([[0, 3], [0, 0], [0, 5]]),
        },
        "vote": {
            "answer_ids": np.array([0, 1, 1, 2, 2, -1, 0, 0]),
            "scores": np.linspace(0.1, 0.9, 8),
            "offsets": offsets,
        },
    }


def call(op: str, arrays: dict[str, Any]) -> tuple[Any, ...]:
    """The op on its arrays, as a tuple of results."""
    arrays = dict(arrays)
    if op == "mlp_head":
        arrays["layers"] = [(arrays.pop("weight"), arrays.pop("bias"))]
    extra: dict[str, Any] = {
        "aggregate": {"how": ["min", "mean"]},
        "find_steps": {"separator": 9},
        "vote": {"rule": ["majority", "weighted"]},
    }.get(op, {})
    got = getattr(stepscore, op)(**arrays, **extra)
    return got if isinstance(got, tuple) else (got,)


OPS = sorted(inputs())
ARGUMENTS = [(op, argument) for op in OPS for argument in inputs()[op]]


# --- arrays ---------------------------------------------------------------------------------


@pytest.mark.parametrize("op", OPS)
def test_inputs_are_not_changed(op: str) -> None:
    arrays = inputs()[op]
    before = {name: array.copy() for name, array in arrays.items()}
    call(op, arrays)
    for name, array in arrays.items():
        assert bits(array) == bits(before[name]), name


@pytest.mark.parametrize("op", OPS)
def test_inputs_may_be_read_only(op: str) -> None:
    expected = [bits(field) for field in call(op, inputs()[op])]
    arrays = inputs()[op]
    for array in arrays.values():
        array.setflags(write=False)
    assert [bits(field) for field in call(op, arrays)] == expected


@pytest.mark.parametrize("op", OPS)
def test_inputs_may_be_memory_mapped(op: str, tmp_path: Any) -> None:
    arrays = inputs()[op]
    expected = [bits(field) for field in call(op, arrays)]
    mapped = {}
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
        mapped[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    assert [bits(field) for field in call(op, mapped)] == expected


@pytest.mark.parametrize("op", OPS)
def test_inputs_of_the_other_byte_order(op: str) -> None:
    arrays = inputs()[op]
    expected = [bits(field) for field in call(op, arrays)]
    swapped = {name: array.astype(array.dtype.newbyteorder()) for name, array in arrays.items()}
    assert [bits(field) for field in call(op, swapped)] == expected


@pytest.mark.parametrize(("op", "argument"), ARGUMENTS)
def test_results_have_the_framework_of_the_first_array(op: str, argument: str) -> None:
    torch = pytest.importorskip("torch")
    arrays: dict[str, Any] = dict(inputs()[op])
    expected = call(op, arrays)
    first = next(iter(arrays))
    arrays[argument] = torch.from_numpy(arrays[argument])
    got = call(op, arrays)
    for ours, theirs in zip(got, expected, strict=True):
        if argument == first:
            assert isinstance(ours, torch.Tensor)
        elif op != "vote":  # a vote with any tensor answers in tensors
            assert isinstance(ours, np.ndarray)
        assert bits(ours) == bits(theirs)


# --- gradients ------------------------------------------------------------------------------

REAL = [(op, argument) for op, argument in ARGUMENTS if inputs()[op][argument].dtype.kind == "f"]


@pytest.mark.parametrize(("op", "argument"), REAL)
def test_a_tensor_that_requires_grad_is_refused(op: str, argument: str) -> None:
    torch = pytest.importorskip("torch")
    arrays: dict[str, Any] = dict(inputs()[op])
    expected = [bits(field) for field in call(op, arrays)]
    arrays[argument] = torch.nn.Parameter(torch.from_numpy(arrays[argument]))
    message = f"{op}: {argument} requires grad, but {op} has no backward pass; call it under"
    with pytest.raises(ValueError, match=re.escape(message)):
        call(op, arrays)
    for context in (torch.no_grad, torch.inference_mode):
        with context():
            assert [bits(field.detach()) if isinstance(field, torch.Tensor) else bits(field)
                    for field in call(op, arrays)] == expected  # fmt: skip
    arrays[argument] = arrays[argument].detach()
    assert [bits(field) for field in call(op, arrays)] == expected


# --- tensors that are no plain numbers ------------------------------------------------------


@pytest.mark.parametrize(("op", "argument"), REAL)
def test_sparse_and_complex_tensors_are_refused(op: str, argument: str) -> None:
    torch = pytest.importorskip("torch")
    arrays: dict[str, Any] = dict(inputs()[op])
    plain = torch.from_numpy(arrays[argument])
    for odd in (plain.to_sparse(), plain.to(torch.complex64)):
        arrays[argument] = odd
        with pytest.raises(TypeError, match=f"{op}: {argument} must be a dense tensor of numbers"):
            call(op, arrays)


@pytest.mark.parametrize(("op", "argument"), REAL)
def test_a_lazily_negated_tensor_is_read_negated(op: str, argument: str) -> None:
    torch = pytest.importorskip("torch")
    arrays: dict[str, Any] = dict(inputs()[op])
    expected = [bits(field) for field in call(op, arrays)]
    arrays[argument] = torch._neg_view(-torch.from_numpy(arrays[argument]))
    assert [bits(field) for field in call(op, arrays)] == expected


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "bool", "int8"])
def test_tensors_of_other_dtypes_are_named(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    hidden = torch.zeros(2, 40).to(getattr(torch, dtype))
    with pytest.raises(TypeError, match=f"value_head: hidden.* {dtype}"):
        stepscore.value_head(hidden, normal(1, 40))


# --- devices --------------------------------------------------------------------------------


@pytest.mark.parametrize(("op", "argument"), ARGUMENTS)
def test_a_tensor_on_another_device_is_refused(op: str, argument: str) -> None:
    torch = pytest.importorskip("torch")
    arrays: dict[str, Any] = dict(inputs()[op])
    arrays[argument] = torch.from_numpy(arrays[argument]).to("meta")
    with pytest.raises(stepscore.DeviceError, match=f"{op}: {argument} is on meta"):
        call(op, arrays)


def test_a_cuda_tensor_without_usable_cuda_ops_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    tensor = SimpleNamespace(is_cpu=False, device=torch.device("cuda:0"))
    for usable, reason, said in (
        (False, "no CUDA driver on this machine", "no CUDA driver on this machine"),
        (True, "some device", "no CUDA kernel"),
    ):
        monkeypatch.setattr(_arrays, "cuda_available", lambda u=usable, r=reason: (u, r))
        monkeypatch.setattr(_arrays, "is_torch", lambda value: value is tensor)
        with pytest.raises(stepscore.DeviceError) as caught:
            stepscore.value_head(tensor, normal(1, 40))
        assert str(caught.value).startswith("value_head: hidden is on cuda:0")
        assert said in str(caught.value)


def test_a_cuda_tensor_is_never_copied_to_the_cpu_silently(gpu: str) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    with pytest.raises(stepscore.DeviceError, match="value_head: hidden is on cuda:0"):
        stepscore.value_head(torch.ones(2, 40, device="cuda"), normal(1, 40))


def test_an_array_of_another_cuda_framework_is_refused() -> None:
    class Foreign:
        __cuda_array_interface__ = {"shape": (2,), "typestr": "<f4", "data": (0, False)}  # noqa: RUF012

    with pytest.raises(stepscore.DeviceError, match="aggregate: values is a Foreign on a CUDA dev"):
        stepscore.aggregate(Foreign(), [0, 2], "min")


def test_cuda_available_gives_a_reason() -> None:
    usable, reason = stepscore.cuda_available()
    assert isinstance(usable, bool)
    assert reason


# --- exceptions -----------------------------------------------------------------------------


def test_every_exception_of_the_core_is_found_in_python() -> None:
    header = (ROOT / "cpp" / "include" / "stepscore" / "check.h").read_text()
    listed = re.findall(r"^struct (\w+) : std::", header, re.M)
    in_python = {"InvalidArgument": ValueError, "DeviceError": stepscore.DeviceError}
    assert set(listed) == set(in_python)
    assert issubclass(stepscore.DeviceError, RuntimeError)
    assert stepscore.DeviceError is _core.DeviceError
    assert f"{stepscore.DeviceError.__module__}.{stepscore.DeviceError.__qualname__}" == (
        "stepscore.DeviceError"
    )
    with pytest.raises(ValueError, match="STEPSCORE_CPU must be"):  # InvalidArgument
        _core.set_cpu_level("sse9")


SIGNATURE = re.compile("incompatible function arguments")

ODD_VALUES: list[Any] = [None, "text", 1.5, object(), [[1], [1, 2]], {"a": 1}, b"bytes", 1j]


@pytest.mark.parametrize("value", ODD_VALUES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(("op", "argument"), ARGUMENTS)
def test_anything_else_is_an_error_with_the_name_of_the_argument(
    op: str, argument: str, value: Any
) -> None:
    optional = argument in ("bias", "positions", "window", "answer_ids")
    if value is None and optional:
        return
    arrays: dict[str, Any] = dict(inputs()[op])
    arrays[argument] = value
    with pytest.raises((TypeError, ValueError)) as caught:
        call(op, arrays)
    assert str(caught.value).startswith(f"{op}: {argument}"), str(caught.value)
    assert not SIGNATURE.search(str(caught.value))


OPTIONS: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("value_head", "activation", lambda v: {"activation": v}),
    ("mlp_head", "activation", lambda v: {"activation": v}),
    ("mlp_head", "inner", lambda v: {"inner": v}),
    ("aggregate", "how", lambda v: {"how": v}),
    ("aggregate", "nan", lambda v: {"nan": v}),
    ("aggregate", "empty", lambda v: {"empty": v}),
    ("aggregate", "clip", lambda v: {"clip": v}),
    ("aggregate", "temperature", lambda v: {"temperature": v}),
    ("find_steps", "separator", lambda v: {"separator": v}),
    ("find_steps", "shift", lambda v: {"shift": v}),
    ("vote", "rule", lambda v: {"rule": v}),
    ("vote", "ties", lambda v: {"ties": v}),
    ("vote", "nan", lambda v: {"nan": v}),
]


@pytest.mark.parametrize("value", [None, "text", object(), ["text"], {}, 1j], ids=str)
@pytest.mark.parametrize(
    ("op", "option", "as_keyword"), OPTIONS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_odd_options_are_errors_with_their_name(
    op: str, option: str, as_keyword: Callable[[Any], Any], value: Any
) -> None:
    arrays = dict(inputs()[op])
    required: dict[str, Any] = {
        "aggregate": {"how": "min"},
        "find_steps": {"separator": 9},
        "vote": {"rule": "majority"},
    }.get(op, {})
    if op == "mlp_head":
        required["layers"] = [(arrays.pop("weight"), arrays.pop("bias"))]
    with pytest.raises((TypeError, ValueError)) as caught:
        getattr(stepscore, op)(**arrays, **(required | as_keyword(value)))
    assert str(caught.value).startswith(f"{op}: "), str(caught.value)
    assert not SIGNATURE.search(str(caught.value))
