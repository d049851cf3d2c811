"""The ways in which published PRMs are laid out as tokens, and read."""

from stepscore.recipes.layouts.blocks import Blocks
from stepscore.recipes.layouts.chat import llama_chat, qwen_chat, qwen_chat_read_at_end
from stepscore.recipes.layouts.chat_templates import CHATML, INTERNVL_2_5, LLAMA_3_1
from stepscore.recipes.layouts.choice import chosen
from stepscore.recipes.layouts.ended_text import EndedText
from stepscore.recipes.layouts.head_files import (
    scaled_values,
    success_of_classes,
    value_in_file,
    value_of_logits,
)
from stepscore.recipes.layouts.label_turns import LabelTurns
from stepscore.recipes.layouts.prefix_probe import PrefixProbe
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
    renumbered,
    written_with,
)
from stepscore.recipes.layouts.tagged_text import TaggedText
from stepscore.recipes.layouts.text_end import TextEnd
from stepscore.recipes.layouts.thoughts import Thoughts
from stepscore.recipes.layouts.word_rows import rows_at_places, rows_of_words

__all__ = [
    "CHATML",
    "INTERNVL_2_5",
    "LLAMA_3_1",
    "Blocks",
    "EndedText",
    "LabelTurns",
    "Numbering",
    "PrefixProbe",
    "RemovedTags",
    "SeparateParts",
    "TaggedText",
    "TextEnd",
    "Thoughts",
    "chosen",
    "difference_of_classes",
    "llama_chat",
    "mean_and_concentration",
    "on_one_line",
    "qwen_chat",
    "qwen_chat_read_at_end",
    "renumbered",
    "rows_at_places",
    "rows_of_words",
    "scaled_values",
    "sigmoid_of_value",
    "softmax_column",
    "softmax_of_classes",
    "softmax_of_words",
    "success_of_classes",
    "validity_and_redundancy",
    "value_in_file",
    "value_of",
    "value_of_logits",
    "written_with",
]
