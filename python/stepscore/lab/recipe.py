"""Every number of the lab's training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Every number of the training; the defaults gave the shipped weights."""

    misconception: float = 0.3  # how often a carry is forgotten in the policy's data

    width: int = 96
    layers: int = 3
    heads: int = 4
    feed_forward: int = 288

    policy_problems: int = 90_000
    policy_steps: int = 1_400
    policy_batch: int = 64
    policy_rate: float = 3e-3

    # (problems, samples of each, temperature) the PRM's first round is made from
    first_samples: tuple[tuple[int, int, float], ...] = (
        (4_000, 6, 1.0),
        (3_000, 4, 1.5),
        (2_000, 4, 2.0),
    )
    written_problems: int = 20_000  # a right, a misconceived and several flawed solutions of each
    written_flawed: int = 3
    mined_problems: int = 1_000
    mined_samples: int = 64
    mined_kept: int = 6  # wrong solutions that the PRM likes best, kept per problem
    mined_times: int = 2  # how often each mined solution stands in its round's data
    mined_again: int = 24_000  # rows of the first round that a mined round repeats

    prm_more_layers: int = 2
    prm_language: float = 1.0  # weight of predicting the next token of right text
    prm_batch: int = 64
    prm_rate: float = 2e-3
    first_steps: int = 1_000
    first_final_share: float = 0.4
    mined_rounds: int = 2
    mined_steps: int = 600

    warmup: int = 50
    final_share: float = 0.02
