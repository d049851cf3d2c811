"""What ``stepscore vote`` does with records once they are read, stage by stage.

400 problems of 16 candidates with step scores and answers. Reading the lines is a group of its own:
it is most of the command, and what comes after is compared with one call of `stepscore.vote` for
each pair of rule and column, as a script would make them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import stepscore
from stepscore.cli.main import main
from stepscore.files import LineReader
from stepscore.jobs.file_scores import LayoutCheck, read_scores
from stepscore.jobs.votes import vote_on
from stepscore.records import Fields, Record, parse_records
from stepscore.report.summary import Summary
from stepscore.voting import VoteSettings, parse_rules

PROBLEMS, CANDIDATES = 400, 16
THREE = parse_rules(["majority", "weighted", "best_of_n"])
TWELVE = parse_rules(
    [
        "majority",
        "weighted",
        "weighted_mean",
        "best_of_n",
        "minmax_weighted",
        "softmax_weighted:temperature=0.1",
        "logodds_weighted",
        "loglik_weighted:prior=0.4,reliability=0.6,answers=10",
        "borda",
        "hybrid_majority_reward:tau=0.5,consensus=share,reward=max",
        "weighted_reward_frequency:reward_weight=0.5,normalize=minmax",
        "pareto",
    ]
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    draw = random.Random(0)
    lines = []
    for number in range(PROBLEMS):
        answers = [str(draw.randrange(1000)) for _ in range(6)]
        candidates = [
            {
                "answer": answers[min(int(draw.expovariate(0.7)), 5)],
                "step_scores": [round(draw.random(), 4) for _ in range(draw.randint(3, 10))],
            }
            for _ in range(CANDIDATES)
        ]
        lines.append({"id": number, "answer": answers[0], "candidates": candidates})
    path = tmp_path_factory.mktemp("votes") / "scored.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def refuse(error: Exception) -> None:
    raise error


def read(source: str) -> tuple[list[Record], LayoutCheck]:
    check = LayoutCheck()
    with LineReader(source) as lines:
        records = list(parse_records(iter(lines), Fields(), "scores", refuse, check.check))
    return records, check


def work(records: list[Record], check: LayoutCheck, settings: VoteSettings) -> list[str]:
    """From records read to table written."""
    assert check.layout is not None
    scored = read_scores(records, check.layout)
    voted = vote_on(scored, settings)
    summary = Summary(scored.scores.columns, settings)
    summary.add(scored.scores, voted.answers, voted.elections, voted.grades)
    return summary.lines()


@pytest.mark.benchmark(group="stepscore vote: reading 400 problems x 16 candidates")
def test_read(measure: Callable[..., Any], source: str) -> None:
    measure(read, [(source,)], rounds=21)


@pytest.mark.parametrize("rules", [THREE, TWELVE], ids=["3 rules", "12 rules"])
class TestVoting:
    @pytest.mark.benchmark(group="stepscore vote: records read -> table, 400 problems x 16")
    def test_from_records_to_table(
        self, measure: Callable[..., Any], source: str, rules: Any
    ) -> None:
        records, check = read(source)
        settings = VoteSettings(rules)
        assert work(records, check, settings)[0].startswith("400 problems, 6,400 candidates")
        measure(work, [(records, check, settings)], rounds=51)

    @pytest.mark.benchmark(group="stepscore vote: the votes alone, 400 problems x 16")
    def test_one_call(self, measure: Callable[..., Any], source: str, rules: Any) -> None:
        arrays = arrays_of(source)
        every = [rule.rule for rule in rules]
        measure(lambda: stepscore.vote(*arrays, every, nan="drop", unfit="nan"), [()], rounds=51)

    @pytest.mark.benchmark(group="stepscore vote: the votes alone, 400 problems x 16")
    def test_a_call_for_each_rule_and_column(
        self, measure: Callable[..., Any], source: str, rules: Any
    ) -> None:
        classes, totals, offsets = arrays_of(source)
        columns = [np.ascontiguousarray(column) for column in totals.T]

        def separate() -> list[Any]:
            return [
                stepscore.vote(classes, column, offsets, rule.rule, nan="drop", unfit="nan").winner
                for rule in rules
                for column in columns
                if not rule.reads_columns
            ]

        whole = stepscore.vote(
            classes, totals, offsets, [rule.rule for rule in rules], nan="drop", unfit="nan"
        ).winner
        by_column = [r for r, rule in enumerate(rules) if not rule.reads_columns]
        together = whole[:, by_column].reshape(PROBLEMS, -1).T
        assert np.array_equal(np.stack(separate()), together)
        measure(separate, [()], rounds=21)

    @pytest.mark.benchmark(group="stepscore vote: the whole command, 400 problems x 16")
    def test_the_command(self, measure: Callable[..., Any], source: str, rules: Any) -> None:
        arguments = ["vote", source, "-q"]
        for rule in rules:
            arguments += ["--rule", rule.label]
        assert main(arguments) == 0
        measure(lambda: main(arguments), [()], rounds=15)


def arrays_of(source: str) -> tuple[Any, Any, Any]:
    records, check = read(source)
    assert check.layout is not None
    scored = read_scores(records, check.layout)
    voted = vote_on(scored)
    return voted.answers.classes, scored.scores.totals, scored.scores.offsets
