"""Solutions as a verifier reads them: step by step, or whole."""

from __future__ import annotations

from dataclasses import dataclass

from stepscore.scoring.solution_reader import SolutionReader


@dataclass(frozen=True)
class VerdictReader(SolutionReader):
    """A `SolutionReader` that joins the steps of what has a score as one."""

    @property
    def reads_steps(self) -> bool:
        """Whether every step has a score, and not the solution as one."""
        return self.recipe.unit == "step"

    def as_read(self, steps: list[str]) -> list[str]:
        """Give what has a score each: the steps, or the whole solution as one text."""
        return steps if self.reads_steps or not steps else [self.recipe.separator.join(steps)]

    def of_prefixes(self) -> VerdictReader:
        """Give what reads a solution that grows: each step has the score of all up to it."""
        return self
