"""What the ops of `reward_shaping` take, for type checkers."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict, cast

from stepscore import _core
from stepscore.ops.group_advantage_arguments import Baseline, Singleton
from stepscore.ops.returns_arguments import NanPolicy

Shaping: TypeAlias = Literal["clip", "delta", "potential", "progress"]
SHAPINGS = cast("tuple[Shaping, ...]", _core.SHAPINGS)

Weighting: TypeAlias = Literal["step", "trace"]
WEIGHTINGS = cast("tuple[Weighting, ...]", _core.WEIGHTINGS)

StepScale: TypeAlias = Literal["std", "none"]


class NanOptions(TypedDict, total=False):
    """Of those that a NaN may go through."""

    nan: NanPolicy


class SoftminOptions(NanOptions, total=False):
    """Of `softmin_weights`."""

    temperature: float


class ShapeOptions(NanOptions, total=False):
    """Of `shape_rewards`."""

    eta: float | None
    gamma: float
    boundary: Any


class GateOptions(NanOptions, total=False):
    """Of `gate_rewards`."""

    strict: bool


class StepGroupOptions(TypedDict, total=False):
    """Of `step_group_advantage`."""

    weighting: Weighting
    baseline: Baseline
    scale: StepScale
    ddof: int | None
    eps: float
    singleton: Singleton


class WhitenOptions(TypedDict, total=False):
    """Of `whiten`."""

    offsets: Any
    ddof: int
    eps: float
    shift_mean: bool
    statistics: Any
