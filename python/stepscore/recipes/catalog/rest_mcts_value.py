"""rest-mcts-value: the Mistral value model of ReST-MCTS*, a linear layer over all logits."""

from __future__ import annotations

from stepscore.recipes.layouts import TextEnd, value_of_logits
from stepscore.recipes.recipe import Published, Recipe


def rest_mcts_value() -> Recipe:
    r"""Read ReST-MCTS*'s value model: :math:`v_k = u \cdot (W_{lm} h) + c`.

    The text ``Problem: {problem}\nSolution:\n`` with the first k steps, each with a newline behind
    it, is encoded at once with the tokenizer's BOS, and read at its last token; the authors pad on
    the left, so that this is position -1. Their search clips values to [0, 1], which changes no
    order but makes ties; here they are as they are.

    The authors save the base and the layer together as ``VM_best_checkpoint.pt``: put it as
    ``pytorch_model.bin`` into a folder with the base's config.json and tokenizer, and no other
    weights. Their other value model has a ChatGLM as its base, whose code is not in transformers.

    Source: THUDM/ReST-MCTS, models/value_models.py, MCTS/task.py, PRM/train_VM_mistral.py.

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.rest_mcts_value().split("Step 1: 3 + 4 = 7\nStep 2: 7 + 5 = 12\n")
        ['Step 1: 3 + 4 = 7', 'Step 2: 7 + 5 = 12']
    """
    return Recipe.from_layout(
        TextEnd(
            before="Problem: ",
            between="\nSolution:\n",
            joiner="\n",
            after="\n",
            unit="step",
            split_at="\n",
            special_tokens=True,
        ),
        value_of_logits("LN", activation="identity"),
        name="rest-mcts-value",
        confidence="author",
        source="THUDM/ReST-MCTS",
        default_aggregate="last",
        unverified=("Which checkpoint of it is published, and on which side it was padded.",),
    )


PUBLISHED = Published("rest-mcts-value", rest_mcts_value)
