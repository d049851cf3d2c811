"""What `group_advantage` takes, for type checkers."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict, cast

from stepscore import _core

Baseline: TypeAlias = Literal["mean", "leave_one_out", "none"]
BASELINES = cast("tuple[Baseline, ...]", _core.BASELINES)

Scale: TypeAlias = Literal["std", "leave_one_out", "batch", "batch_centred", "none"]
SCALES = cast("tuple[Scale, ...]", _core.SCALES)

Singleton: TypeAlias = Literal["zero", "reward", "nan", "error"]
SINGLETONS = cast("tuple[Singleton, ...]", _core.SINGLETONS)

NanRewards: TypeAlias = Literal["error", "propagate", "drop"]


class GroupOptions(TypedDict, total=False):
    """Of `group_advantage`."""

    baseline: Baseline
    scale: Scale
    ddof: int
    eps: float
    singleton: Singleton
    group_size: int | None
    nan: NanRewards
    stream: Any
