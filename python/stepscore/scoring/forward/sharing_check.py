"""Whether the shared way computes what the stock model computes: layer part by layer part.

The stock model forwards a few traces one by one, and the input and output of every part (a direct
child of a decoder layer: its attention, its feed-forward block, its norms) are recorded. Then the
shared way forwards the same traces, and every part is **given its recorded input**, so that
rounding does not add up from layer to layer and a router of experts cannot choose others; what it
makes of it is compared row by row. Comparing the final hidden states instead would drown in the
rounding of 16-bit formats: on SmolLM2 in bfloat16 right code and wrong code look alike there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stepscore.ragged import offsets_of, segment_of
from stepscore.recipes.config_sizes import positions
from stepscore.scoring.forward.attention import IMPLEMENTATION
from stepscore.scoring.forward.forward_pass import hidden_states
from stepscore.scoring.forward.plan import ForwardCosts, Plan, plan, plan_padded

# The largest error of a row: the norm of its difference over the norm of the stock model's row.
TOLERANCE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
# Two attentions in one number format differ by no more than this many times what two stock ones do.
NOISE = 2.0

# Under this budget the root is cut, siblings share a batch, and pieces of more and of fewer tokens
# than are attended to together occur.
_TOKEN_BUDGET = 40
_ROOT, _CHILDREN, _GRANDCHILDREN, _APART = 44, (6, 9, 1), (12, 36, 3), 7
_LONGEST = _ROOT + _CHILDREN[0] + max(_GRANDCHILDREN)
# With fewer, pieces of one token would be left of the traces.
LEAST_POSITIONS = 16
# A window that cuts prefixes and pieces of these traces.
_SHORT_WINDOW = 24


@dataclass(frozen=True)
class PartError:
    """How far the part that differs most is from the stock model's.

    Attributes:
        part: its name in the backbone, such as ``layers.3.self_attn``.
        error: the norm of a row's difference over the norm of the stock row; NaN where either way
            gives one, infinite where one way ran a part that the other did not.
        tolerance: what rounding explains: that of the number format, or `NOISE` times what another
            stock attention differs by in the same part, where that is more.
    """

    part: str
    error: float
    tolerance: float

    @property
    def explained(self) -> bool:
        """Whether the error is rounding."""
        return self.error <= self.tolerance


def largest_part_error(backbone: torch.nn.Module) -> PartError:
    """Compare the shared way with the stock model, part by part, and find the worst.

    The attention of the backbone is the stock one before and the shared one afterwards. Where it
    has windows, it is compared once more with windows that are shorter than the traces.

    Raises:
        NotImplementedError: the decoder layers, or the rows in what their parts are given, cannot
            be found.
    """
    stock_attention = backbone.config._attn_implementation  # type: ignore[union-attr]
    worst = _largest_part_error(backbone)
    if worst.explained and _windows(backbone):
        backbone.set_attn_implementation(stock_attention)  # type: ignore[operator]
        with _short_windows(backbone):
            worst = max(worst, _largest_part_error(backbone), key=_excess)
    return worst


def _largest_part_error(backbone: torch.nn.Module) -> PartError:
    vocabulary = int(backbone.get_input_embeddings().num_embeddings)  # type: ignore[operator]
    traces = _Traces.spread_over(vocabulary, positions(backbone.config.to_dict()))  # type: ignore
    recording = _record(backbone, traces)
    backbone.set_attn_implementation(IMPLEMENTATION)  # type: ignore[operator]
    errors = _compare(backbone, recording, traces.shared, traces.token_of_shared_row)
    least = TOLERANCE[backbone.dtype]  # type: ignore[index]
    worst = max(
        (PartError(part, error, least) for part, error in errors.items()),
        key=_excess,
        default=PartError("no layer", float("inf"), least),
    )
    if worst.explained or not math.isfinite(worst.error):
        return worst
    # Where a projection cancels most of what the heads give, rounding is a larger share of a row.
    try:
        backbone.set_attn_implementation("eager")  # type: ignore[operator]
        noise = _compare(backbone, recording, traces.stock, traces.token_of_stock_row)
    except Exception:  # a model without one
        return worst
    finally:
        backbone.set_attn_implementation(IMPLEMENTATION)  # type: ignore[operator]
    tolerances = {part: max(least, NOISE * noise.get(part, 0.0)) for part in errors}
    return max((PartError(part, errors[part], tolerances[part]) for part in errors), key=_excess)


def _excess(found: PartError) -> float:
    excess = found.error / found.tolerance
    return math.inf if math.isnan(excess) else excess


@dataclass(frozen=True)
class _Traces:
    """Traces that fork at several depths, and the plans by which both ways forward them."""

    stock: Plan
    shared: Plan
    # Of the rows that the stock way forwards, one for each distinct token, and which of these
    # tokens each row of either way is.
    token_rows: NDArray[np.int64]
    token_of_stock_row: NDArray[np.int64]
    token_of_shared_row: NDArray[np.int64]

    @classmethod
    def spread_over(cls, vocabulary: int, longest: int | None) -> _Traces:
        """Make traces of ids from the whole vocabulary, none of more tokens than the longest."""
        scale = min(1.0, (longest or _LONGEST) / _LONGEST)
        fractions = (np.arange(1, 1000) * 0.618034) % 1
        ids = iter((fractions * vocabulary).astype(np.int32))

        def run(length: int) -> list[np.int32]:
            return [next(ids) for _ in range(max(1, int(length * scale)))]

        root = run(_ROOT)
        first, *others = (root + run(length) for length in _CHILDREN)
        traces = [*(first + run(length) for length in _GRANDCHILDREN), *others, run(_APART)]
        token_ids = np.concatenate([np.array(trace, dtype=np.int32) for trace in traces])
        offsets = offsets_of(np.array([len(trace) for trace in traces], dtype=np.int64))
        stock = plan_padded(token_ids, offsets, token_budget=1)
        every_fork = ForwardCosts(token=1.0, fork=0.0)
        budget = int(_TOKEN_BUDGET * scale)
        shared = plan(token_ids, offsets, token_budget=budget, costs=every_fork)
        trace_of_token = segment_of(offsets)
        positions = np.arange(len(token_ids)) - offsets[trace_of_token]
        stock_rows = stock.rows(trace_of_token, positions)
        # The shared way forwards each distinct token once: its row there is its number.
        tokens = shared.rows(trace_of_token, positions)
        token_of_stock_row = np.zeros(stock.forwarded, dtype=np.int64)
        token_of_stock_row[stock_rows] = tokens
        token_rows = np.zeros(shared.forwarded, dtype=np.int64)
        token_rows[tokens] = stock_rows
        return cls(stock, shared, token_rows, token_of_stock_row, np.arange(shared.forwarded))


@dataclass
class _Part:
    """What went into one call of a layer's part and what came out, by row ``[rows, size]``."""

    given: list[torch.Tensor] = field(default_factory=list)
    made: list[torch.Tensor] = field(default_factory=list)
    positions: list[torch.Tensor] = field(default_factory=list)


