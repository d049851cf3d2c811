"""vgs-value: DeepSeek-VM-1.5B, the value model of value-guided search."""

from __future__ import annotations

from stepscore.recipes.catalog_checks import a_whole_number
from stepscore.recipes.layouts import Blocks, success_of_classes
from stepscore.recipes.recipe import Published, Recipe

_MARKS = ("<｜begin▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<think>")
_TASK = " Please think step-by-step and put your final answer within \\boxed{}."
_BETWEEN = f"{_TASK}{_MARKS[2]}{_MARKS[3]}\n"


def vgs_value(classes: int | str = 3) -> Recipe:
    r"""Read the value of blocks: :math:`r_k = \mathrm{softmax}(W_2\,\mathrm{relu}(W_1 h))_1`.

    A step is a block of the policy's tokens, 4,096 in the authors' search, and is read at its last
    token; one text is one block. The prompt is DeepSeek-R1's, with the task behind the problem and
    ``<think>`` and a newline at its end. Neither layer has a bias; one class is read by
    :math:`\sigma` instead. The value of a solution is that of its last block.

    Args:
        classes: how many the checkpoint's head has; another number is refused when it is loaded.

    Raises:
        ValueError: fewer than one class.

    Source: kaiwenw/value-guided-search (head, blocks, prompt).

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.vgs_value(1).readings[0].activation
        'sigmoid'
    """
    outputs = a_whole_number("vgs-value", "classes", classes, least=1)
    return Recipe.from_layout(
        Blocks(before=_MARKS[0] + _MARKS[1], between=_BETWEEN, added=_MARKS),
        success_of_classes("score.0", "score.2", classes=outputs),
        name="vgs-value",
        confidence="author",
        source="kaiwenw/value-guided-search",
        default_aggregate="last",
        parameters=(("classes", str(outputs)),),
        unverified=("The number of classes of the published head.",),
    )


PUBLISHED = Published(
    "vgs-value", vgs_value, {"VGS-AI/DeepSeek-VM-1.5B": {}}, ("Qwen2ForClassifier",)
)
