"""The ways in which published PRMs are laid out as tokens, and read."""

from stepscore.recipes.layouts.chat import qwen_chat
from stepscore.recipes.layouts.readouts import (
    sigmoid_of_value,
    softmax_of_classes,
    softmax_of_words,
)
from stepscore.recipes.layouts.separate_parts import SeparateParts
from stepscore.recipes.layouts.step_numbers import Numbering, written_with
from stepscore.recipes.layouts.tagged_text import TaggedText

__all__ = [
    "Numbering",
    "SeparateParts",
    "TaggedText",
    "qwen_chat",
    "sigmoid_of_value",
    "softmax_of_classes",
    "softmax_of_words",
    "written_with",
]
