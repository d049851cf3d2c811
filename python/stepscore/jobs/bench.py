"""What a file of the user's own costs to forward, stage by stage, and the floor below it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from stepscore.files.jsonl import LineReader
from stepscore.jobs.step_scores import Truncation, blames_input, reason_of
from stepscore.records.records import (
    Fields,
    InputError,
    Record,
    RecordError,
    SentenceError,
    parse_records,
)

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel
    from stepscore.scoring.forward.engine import Tokens
    from stepscore.scoring.forward.plan import Plan

Stage = Literal["tokenise", "plan", "forward", "read"]

_CHUNK = 512  # candidates, as in the other commands
# The bare forward takes no more tokens than this: a large file needs no long floor.
_BARE_TOKENS = 1 << 16
_BARE_ROUNDS = 3
_SEED = 0


@dataclass
class Bare:
    """The backbone alone over random tokens, in rows of one length.

    Attributes:
        length: of a row: the mean of the traces.
        tokens: of all rows: as many as the traces have unique ones, up to a whole row and at most
            65,536 or one row.
        batch: the rows of a batch, the fastest number of several.
        seconds: the median of 3.
    """

    length: int
    tokens: int
    batch: int
    seconds: float

    @property
    def rate(self) -> float:
        """Tokens per second."""
        return self.tokens / self.seconds


@dataclass
class Cost:
    """What forwarding some traces took.

    Attributes:
        traces: candidates.
        steps: of all candidates.
        given: tokens of all candidates, each with its problem, up to its last step.
        unique: distinct prefixes among them: what no plan can go below.
        forwarded: tokens that went through the model, padding included.
        padding: of these.
        batches: forward passes.
        pieces: runs of tokens that were forwarded as one.
        kept: the most tokens whose keys and values were kept for others at any time.
        kept_bytes: their memory.
        seconds: of each stage, one after the other.
        shared: whether the model shares prefixes.
        bare: the floor.
    """

    traces: int = 0
    steps: int = 0
    given: int = 0
    unique: int = 0
    forwarded: int = 0
    padding: int = 0
    batches: int = 0
    pieces: int = 0
    kept: int = 0
    kept_bytes: int = 0
    seconds: dict[Stage, float] = field(
        default_factory=lambda: {"tokenise": 0.0, "plan": 0.0, "forward": 0.0, "read": 0.0}
    )
    shared: bool = True
    bare: Bare | None = None

    @property
    def total(self) -> float:
        """Seconds of all stages."""
        return sum(self.seconds.values())

    @property
    def whole_ratio(self) -> float:
        """How many times as many tokens forwarding every trace whole would take."""
        return self.given / self.forwarded

    @property
    def bare_ratio(self) -> float:
        """Unique tokens per second of all stages, over tokens per second of the bare forward."""
        assert self.bare is not None
        return self.unique / self.total / self.bare.rate

    def as_json(self) -> dict[str, Any]:
        """Everything, for a program."""
        assert self.bare is not None
        found = asdict(self)
        found["seconds"]["total"] = self.total
        found["unique_tokens_per_second"] = self.unique / self.total
        found["given_tokens_per_second"] = self.given / self.total
        found["given_over_forwarded"] = self.whole_ratio
        found["bare"]["tokens_per_second"] = self.bare.rate
        found["ratio_to_bare"] = self.bare_ratio
        return found

    def lines(self) -> list[str]:
        """Everything, for a person."""
        assert self.bare is not None
        rows = [
            ("traces", f"{self.traces:,}", f"{self.steps:,} steps"),
            ("tokens given", f"{self.given:,}", "every trace with its problem"),
            ("  unique", f"{self.unique:,}", "distinct prefixes: the least that can be forwarded"),
            ("  forwarded", f"{self.forwarded:,}", f"of them {self.padding:,} padding"),
            ("batches", f"{self.batches:,}", f"of {self.pieces:,} pieces"),
            (
                "kept",
                f"{self.kept:,}",
                f"tokens at the most, {self.kept_bytes / 1e6:,.1f} MB of keys and values",
            ),
            *(
                (name, f"{own:.3f} s", f"{own / self.total:.1%}")
                for name, own in self.seconds.items()
            ),
            (
                "together",
                f"{self.total:.3f} s",
                f"{self.unique / self.total:,.0f} unique tokens/s, "
                f"{self.given / self.total:,.0f} given tokens/s",
            ),
            (
                "bare forward",
                f"{self.bare.rate:,.0f}",
                f"tokens/s ({self.bare.tokens:,} random tokens in rows of {self.bare.length:,}, "
                f"{self.bare.batch} in a batch)",
            ),
            ("ratio to bare", f"{self.bare_ratio:.2f}", "1 is the speed of the bare forward"),
            ("given/forwarded", f"{self.whole_ratio:.2f}", "what forwarding every trace costs"),
        ]
        notes = ["The stages were timed one after the other; scoring tokenises beside the model."]
        if not self.shared:
            notes.append("This model shares nothing: every trace is forwarded whole, padded.")
        return [*(f"{name:<16}{value:>12}  {what}".rstrip() for name, value, what in rows), *notes]


def bench_forward(
    source: str,
    load: Callable[[], ProcessRewardModel],
    *,
    limit: int | None = None,
    fields: Fields | None = None,
    truncation: Truncation = "error",
) -> Cost:
    """Score the candidates of a file stage by stage, and time the stages.

    Args:
        source: the input, ``-`` for standard input; may end in ``.gz``.
        load: makes the model, after the file has been opened.
        limit: the first so many records alone.
        fields: the names of the fields.
        truncation: see the model's ``score``.

    Raises:
        InputError: a file or a record at fault, or memory that runs out.
    """
    with LineReader(source) as reader:
        records = parse_records(iter(reader), fields or Fields(), "solutions", _refuse)
        model = load()
        cost = Cost(shared=model.costs is not None)
        warm = False
        for chunk in _chunks(islice(records, limit)):
            try:
                for begin, tokens in _tokenised(chunk, model, truncation):
                    cost.seconds["tokenise"] += time.perf_counter() - begin
                    if not warm:  # the first pass of a process pays for what later ones find
                        _forward(replace(cost, seconds=dict(cost.seconds)), model, tokens)
                        warm = True
                    _forward(cost, model, tokens)
            except RuntimeError as error:
                raise _failed(chunk[0].place, error) from error
        if not cost.traces:
            raise InputError(
                f"{reader.name}: expected at least one record; got an empty file; check the path"
            )
        if not cost.given:
            raise InputError(
                f"{reader.name}: expected steps that fit the model; every one ends past its "
                "positions; use another model"
            )
        try:
            cost.bare = _bare(cost, model)
        except RuntimeError as error:
            raise _failed(reader.name, error) from error
    return cost


def _refuse(error: RecordError) -> None:
    raise error


def _failed(place: str, error: RuntimeError) -> InputError:
    return InputError(
        f"{place}: expected the model to forward the records from here; got "
        f"{type(error).__name__}: {error}; if memory ran out, pass a smaller --token-budget"
    )


def _chunks(records: Iterator[Record]) -> Iterator[list[Record]]:
    chunk: list[Record] = []
    for record in records:
        chunk.append(record)
        if sum(len(own.candidates) for own in chunk) >= _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _tokenised(
    records: list[Record], model: ProcessRewardModel, truncation: Truncation
) -> Iterator[tuple[float, Tokens]]:
    """When each wave of the records' traces was begun, and its tokens."""
    from stepscore.scoring.waves import waves

    begin = time.perf_counter()
    try:
        traces = _checked(records, model)
        cut = waves(traces)
        for wave in cut:
            yield begin, _rendered(traces.take(wave), model, truncation)
            begin = time.perf_counter()
    except Exception as error:
        if not blames_input(error):
            raise
        # The one at fault is found by taking them one by one.
        for record in records:
            try:
                _rendered(_checked([record], model), model, truncation)
            except Exception as own:
                raise SentenceError(record.place, record.id, reason_of(own)) from own
        raise


