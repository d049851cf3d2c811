"""babelscape-prm: Llama-3.1-8B-PRM800k-r and Llama-3.1-8B-PRM800k-PDDL-r."""

from __future__ import annotations

from stepscore.recipes.layouts import TaggedText, value_of, written_with
from stepscore.recipes.recipe import Activation, Published, Recipe


def babelscape_prm(head: str, activation: Activation) -> Recipe:
    r"""Read Babelscape's Llama PRMs: :math:`r_k = a(w \cdot h + b)`.

    The text ``Problem: {problem}\nSteps:\nStep 1: ...\nки\nStep 2: ...\nки`` is encoded as one
    text, with the tokenizer's BOS, and read at every ``ки``. Steps are numbered, split and stripped
    as those of ``math-shepherd``. ``Qwen2.5-Math-PRM-7B-PDDL-r`` is read as ``qwen2.5-math-prm``.

    Args:
        head: the module of the head in the checkpoint, whose output the authors' own code calls
            ``pred_scalar``; unverified, ``model.safetensors.index.json`` lists it.
        activation: what that code applies to it, :math:`a`: ``identity``, ``sigmoid``, ``tanh`` or
            ``softplus``; unverified.

    Raises:
        ValueError: another activation.

    Source: the model card of Babelscape/Llama-3.1-8B-PRM800k-r (text, tag).

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.babelscape_prm("reward_head", "identity").score_range
        (-inf, inf)
    """
    layout = TaggedText(
        tag="ки",
        before="Problem: ",
        between="\nSteps:\n",
        joiner="\n",
        tag_start="\n",
        number=written_with("missing"),
        special_tokens=True,
        tag_ids={"Llama 3": 17165},
    )
    return Recipe.from_layout(
        layout,
        value_of(head, activation=activation),
        name="babelscape-prm",
        confidence="unverified",
        source="model card of Babelscape/Llama-3.1-8B-PRM800k-r",
        parameters=(("head", head), ("activation", activation)),
        unverified=("the head's name and bias", "what is applied to its output"),
    )


_NAMES = [f"Babelscape/Llama-3.1-8B-PRM800k-{kind}r" for kind in ("", "PDDL-")]
PUBLISHED = Published("babelscape-prm", babelscape_prm, {name: {} for name in _NAMES})
