"""The ways in which published PRMs are laid out as tokens, and read."""

from stepscore.recipes.layouts.blocks import Blocks
from stepscore.recipes.layouts.chat import qwen_chat
from stepscore.recipes.layouts.ended_text import EndedText
from stepscore.recipes.layouts.head_files import (
    scaled_values,
    success_of_classes,
    value_in_file,
    value_of_logits,
)
from stepscore.recipes.layouts.readouts import (
    sigmoid_of_value,
    softmax_of_classes,
    softmax_of_words,
)
from stepscore.recipes.layouts.separate_parts import SeparateParts
from stepscore.recipes.layouts.step_numbers import Numbering, written_with
from stepscore.recipes.layouts.tagged_text import TaggedText
from stepscore.recipes.layouts.thoughts import Thoughts

__all__ = [
    "Blocks",
    "EndedText",
    "Numbering",
    "SeparateParts",
    "TaggedText",
    "Thoughts",
    "qwen_chat",
    "scaled_values",
    "sigmoid_of_value",
    "softmax_of_classes",
    "softmax_of_words",
    "success_of_classes",
    "value_in_file",
    "value_of_logits",
    "written_with",
]