def _checked(records: list[Record], model: ProcessRewardModel) -> Any:
    from stepscore.scoring.render import check_traces

    problems = [record.problem or "" for record in records for _ in record.candidates]
    solutions: list[Any] = [
        own.steps if own.steps is not None else own.text or ""
        for record in records
        for own in record.candidates
    ]
    return check_traces(_caller(), model.recipe, problems, solutions)


def _rendered(traces: Any, model: ProcessRewardModel, truncation: Truncation) -> Tokens:
    from stepscore.scoring.render import render

    return render(
        _caller(),
        model.recipe,
        model.tokenizer,
        traces,
        limit=model.max_length,
        truncation=truncation,
    ).tokens


def _caller() -> Any:
    from stepscore.scoring.render import Caller

    return Caller("score", lambda _: "problem", "solutions[{}]".format)


def _forward(cost: Cost, model: ProcessRewardModel, tokens: Tokens) -> None:
    """Plan, forward and read some traces, and add what that took."""
    from stepscore.scoring.checkpoint.head import read_steps
    from stepscore.scoring.forward.memory import token_bytes
    from stepscore.scoring.forward.run import hidden_states

    seconds = cost.seconds
    begin = time.perf_counter()
    planned = model.engine.plan(tokens, model.token_budget)
    rows = planned.rows(tokens.trace_of_step(), tokens.positions)
    order = np.argsort(rows, kind="stable")
    ends = planned.batch_rows()
    cuts = np.searchsorted(rows[order], ends)
    seconds["plan"] += time.perf_counter() - begin
    begin = time.perf_counter()
    for batch, hidden in enumerate(hidden_states(model.backbone, planned)):
        _wait(hidden)
        forwarded = time.perf_counter()
        seconds["forward"] += forwarded - begin
        steps = order[cuts[batch] : cuts[batch + 1]]
        if len(steps):
            _wait(read_steps(model.head, hidden, rows[steps] - ends[batch]))
        begin = time.perf_counter()
        seconds["read"] += begin - forwarded
    cost.traces += len(tokens.offsets) - 1
    cost.steps += len(tokens.positions)
    cost.given += planned.given
    cost.unique += planned.unique
    cost.forwarded += planned.forwarded
    cost.padding += planned.forwarded - len(planned.token_ids)
    cost.batches += len(planned)
    cost.pieces += len(planned.parent)
    cost.kept = max(cost.kept, most_kept(planned))
    cost.kept_bytes = cost.kept * token_bytes(model.backbone)


