"""Who asks for the devices gets them, or the reason why there are none; with invented drivers."""

from __future__ import annotations

import builtins
import enum
import types
from typing import Any

import pytest

import stepscore
from stepscore.arrays.cuda_devices import CudaDevice, _ask


class Status(enum.IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_NO_DEVICE = 100
    CUDA_ERROR_UNKNOWN = 999


class Driver:
    """Answers as cuda.bindings.driver does: a tuple, with the status first."""

    def __init__(self, version: int, status: Status = Status.CUDA_SUCCESS) -> None:
        self.version, self.status = version, status

    def cuInit(self, flags: int) -> tuple[Status]:  # noqa: N802
        assert flags == 0
        return (self.status,)

    def cuDriverGetVersion(self) -> tuple[Status, int]:  # noqa: N802
        return Status.CUDA_SUCCESS, self.version


def devices(*kinds: tuple[str, tuple[int, int]]) -> Any:
    found = [types.SimpleNamespace(name=name, compute_capability=cc) for name, cc in kinds]
    return types.SimpleNamespace(get_all_devices=lambda: tuple(found))


H100, OLD = ("NVIDIA H100", (9, 0)), ("GeForce GTX 1080", (6, 1))


def test_the_devices_that_the_kernels_run_on() -> None:
    assert _ask(Driver(13000), devices(OLD, H100), "13.5.0") == [
        CudaDevice(1, "NVIDIA H100", (9, 0), "13.0")
    ]
    assert _ask(Driver(12040), devices(H100), "12.9.2")[0].driver == "12.4"


@pytest.mark.parametrize(
    ("driver", "found", "reason"),
    [
        (Driver(12080), devices(H100), r"too old: it supports CUDA 12\.8.*needs 13\.0; install a"),
        (Driver(13000, Status.CUDA_ERROR_NO_DEVICE), devices(), r"shows no device"),
        (Driver(13000), devices(), r"shows no device"),
        (Driver(13000, Status.CUDA_ERROR_UNKNOWN), devices(), r"does not start: CUDA_ERROR_UNKN"),
        (Driver(13000), devices(OLD), r"capability 7\.5 or newer; GeForce GTX 1080 has 6\.1"),
    ],
    ids=["old driver", "none", "none visible", "unknown", "old device"],
)
def test_the_reason_why_there_is_none(driver: Driver, found: Any, reason: str) -> None:
    with pytest.raises(stepscore.DeviceError, match=reason):
        _ask(driver, found, "13.5.0")


def test_without_a_driver() -> None:
    pytest.importorskip("cuda.core", exc_type=ImportError)
    if stepscore.cuda_available()[0]:
        assert stepscore.cuda_devices()
        return
    with pytest.raises(stepscore.DeviceError, match=r"no CUDA driver|shows no device|too old"):
        stepscore.cuda_devices()


def test_without_cuda_python(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "cuda":
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(stepscore.DeviceError, match=r"needs cuda-core .*stepscore\[cuda\]"):
        stepscore.cuda_devices()
