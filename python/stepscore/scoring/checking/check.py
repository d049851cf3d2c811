"""A loaded model against a slow, independent reading of its checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from stepscore.errors import Argument, InputError
from stepscore.hub import silenced_hub
from stepscore.recipes import Evidence, Recipe, Tokenizer, detect
from stepscore.scoring.arguments import Solution, TraceArguments, check_traces, score_arguments
from stepscore.scoring.checking.findings import (
    about_files,
    about_scores,
    about_texts,
    about_tokenizer,
    about_tokens,
)
from stepscore.scoring.checking.layout import LaidOut, compare_layouts
from stepscore.scoring.checking.reading import SlowReading, load_slow_reading, refuse_unknown
from stepscore.scoring.checking.report import CheckReport, Difference, Finding
from stepscore.scoring.checking.template import about_template
from stepscore.scoring.checking.traces import CheckTrace, built_in_traces
from stepscore.scoring.checkpoint.adapter import AdapterUse, home, open_model, with_tokenizer
from stepscore.scoring.checkpoint.folder import Checkpoint
from stepscore.scoring.checkpoint.loading import load
from stepscore.scoring.checkpoint.tokenizer import load_tokenizer
from stepscore.scoring.model import ProcessRewardModel

if TYPE_CHECKING:
    from stepscore.recipes.recipe_files import NamedRecipe

Float = NDArray[np.float64]

# How far the two may lie apart. In float32 both round sums of thousands of terms, in another order;
# a fault moves scores by far more. In half precision the noise of the format is measured, too.
TOLERANCE = {"float32": 1e-4, "float16": 2e-3, "bfloat16": 1.6e-2}
_TIMES_NOISE = 4.0
_MOST_DIFFERENCES = 20


def check_model(
    model: str | Path | ProcessRewardModel,
    problems: str | Sequence[str] | None = None,
    solutions: Sequence[Solution] | None = None,
    *,
    recipe: NamedRecipe | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    revision: str | None = None,
    max_length: int | None = None,
    base: str | Path | None = None,
    adapter: AdapterUse = "auto",
    places: Sequence[str] | None = None,
) -> CheckReport:
    r"""Compare a model's scores with a slow reading of its checkpoint, and look for pitfalls.

    The engine scores all traces in one call. Then the checkpoint is loaded again as a stock model
    of transformers, which forwards every trace alone, in float32; its full logits, or the head in
    float64, give :math:`r'_k`. They agree where :math:`|r_k - r'_k| \le t \max(1, |r'_k|)`, with
    t = 1e-4 in float32; in half precision t is also four times what the number format alone moves
    a score in the slow reading. Token ids are compared with those of the checkpoint's tokenizer,
    and positions with those that the ids alone give.

    Args:
        model: what to load, as in `stepscore.load`; or a loaded model, which is compared with the
            files that it was loaded from.
        problems, solutions: as in `ProcessRewardModel.score`; None takes built-in traces, which
            provoke merged separators, blank lines, other line ends, signs beyond ASCII, and sums
            of which some are wrong.
        recipe, device, dtype, revision, max_length, base, adapter: as in `stepscore.load`; of a
            loaded model they are its own.
        places: how the report calls the traces; None counts them.

    Returns:
        ``report.agrees``, what differs, and what was noticed: ``report.warnings`` are what can make
        scores wrong or worthless although both readings agree.

    Raises:
        ValueError: as `stepscore.load`; no trace that can be laid out; a head that the slow reading
            does not know.
        TypeError: as `stepscore.load` and `ProcessRewardModel.score`.

    Examples:
        >>> import stepscore
        >>> report = stepscore.check_model("lab")
        >>> report.agrees, report.largest < 1e-5
        (True, True)
    """
    traces = _traces(problems, solutions, places)
    prm = model if isinstance(model, ProcessRewardModel) else None
    if prm is None:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            loaded = load(
                cast("str | Path", model),
                recipe=recipe,
                device=device,
                dtype=dtype,
                revision=revision,
                max_length=max_length,
                base=base,
                adapter=adapter,
            )
        checkpoint = open_model(
            cast("str | Path", model), base=base, adapter=adapter, revision=revision
        )
    else:
        loaded, said = prm, []
        checkpoint = _checkpoint_of(prm)
    refuse_unknown(loaded.recipe)
    engine = _Engine.of(loaded, traces)
    engine.findings += _from_loading(said)
    where = loaded.device
    if prm is None:
        # The second model takes the place of the first.
        del loaded
    return _compare(engine, checkpoint, where, built_in=solutions is None)


def _from_loading(said: Sequence[warnings.WarningMessage]) -> Iterator[Finding]:
    """Make findings of what `load` warns of, and pass on what others do."""
    for each in said:
        text = str(each.message)
        if text.startswith("load: "):
            yield Finding("warning", "loading", text.removeprefix("load: "))
        else:
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)


@dataclass
class _Engine:
    """What the engine made of the traces, and what is left of its model.

    Attributes:
        name, recipe, tokenizer, dtype, quantised: of the model.
        laid_out: the traces that it can lay out.
        values: its readings of all their steps, ``[steps, readings]``.
        refused: the other traces, and why.
        findings: what was noticed.
    """

    name: str
    recipe: Recipe
    tokenizer: Tokenizer
    dtype: torch.dtype
    quantised: str | None
    laid_out: list[LaidOut]
    values: Float
    refused: list[tuple[str, str]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @classmethod
    def of(cls, prm: ProcessRewardModel, traces: Sequence[CheckTrace]) -> _Engine:
        """Lay the traces out, and score them all in one call."""
        good, refused, too_long = [], [], 0
        for trace in traces:
            try:
                good.append(_laid_out(prm, trace))
            except InputError as fault:
                too_long += "positions" in str(fault.expected)
                refused.append((trace.place, fault.clauses(lambda a: a.name)))
        if not good:
            raise InputError(
                "a trace that the model can score",
                got=f"none of {len(traces)}; {refused[0][0]}: {refused[0][1]}",
                advice="pass traces of its own kind",
                argument="solutions",
                where="check_model",
            )
        scores = prm.score(
            [trace.problem for trace in good], [trace.steps for trace in good], nan="propagate"
        )
        names = [reading.name for reading in prm.recipe.readings[1:]]
        values = np.stack([scores.values, *(scores.readings[name] for name in names)], 1)
        engine = cls(
            prm.name,
            prm.recipe,
            prm.tokenizer,
            prm.dtype,
            prm.weights.quantised,
            good,
            values.astype(np.float64),
            refused,
        )
        if too_long:
            engine.findings.append(
                Finding(
                    "warning",
                    "truncation",
                    f"{too_long} of {len(traces)} traces are longer than the model's "
                    f"{prm.max_length} positions and are refused; truncation='steps' would leave "
                    "out their last steps",
                )
            )
        texts = [trace.problem for trace in traces], [trace.solution for trace in traces]
        engine.findings += about_texts(prm.tokenizer, *texts)
        return engine


def _laid_out(prm: ProcessRewardModel, trace: CheckTrace) -> LaidOut:
    """Lay a trace out, or raise what `score` would."""
    arguments = TraceArguments(
        "score", lambda _: Argument("problem"), lambda _, *step: Argument("solution", index=step)
    )
    read = check_traces(arguments, prm.reader, [trace.problem], [trace.solution])
    prm.renderer.render(arguments, read, "error")
    steps = list(read.steps[0])
    encoded = prm.recipe.encode(prm.tokenizer, [trace.problem], [steps])
    per_step = prm.recipe.positions_per_step
    return LaidOut(trace.place, trace.problem, steps, encoded, trace.right, per_step)


def _compare(
    engine: _Engine, checkpoint: Checkpoint, device: torch.device, *, built_in: bool
) -> CheckReport:
    """Read the checkpoint slowly, and compare."""
    exact = load_tokenizer(with_tokenizer(checkpoint))
    differences, findings = compare_layouts(engine.recipe, engine.tokenizer, exact, engine.laid_out)
    slow_format = torch.float32 if engine.quantised is None else engine.dtype
    options: dict[str, Any] = {"device": device}
    slow = _read(
        engine, load_slow_reading(checkpoint, engine.recipe, exact, dtype=slow_format, **options)
    )
    noise = None
    if engine.dtype != slow_format:
        rounded = _read(
            engine,
            load_slow_reading(checkpoint, engine.recipe, exact, dtype=engine.dtype, **options),
        )
        noise = float(_apart(rounded, slow).max())
    number_format = str(engine.dtype).removeprefix("torch.")
    tolerance = max(TOLERANCE[number_format], _TIMES_NOISE * (noise or 0.0))
    apart = _apart(engine.values, slow)
    differences += _scores(engine, slow, apart, tolerance)
    right = [
        None if trace.right is None or len(trace.right) != trace.scores else trace.right[step]
        for trace in engine.laid_out
        for step in range(trace.scores)
    ]
    findings = [
        *engine.findings,
        *findings,
        *_recipe_of(engine, checkpoint, exact),
        *about_tokens(engine.recipe, engine.tokenizer, engine.laid_out),
        *about_files(exact, with_tokenizer(checkpoint).folder),
        *about_tokenizer(
            engine.recipe,
            exact,
            _stock(checkpoint),
            engine.laid_out,
            with_tokenizer(checkpoint).folder,
        ),
        *about_template(engine.tokenizer, engine.laid_out[0]),
        *about_scores(
            engine.recipe, engine.values[:, 0], right, "the traces" if built_in else "the file"
        ),
    ]
    return CheckReport(
        model=engine.name,
        recipe=engine.recipe.as_config(),
        dtype=number_format,
        traces=len(engine.laid_out),
        steps=len(engine.values),
        tokens=sum(len(trace.encoded.token_ids) for trace in engine.laid_out),
        largest=float(apart.max()),
        tolerance=tolerance,
        noise=noise,
        differences=tuple(differences),
        findings=tuple(findings),
        refused=tuple(engine.refused),
    )


def _read(engine: _Engine, slow: SlowReading) -> Float:
    """Read every sequence of every trace, one at a time."""
    return np.concatenate([slow.read_trace(trace.sequences()) for trace in engine.laid_out])


def _apart(values: Float, slow: Float) -> Float:
    """Say how far each reading lies from the slow one; a number from none is infinitely far."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(values - slow) / np.maximum(1.0, np.abs(slow))
    same = (values == slow) | (np.isnan(values) & np.isnan(slow))
    return cast("Float", np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart)))


