"""prorag-prm: ProRAG_PRM, for reasoning with retrieval."""

from __future__ import annotations

from stepscore.recipes import prompt_texts as texts
from stepscore.recipes.layouts import TextEnd, value_of
from stepscore.recipes.recipe import Published, Recipe

_TURN, _END = "<|im_start|>", "<|im_end|>"


def prorag_prm() -> Recipe:
    r"""Read ProRAG's PRM: :math:`r_k = w \cdot h`, a real number that is good from 0 on.

    A chat of Qwen3 with an empty ``<think>``: the authors' instruction with the problem, and as
    answer the steps up to the one that is scored, as they are, behind each other. The text is
    encoded as one and read at the ``<|im_end|>`` behind it, which the next step does not see: each
    step is a sequence of its own, whose beginning is forwarded once. A solution given as one text
    is split in front of every ``<step>``. The authors state no aggregate.

    Source: lilinwz/ProRAG, prorag/prm/train.py, prorag/rft/filter_prm.py and
        prorag/utils/prompts.py; the model card of bmbgsj/ProRAG_PRM.

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.prorag_prm().split("<step>a</step>\n<step>b</step>")
        ['<step>a</step>\n', '<step>b</step>']
    """
    layout = TextEnd(
        before=f"{_TURN}user\n{texts.PRORAG_BEFORE}",
        between=f"\n{_END}\n{_TURN}assistant\n<think>\n</think>\n",
        joiner="",
        after=_END,
        unit="step",
        split_before="<step>",
        added=(_TURN, _END),
        special_tokens=True,
        last_ids={"Qwen2.5": 151645},
    )
    return Recipe.from_layout(
        layout,
        value_of("score", bias=False),
        name="prorag-prm",
        confidence="author",
        source="lilinwz/ProRAG",
    )


PUBLISHED = Published("prorag-prm", prorag_prm, {"bmbgsj/ProRAG_PRM": {}})
