"""What marks an image, a video or a sound in a text: of these only the language model is run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from stepscore.errors import InputError
from stepscore.recipes import Recipe, Tokenizer
from stepscore.recipes.layouts.encoding import encode_text
from stepscore.recipes.layouts.steps import shorten_around
from stepscore.scoring.checkpoint.backbone import stock_config
from stepscore.scoring.checkpoint.folder import Checkpoint

# As config.json calls their ids: image_token_id, image_token_index, vision_start_token_id, ...
_MARK = re.compile(r"(image|video|vision|audio|boi|eoi|boa|eoa)(_\w+)?_token_(id|index)")

Fault = Callable[[str], InputError | None]


def over_text_alone(recipe: Recipe, checkpoint: Checkpoint, tokenizer: Tokenizer) -> Recipe:
    """Let a recipe refuse the texts that a model which also sees would read with an image.

    The part that reads tokens would take the mark of an image for a word.
    """
    if checkpoint.config.get("model_type") not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return recipe
    marks = _marks(stock_config(checkpoint).to_dict(), tokenizer)
    if not marks:
        return recipe
    return replace(
        recipe,
        fault_in_problem=partial(_fault, marks, "problem", recipe.fault_in_problem),
        fault_in_step=partial(_fault, marks, "step", recipe.fault_in_step),
    )


def _marks(config: Mapping[str, Any], tokenizer: Tokenizer) -> tuple[str, ...]:
    """Give the texts that become such a token."""
    ids = {value for key, value in config.items() if _MARK.fullmatch(key)}
    entries = [tokenizer.convert_ids_to_tokens(i) for i in ids if isinstance(i, int) and i >= 0]
    known = [(entry, tokenizer.convert_tokens_to_ids(entry)) for entry in entries if entry]
    return tuple(sorted(entry for entry, i in known if encode_text(tokenizer, entry) == [i]))


def _fault(marks: tuple[str, ...], what: str, otherwise: Fault, text: str) -> InputError | None:
    mark = next((mark for mark in marks if mark in text), None)
    if mark is None:
        return otherwise(text)
    return InputError(
        f"a {what} of text alone, because images are not offered",
        got=shorten_around(text, text.index(mark)),
        advice=f"leave {mark!r} and its image out",
    )
