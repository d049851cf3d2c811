"""R-PRM: a critique of the step, and then the probability of Yes."""

from __future__ import annotations

from collections.abc import Sequence

from stepscore.policies.texts import TextPolicy, Turn
from stepscore.scoring.verdicts.model import GenerativeRewardModel
from stepscore.scoring.verdicts.sampling import Sampling
from stepscore.scoring.verdicts.verdict_recipe import verdict_recipe
from stepscore.scoring.verdicts.word_verdict import Asked, Opening, WordVerdict, check_tells

_PROMPT = """\
You are an excellent math teacher. Please verify the correctness of the Now Step.

You first need to analyze the Now Step and the Previous Steps and then summarize based on your \
analysis.
Analysis:
You need to analyze the following aspects.
**Previous Steps Analysis**: You need to analyze the Previous Steps step by step. For each step, \
you need to first explain what the current step is doing, then you try to find any error in the \
current step.
**Now Step Analysis**: You first need to explain what the Now Step is doing, and then point out \
which part of the Question it is trying to solve or which part of the information it states.
**Data Source Analysis**: First you need to find out what data are used in the Now Step, and then \
you need to determine whether the source of the data is reasonable and correct. When you judge \
whether the source of a data is reasonable and correct, you need to specify the specific source of \
this data: such as which part of the question, or which content of the previous step; and then \
determine the source and current use is consistent, the Now Step is used correctly.
**Consistency Analysis**: You need to check that the Now Step is consistent with the contents of \
the Previous Steps, and then you need to check that all the information inside the Now Step is \
consistent.
**Calculation Analysis**: If the Now Step involves any calculations, such as addition, \
subtraction, multiplication, division, equations, modulo operations, etc., you will first need to \
perform a check on the calculation, such as a reverse operation, to see if the calculation was \
done correctly, and then analyze the results of your check to see if there was an error in the \
calculation.
Conclusion:\x20
Please verify the correctness of the Now Step based on your analysis, if there is any error in \
the Now Step then the Now Step is wrong and vice versa the Now Step is correct. At the end of the \
Conclusion, when you give your final answer, write it in the form "Verification: Is the step \
correct (Yes/No)? X", where X is either Yes or No.

Question: {}
Previous Steps: {}
Now Step: {}
Please carefully analyze the correctness of the Now Step.
Reply: """
_FIRST = "Since the Now Step is the first step, there are no Previous Steps."


def r_prm(
    policy: TextPolicy,
    *,
    votes: int = 10,
    temperature: float = 0.95,
    max_tokens: int = 3072,
    seed: int = 0,
) -> GenerativeRewardModel:
    r"""R-PRM: :math:`s_k = \frac{1}{n} \sum_v \mathrm{softmax}(z_{Yes}, z_{No})_{Yes}`.

    The critique is cut right behind ``Is the step correct (Yes/No)?``; one that does not ask is
    followed by ``Based on your analysis. Is the answer correct (Yes/No)?``. The next token is read:
    `` Yes`` against `` No``.

    Args:
        policy: R-PRM's weights, such as ``kevinpro/R-PRM-7B-DPO``.
        votes: critiques of each step; the authors' K.
        temperature, max_tokens: of the critiques, which are drawn with top-p 0.95.
        seed: of everything that is drawn.

    Raises:
        InputError: what is no policy; votes, tokens or a temperature that no text can be drawn
            by.

    Source: NJUNLP/R-PRM, ``src/prompts/GenPRM/GenPRM-evaluate-new3.json``,
    ``src/evaluate/GenPRM/evaluate-PRM-CoT.py`` and, for how steps are joined and drawn,
    ``src/reward-guide-search/code/GenPRM-Greedy-Seach-Zero-Shot.py``. The evaluation prompt there
    ends in two backslashes and an n that stand for nothing; here the chat template ends the turn.
    """
    check_tells(policy, "r_prm")
    sampling = Sampling(max_tokens, temperature, 0.95, votes=votes)
    recipe = verdict_recipe(
        "r-prm",
        confidence="author",
        source="https://github.com/NJUNLP/R-PRM",
        parameters=sampling.as_parameters(),
        unverified=("the system turn of the evaluation: the chat template's own is taken",),
    )
    asked = Asked(
        "\nBased on your analysis. Is the answer correct (Yes/No)?",
        (" Yes", " No"),
        "Is the step correct (Yes/No)?",
    )
    verifier = WordVerdict(
        recipe, _open, ("Yes", "No"), (1.0, 0.0), sampling, asked=asked, cut_off="ask"
    )
    return GenerativeRewardModel(policy, verifier, seed)


def _open(problem: str, steps: Sequence[str]) -> Opening:
    before, _, after = _PROMPT.partition("Question: {}")
    previous = "\n".join(steps[:-1]) or _FIRST
    pieces = after.split("{}")
    shown = f"Question: {problem}{pieces[0]}{previous}{pieces[1]}{steps[-1]}{pieces[2]}"
    return Opening((Turn("user", before + shown),))
