"""Everything that ``stepscore vote`` writes and prints, letter by letter.

The digests are those of the first release whose votes were compared with the reference, rule by
rule. A change of one of them is a change of what users get, and belongs into the CHANGELOG; print
``found`` for the new ones.
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
    "another aggregation": "2a32f4c539dfa437",
    "any range": "5fa32175b33d70b0",
    "both": "93b31ccad463498e",
    "both, every rule": "a926c7282973d7dd",
    "chunks": "93b31ccad463498e",
    "explained logits": "ce1c4bb26d69d3c3",
    "explained without answers": "b73e3dc0c69d12b4",
    "explained": "5cde14b15410d95d",
    "logits": "2f524505aec1ed3c",
    "logits, every rule": "78563060f40f6181",
    "objectives of logits": "6f5a6b2914238cdf",
    "objectives": "ca7352fb8aa87ce5",
    "powers, chunks": "7694dab979470366",
    "prefixes": "4eaaec1b05927204",
    "prefixes, every rule": "55541a2842665d06",
    "probabilities": "23a04da26bf59f49",
    "probabilities, every rule": "b5ffab4a1190f671",
    "score": "4da88706d3b40dce",
    "score, every rule": "d24267b57aaefd14",
    "truncated": "c53af1a3d2c8a085",
    "truncated, every rule": "643a238e052fea4e",
    "unknown": "f0b48bad7374cfe6",
    "unknown, every rule": "def4ba09a9104c06",
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
