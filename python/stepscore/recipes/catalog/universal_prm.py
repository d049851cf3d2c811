"""universal-prm: Universal-PRM-7B of AURORA."""

from __future__ import annotations

from stepscore.recipes.layouts import CHATML, PrefixProbe
from stepscore.recipes.prompt_texts import UNIVERSAL_NO_REFERENCE, UNIVERSAL_SYSTEM
from stepscore.recipes.recipe import Head, Layer, Published, Reading, Readout, Recipe

_READINGS = (Reading("score", "sigmoid", (1.0,)),)


def universal_prm(weight: str, bias: str | None = None) -> Recipe:
    r"""Read Universal-PRM: :math:`r_k = \sigma(w \cdot h (+ b))`.

    A chat of Qwen2.5 in which the user says the problem and that there is no reference answer. The
    assistant's turn is opened, and behind it stand the steps up to :math:`k`, each with a blank
    line behind it, and the tokenizer's EOS, at which step :math:`k` is read and which later steps
    do not see. Chat and steps are encoded alone.

    The model's own code, which holds the head, is not public: what is read is what you say. Nothing
    here is confirmed by a score of the authors.

    Args:
        weight: the tensor of the checkpoint that holds :math:`w`, of shape ``[1, H]``.
        bias: the tensor that holds :math:`b`, of shape ``[1]``; None for none.

    Source: the model card of infly/Universal-PRM-7B, as other people's code quotes it.

    Examples:
        >>> import stepscore
        >>> recipe = stepscore.recipes.universal_prm("score.weight")
        >>> recipe.confidence, len(recipe.unverified)
        ('unverified', 3)
    """
    layout = PrefixProbe(
        CHATML,
        UNIVERSAL_SYSTEM,
        ("\n\n",),
        between=UNIVERSAL_NO_REFERENCE,
        adds_eos=True,
        tokenisation="separate",
    )
    return Recipe.from_layout(
        layout,
        Readout(Head("affine", (Layer(weight, bias),), 1), _READINGS),
        name="universal-prm",
        confidence="unverified",
        source="model card of infly/Universal-PRM-7B",
        parameters=(("weight", weight), *((("bias", bias),) if bias else ())),
        unverified=("its head's tensors", "that its head is one linear layer", "its aggregate"),
    )


PUBLISHED = Published("universal-prm", universal_prm, {"infly/Universal-PRM-7B": {}})