# A part may be called more than once in a layer: its name and the number of the call.
_Recording = dict[tuple[str, int], _Part]


def _record(backbone: torch.nn.Module, traces: _Traces) -> _Recording:
    """Forward the stock way and keep one row of each distinct token, in the order of `rows`."""
    recording: _Recording = {}
    kept = np.zeros(traces.stock.forwarded, dtype=np.bool_)
    kept[traces.token_rows] = True
    recorder = _Recorder(recording, _by_batch(kept, traces.stock))
    for _ in _watched(backbone, traces.stock, recorder):
        pass
    # What was kept stands in the order of the stock way's rows.
    order = torch.from_numpy(np.argsort(np.argsort(traces.token_rows)))
    return {
        key: _Part(
            *(
                [torch.cat(rows)[order.to(rows[0].device)]] if rows else []
                for rows in vars(part).values()
            )
        )
        for key, part in recording.items()
    }


def _compare(
    backbone: torch.nn.Module,
    recording: _Recording,
    planned: Plan,
    token_of_row: NDArray[np.int64],
) -> dict[str, float]:
    """Forward a plan, every part on its recorded input: the largest error of a row of each part."""
    comparer = _Comparer(recording, _by_batch(token_of_row, planned))
    for _ in _watched(backbone, planned, comparer):
        pass
    for part, _ in recording.keys() ^ comparer.ran:
        comparer.errors[part] = math.inf
    return comparer.errors


