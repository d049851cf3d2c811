"""dream-prm: DreamPRM, a linear layer over all logits of Qwen2-VL-2B-Instruct."""

from __future__ import annotations

from stepscore.recipes.layouts import TextEnd, value_of_logits
from stepscore.recipes.recipe import Published, Recipe

_SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"


def dream_prm(file: str = "LN.pt") -> Recipe:
    r"""Read DreamPRM without its image: :math:`r_k = \sigma(u \cdot (W_{lm} h) + c)`.

    The user's turn of a chat of Qwen2-VL holds the problem, a blank line and the first k steps; the
    header of the answer stands behind it, whose last token is read. Of the published model, which
    sees an image before the problem, this is the part that reads tokens: its scores are those of
    the published one for problems without an image alone.

    The authors take the mean of the logits of all steps, and its sigmoid.

    Args:
        file: holds the layer: ``LN.pt``, or ``LN_weights.pt`` as their training writes it.

    Source: coder-qicao/DreamPRM, model.py (head), data.py (chat), main.py (aggregate, file).

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.dream_prm("LN_weights.pt").head.files
        ('LN_weights.pt',)
    """
    return Recipe.from_layout(
        TextEnd(
            before=f"{_SYSTEM}<|im_start|>user\n",
            between="\n\n",
            joiner="\n\n",
            after="<|im_end|>\n<|im_start|>assistant\n",
            unit="step",
            added=("<|im_start|>", "<|im_end|>"),
            last_ids={"Qwen2.5": 198},
        ),
        value_of_logits("LN", file),
        name="dream-prm",
        confidence="author",
        source="coder-qicao/DreamPRM",
        default_aggregate="logit_mean",
        parameters=(("file", file),),
        unverified=("What stands between steps.", "Scores of problems without an image."),
    )


PUBLISHED = Published("dream-prm", dream_prm)