def _scores(engine: _Engine, slow: Float, apart: Float, tolerance: float) -> Iterator[Difference]:
    places = [
        (trace.place, step) for trace in engine.laid_out for step in range(1, trace.scores + 1)
    ]
    wrong = np.argwhere(apart > tolerance)
    for row, column in wrong[:_MOST_DIFFERENCES].tolist():
        name = "score" if column == 0 else engine.recipe.readings[column].name
        place, step = places[row]
        here, there = f"{engine.values[row, column]:.6g}", f"{slow[row, column]:.6g}"
        yield Difference(name, place, step, here, there)


def _recipe_of(engine: _Engine, checkpoint: Checkpoint, tokenizer: Tokenizer) -> Iterator[Finding]:
    """Compare the recipe with the one that the checkpoint names itself."""
    evidence = Evidence(
        checkpoint.name, checkpoint.config, checkpoint.shapes, tokenizer, home(checkpoint)
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            detected = detect(evidence)
    except InputError:
        return
    used, known = engine.recipe.as_config(), detected.as_config()
    if used != known:
        yield Finding(
            "warning",
            "recipe",
            f"the checkpoint is recognised as {known}, and was read as {used}",
        )


def _stock(checkpoint: Checkpoint) -> Tokenizer | None:
    """Load the tokenizer with the class that transformers picks."""
    from transformers import AutoTokenizer

    try:
        with silenced_hub(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stock: Tokenizer = AutoTokenizer.from_pretrained(
                with_tokenizer(checkpoint).folder, local_files_only=True, trust_remote_code=False
            )
    # Of a tokenizer that only its own code can make there is none; libraries raise all classes.
    except Exception:
        return None
    return stock


def _checkpoint_of(prm: ProcessRewardModel) -> Checkpoint:
    """Open the files that a model was loaded from."""
    if prm.load_again is None:
        raise InputError(
            "a model that stepscore.load made",
            got=f"{prm!r}, which was made by hand",
            advice="pass the folder instead",
            argument="model",
            where="check_model",
        )
    load_again, address = prm.load_again
    given: dict[str, Any] = getattr(load_again, "keywords", {})
    options = {name: given[name] for name in ("base", "adapter") if name in given}
    return open_model(address, revision=prm.revision, **options)


def _traces(
    problems: str | Sequence[str] | None,
    solutions: Sequence[Solution] | None,
    places: Sequence[str] | None,
) -> list[CheckTrace]:
    if solutions is None:
        if problems is not None:
            raise InputError(
                "solutions beside the problems",
                got="none",
                argument="solutions",
                where="check_model",
            )
        return built_in_traces()
    _, each, given = score_arguments("check_model", problems, solutions)
    names = places or [f"solutions[{index}]" for index in range(len(given))]
    return [CheckTrace(*trace) for trace in zip(names, each, given, strict=True)]