def _by_batch(rows: NDArray[Any], planned: Plan) -> list[torch.Tensor]:
    return [torch.from_numpy(part) for part in np.split(rows, planned.batch_rows()[1:-1])]


class _Watch:
    """What is told of every part before and after it runs, in the batch that runs."""

    def __init__(self, rows: list[torch.Tensor]) -> None:
        self.rows = rows
        self.batch = 0
        self.ran: set[tuple[str, int]] = set()
        self._calls: dict[str, int] = {}

    def begin(self, batch: int) -> None:
        self.batch = batch
        self._calls.clear()

    def call(self, part: str) -> tuple[str, int]:
        key = part, self._calls.get(part, 0)
        self.ran.add(key)
        return key

    def after(self, part: str, made: torch.Tensor) -> None:
        self._calls[part] = self._calls.get(part, 0) + 1


class _Recorder(_Watch):
    def __init__(self, recording: _Recording, rows: list[torch.Tensor]) -> None:
        super().__init__(rows)
        self.recording = recording

    def before(
        self, part: str, given: torch.Tensor, positions: list[torch.Tensor]
    ) -> torch.Tensor | None:
        entry = self.recording.setdefault(self.call(part), _Part())
        entry.given.append(self._kept(given))
        entry.positions.extend(self._kept(_side_by_side(positions)) for _ in positions[:1])
        return None

    def after(self, part: str, made: torch.Tensor) -> None:
        self.recording[self.call(part)].made.append(self._kept(made))
        super().after(part, made)

    def _kept(self, states: torch.Tensor) -> torch.Tensor:
        return _rows_of(states)[self.rows[self.batch].to(states.device)]


class _Comparer(_Watch):
    def __init__(self, recording: _Recording, rows: list[torch.Tensor]) -> None:
        super().__init__(rows)
        self.recording = recording
        self.errors: dict[str, float] = {}
        self._arrived = False  # whether what arrives at the first part was compared in this batch

    def begin(self, batch: int) -> None:
        super().begin(batch)
        self._arrived = False

    def before(
        self, part: str, given: torch.Tensor, positions: list[torch.Tensor]
    ) -> torch.Tensor | None:
        entry = self.recording.get(self.call(part))
        if entry is None:
            return None
        if not self._arrived:  # the embeddings, and positions that are added to them
            self._note(f"what arrives at {part}", given, entry.given[0])
            self._arrived = True
        if positions and entry.positions:
            self._note(f"the positions in {part}", _side_by_side(positions), entry.positions[0])
        return self._expected(entry.given[0], given).reshape(given.shape)

    def after(self, part: str, made: torch.Tensor) -> None:
        entry = self.recording.get(self.call(part))
        if entry is not None:
            self._note(part, made, entry.made[0])
        super().after(part, made)

    def _expected(self, recorded: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        return recorded[self.rows[self.batch].to(recorded.device)].to(like)

    def _note(self, part: str, states: torch.Tensor, recorded: torch.Tensor) -> None:
        got, expected = _rows_of(states).double(), self._expected(recorded, states).double()
        scale = torch.linalg.vector_norm(expected, dim=-1)
        difference = torch.linalg.vector_norm(got - expected, dim=-1)
        # A row of zeros (the output of an untrained gate) allows no difference.
        errors = torch.where(difference == 0, 0.0, difference / scale)
        error = float(errors.max())  # NaN wins
        self.errors[part] = max(self.errors.get(part, 0.0), error, key=_or_infinite)


def _or_infinite(error: float) -> float:
    return math.inf if math.isnan(error) else error


def _watched(backbone: torch.nn.Module, planned: Plan, watch: Any) -> Iterator[torch.Tensor]:
    """Forward the batches of a plan while every part of every decoder layer is watched."""
    with ExitStack() as hooks:
        for name, part in _parts(backbone):

            def before(
                _: torch.nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], name: str = name
            ) -> Any:
                given, put = _states(inputs, named)
                if given is None:
                    return None
                replaced = watch.before(name, given, _positions(named))
                return None if replaced is None else put(replaced)

            def after(
                _: torch.nn.Module,
                inputs: tuple[Any, ...],
                named: dict[str, Any],
                output: Any,
                name: str = name,
            ) -> None:
                if _states(inputs, named)[0] is not None:
                    watch.after(name, output[0] if isinstance(output, tuple) else output)

            for handle in (
                part.register_forward_pre_hook(before, with_kwargs=True),
                part.register_forward_hook(after, with_kwargs=True),
            ):
                hooks.callback(handle.remove)
        watch.begin(0)
        for batch, hidden in enumerate(hidden_states(backbone, planned)):
            yield hidden
            watch.begin(batch + 1)


