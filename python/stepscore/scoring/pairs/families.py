"""The families that need nothing but a policy, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from stepscore.scoring.pairs.j1 import j1, j1_scores
from stepscore.scoring.pairs.r1_reward import r1_reward
from stepscore.scoring.pairs.rm_r1 import rm_r1
from stepscore.scoring.pairs.rrm import rrm
from stepscore.scoring.pairs.verifier import PairVerifier

FAMILIES: dict[str, Callable[..., PairVerifier]] = {
    "j1": j1,
    "j1-scores": j1_scores,
    "r1-reward": r1_reward,
    "rm-r1": partial(rm_r1, distilled=False),
    "rm-r1-distilled": partial(rm_r1, distilled=True),
    "rrm": rrm,
}
"""By name. Each takes `max_tokens` and `temperature`, and has the authors' where they are known."""
