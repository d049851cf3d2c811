"""llemma-prm: the Llemma-7B PRMs of easy-to-hard generalisation, read by the mean of all logits."""

from __future__ import annotations

from stepscore.recipes.layouts import EndedText, value_of_logits
from stepscore.recipes.recipe import Published, Recipe

_REPOSITORY = "ScalableMath/llemma-7b-prm-{}-level-1to3-hf"


def llemma_prm() -> Recipe:
    r"""Read Llemma's PRMs: :math:`r_k = \sigma(\frac{1}{V} \sum_v (W_{lm} h)_v)`.

    The text ``# Question\n\n{problem}\n\n# Solution\n\n`` and every step with a blank line behind
    it are encoded as one text, with the tokenizer's BOS. A step is stripped, and blank lines within
    it go without a trace, as in the ports. It is read at the first of the two newline tokens behind
    it. The mean is over all rows of the output matrix, also of those that no token has; it is one
    row when the model is loaded.

    The ports also score the newlines behind ``# Solution``, where no step ends; here they do not.
    The published folders have no tokenizer: put that of EleutherAI/llemma_7b beside the weights.
    Neither authors nor ports state an aggregate.

    Source: ssmisya/PRMBench; thu-wyz/inference_scaling (the value); Edward-Sun/easy-to-hard
        (the training text, and that newlines behind a step are trained).

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.llemma_prm().split("3 + 4 = 7\n\n7 + 5 = 12\n\n")
        ['3 + 4 = 7', '7 + 5 = 12']
    """
    return Recipe.from_layout(
        EndedText(
            before="# Question\n\n",
            between="\n\n# Solution\n\n",
            end="\n\n",
            marks=1,
            read="first",
            within="removed",
            end_ids={"Mistral v0.1": (13, 13)},  # it writes newlines as Llama's vocabulary does
        ),
        value_of_logits(),
        name="llemma-prm",
        confidence="third-party",
        source="ssmisya/PRMBench, thu-wyz/inference_scaling",
        unverified=("The aggregate.",),
    )


PUBLISHED = Published(
    "llemma-prm", llemma_prm, {_REPOSITORY.format(x): {} for x in ("prm800k", "metamath")}
)
