"""The ways in which published PRMs are laid out as tokens, and read."""

from stepscore.recipes.layouts.chat import llama_chat, qwen_chat, qwen_chat_read_at_end
from stepscore.recipes.layouts.readouts import (
    difference_of_classes,
    mean_and_concentration,
    sigmoid_of_value,
    softmax_column,
    softmax_of_classes,
    softmax_of_words,
    validity_and_redundancy,
    value_of,
)
from stepscore.recipes.layouts.removed_tags import RemovedTags
from stepscore.recipes.layouts.separate_parts import SeparateParts
from stepscore.recipes.layouts.step_numbers import (
    Numbering,
    on_one_line,
    one_of,
    renumbered,
    written_with,
)
from stepscore.recipes.layouts.tagged_text import TaggedText
from stepscore.recipes.layouts.text_end import TextEnd
from stepscore.recipes.layouts.word_rows import rows_of_words

__all__ = [
    "Numbering",
    "RemovedTags",
    "SeparateParts",
    "TaggedText",
    "TextEnd",
    "difference_of_classes",
    "llama_chat",
    "mean_and_concentration",
    "on_one_line",
    "one_of",
    "qwen_chat",
    "qwen_chat_read_at_end",
    "renumbered",
    "rows_of_words",
    "sigmoid_of_value",
    "softmax_column",
    "softmax_of_classes",
    "softmax_of_words",
    "validity_and_redundancy",
    "value_of",
    "written_with",
]
