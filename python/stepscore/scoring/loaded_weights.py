"""What the weights of a loaded model are, beside their number format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LoadedWeights:
    """What the weights of a loaded model are, beside their number format.

    Attributes:
        quantised: how the checkpoint is quantised, such as ``bitsandbytes, 4 bits``; None for one
            that is not. Its scores are those of the quantised model, which are other numbers than
            those of the model it was made from.
        base: what an adapter was merged into, with the commit of a repository behind an ``@``; None
            for full weights.
        placed: the device of every placed part of the backbone, ``disk`` among them; None where it
            is in one place.
    """

    quantised: str | None = None
    base: str | None = None
    placed: Mapping[str, str] | None = None
    reference: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Give what is out of the ordinary, as the provenance of scores states it."""
        stated = {"quantised": self.quantised, "base": self.base, "reference": self.reference}
        return {name: value for name, value in stated.items() if value is not None}


def described(model: Any) -> str:
    """Give the ``repr`` of a `ProcessRewardModel`: what its scores depend on."""
    stated = {
        "recipe": model.recipe.name,
        "device": str(model.device),
        "dtype": str(model.dtype).removeprefix("torch."),
    }
    if model.sharing is not None:
        stated["sharing"] = model.sharing.in_short
    stated |= model.weights.as_json()
    parts = [repr(model.name), *(f"{name}={value!r}" for name, value in stated.items())]
    return f"{type(model).__name__}({', '.join(parts)})"
