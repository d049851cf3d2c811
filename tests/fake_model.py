"""What tests of files share: a model without weights, and a strict reader of output."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from stepscore.errors import Argument, InputError
from stepscore.recipes import trl_prm
from stepscore.scoring.loaded_weights import LoadedWeights


@dataclass(frozen=True)
class FakeModel:
    """The interface of ProcessRewardModel with scores made from a step's own text.

    A trace longer than ``max_length`` characters is too long; a step with "crash" in it fails like
    a GPU that runs out of memory.
    """

    name: str = "fake"
    revision: str | None = "abc123"
    recipe: Any = field(default_factory=trl_prm)
    dtype: str = "torch.float32"
    device: str = "cpu"
    costs: None = None
    max_length: int = 200
    show_progress: bool | None = None
    weights: LoadedWeights = field(default_factory=LoadedWeights)
    calls: list[int] = field(default_factory=list)

    @property
    def reader(self) -> SimpleNamespace:
        return SimpleNamespace(
            steps_of=lambda solution: (self._steps(solution), 0),
            as_read=list,
            reads_steps=True,
        )

    def _steps(self, solution: Any) -> list[str]:
        return self.recipe.split(solution) if isinstance(solution, str) else list(solution)

    def _fault(self, steps: list[str], truncation: str) -> InputError | None:
        if not steps:
            return InputError("at least one step", got="none", argument=at(0), where="score")
        for number, step in enumerate(steps):
            fault = self.recipe.fault_in_step(step)
            if fault is None and "forbidden" in step:
                fault = InputError("a step without forbidden words", got=repr(step))
            if fault is not None:
                return fault.at(where="score", argument=at(0, number))
        if sum(map(len, steps)) > self.max_length and truncation == "error":
            return InputError(
                f"no more tokens, with the problem, than the model's {self.max_length} positions",
                got=f"{sum(map(len, steps))}",
                advice=(
                    "leave it out, or pass ",
                    Argument("truncation", "steps"),
                    " to score the steps that fit",
                ),
                argument=at(0),
                where="score",
            )
        return None

    def score(
        self,
        problems: list[str],
        solutions: list[Any],
        *,
        truncation: str = "error",
        on_bad: str = "error",
        special_tokens: str = "strip_end",
        nan: str = "error",
    ) -> SimpleNamespace:
        assert len(problems) == len(solutions)
        traces, skipped = [], {}
        for index, solution in enumerate(solutions):
            steps = self._steps(solution)
            fault = self._fault(steps, truncation)
            if fault is not None:
                fault = fault.at(argument=at(index, *fault.argument.index[1:]))
                if on_bad == "error":
                    raise fault
                skipped[index], steps = fault, []
            traces.append(steps)
        if any("strange" in step for steps in traces for step in steps):
            raise Exception("Missing [UNK] token")  # as the tokenizers library does
        self.calls.append(len(solutions))
        if any("crash" in step for steps in traces for step in steps):
            raise RuntimeError("CUDA out of memory")
        rows = [self._row(steps) for steps in traces]
        truncated = [int(np.sum(self._ends(steps) > self.max_length)) for steps in traces]
        if any(truncated):
            warnings.warn(f"score: {sum(truncated)} steps ... were not scored (NaN)", stacklevel=2)
        return SimpleNamespace(
            skipped=skipped,
            stripped={},
            values=np.concatenate(rows),
            offsets=np.cumsum([0] + [len(row) for row in rows], dtype=np.int64),
            truncated=np.array(truncated, dtype=np.int64),
            recipe=self.recipe,
        )

    def _row(self, steps: list[str]) -> np.ndarray:
        row = np.array([step_score(step) for step in steps], dtype=np.float32)
        row[self._ends(steps) > self.max_length] = np.nan
        return row

    def _ends(self, steps: list[str]) -> np.ndarray:
        return np.cumsum([len(step) for step in steps])


def at(*index: int) -> Argument:
    """The place of a solution, or of one of its steps, in the arguments."""
    return Argument("solutions", index=index)


def step_score(step: str) -> np.float32:
    """A score in [0, 1): what stands after "@", else a number made from the text."""
    if "@" in step:
        return np.float32(step.rpartition("@")[2])
    digest = hashlib.blake2b(step.encode(), digest_size=4).digest()
    return np.float32(int.from_bytes(digest, "big") % 9973 / 9973)


def read(path: str | Path) -> list[dict[str, Any]]:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return [json.loads(line, parse_constant=refuse) for line in lines]
