"""The compiled core on the CPU. Private: the functions of `stepscore.ops` are its manual."""

from collections.abc import Sequence
from typing import Any

import numpy as np

class DeviceError(RuntimeError): ...

class TensorView:
    """A pointer with dtype, shape and strides; whoever makes it keeps the array alive."""

    def __init__(
        self, data: int, dtype: str, shape: tuple[int, ...], stride: tuple[int, ...]
    ) -> None: ...
    @staticmethod
    def of_numpy(array: np.ndarray[Any, Any]) -> TensorView: ...
    @property
    def dtype(self) -> str: ...

class Queue:
    """Where a call runs: the CPU, or a stream of a CUDA device."""

    def __init__(self, stream: int = 0, device: int = -1, checked: bool = False) -> None: ...

def aggregate(
    values: TensorView,
    offsets: TensorView,
    how: Sequence[str],
    empty: float | None,
    propagate_nan: bool,
    clip: float,
    temperature: float,
    out: TensorView,
    queue: Queue,
) -> None: ...
def answer_keys(texts: tuple[str | None, ...], extract: bool) -> list[str | None]: ...
def extract_answers(texts: tuple[str | None, ...]) -> list[str | None]: ...
def group_answers(
    texts: tuple[str | None, ...],
    offsets: TensorView,
    extract: bool,
    ids: TensorView,
    decided: TensorView,
) -> None: ...
def count_steps(
    token_ids: TensorView,
    offsets: TensorView,
    separator: Sequence[int],
    shift: int,
    collapse: bool,
    window: TensorView | None,
    step_offsets: TensorView,
    queue: Queue,
) -> None: ...
def find_steps(
    token_ids: TensorView,
    offsets: TensorView,
    separator: Sequence[int],
    shift: int,
    collapse: bool,
    window: TensorView | None,
    step_offsets: TensorView,
    positions: TensorView,
    queue: Queue,
) -> None: ...
def share_prefixes(
    token_ids: TensorView,
    offsets: TensorView,
    groups: TensorView | None,
    node_offsets: TensorView,
    stem: TensorView,
) -> int: ...
def prefix_trie(
    token_ids: TensorView,
    offsets: TensorView,
    groups: TensorView | None,
    node_offsets: TensorView,
    stem: TensorView,
    token: TensorView,
    parent: TensorView,
    depth: TensorView,
    count: TensorView,
    node_of_token: TensorView,
    last_node: TensorView,
) -> None: ...
def value_head(
    hidden: TensorView,
    weight: TensorView,
    bias: TensorView | None,
    positions: TensorView | None,
    activation: str,
    out: TensorView,
    queue: Queue,
) -> None: ...
def mlp_head(
    hidden: TensorView,
    layers: Sequence[tuple[TensorView, TensorView | None]],
    positions: TensorView | None,
    inner: str,
    activation: str,
    out: TensorView,
    queue: Queue,
) -> None: ...
def vote(
    answer_ids: TensorView | None,
    scores: TensorView | None,
    offsets: TensorView,
    rules: Sequence[str],
    parameters: dict[str, object],
    ties: str,
    drop_nan: bool,
    prefixes: Sequence[int] | None,
    winner: TensorView,
    answer_id: TensorView,
    score: TensorView,
    tied: TensorView,
    margin: TensorView,
    class_scores: TensorView | None,
    workspace: TensorView | None,
    queue: Queue,
) -> None: ...
def cpu_level() -> str: ...
def set_cpu_level(name: str) -> None: ...
def num_threads() -> int: ...
def set_num_threads(threads: int) -> None: ...
