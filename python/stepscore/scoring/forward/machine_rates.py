"""How fast a machine forwards: measured once, kept in the cache folder, or told by the environment.

Only which plan is chosen depends on it. In float32 on a CPU every plan gives the same bits.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from stepscore.errors import InputError

VARIABLE = "STEPSCORE_MACHINE_RATES"
# What JSON of any other kind raises: nested too deeply, numbers beyond those of a machine.
_NO_RATES = (ValueError, RecursionError, OverflowError)


@dataclass(frozen=True)
class MachineRates:
    """What a device does in a second, and what its calls take.

    Attributes:
        flops: operations a second in the matrix products of a batch.
        call: seconds of one small call.
        number: seconds for one number in what a layer does to every number of a row.
        fork: seconds, in a layer, of attending to one more prefix.
        piece: seconds, in a layer, of attending to one more piece by itself.
        merge: seconds, in a layer, for one number of a row that continues a prefix.
    """

    flops: float
    call: float = 0.0
    number: float = 0.0
    fork: float = 0.0
    piece: float = 0.0
    merge: float = 0.0

    def __post_init__(self) -> None:
        values = asdict(self).values()
        if any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in values):
            raise ValueError("every rate must be a number")
        if not all(math.isfinite(value) and value >= 0 for value in values) or self.flops == 0:
            raise ValueError("every rate must be finite and at least 0, and flops above it")

    @classmethod
    def of(cls, content: Any) -> MachineRates:
        """Read what `as_json` gives.

        Raises:
            ValueError: something else.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(content, Mapping) or set(content) != names:
            raise ValueError(f"a JSON object of {', '.join(sorted(names))} is needed")
        return cls(**content)

    def as_json(self) -> dict[str, float]:
        """Two digits of each: a measurement has no more, and the next one mostly agrees."""
        return {name: float(f"{value:.1e}") for name, value in asdict(self).items()}


def machine_rates(key: Mapping[str, object], measure: Callable[[], MachineRates]) -> MachineRates:
    """Give the rates of a machine: from the environment, from the cache, or measured now.

    A cache that cannot be read or written costs the measurement, and nothing else.

    Args:
        key: what they depend on.
        measure: takes well under a second.

    Raises:
        InputError: ``STEPSCORE_MACHINE_RATES`` is not what a provenance holds.
    """
    told = os.environ.get(VARIABLE, "")
    if told:  # an empty variable is an unset one, as for those of the ops
        return _told(told)
    path = _cache_path(key)
    if path is not None:
        with suppress(OSError, *_NO_RATES):
            content = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(content, Mapping) and content.get("key") == _plain(key):
                return MachineRates.of(content.get("rates"))
    # Rounded before the first use, so that this process plans as the next one will.
    rates = MachineRates.of(measure().as_json())
    if path is not None:
        with suppress(OSError):
            _write(path, json.dumps({"key": _plain(key), "rates": rates.as_json()}, indent=1))
    return rates


def _told(text: str) -> MachineRates:
    try:
        return MachineRates.of(json.loads(text))
    except _NO_RATES as error:
        raise InputError(
            "the machine_rates of a provenance, as JSON",
            got=f"{text!r} ({error})",
            advice=f"type: unset {VARIABLE}",
            where=f"the environment variable {VARIABLE}",
        ) from error


def _cache_path(key: Mapping[str, object]) -> Path | None:
    named = os.environ.get("XDG_CACHE_HOME", "")
    try:
        # The standard says that a relative path is to be ignored.
        folder = Path(named) if Path(named).is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # a user without a home
        return None
    digest = hashlib.sha256(json.dumps(_plain(key), sort_keys=True).encode()).hexdigest()
    return folder / "stepscore" / f"machine-rates-{digest[:16]}.json"


def _plain(key: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in key.items()}


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all; the last of several processes wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise
