"""J1, judges that think first, pair-wise: a verdict, or a score of each response."""

from __future__ import annotations

import re

from stepscore.scoring.pairs.verifier import PairVerifier, pair_verifier
from stepscore.scoring.verdicts.programs import VerdictError

_BEFORE = """
You are given a user question and two responses from two AI assistants. Your task is to act as an \
impartial judge and evaluate which response better follows the user's instructions and provides a \
higher-quality answer.

First, provide your reasoning within <think> and </think> tags. This should include your \
evaluation criteria for a high-quality response, a detailed comparison of the two responses, and \
when helpful, a reference answer as part of your evaluation. Be explicit in your thought process, \
referencing your criteria and explaining how each response aligns with or deviates from them.

Avoid any position biases and ensure that the order in which the responses were presented does not \
influence your decision. Do not allow the length of the responses to influence your evaluation. Do \
not favor certain names of the assistants. Be as objective as possible.

"""
_VERDICT = """\
Finally, provide your verdict within <answer> and </answer> tags, strictly following this format:
- <answer> [[A]] </answer> if Assistant A is better
- <answer> [[B]] </answer> if Assistant B is better
"""
_SCORES = """\
Finally, assign the assistant's response a score from 0 to 10, using either an integer or a \
decimal with up to 0.1 precision, with a higher score indicating a higher-quality response that \
better satisfies the criteria. Enclose the scores within the tags <score_A> </score_A>, and \
<score_B> </score_B>.

Format your output like this:
<think> your_thinking_process </think>
<score_A> your_score_a </score_A> <score_B> your_score_b </score_B>
"""
_AFTER = """
Below are the user's question and the two responses:

[User Question]
{problem}

<response_A>
{first}
</response_A>

<response_B>
{second}
</response_B>
"""
_SOURCE = "facebookresearch/fairseq2 recipes/lm/_online_finetune/_generative_judge.py"
_SAMPLING = "The most tokens and the temperature of the authors' runs."


def j1(*, max_tokens: int = 8192, temperature: float = 0.0) -> PairVerifier:
    """Compare as Pairwise-J1 does: ``<answer> [[A]] </answer>`` behind the reasoning.

    Args:
        max_tokens, temperature: of an answer.

    Raises:
        InputError: fewer than one token, a temperature below 0.

    Source: Whitehouse et al., "J1: Incentivizing Thinking in LLM-as-a-Judge via Reinforcement
    Learning" (arXiv 2505.10320); the authors' fairseq2 recipe, `PAIRWISE_J1_PROMPT`.
    """
    return pair_verifier(
        "j1",
        prompt=_BEFORE + _VERDICT + _AFTER,
        verdict=r"<answer>\s*\[\[([^\]]*)\]\]\s*</answer>|<answer>",
        points={"A": 1, "B": 0},
        source=_SOURCE,
        unverified=(_SAMPLING,),
        max_tokens=max_tokens,
        temperature=temperature,
    )


def j1_scores(*, max_tokens: int = 8192, temperature: float = 0.0) -> PairVerifier:
    """Compare as Pairwise-J1 with scores does: 0 to 10 for each, and equal ones are a tie.

    The authors give a response without a score 0; here the two have no verdict then.

    Args:
        max_tokens, temperature: of an answer.

    Raises:
        InputError: fewer than one token, a temperature below 0.

    Source: as `j1`, `PAIRWISE_WITH_SCORES_J1_PROMPT`.
    """
    return PairVerifier(
        "j1-scores",
        _BEFORE + _SCORES + _AFTER,
        _compare_scores,
        _SOURCE,
        "author",
        (_SAMPLING,),
        max_tokens=max_tokens,
        temperature=temperature,
    )


def _compare_scores(text: str) -> float:
    first, second = (_score(text, name) for name in "AB")
    return 0.5 + 0.5 * ((first > second) - (first < second))


def _score(text: str, name: str) -> float:
    pattern = (
        rf"<score_{name}>\s*([0-9]+(?:\.[0-9]+)?)\s*(?:/\s*10)?\s*</score_{name}>|<score_{name}>"
    )
    every = re.findall(pattern, text)
    if not every or not every[-1] or float(every[-1]) > 10:
        got = every[-1] if every and every[-1] else f"a text that ends in {text[-80:]!r}"
        raise VerdictError(f"expected <score_{name}> of 0 to 10; got {got}", text)
    return float(every[-1])
