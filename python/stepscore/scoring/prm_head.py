"""A process reward model without its backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepscore.recipes import Recipe, Tokenizer
from stepscore.scoring.reading import ReadsHiddenStates

if TYPE_CHECKING:
    from stepscore.scoring.final_norm import FinalNorm
    from stepscore.scoring.forward.head import HeadWeights


@dataclass(frozen=True, eq=False)
class PrmHead(ReadsHiddenStates):
    """What reads hidden states of a process reward model; made by `stepscore.load_head`.

    Attributes:
        name: what it was loaded by.
        revision: the commit of a Hugging Face repository; None for a local folder.
        recipe: where steps end, and how they are read.
        tokenizer: the checkpoint's own.
        head: the head's weights.
        final_norm: the norm behind the model's last layer, for states that lack it; None where the
            model has none of a known name. `norm` gives it, or raises.
    """

    name: str
    revision: str | None
    recipe: Recipe
    tokenizer: Tokenizer
    head: HeadWeights
    final_norm: FinalNorm | None = None

    def __repr__(self) -> str:
        return f"PrmHead({self.name!r}, recipe={self.recipe.name!r})"

    def positions(
        self, token_ids: Any, offsets: Any, *, prompt_lengths: Any = None, step_counts: Any = None
    ) -> tuple[Any, Any]:
        """Find where steps end in token ids of its tokenizer; see `Recipe.positions`."""
        return self.recipe.positions(
            token_ids,
            offsets,
            tokenizer=self.tokenizer,
            prompt_lengths=prompt_lengths,
            step_counts=step_counts,
        )
