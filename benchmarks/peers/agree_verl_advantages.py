"""Are the advantages of verl ours under ``compat="verl"``? ``python agree_verl_advantages.py``

In an environment with verl and what its ``core_algos`` needs: ``pip install --no-deps verl``, then
omegaconf, hydra-core, antlr4-python3-runtime 4.9.3, tensordict, pyvers, ray and what that needs.
Random rollouts of ``tests/rewards``, in groups of 1, 2, 3 and 4, with gaps in their masks; the
largest difference over them, relative to numbers above 1. Above a bound the program fails.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "rewards"))

import numpy as np
import torch
from ragged_rollouts import Rollouts, rollouts
from verl.trainer.ppo import core_algos

from stepscore.rewards import method, spread

SEEDS = 50
BOUND = 2e-6  # verl takes some means in float32
KEYS = ["first", "second"]


def on_tokens(name: str, case: Rollouts, **options: Any) -> np.ndarray:
    """Advantages of rollouts, given to their tokens."""
    return spread(method(name).function(case.outcomes, case.groups, **options), mask=case.mask)


def outcomes_of(case: Rollouts) -> list[tuple[str, Any, Any]]:
    """Name, ours and theirs, of what starts from outcomes."""
    mask, prompts = torch.tensor(case.mask), np.array([str(g) for g in case.groups], object)
    last = torch.zeros_like(mask)
    for row, written in enumerate(case.mask):
        last[row, np.flatnonzero(written)[-1]] = case.outcomes[row]

    def theirs(name: str, **options: Any) -> Any:
        function = getattr(core_algos, f"compute_{name}_outcome_advantage")
        return function(last.clone(), mask, prompts, **options)[0]

    verl = {"compat": "verl"}
    lengths = case.mask.sum(axis=1).astype(np.int64)
    kinds = np.stack([case.outcomes, np.roll(case.outcomes, 1)], axis=1).astype(np.float32)
    attended = np.arange(mask.shape[1]) < np.array(case.lengths)[:, None]
    scores = {
        "config": {"gdpo_reward_keys": KEYS, "gdpo_reward_weights": [0.5, 2.0]},
        "non_tensor_batch": dict(zip(KEYS, kinds.T, strict=True)),
        "batch": {"prompts": mask[:, :0], "attention_mask": torch.tensor(attended).long()},
    }
    weights = {"weights": [0.5, 2.0], "mask": case.mask}
    of_kinds = method("gdpo").function(kinds.astype(np.float64), case.groups, **weights, **verl)
    whitened = method("reinforce_plus_plus_baseline").function
    return [
        ("grpo", on_tokens("grpo", case, **verl), theirs("grpo")),
        (
            "dr_grpo",
            on_tokens("dr_grpo", case, **verl),
            theirs("grpo", norm_adv_by_std_in_grpo=False),
        ),
        ("rloo", on_tokens("rloo", case, **verl), theirs("rloo")),
        ("rloo_vectorized", on_tokens("rloo", case), theirs("rloo_vectorized")),
        ("opo", on_tokens("opo", case, lengths=lengths, **verl), theirs("opo")),
        ("gpg", on_tokens("gpg", case, singleton="reward"), theirs("gpg")),
        ("gdpo", of_kinds, theirs("gdpo", **scores)),
        (
            "reinforce_plus_plus_baseline",
            whitened(case.outcomes, case.groups, mask=case.mask, **verl),
            theirs("reinforce_plus_plus_baseline"),
        ),
    ]


def tokens_of(case: Rollouts, seed: int) -> list[tuple[str, Any, Any]]:
    """Name, ours and theirs, of what starts from token rewards."""
    rng = np.random.default_rng(seed)
    mask, prompts = torch.tensor(case.mask), np.array([str(g) for g in case.groups], object)
    rewards, critic = (torch.tensor(rng.normal(size=case.mask.shape)) for _ in range(2))
    probabilities, squares, ratios = (torch.tensor(rng.random(case.mask.shape)) for _ in range(3))
    greedy = torch.tensor(rng.normal(size=len(case.groups)))
    read = rewards * mask
    verl = {"compat": "verl", "mask": mask}
    gae = method("whitened_gae").function(rewards, critic, gamma=0.9, lam=0.8, **verl)
    their_gae = core_algos.compute_gae_advantage_return(rewards, critic, mask, 0.9, 0.8)
    baseline = method("optimal_token_baseline").function(
        rewards,
        case.groups,
        log_probs=probabilities.log(),
        sum_squares=squares,
        ratios=ratios,
        **verl,
    )
    several_turns = core_algos.compute_multi_turn_optimal_token_baseline_advantage
    return [
        ("whitened_gae", gae[0], their_gae[0]),
        ("whitened_gae, returns", gae[1], their_gae[1]),
        (
            "reinforce_plus_plus",
            method("reinforce_plus_plus").function(rewards, gamma=0.9, mask=mask),
            core_algos.compute_reinforce_plus_plus_outcome_advantage(
                read, mask, SimpleNamespace(gamma=0.9)
            )[0],
        ),
        (
            "remax",
            method("remax").function(rewards, greedy=greedy, **verl),
            core_algos.compute_remax_outcome_advantage(read, greedy, mask)[0],
        ),
        (
            "optimal_token_baseline",
            baseline,
            several_turns(
                read, mask, prompts, probabilities.log(), squares, ratios, handle_zero_tail=True
            )[0],
        ),
    ]


def best_of(case: Rollouts) -> tuple[str, Any, Any]:
    """Of the groups that are large enough."""
    some = case.groups != 4
    ours = method("grpo_passk").function(case.outcomes[some], case.groups[some])
    rewards = torch.zeros(case.mask[some].shape, dtype=torch.float64)
    rewards[:, 0] = torch.tensor(case.outcomes[some])
    mask, prompts = torch.tensor(case.mask[some]), case.groups[some].astype(str).astype(object)
    theirs = core_algos.compute_grpo_passk_outcome_advantage(rewards, mask, prompts, config={})
    return "grpo_passk", spread(ours, mask=case.mask[some]), theirs[0]


def main() -> None:
    """Print the largest difference of every method."""
    worst: dict[str, float] = {}
    for seed in range(SEEDS):
        case = rollouts(seed)
        for name, ours, theirs in [*outcomes_of(case), *tokens_of(case, seed), best_of(case)]:
            ours, theirs = (np.asarray(array, np.float64) for array in (ours, theirs))
            difference = np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))
            worst[name] = max(worst.get(name, 0.0), float(difference.max()))
    for name, difference in worst.items():
        print(f"{name:30} {difference:8.1e}")
    if max(worst.values()) > BOUND:
        sys.exit(f"above {BOUND:g}")


if __name__ == "__main__":
    main()
