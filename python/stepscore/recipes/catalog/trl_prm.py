"""trl-prm: any PRM trained with TRL's PRMTrainer."""

from __future__ import annotations

from stepscore.recipes.layouts import SeparateParts, softmax_of_classes
from stepscore.recipes.recipe import Published, Recipe

TRL_SEPARATOR = "\n"  # step_separator of trl.PRMConfig


def trl_prm(separator: str = TRL_SEPARATOR) -> Recipe:
    r"""Read a PRM of TRL's trainer: :math:`r_k = \mathrm{softmax}(W h + b)_1`.

    ids = [BOS, if the tokenizer has one] + enc(problem), then for every step enc(step) +
    enc(separator), every part encoded alone and without special tokens; nothing stands between
    problem and first step. A step is read at the last token of its separator, as the trainer labels
    it; a step of a list may therefore contain the separator. A solution given as one text is split
    at every separator, and blank steps and blank lines around a step go. The author states no
    aggregate.

    Args:
        separator: the trainer's ``step_separator``. A checkpoint does not say which one it was
            trained with; TRL's own default is ``"\n"``.

    Raises:
        ValueError: a separator that is no text or an empty one.

    Source: huggingface/trl, PRMTrainer (its training code; the inference example beside it
        differs).

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.trl_prm(separator="\n\n").as_config()
        {'recipe': 'trl-prm', 'separator': '\n\n'}
    """
    published = {"Qwen2.5": 198} if separator == "\n" else {}
    return Recipe.from_layout(
        SeparateParts(separator=separator, bos="id", published=published),
        softmax_of_classes("score", classes=2, good=1),
        name="trl-prm",
        confidence="author",
        source="huggingface/trl, PRMTrainer",
        parameters=(("separator", separator),),
    )


PUBLISHED = Published(
    "trl-prm",
    trl_prm,
    architectures=("*ForTokenClassification",),
    assumption="looks like a PRM of TRL's trainer; its checkpoint does not say which separator it "
    'was trained with, so TRL\'s default "\\n" is used; pass '
    'recipe=stepscore.recipes.trl_prm(separator=...) or write "stepscore": {"recipe": "trl-prm", '
    '"separator": ...} into its config.json',
)
