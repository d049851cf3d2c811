"""acemath-rm: AceMath-7B-RM and AceMath-72B-RM, which give a solution one score."""

from __future__ import annotations

from stepscore.recipes.layouts import qwen_chat_read_at_end, value_of
from stepscore.recipes.recipe import Published, Recipe

_SYSTEM = "Please reason step by step, and check your final answer within \\boxed{}."


def acemath_rm() -> Recipe:
    r"""Read AceMath's outcome models: :math:`r = w \cdot h`.

    A chat of Qwen2.5 with its own system turn, encoded as one text and read at its last token, as
    ``qwen2.5-math-rm``. The head is that of a stock ``ForSequenceClassification``, which has no
    bias. That class finds the last token by the padding token of config.json; here it is the last
    one whatever config.json says.

    Source: the model card of nvidia/AceMath-7B-RM. Unverified: that the chat template of its
        tokenizer is Qwen2.5's, and so ends in a newline.

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.acemath_rm().split("3 + 4 = 7\n\n7 + 5 = 12\n")
        ['3 + 4 = 7\n\n7 + 5 = 12']
    """
    return Recipe.from_layout(
        qwen_chat_read_at_end(system=_SYSTEM),
        value_of("score", bias=False),
        name="acemath-rm",
        confidence="third-party",
        source="model card of nvidia/AceMath-7B-RM",
        unverified=("the chat template of its tokenizer is taken to be Qwen2.5's",),
    )


PUBLISHED = Published(
    "acemath-rm", acemath_rm, {f"nvidia/AceMath-{size}-RM": {} for size in ("7B", "72B")}
)
