"""The CUDA devices of this machine, asked of the driver through cuda-python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stepscore.arrays.device import DeviceError

# The oldest architecture that CMakeLists.txt names.
_OLDEST = (7, 5)
_INSTALL = "type: pip install 'stepscore[cuda]'"

# What the driver answers to "is anybody there", in words; the rest by its own name.
_REASONS = {
    "CUDA_ERROR_NO_DEVICE": "the CUDA driver shows no device (is CUDA_VISIBLE_DEVICES set?)",
    "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH": "the CUDA library and the kernel's driver are of two "
    "versions; restart the machine, or install one of both",
    "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE": "the CUDA library is of a newer version than this "
    "device's driver may be used with; install a newer driver",
}


@dataclass(frozen=True)
class CudaDevice:
    """A CUDA device that the compiled kernels run on.

    Attributes:
        number: its index, from 0.
        name: as the driver gives it.
        compute_capability: its architecture, ``(9, 0)`` for an H100.
        driver: the newest CUDA version that the driver supports, ``"13.0"``.
    """

    number: int
    name: str
    compute_capability: tuple[int, int]
    driver: str


def cuda_devices() -> list[CudaDevice]:
    """The CUDA devices of this machine, by cuda-python; needs no torch.

    `cuda_available` says whether the compiled kernels can run, without any package; this says on
    what. The devices that are too old for the kernels are left out.

    Returns:
        One `CudaDevice` each, at least one.

    Raises:
        DeviceError: there is none; the message is the reason, and what to do about it: cuda-core is
            not installed, no driver, a driver too old for the installed cuda-bindings, no device,
            or none with compute capability 7.5 or newer.

    Example:
        >>> import stepscore
        >>> try:
        ...     reason = ", ".join(device.name for device in stepscore.cuda_devices())
        ... except stepscore.DeviceError as error:
        ...     reason = str(error)
        >>> reason != ""
        True
    """
    try:
        import cuda.bindings
        import cuda.core
        from cuda.bindings import driver
    except ImportError as error:
        raise DeviceError(f"cuda_devices needs cuda-core ({error}); {_INSTALL}") from error
    return _ask(driver, cuda.core.Device, cuda.bindings.__version__)


def _ask(driver: Any, device_of: Any, bindings: str) -> list[CudaDevice]:
    """Ask a driver; `device_of` is ``cuda.core.Device``."""
    try:
        status = driver.cuInit(0)[0]
        supported = int(driver.cuDriverGetVersion()[1])
    except RuntimeError as error:  # the library itself is not there, or lacks a function
        raise DeviceError(f"no CUDA driver on this machine ({error})") from error
    needed = int(bindings.split(".")[0])
    version = f"{supported // 1000}.{supported % 1000 // 10}"
    if 0 < supported < 1000 * needed:
        raise DeviceError(
            f"the CUDA driver is too old: it supports CUDA {version}, cuda-bindings {bindings} "
            f"needs {needed}.0; install a newer driver, or type: "
            f"pip install 'cuda-bindings<{needed}'"
        )
    if int(status) != 0:
        name = getattr(status, "name", str(status))
        raise DeviceError(_REASONS.get(name, f"the CUDA driver does not start: {name}"))
    usable, too_old = [], []
    for number, device in enumerate(device_of.get_all_devices()):
        major, minor = device.compute_capability
        if (major, minor) < _OLDEST:
            too_old.append(f"{device.name} has {major}.{minor}")
        else:
            usable.append(CudaDevice(number, str(device.name), (int(major), int(minor)), version))
    if too_old and not usable:
        oldest = ".".join(map(str, _OLDEST))
        raise DeviceError(
            f"the kernels need compute capability {oldest} or newer; {', '.join(too_old)}"
        )
    if not usable:
        raise DeviceError(_REASONS["CUDA_ERROR_NO_DEVICE"])
    return usable
