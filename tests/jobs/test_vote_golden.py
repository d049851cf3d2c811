"""Everything that ``stepscore vote`` writes and prints, letter by letter.

The digests are those of votes that were compared with the reference, rule by rule. A change of one
of them is a change of what users get, and belongs into the CHANGELOG; print ``found`` for the new
ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from vote_inputs import KINDS

import stepscore
from stepscore.cli.main import main

ALL = [
    "majority", "weighted", "weighted_mean", "best_of_n", "minmax_weighted",
    "softmax_weighted:temperature=0.1", "softmax_weighted:temperature=1", "logodds_weighted",
    "logodds_weighted:eps=1e-3", "loglik_weighted:prior=0.4,reliability=0.6,answers=10",
    "confidence_weighted", "borda", "borda:power=2",
    "hybrid_majority_reward:tau=0.5,consensus=share,reward=max",
    "hybrid_majority_reward:tau=0.7,consensus=entropy,reward=sum",
    "weighted_reward_frequency:reward_weight=0.5,normalize=minmax",
    "weighted_reward_frequency:reward_weight=0.5,normalize=sum", "pareto",
]  # fmt: skip
OBJECTIVES = [
    "pareto",
    "multi_objective:objective_weights=0.5:-0.25,scale=minmax",
    "multi_objective:objective_weights=1:1,scale=none",
]


def asked(*rules: str) -> list[str]:
    return [part for rule in rules for part in ("--rule", rule)]


VARIANTS: dict[str, tuple[str, list[str]]] = {
    **{kind: (kind, []) for kind in KINDS},
    **{f"{kind}, every rule": (kind, asked(*ALL)) for kind in KINDS},
    "chunks": ("both", ["--chunk-size", "50"]),
    "prefixes": ("probabilities", ["--prefixes", "1,2,4,8"]),
    "powers, chunks": ("truncated", ["--prefixes", "powers", "--chunk-size", "30"]),
    "prefixes, every rule": ("logits", [*asked(*ALL), "--prefixes", "1,3,5,100"]),
    "objectives": (
        "truncated",
        [*asked(*OBJECTIVES, "borda"), "--objectives", "last,min", "--prefixes", "1,2"],
    ),
    "objectives of logits": ("logits", [*asked(*OBJECTIVES[1:]), "--objectives", "last,sum"]),
    "another aggregation": ("both", ["--how", "prod", "--prefixes", "2"]),
    "any range": ("probabilities", ["--score-range", "any"]),
    "explained": ("probabilities", ["--explain", "p3", *asked(*ALL)]),
    "explained logits": ("logits", ["--explain", "7", *asked(*ALL)]),
    "explained without answers": ("unknown", ["--explain", "p33", *asked(*ALL)]),
}
DIGESTS = {
    "another aggregation": "c52ac081fd9068fd",
    "any range": "084eab7355a08689",
    "both": "a12b063936cf7617",
    "both, every rule": "7a586d4c1e4182f4",
    "chunks": "a12b063936cf7617",
    "explained logits": "ce1c4bb26d69d3c3",
    "explained without answers": "b73e3dc0c69d12b4",
    "explained": "d3306801a058d747",
    "logits": "1c7584a5f11053ea",
    "logits, every rule": "2d3f9d16aecf5819",
    "objectives of logits": "835e423141af3237",
    "objectives": "81d685bbc0f18904",
    "powers, chunks": "2d0b27f3a9e5d848",
    "prefixes": "8b50162093a084a5",
    "prefixes, every rule": "47dfc4021b9bb13c",
    "probabilities": "43d827a87ff4c110",
    "probabilities, every rule": "98af7049257b06a2",
    "score": "96ac725b9fe30559",
    "score, every rule": "656adf62c6af02f6",
    "truncated": "e207cd55becfb314",
    "truncated, every rule": "6ecbe9a1b7ce5fe4",
    "unknown": "9804070ea2c94c06",
    "unknown, every rule": "c90e6ab69fa8af26",
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_votes_are_the_same_letter_by_letter(
    variant: str, write: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, options = VARIANTS[variant]
    out = tmp_path / "out.jsonl"
    writes: list[Any] = [] if "--explain" in options else ["-o", str(out)]
    assert main(["vote", write(*KINDS[kind]()), *writes, *options]) == 0
    text = capsys.readouterr().out
    if writes:
        text += out.read_text().replace(f'"stepscore": "{stepscore.__version__}"', "")
    found = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    assert found == DIGESTS.get(variant), f'"{variant}": "{found}",'
