"""internlm2-reward: InternLM2-1.8B-Reward, -7B- and -20B-, which give a solution one score."""

from __future__ import annotations

from stepscore.recipes.layouts import TextEnd, value_of
from stepscore.recipes.recipe import Published, Recipe

_TURN, _END, _REWARD = "<|im_start|>", "<|im_end|>", "[UNUSED_TOKEN_130]"


def internlm2_reward() -> Recipe:
    r"""Read InternLM2's reward models: :math:`r = w \cdot h`.

    A chat without a system turn behind the BOS, encoded as one text without further special tokens,
    and behind it the reward token, at which it is read. A solution has one score, a real number;
    steps given as a list are joined by blank lines.

    transformers has no class of InternLM2, and no code of a checkpoint is run: the published files
    are refused by their ``model_type``. Files that were converted to Llama's form, with the head as
    ``v_head.weight`` and the tokenizer of the original, are read.

    Source: InternLM/xtuner and InternLM/lmdeploy (head, reward token), allenai/reward-bench.

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.internlm2_reward().head.layers[0].bias is None
        True
    """
    layout = TextEnd(
        before=f"<s>{_TURN}user\n",
        between=f"{_END}\n{_TURN}assistant\n",
        joiner="\n\n",
        after=f"{_END}\n",
        added=("<s>", _TURN, _END),
        end_entry=_REWARD,
    )
    return Recipe.from_layout(
        layout,
        value_of("v_head", bias=False),
        name="internlm2-reward",
        confidence="third-party",
        source="InternLM/xtuner, InternLM/lmdeploy, allenai/reward-bench",
    )


PUBLISHED = Published(
    "internlm2-reward",
    internlm2_reward,
    {f"internlm/internlm2-{size}-reward": {} for size in ("1_8b", "7b", "20b")},
)
