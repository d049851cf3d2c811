"""Rewards for training, made of what a policy says of its own tokens.

They take arrays of `stepscore.token_logprob`: packed tokens with the offsets of their steps.

- ``implicit``: log-ratios of a policy and a reference, and logits without a reference
- ``step_division``: steps that end where a policy hesitates
- ``confidence``: how sure a policy is of an answer, and of a step
- ``tokens``: how all of these read packed tokens
"""

from stepscore.rewards.confidence import answer_confidence, step_uncertainty
from stepscore.rewards.implicit import log_ratio_rewards, teacher_forced_rewards
from stepscore.rewards.step_division import (
    DividedSteps,
    divide_by_confidence,
    divide_by_entropy,
)

__all__ = [
    "DividedSteps",
    "answer_confidence",
    "divide_by_confidence",
    "divide_by_entropy",
    "log_ratio_rewards",
    "step_uncertainty",
    "teacher_forced_rewards",
]
