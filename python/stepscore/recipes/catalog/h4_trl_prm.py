"""h4-trl-prm: Hugging Face H4's Qwen2.5-Math PRMs, trained with TRL."""

from __future__ import annotations

from stepscore.recipes.layouts import SeparateParts, softmax_of_classes
from stepscore.recipes.recipe import Published, Recipe


def h4_trl_prm() -> Recipe:
    r"""Read H4's PRMs: :math:`r_k = \mathrm{softmax}(W h + b)_1`.

    ``trl-prm`` with the separator ``"\n\n"``; they were trained on 2,048 tokens.

    Source: the model cards of HuggingFaceH4/Qwen2.5-Math-1.5B-Instruct-PRM-0.2 and -7B-; text and
        head: huggingface/trl, PRMTrainer.

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.h4_trl_prm().split("3 + 4 = 7\n\n7 + 5 = 12\n\n")
        ['3 + 4 = 7', '7 + 5 = 12']
    """
    return Recipe.from_layout(
        SeparateParts(separator="\n\n", bos="id", published={"Qwen2.5": 271}),
        softmax_of_classes("score", classes=2, good=1),
        name="h4-trl-prm",
        confidence="author",
        source="model cards of HuggingFaceH4/Qwen2.5-Math-*-PRM-0.2; huggingface/trl, PRMTrainer",
    )


_H4 = "HuggingFaceH4/Qwen2.5-Math-{}-Instruct-PRM-0.2"
PUBLISHED = Published(
    "h4-trl-prm", h4_trl_prm, repositories={_H4.format(size): {} for size in ("1.5B", "7B")}
)