def most_kept(planned: Plan) -> int:
    """Give the most tokens whose keys and values a plan keeps for others at any time.

    A piece is kept from its batch to the last one in which something continues it, or what
    continues it in turn.
    """
    batch_of = np.repeat(np.arange(len(planned)), np.diff(planned.batches))
    last = np.full(len(planned.parent), -1)
    for piece in reversed(range(len(last))):
        parent = planned.parent[piece]
        if parent >= 0:
            last[parent] = max(last[parent], batch_of[piece], last[piece])
    change = np.zeros(len(planned) + 1, dtype=np.int64)
    kept = last >= 0
    np.add.at(change, batch_of[kept], planned.lengths[kept])
    np.add.at(change, last[kept] + 1, -planned.lengths[kept])
    return int(np.cumsum(change).max(initial=0))


def _bare(cost: Cost, model: ProcessRewardModel) -> Bare:
    """Time the backbone over random tokens in rows of the traces' mean length."""
    from stepscore.scoring.forward.plan import plan_padded

    length = max(1, round(cost.given / cost.traces))
    rows = max(1, round(min(cost.unique, _BARE_TOKENS) / length))
    embeddings: Any = model.backbone.get_input_embeddings()  # type: ignore[operator]
    draw = np.random.default_rng(_SEED)
    ids = draw.integers(embeddings.num_embeddings, size=rows * length, dtype=np.int32)
    offsets = np.arange(rows + 1, dtype=np.int64) * length

    def planned(batch: int) -> Plan:
        return plan_padded(ids, offsets, token_budget=batch * length)

    most = max(1, min(rows, 4 * model.token_budget // length))
    batches = sorted({min(1 << power, most) for power in range(most.bit_length() + 1)})
    batch = min(batches, key=lambda own: _seconds(model, planned(own), rounds=2)[-1])
    seconds = median(_seconds(model, planned(batch), _BARE_ROUNDS))
    return Bare(length, rows * length, batch, seconds)


def _seconds(model: ProcessRewardModel, planned: Plan, rounds: int) -> list[float]:
    from stepscore.scoring.forward.run import hidden_states

    found = []
    for _ in range(rounds):
        begin = time.perf_counter()
        for hidden in hidden_states(model.backbone, planned):
            _wait(hidden)
        found.append(time.perf_counter() - begin)
    return found


def _wait(states: Any) -> None:
    """Until a device has computed them."""
    states.flatten()[-1].item()
