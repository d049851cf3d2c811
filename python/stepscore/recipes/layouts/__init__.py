"""The ways in which published PRMs are laid out as tokens, and read."""

from stepscore.recipes.layouts.chat import qwen_chat
from stepscore.recipes.layouts.chat_templates import CHATML, INTERNVL_2_5, LLAMA_3_1
from stepscore.recipes.layouts.choice import chosen
from stepscore.recipes.layouts.label_turns import LabelTurns
from stepscore.recipes.layouts.prefix_probe import PrefixProbe
from stepscore.recipes.layouts.readouts import (
    sigmoid_of_value,
    softmax_of_classes,
    softmax_of_words,
)
from stepscore.recipes.layouts.separate_parts import SeparateParts
from stepscore.recipes.layouts.step_numbers import Numbering, written_with
from stepscore.recipes.layouts.tagged_text import TaggedText
from stepscore.recipes.layouts.word_rows import rows_at_places, rows_of_words

__all__ = [
    "CHATML",
    "INTERNVL_2_5",
    "LLAMA_3_1",
    "LabelTurns",
    "Numbering",
    "PrefixProbe",
    "SeparateParts",
    "TaggedText",
    "chosen",
    "qwen_chat",
    "rows_at_places",
    "rows_of_words",
    "sigmoid_of_value",
    "softmax_of_classes",
    "softmax_of_words",
    "written_with",
]
