"""reasonflux-prm-7b: ReasonFlux-PRM-7B."""

from __future__ import annotations

from stepscore.recipes.layouts import qwen_chat, softmax_of_classes
from stepscore.recipes.recipe import Published, Recipe


def reasonflux_prm_7b(system: str) -> Recipe:
    r"""Read ReasonFlux: :math:`r_k = \mathrm{softmax}(W_2\,\mathrm{relu}(W_1 h + b_1) + b_2)_1`.

    Laid out and read as ``qwen2.5-math-prm``. The author passes a user's and an assistant's turn
    and leaves the system turn to the chat template of the tokenizer. In reinforcement learning the
    author scores a whole response as one step.

    Args:
        system: what that template writes into the system turn, which is unverified; an empty text
            for a template that writes none. ``tokenizer.apply_chat_template`` shows it: Qwen2.5's
            own is ``You are Qwen, created by Alibaba Cloud. You are a helpful assistant.``, and
            Qwen2.5-Math's ``Please reason step by step, and put your final answer within
            \boxed{}.``.

    Source: Gen-Verse/ReasonFlux, ReasonFlux_PRM/README.md.

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.reasonflux_prm_7b(system="").as_config()
        {'recipe': 'reasonflux-prm-7b', 'system': ''}
    """
    return Recipe.from_layout(
        qwen_chat(system=system or None, tag="<extra_0>", tag_ids={"Qwen2.5": 151651}),
        softmax_of_classes("score.0", "score.2", classes=2, good=1),
        name="reasonflux-prm-7b",
        confidence="author",
        source="Gen-Verse/ReasonFlux",
        parameters=(("system", system),),
        unverified=("what the tokenizer's chat template writes into the system turn",),
    )


PUBLISHED = Published(
    "reasonflux-prm-7b", reasonflux_prm_7b, repositories={"Gen-Verse/ReasonFlux-PRM-7B": {}}
)
