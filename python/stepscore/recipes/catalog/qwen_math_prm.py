"""qwen2.5-math-prm: Qwen2.5-Math-PRM-7B, Qwen2.5-Math-PRM-72B, Qwen2.5-Math-7B-PRM800K."""

from __future__ import annotations

from stepscore.recipes.layouts import qwen_chat, softmax_of_classes
from stepscore.recipes.recipe import Published, Recipe

_SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."


def qwen_math_prm() -> Recipe:
    r"""Read Qwen's PRMs: :math:`r_k = \mathrm{softmax}(W_2\,\mathrm{relu}(W_1 h + b_1) + b_2)_1`.

    The chat text ends every step of the assistant's turn in ``<extra_0>``, is encoded as one text,
    and is read at each ``<extra_0>``. The author states no aggregate.

    Babelscape's ``Qwen2.5-Math-PRM-7B-PDDL-r`` was trained further and is read in the same way.

    Source: the model card of Qwen/Qwen2.5-Math-PRM-7B (text and score); the ports in
        InternLM/lmdeploy and vllm-project/vllm (head).

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.qwen_math_prm().split("3 + 4 = 7\n\n7 + 5 = 12\n\n")
        ['3 + 4 = 7', '7 + 5 = 12']
    """
    return Recipe.from_layout(
        qwen_chat(system=_SYSTEM, tag="<extra_0>", tag_ids={"Qwen2.5": 151651}),
        softmax_of_classes("score.0", "score.2", classes=2, good=1),
        name="qwen2.5-math-prm",
        confidence="author",
        source="model card of Qwen/Qwen2.5-Math-PRM-7B; head: InternLM/lmdeploy, vllm-project/vllm",
    )


PUBLISHED = Published(
    "qwen2.5-math-prm",
    qwen_math_prm,
    repositories={
        **{f"Qwen/Qwen2.5-Math-{x}": {} for x in ("PRM-7B", "PRM-72B", "7B-PRM800K")},
        "Babelscape/Qwen2.5-Math-PRM-7B-PDDL-r": {},
    },
    architectures=("Qwen2ForProcessRewardModel",),
    added_token="<extra_0>",  # PURE's models share the class and the head, but not the tag
)
