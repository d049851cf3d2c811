"""What bodies of our own routes have in common: no field that nobody reads, no guessed types."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from stepscore.scoring.score_options import NonFinite, OnBad, ScoreOptions, SpecialTokens
from stepscore.scoring.truncation import Truncation

# A text, which the recipe splits into steps, or a list of steps.
SolutionText = str | list[str]


class Body(BaseModel):
    """A body in which a field that there is not is an error, and 1 is no "1"."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class ScoringBody(Body):
    """The options of `ProcessRewardModel.score`, under their names."""

    model: str | None = Field(None, description="the name that /v1/models gives, or none")
    truncation: Truncation = "error"
    on_bad: OnBad = "error"
    special_tokens: SpecialTokens = "strip_end"
    nan: NonFinite = "error"

    def options(self) -> ScoreOptions:
        """Give the options."""
        return ScoreOptions(self.truncation, self.on_bad, self.special_tokens, self.nan)


def usage(tokens: int) -> dict[str, Any]:
    """Say how many tokens the traces of a request have."""
    return {"prompt_tokens": tokens, "total_tokens": tokens}
