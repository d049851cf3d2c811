"""group_advantage against the loop over groups that trainers run."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
import torch

import stepscore

ROLLOUTS, GROUPS = 16_384, 2_048


@pytest.fixture(scope="module")
def rollouts() -> tuple[Any, Any]:
    generator = np.random.default_rng(0)
    rewards = torch.from_numpy(generator.random(ROLLOUTS, dtype=np.float32))
    return rewards, torch.from_numpy(generator.integers(0, GROUPS, ROLLOUTS))


def by_dictionary(rewards: Any, groups: Any) -> Any:
    """A list for every group, then its mean and deviation, as in the estimators of trainers."""
    members = defaultdict(list)
    for i, group in enumerate(groups.tolist()):
        members[group].append(i)
    out = torch.empty_like(rewards)
    for of_group in members.values():
        values = rewards[of_group]
        if len(of_group) == 1:
            out[of_group] = 0.0
            continue
        out[of_group] = (values - values.mean()) / (values.std() + 1e-6)
    return out


@pytest.mark.benchmark(group="group_advantage: 16,384 rollouts in 2,048 groups")
class TestGroups:
    def test_stepscore(self, measure: Any, rollouts: Any) -> None:
        ours = stepscore.group_advantage(*rollouts)
        torch.testing.assert_close(ours, by_dictionary(*rollouts), rtol=1e-2, atol=1e-3)
        measure(lambda: stepscore.group_advantage(*rollouts), [()], rounds=30)

    def test_loop_over_groups(self, measure: Any, rollouts: Any) -> None:
        measure(lambda: by_dictionary(*rollouts), [()], rounds=3)
