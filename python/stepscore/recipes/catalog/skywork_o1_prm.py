"""skywork-o1-prm: Skywork-o1-Open-PRM-Qwen-2.5-1.5B and -7B."""

from __future__ import annotations

from stepscore.recipes.layouts import SeparateParts, sigmoid_of_value
from stepscore.recipes.recipe import Published, Recipe


def skywork_o1_prm() -> Recipe:
    r"""Read Skywork's PRMs: :math:`r_k = \sigma(w \cdot h + b)`.

    ids = enc(bos_token + problem + "\n"), then for every line of the solution enc(line) and the
    step id, which is the last id of enc("\n"). Every part is encoded alone: encoded together, a
    full stop and its newline would become one token. A step is read at its step id. The author
    states no aggregate.

    The author's code also writes a step id for every blank line, and scores it, although there is
    nothing to judge. Here the blank lines are written as the author writes them, so that the model
    sees the same tokens, but they are no steps: they stand in front of the step that follows. A
    step may therefore begin with blank lines; a newline elsewhere in its text is an error. Blank
    lines behind a step of a list, or behind the last step of a text, are dropped.

    Source: SkyworkAI/skywork-o1-prm-inference.

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.skywork_o1_prm().split("3 + 4 = 7\n\n7 + 5 = 12\n")
        ['3 + 4 = 7', '\n7 + 5 = 12']
    """
    layout = SeparateParts(
        separator="\n",
        bos="text",
        problem_end="\n",
        separator_ids="last",
        blanks="written",
        published={"Qwen2.5": 198},
    )
    return Recipe.from_layout(
        layout,
        sigmoid_of_value("v_head.summary"),
        name="skywork-o1-prm",
        confidence="author",
        source="SkyworkAI/skywork-o1-prm-inference",
    )


PUBLISHED = Published(
    "skywork-o1-prm",
    skywork_o1_prm,
    repositories={f"Skywork/Skywork-o1-Open-PRM-Qwen-2.5-{size}": {} for size in ("1.5B", "7B")},
    architectures=("Qwen2ForPrmModel",),
)
