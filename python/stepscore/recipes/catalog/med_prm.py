"""med-prm: the medical PRM of Med-PRM, a chat model read at the step tags of the user's turn."""

from __future__ import annotations

from stepscore.recipes import prompt_texts as texts
from stepscore.recipes.layouts import chosen, llama_chat, rows_of_words
from stepscore.recipes.recipe import Published, Recipe


def med_prm(prompt: str = "question") -> Recipe:
    r"""Read Med-PRM: :math:`r_k = \mathrm{softmax}(w_+ h,\; w_- h)_0`.

    A chat of Llama 3.1: the evaluator's prompt as system turn, and as user's turn ``Question:
    {problem}\n\nExplanation: Step 1: ... ки Step 2: ... ки``. The rendered text is encoded again
    with special tokens, so that it begins with two BOS tokens, and is read at every ``" ки"``.
    ``w_+`` and ``w_-`` are the rows of the first tokens of ``" +"`` and ``" -"``. A newline in a
    step is a space; steps are numbered and split as those of ``math-shepherd``. Options belong to
    the problem: ``{question} (A) ... (B) ...``. The author selects by the minimum.

    Args:
        prompt: ``question`` for a problem alone. With ``documents`` the problem itself is what
            stands before ``Explanation:``, ``Document 1: ...\n\nQuestion: ...``.

    Raises:
        ValueError: another prompt.

    Source: jhyun0414/medical_PRM, python/4_scoring_PRM.py (prompts, reading), and its sampling
        script (steps). Unverified: that the model's own chat template is that of Llama 3.1, with
        its lines of dates.

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.med_prm("documents").as_config()
        {'recipe': 'med-prm', 'prompt': 'documents'}
    """
    layout = llama_chat(
        system=texts.LLAMA_31_DATES + chosen("prompt", prompt, texts.MED_PRM),
        question="Question: " if prompt == "question" else "",
        between="\n\nExplanation: ",
        tag=" ки",
        tag_ids={"Llama 3": 116624},
    )
    published = {"Llama 3": (489, 482)}
    return Recipe.from_layout(
        layout,
        rows_of_words((" +", " -"), good=0, take="first", published=published),
        name="med-prm",
        confidence="author",
        source="jhyun0414/medical_PRM, eth-medical-ai-lab/Med-PRM",
        default_aggregate="min",
        parameters=(("prompt", prompt),),
        unverified=("the chat template is taken to be Llama 3.1's, with its lines of dates",),
    )


PUBLISHED = Published("med-prm", med_prm, {"dmis-lab/llama-3.1-medprm-reward-v1.0": {}})
