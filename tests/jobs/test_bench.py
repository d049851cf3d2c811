"""`stepscore bench forward`: its counts are those of the file, and its errors name the record."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stepscore.cli.main import main
from stepscore.jobs.bench import bench_forward, most_kept
from stepscore.ops import PrefixTrie

pytest.importorskip("torch")

import stepscore
from stepscore.scoring.forward import forward_pass, key_values, prefix_cache
from stepscore.scoring.forward.memory import token_bytes
from stepscore.scoring.forward.plan import ForwardCosts, plan

Write = Callable[..., str]

PROBLEM = "85+95-16=?"
STEPS = [["85+95=180", "180-16=164"], ["85+95=170"], ["85+95=180", "180-16=174", "174-0=174"]]
RECORDS = [
    {"id": 1, "problem": PROBLEM, "candidates": ["\n".join(steps) for steps in STEPS[:2]]},
    {"id": 2, "problem": PROBLEM, "candidates": [{"steps": STEPS[2]}]},
]


@pytest.fixture(scope="module")
def lab() -> Any:
    return stepscore.load("lab", device="cpu")


def test_the_counts_are_those_of_the_file(write: Write, lab: Any) -> None:
    cost = bench_forward(write(*RECORDS), lambda: lab)
    encoded = lab.recipe.encode(lab.tokenizer, [PROBLEM] * 3, STEPS)
    ends = encoded.positions[encoded.step_offsets[1:] - 1] + 1
    traces = [
        encoded.token_ids[begin:end] for begin, end in zip(encoded.offsets[:-1], ends, strict=True)
    ]
    offsets = np.cumsum([0, *map(len, traces)])
    assert (cost.traces, cost.steps) == (3, 6)
    assert cost.given == offsets[-1]
    assert cost.unique == len(PrefixTrie(np.concatenate(traces).astype(np.int32), offsets))
    assert cost.unique <= cost.forwarded <= cost.given
    assert cost.padding == 0
    assert cost.whole_ratio == cost.given / cost.forwarded
    assert all(seconds > 0 for seconds in cost.seconds.values())
    assert cost.tokenise_cpu > 0
    rates = cost.as_json()
    assert rates["texts_tokenised_per_core_second"] == cost.traces / cost.tokenise_cpu
    assert rates["tokens_tokenised_per_core_second"] == cost.given / cost.tokenise_cpu
    assert 0 < rates["tokenise_share"] < 1
    assert cost.bare is not None
    assert cost.bare.length == round(cost.given / 3)
    assert abs(cost.bare.tokens - cost.unique) <= cost.bare.length


def test_a_model_that_shares_nothing_pays_for_its_padding(write: Write) -> None:
    plain = stepscore.load("lab", device="cpu", share=False)
    cost = bench_forward(write(*RECORDS), lambda: plain)
    assert cost.forwarded - cost.padding == cost.given
    assert cost.padding > 0
    assert cost.kept == 0
    assert any("shares nothing" in line for line in cost.lines())


def test_limit_takes_the_first_records(write: Write, lab: Any) -> None:
    assert bench_forward(write(*RECORDS), lambda: lab, limit=1).traces == 2


def test_the_command_prints_a_table(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "forward", write(*RECORDS), "--model", "lab", "--device", "cpu"]) == 0
    table = capsys.readouterr().out
    for name in (
        "tokens given",
        "unique",
        "tokenise",
        "tokens/s and core",
        "plan",
        "forward",
        "read",
        "ratio to bare",
    ):
        assert name in table
    assert "one after the other" in table


def test_the_command_prints_json(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "forward", write(*RECORDS), "--model", "lab", "--device", "cpu", "--json"]
    assert main([*arguments, "--token-budget", "16"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["traces"] == 3
    assert found["batches"] > 1
    stages = [found["seconds"][name] for name in ("tokenise", "plan", "forward", "read")]
    assert found["seconds"]["total"] == pytest.approx(sum(stages))
    rate = found["unique"] / found["seconds"]["total"]
    assert found["ratio_to_bare"] == pytest.approx(rate / found["bare"]["tokens_per_second"])


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"id": 3, "candidates": ["x"]}, 'id 3: expected the field "problem"'),
        ({"id": 3, "problem": PROBLEM, "candidates": []}, "id 3: "),
        (
            {"id": 3, "problem": PROBLEM, "candidates": ["1+1=2\n" * 500]},
            "id 3: candidates[0]: expected at most",
        ),
        ({"id": 3, "problem": PROBLEM, "candidates": [{"steps": ["x", ""]}]}, "id 3: candidates"),
    ],
)
def test_a_record_at_fault_is_named(
    record: Any, message: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(*RECORDS, record)
    assert main(["bench", "forward", path, "--model", "lab", "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert f"stepscore bench: error: {path}:3: " in error
    assert message in error


def test_an_empty_file_is_an_error(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "forward", write(""), "--model", "lab", "--device", "cpu"]) == 2
    assert "expected at least one record; got an empty file" in capsys.readouterr().err


def test_only_the_forward_pass_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "backward", "in.jsonl", "--model", "lab"])
    assert "invalid choice: 'backward'" in capsys.readouterr().err


@pytest.mark.parametrize("budget", [8, 32, 1000])
def test_what_is_kept_is_what_the_segments_hold(
    budget: int, lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(budget)
    traces = [
        [*(np.arange(shared) % 17), *draw.integers(17, size=own)]
        for shared, own in ((20, 9), (20, 5), (12, 4), (20, 1), (6, 30))
    ]
    offsets = np.cumsum([0, *map(len, traces)])
    ids = np.concatenate(traces).astype(np.int32)
    planned = plan(ids, offsets, token_budget=budget, costs=ForwardCosts(token=1.0, fork=0.0))
    made: list[key_values.Segment] = []

    class Noted(key_values.Segment):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            made.append(self)

    monkeypatch.setattr(prefix_cache, "Segment", Noted)
    for _ in forward_pass.hidden_states(lab.backbone, planned):
        pass
    held = sum(segment.nbytes for segment in made) // token_bytes(lab.backbone)
    assert 0 < most_kept(planned) <= held
    if budget == 1000:  # one batch: all of them at once
        assert most_kept(planned) == held


def test_tokenising_that_keeps_the_model_waiting_is_told(write: Write, lab: Any) -> None:
    cost = bench_forward(write(*RECORDS), lambda: lab)
    cost.seconds |= {"tokenise": 1.0, "plan": 0.1, "forward": 0.8, "read": 0.0}
    assert cost.tokenise_share == pytest.approx(1 / 1.9)
    assert any("Tokenising takes 52.6% of the time" in line for line in cost.lines())
    (row,) = (line for line in cost.lines() if line.startswith("tokenise "))
    assert "52.6%, " in row
    assert " texts and " in row
    cost.seconds["forward"] = 19.0  # 5 in 100 are worth nothing
    assert not any("Tokenising takes" in line for line in cost.lines())
    cost.seconds["forward"] = 18.0
    assert any("Tokenising takes 5.2% of the time" in line for line in cost.lines())
