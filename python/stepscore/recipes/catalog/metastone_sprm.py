"""metastone-sprm: MetaStone-S1, a policy that scores its own thoughts before its last layer."""

from __future__ import annotations

from stepscore.recipes.catalog_checks import around
from stepscore.recipes.layouts import Thoughts, value_in_file
from stepscore.recipes.recipe import Published, Recipe

_DEEPSEEK = "<｜begin▁of▁sentence｜><｜User｜>{problem}<｜Assistant｜><think>\n"


def metastone_sprm(prompt: str = _DEEPSEEK) -> Recipe:
    r"""Read MetaStone-S1: :math:`r_k = \sigma(W_2\,\mathrm{relu}(W_1 h + b_1) + b_2)`.

    :math:`h` is ``hidden_states[-2]``, what comes out of the layer before the last, without the
    final norm; the head widens it to 2H. The text is the policy's own: its prompt, then its
    thoughts, whose paragraphs end in a full stop and a blank line. The token before each such end
    is read, if it stands between ``<think>`` and ``</think>``. Where the vocabulary merges the full
    stop with what stands before it, as in ``).``, there is no end, and the paragraph goes on:
    pass thoughts as one text, which is split as the tokenizer has it. What stands behind the last
    end is read nowhere.

    The authors' score is the geometric mean, of scores that they keep above 1e-10, and run the
    model and the head in float16.

    Args:
        prompt: the policy's chat text, with ``{problem}`` where the problem stands, up to
            ``<think>`` and its newline.

    Raises:
        ValueError: a prompt without ``{problem}``, or without ``<think>`` behind it.

    Source: MetaStone-AI/MetaStone-S1, score_model_queue.py, its English build.

    Examples:
        >>> import stepscore
        >>> recipe = stepscore.recipes.metastone_sprm()
        >>> recipe.split("3 + 4 = 7.\n\n7 + 5 = 12.\n\nSo it is 12.\n</think>\n\n12")
        ['3 + 4 = 7.\n\n', '7 + 5 = 12.\n\n']
    """
    before, between = around("metastone-sprm", prompt, holds="<think>")
    return Recipe.from_layout(
        Thoughts(before=before, between=between),
        value_in_file("score_module.pt", "0", "3", widening=2, hidden_layer=-2),
        name="metastone-sprm",
        confidence="author",
        source="MetaStone-AI/MetaStone-S1",
        default_aggregate="geometric_mean",
        parameters=(("prompt", prompt),),
        unverified=("The prompt of the policy: DeepSeek-R1's unless another one is passed.",),
    )


PUBLISHED = Published(
    "metastone-sprm",
    metastone_sprm,
    repositories={f"MetaStoneTec/MetaStone-S1-{size}": {} for size in ("1.5B", "7B", "32B")},
)
