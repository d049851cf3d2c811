"""Mistakes of users with torch, marked as in mistakes.py."""

from __future__ import annotations

from torch import Tensor

import stepscore


def tensors(hidden: Tensor, offsets: Tensor) -> list[float]:
    stepscore.value_head(hidden, hidden, activation="relu")  # E: call-overload
    stepscore.aggregate(hidden, offsets, "avg")  # E: arg-type
    stepscore.aggregate(hidden, offsets, "min").astype("float32")  # E: attr-defined
    head = stepscore.load_head("lab")
    head.read(hidden, offsets, nan="drop")  # E: arg-type
    stepscore.read_steps(head.recipe, head, hidden, offsets, norm="final")  # E: arg-type
    return stepscore.find_steps(hidden, offsets, 9)[0]  # E: return-value
