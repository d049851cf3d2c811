"""Two language models over the same traces: the log-ratio of every token, summed over steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import InputError
from stepscore.ragged import offsets_of
from stepscore.recipes import Likelihood, Recipe
from stepscore.scoring.forward.engine import Engine
from stepscore.scoring.forward.packed_traces import PackedTraces, concatenated_ranges
from stepscore.scoring.forward.plan import Plan
from stepscore.scoring.forward.sharing import Sharing


@dataclass(frozen=True, eq=False)
class ReferenceModel:
    """The other model of a log-ratio.

    Attributes:
        name: what it was loaded by.
        revision: the commit of a Hugging Face repository; None for a local folder.
        engine: what forwards and reads it.
        sharing: whether it shares prefixes.
    """

    name: str
    revision: str | None
    engine: Engine
    sharing: Sharing

    @property
    def address(self) -> str:
        """Its name, with the commit of a repository behind an ``@``."""
        return self.name if self.revision is None else f"{self.name}@{self.revision}"


@dataclass(eq=False)
class LikelihoodEngine(Engine):
    """Reads every token of the steps by one model, or by two, and adds up.

    Attributes:
        likelihood: what is added up.
        reference: the other model; None where there is none.
    """

    likelihood: Likelihood = field(kw_only=True)
    reference: Engine | None = field(kw_only=True)

    def read(
        self,
        call: str,
        traces: PackedTraces,
        on_steps: Callable[[int], object] = int,
        on_plan: Callable[[Plan], object] = len,
    ) -> NDArray[np.float32]:
        """Give the sums of every step, float32 ``[steps, sums]``; see `Engine.read`.

        Each model forwards what the traces have in common once. The sums are those of float64, in
        the order of the tokens, and depend on their own trace alone.
        """
        tokens, lengths = every_token(traces)

        def alive(_: int) -> None:
            on_steps(0)  # a call that was cancelled ends here

        ratios = super().read(call, tokens, alive, on_plan)[:, 0].astype(np.float64)
        if self.reference is not None:
            ratios -= self.reference.read(call, tokens, alive, on_plan)[:, 0]
        values = step_sums(self.likelihood, ratios, traces, lengths)
        on_steps(len(values))
        return values


def engine_of(recipe: Recipe, engine: Engine, reference: ReferenceModel | None) -> Engine:
    """Give what reads a recipe: the engine itself, or one that adds up over tokens."""
    if recipe.head.likelihood is None:
        return engine
    parts = {each.name: getattr(engine, each.name) for each in fields(engine)}
    other = None if reference is None else reference.engine
    return LikelihoodEngine(**parts, likelihood=recipe.head.likelihood, reference=other)


def every_token(traces: PackedTraces) -> tuple[PackedTraces, NDArray[np.int64]]:
    """Give the traces with a position for each token that counts: the one before it.

    Returns:
        They, and how many tokens of each trace count.
    """
    assert traces.first_tokens is not None
    counts = np.diff(traces.step_offsets)
    last = np.zeros(len(counts), dtype=np.int64)
    last[counts > 0] = traces.positions[traces.step_offsets[1:][counts > 0] - 1]
    # The first token of a trace follows nothing.
    first = np.maximum(traces.first_tokens, 1)
    lengths = np.where(counts > 0, last + 1 - first, 0)
    positions = concatenated_ranges(first - 1, lengths)
    return replace(traces, positions=positions, step_offsets=offsets_of(lengths)), lengths


def step_sums(
    likelihood: Likelihood,
    ratios: NDArray[np.float64],
    traces: PackedTraces,
    lengths: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Add up the log-ratios of the tokens of each step, ``[steps, sums]``."""
    assert traces.first_tokens is not None
    values = np.empty((len(traces.positions), len(likelihood.sums)), dtype=np.float32)
    begins = offsets_of(lengths)
    for trace in range(len(lengths)):
        steps = slice(*traces.step_offsets[trace : trace + 2])
        total = np.cumsum(ratios[begins[trace] : begins[trace + 1]])
        ends = traces.positions[steps] - max(1, int(traces.first_tokens[trace]))
        accumulative = likelihood.coef * total[ends]
        single = np.diff(accumulative, prepend=0.0)
        counts = np.diff(ends, prepend=-1)
        nothing = np.full(len(single), np.nan)
        mean = np.divide(single, counts, out=nothing, where=counts > 0)
        sums = {"accumulative": accumulative, "single": single, "mean": mean}
        values[steps] = np.stack([sums[name] for name in likelihood.sums], axis=1)
    return values


def refuse_sessions(recipe: Recipe) -> None:
    """Refuse traces that grow where scores add up over tokens.

    A session keeps what it read at one token of a step, and an implicit PRM's score of a step
    depends on whether another one follows.

    Raises:
        ValueError: such a recipe.
    """
    if recipe.head.likelihood is not None:
        raise InputError(
            "a recipe that is read at one token of each step",
            got=f"{recipe.name}, which adds up over all tokens of a whole trace",
            advice="score whole candidates with prm.score or prm.rank, which forward what they "
            "share once",
            where="session",
        )
