"""What a file of the user's own costs to forward, stage by stage, and the floor below it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from stepscore.errors import Argument, InputError
from stepscore.files import LineReader
from stepscore.jobs.model_faults import blames_input, fault_of, model_failure
from stepscore.jobs.skips import raise_fault
from stepscore.records import Fields, Record, parse_records
from stepscore.report.forward_cost import BareForward, ForwardCost

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel
    from stepscore.scoring.forward.packed_traces import PackedTraces
    from stepscore.scoring.forward.plan import Plan
    from stepscore.scoring.truncation import Truncation

_CHUNK = 512  # candidates, as in the other commands
# The bare forward takes no more tokens than this: a large file needs no long floor.
_BARE_TOKENS = 1 << 16
_BARE_ROUNDS = 3
_SEED = 0


def bench_forward(
    source: str,
    load: Callable[[], ProcessRewardModel],
    *,
    limit: int | None = None,
    fields: Fields | None = None,
    truncation: Truncation = "error",
) -> ForwardCost:
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
    fields = fields or Fields()
    with LineReader(source) as reader:
        records = parse_records(iter(reader), fields, "solutions", raise_fault)
        model = load()
        _refuse_likelihood(model)
        cost = ForwardCost(
            shared=model.costs is not None,
            sharing="" if model.sharing is None else model.sharing.reason,
        )
        warm = False
        for chunk in _chunks(islice(records, limit)):
            try:
                for seconds, cpu_seconds, tokens in _tokenised(chunk, model, truncation, fields):
                    cost.seconds["tokenise"] += seconds
                    cost.tokenise_cpu += cpu_seconds
                    if not warm:  # the first pass of a process pays for what later ones find
                        _forward(replace(cost, seconds=dict(cost.seconds)), model, tokens)
                        warm = True
                    _forward(cost, model, tokens)
            except RuntimeError as error:
                raise model_failure(chunk[0].place, "forward", error) from error
        if not cost.traces:
            raise InputError(
                "at least one record",
                got="an empty file",
                advice="check the path",
                where=reader.name,
            )
        if not cost.given:
            raise InputError(
                "steps that fit the model",
                got="none that ends within its positions",
                advice="use another model",
                where=reader.name,
            )
        try:
            cost.bare = _bare(cost, model)
        except RuntimeError as error:
            raise model_failure(reader.name, "forward", error) from error
    return cost


def _refuse_likelihood(model: ProcessRewardModel) -> None:
    """Refuse a recipe that reads every token: the stages here are those of one read per step."""
    if model.recipe.head.likelihood is not None:
        raise InputError(
            "a model that is read at one token of each step",
            got=f"{model.name} with the recipe {model.recipe.name}, which adds up over all tokens",
            advice="time prm.score instead",
            where="bench",
        )


def _chunks(records: Iterator[Record]) -> Iterator[list[Record]]:
    chunk: list[Record] = []
    for record in records:
        chunk.append(record)
        if sum(len(each.candidates) for each in chunk) >= _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _tokenised(
    records: list[Record], model: ProcessRewardModel, truncation: Truncation, fields: Fields
) -> Iterator[tuple[float, float, PackedTraces]]:
    """What each chunk of the traces took, by the clock and of all cores, and its tokens."""
    from stepscore.scoring.chunks import chunk_traces

    begin, cpu_begin = time.perf_counter(), time.process_time()
    try:
        traces = _checked(records, model)
        for chunk in chunk_traces(traces):
            tokens = _rendered(traces.take(chunk), model, truncation)
            yield time.perf_counter() - begin, time.process_time() - cpu_begin, tokens
            begin, cpu_begin = time.perf_counter(), time.process_time()
    except Exception as error:
        if not blames_input(error):
            raise
        # The one at fault is found by taking them one by one.
        for record in records:
            try:
                _rendered(_checked([record], model), model, truncation)
            except Exception as fault:
                raise fault_of(fault, record, fields) from fault
        raise


def _checked(records: list[Record], model: ProcessRewardModel) -> Any:
    from stepscore.scoring.arguments import check_traces

    problems = [record.problem or "" for record in records for _ in record.candidates]
    solutions: list[Any] = [
        candidate.text or "" if candidate.steps is None else candidate.steps
        for record in records
        for candidate in record.candidates
    ]
    return check_traces(_arguments(), model.reader, problems, solutions)


def _rendered(traces: Any, model: ProcessRewardModel, truncation: Truncation) -> PackedTraces:
    return model.renderer.render(_arguments(), traces, truncation).traces


def _arguments() -> Any:
    from stepscore.scoring.arguments import TraceArguments

    return TraceArguments(
        "score",
        lambda _: Argument("problem"),
        lambda trace, *step: Argument("solutions", index=(trace, *step)),
    )


def _forward(cost: ForwardCost, model: ProcessRewardModel, tokens: PackedTraces) -> None:
    """Plan, forward and read some traces, and add what that took."""
    from stepscore.scoring.forward.forward_pass import hidden_states
    from stepscore.scoring.forward.memory import token_bytes

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
            _wait(model.head.read(hidden, rows[steps] - ends[batch], tokens, steps))
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


def _bare(cost: ForwardCost, model: ProcessRewardModel) -> BareForward:
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
    batch = min(batches, key=lambda size: _seconds(model, planned(size), rounds=2)[-1])
    seconds = median(_seconds(model, planned(batch), _BARE_ROUNDS))
    return BareForward(length, rows * length, batch, seconds)


def _seconds(model: ProcessRewardModel, planned: Plan, rounds: int) -> list[float]:
    from stepscore.scoring.forward.forward_pass import hidden_states

    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        for hidden in hidden_states(model.backbone, planned):
            _wait(hidden)
        seconds.append(time.perf_counter() - begin)
    return seconds


def _wait(states: Any) -> None:
    """Until a device has computed them."""
    states.flatten()[-1].item()
