"""PRO-STEP: a rationale on a step of retrieval-augmented reasoning, and then its label."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from stepscore.policies.texts import TextPolicy, Turn
from stepscore.scoring.verdicts.model import GenerativeRewardModel
from stepscore.scoring.verdicts.sampling import Sampling
from stepscore.scoring.verdicts.verdict_recipe import verdict_recipe
from stepscore.scoring.verdicts.word_verdict import By, Opening, WordVerdict, check_tells

_SYSTEM = (
    "You are a step-level critic for evaluating reasoning quality in multi-hop question answering. "
    "The trajectory uses XML tags: <think> for reasoning, <search> for queries, <answer> for final "
    "answers, <documents> for retrieved passages. Analyze each step's logical soundness and "
    "evidence grounding. First explain your reasoning inside [REASONING] tags, then output a label "
    "(1=good, 0=bad)."
)
_TASK = (
    "Task: Evaluate the quality of the Current Step. Explain your reasoning in [REASONING] tags, "
    "then provide a label (1=good, 0=bad)."
)
_LABEL = re.compile(r"Label: ?([01])")


def pro_step(
    policy: TextPolicy,
    *,
    system: str = _SYSTEM,
    max_tokens: int = 512,
    by: By = "probability",
    seed: int = 0,
) -> GenerativeRewardModel:
    r"""PRO-STEP-PRM-8B: :math:`s_k = p_1 / (p_1 + p_0)` at the digit of ``Label:``.

    A step holds the marks of its trajectory: ``<think>``, then ``<search>`` or ``<answer>``, then
    ``<documents>``, a line each.

    Args:
        policy: the adapter ``DORAEMONG/PRO-STEP-PRM-8B`` on ``DeepSeek-R1-0528-Qwen3-8B``.
        system: the system turn.
        max_tokens: of the rationale, which is drawn without chance.
        by: the probability of the label, or the label itself.
        seed: has an effect only where a policy draws in spite of temperature 0.

    Raises:
        InputError: what is no policy; another way to read the verdict; fewer than one token.

    Source: keemminnke/PRO-Step, ``src/prmrag/training/critic_trainer.py`` and
    ``scripts/compare_voting_methods.py``. There a label without its partner among the 20 likeliest
    tokens counts as 1 - 1e-6; here the partner gets the least of their probabilities.
    """
    check_tells(policy, "pro_step")
    sampling = Sampling(max_tokens)
    recipe = verdict_recipe(
        "pro-step",
        confidence="author",
        source="https://github.com/keemminnke/PRO-Step",
        default_aggregate="min",
        parameters={**sampling.as_parameters(), "by": by},
        unverified=(
            "whether the published weights were trained with 'critic' or with 'generative' in the "
            "system turn: the repository has both",
        ),
    )
    verifier = WordVerdict(
        recipe,
        partial(_open, system),
        ("1", "0"),
        (1.0, 0.0),
        sampling,
        pattern=_LABEL,
        by=by,
        which="first",
    )
    return GenerativeRewardModel(policy, verifier, seed)


def _open(system: str, problem: str, steps: Sequence[str]) -> Opening:
    lines = [f"Question: {problem}", ""]
    if len(steps) > 1:
        lines.append("Previous Steps:")
    for number, step in enumerate(steps[:-1], 1):
        lines += [f"## Step {number}", step, ""]
    lines += ["Current Step to Evaluate:", f"## Step {len(steps)}", steps[-1], "", _TASK]
    return Opening((Turn("system", system), Turn("user", "\n".join(lines))))
