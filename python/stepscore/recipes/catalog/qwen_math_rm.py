"""qwen2.5-math-rm: Qwen2.5-Math-RM-72B, which gives a solution one score."""

from __future__ import annotations

from stepscore.recipes.layouts import qwen_chat_read_at_end, value_of
from stepscore.recipes.recipe import Published, Recipe

_SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."


def qwen_math_rm() -> Recipe:
    r"""Read Qwen's outcome model: :math:`r = W_2\,\mathrm{relu}(W_1 h + b_1) + b_2`.

    The chat of ``qwen2.5-math-prm`` without its tags, encoded as one text and read at its last
    token, the newline behind the assistant's ``<|im_end|>``. A solution has one score, a logit;
    steps given as a list are joined by blank lines. What grows step by step has, at every step, the
    score of the solution that ends there.

    Source: the model card of Qwen/Qwen2.5-Math-RM-72B (text); the ports in InternLM/lmdeploy and
        vllm-project/vllm (head).

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.qwen_math_rm().unit
        'solution'
    """
    return Recipe.from_layout(
        qwen_chat_read_at_end(system=_SYSTEM),
        value_of("score.0", "score.2"),
        name="qwen2.5-math-rm",
        confidence="third-party",
        source="model card of Qwen/Qwen2.5-Math-RM-72B; InternLM/lmdeploy, vllm-project/vllm",
    )


PUBLISHED = Published(
    "qwen2.5-math-rm",
    qwen_math_rm,
    repositories={"Qwen/Qwen2.5-Math-RM-72B": {}},
    architectures=("Qwen2ForRewardModel",),
)
