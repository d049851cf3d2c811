"""What ``stepscore vote`` does with records once they are read, stage by stage.

400 problems of 16 candidates with step scores and answers. Reading the lines is a group of its own:
what comes after is compared with one call of `stepscore.vote` for each pair of rule and column, as
a script would make them.

The bars of the whole command, 2 million candidates of 8 step scores with answers, are measured in a
process of its own: processor time, and the most memory that it ever had. Records that are read one
by one, as all were once, are the comparison.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stepscore
from stepscore.cli.main import main
from stepscore.files import LineReader
from stepscore.jobs.file_scores import LayoutCheck, read_scores
from stepscore.jobs.scored_lines import ScoredLines
from stepscore.jobs.votes import vote_on
from stepscore.records import Fields, RecordColumns, line_blocks
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


def read(source: str) -> tuple[RecordColumns, LayoutCheck]:
    check = LayoutCheck()
    with LineReader(source) as lines:
        reader = ScoredLines(Fields(), check, refuse)
        (records,) = reader.chunks(line_blocks(lines), PROBLEMS * CANDIDATES)
    return records, check


def work(records: RecordColumns, check: LayoutCheck, settings: VoteSettings) -> list[str]:
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


# --- the bars ---------------------------------------------------------------------------------

LARGE, OF_A_PROBLEM, STEPS = 2_000_000, 16, 8
WORDS = ["so", "we", "add", "$x = 3$", r"\frac{a}{b}", 'it "is"', "then\n"]
PROGRAM = """
import sys, time
from stepscore.cli.main import main
if sys.argv[1] == "one by one":
    from stepscore.records import LineBlock
    LineBlock.scan = lambda *arguments: None
began = time.process_time()
status = main(["vote", *sys.argv[2:], "-q", "--overwrite"])
spent = time.process_time() - began
most = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(status, spent, most.split()[1])
"""


def large_records(candidates: int, characters: int) -> Iterator[dict[str, Any]]:
    draw = random.Random(0)
    for number in range(candidates // OF_A_PROBLEM):
        answers = [str(draw.randrange(1000)) for _ in range(6)]
        tries: list[dict[str, Any]] = []
        for _ in range(OF_A_PROBLEM):
            text = {"text": " ".join(draw.choices(WORDS, k=characters // 6))} if characters else {}
            answer = answers[min(int(draw.expovariate(0.7)), 5)]
            scores = [round(draw.random(), 4) for _ in range(STEPS)]
            tries.append({**text, "answer": answer, "step_scores": scores})
        yield {"id": f"problem {number}", "answer": answers[0], "candidates": tries}


def write_large(path: Path, candidates: int, characters: int) -> None:
    rows = large_records(candidates, characters)
    if path.suffix == ".jsonl":
        with path.open("w") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        return
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    writer = None
    while group := [row for row, _ in zip(rows, range(4096), strict=False)]:
        table = pyarrow.Table.from_pylist(group)
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()


def measured(way: str, *arguments: str) -> tuple[float, float]:
    """Candidates a second of one core, and megabytes at the most."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, way, *arguments],
        env={"STEPSCORE_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    status, spent, most = run.stdout.splitlines()[-1].split()
    assert status == "0", run.stderr
    return float(spent), float(most) / 1024


@pytest.mark.parametrize(
    ("name", "candidates", "characters", "output", "least"),
    [
        ("in.parquet", LARGE, 0, "", 600_000),
        ("in.jsonl", LARGE, 0, "", 200_000),
        ("in.jsonl", LARGE // 8, 1000, "", 100_000),
        ("in.jsonl", LARGE // 4, 0, "out.jsonl", 0),
    ],
    ids=["Parquet", "JSONL", "JSONL with texts", "JSONL with an output"],
)
def test_bars(
    tmp_path: Path, name: str, candidates: int, characters: int, output: str, least: int
) -> None:
    path = tmp_path / name
    write_large(path, candidates, characters)
    arguments = [str(path), *(["-o", str(tmp_path / output)] if output else [])]
    spent, most = measured("columns", *arguments)
    rate = candidates / spent
    line = f"\n{rate:,.0f} candidates/s and core (bar: {least:,}), {most:.0f} MB at the most"
    if name.endswith(".jsonl") and not characters:
        share = path.with_name("small.jsonl")
        write_large(share, LARGE // 20, 0)
        before, _ = measured("one by one", str(share), *arguments[1:])
        after, _ = measured("columns", str(share), *arguments[1:])
        line += f"; {before / after:.1f} times as fast as records one by one"
    print(line)
    assert most < 500
    assert rate > least, line