def _parts(backbone: torch.nn.Module) -> list[tuple[str, torch.nn.Module]]:
    """Name the direct children of the decoder layers."""
    depth = getattr(backbone.config, "num_hidden_layers", None)
    for name, module in backbone.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == depth:
            return [
                (f"{name}.{layer}.{part_name}", part)
                for layer, block in enumerate(module)
                for part_name, part in block.named_children()
            ]
    raise NotImplementedError("a model whose decoder layers were not found")


def _states(
    inputs: tuple[Any, ...], named: dict[str, Any]
) -> tuple[torch.Tensor | None, Callable[[torch.Tensor], Any]]:
    """Find the hidden states among a part's arguments, and how to put others there."""
    if inputs and isinstance(inputs[0], torch.Tensor):
        return inputs[0], lambda states: ((states, *inputs[1:]), named)
    states = named.get("hidden_states")
    return states, lambda states: (inputs, named | {"hidden_states": states})


def _positions(named: dict[str, Any]) -> list[torch.Tensor]:
    """Rotary cosines and sines ``[1, rows, d]``, where a part is given them."""
    given = named.get("position_embeddings")
    states = given if isinstance(given, (tuple, list)) else ()
    return [state for state in states if isinstance(state, torch.Tensor)]


def _side_by_side(states: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([_rows_of(state) for state in states], dim=-1)


def _rows_of(states: torch.Tensor) -> torch.Tensor:
    """States ``[1, rows, size]`` or ``[rows, size]`` as rows."""
    if not states.is_floating_point() or states.ndim < 2:
        raise NotImplementedError(f"a layer's part over {list(states.shape)} {states.dtype}")
    return states.reshape(-1, states.shape[-1])


def _windows(backbone: torch.nn.Module) -> list[tuple[Any, int]]:
    """What has a sliding window, the configuration or a module, and how long it is."""
    holders: list[Any] = [backbone.config, *backbone.modules()]
    windows = [(holder, getattr(holder, "sliding_window", None)) for holder in holders]
    return [(holder, window) for holder, window in windows if isinstance(window, int)]


@contextmanager
def _short_windows(backbone: torch.nn.Module) -> Iterator[None]:
    """Make every sliding window shorter than the traces."""
    before = _windows(backbone)
    try:
        for holder, window in before:
            holder.sliding_window = min(window, _SHORT_WINDOW)
        yield
    finally:
        for holder, window in before:
            holder.sliding_window = window
