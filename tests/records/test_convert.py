from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_model import read

from stepscore.cli.main import main
from stepscore.errors import InputError
from stepscore.files import LineReader
from stepscore.records.convert import LAYOUTS, convert

Write = Callable[..., str]

GSM8K = {
    "question": "?",
    "ground_truth": "1 + 1 = <<1+1=2>>2\nA: 2",
    "6b": {"solution": "1 + 1 = 3\nA: 3", "is_correct": False},
    "175b": {"solution": "A: 2", "is_correct": True},
}
QWEN = {
    "idx": 5,
    "question": "?",
    "gt": "2",
    "code": ["so 2", "so 3"],
    "pred": ["2", "3"],
    "score": [True, False],
    "pred_score": [[1.5], [-2.0]],
}
REWARDMATH = {
    "problem": "?",
    "solution_reference": ["g", "human_to_GPT-4"],
    "score": [[0.5, 0.4], [0.1]],
}
PAIRS = {
    "problem": "?",
    "solution_reference": ["g", "h", "i"],
    "score": ["A", "A", "tie"],
    "chosen_position": ["A", "B", "A"],
}


@pytest.mark.parametrize("layout", ["gsm8k", "qwen_rm_maj"])
def test_the_former_spelling_names_the_new_one(
    layout: str, write: Write, tmp_path: Path, capsys: Any
) -> None:
    out = tmp_path / "out.jsonl"
    source = write(GSM8K if layout == "gsm8k" else QWEN)
    assert main(["convert", layout, source, "-o", str(out)]) == 0
    said = capsys.readouterr()
    assert "1 problem, 2 candidates, 1 of them right" in said.out
    assert f"--from {layout}" in said.err
    assert main(["convert", source, str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["convert", source, str(out), "--overwrite"]) == 0
    assert f"({layout})" in capsys.readouterr().out
    assert main(["convert", source, str(out), "-o", str(out)]) == 2
    assert "-o: expected one output" in capsys.readouterr().err
    assert main(["convert", source]) == 2
    assert "expected OUT, where the records are written" in capsys.readouterr().err


class TestRewardMath:
    """Who is right is what the file says, never where it stands."""

    def convert(self, write: Write, tmp_path: Path, *problems: Any) -> list[dict[str, Any]]:
        out = tmp_path / "out.jsonl"
        convert(write(list(problems)), str(out), overwrite=True)
        return read(out)

    def test_step_scores(self, write: Write, tmp_path: Path) -> None:
        assert self.convert(write, tmp_path, REWARDMATH) == [
            {
                "id": "rewardmath-0",
                "problem": "?",
                "candidates": [
                    {"step_scores": [0.5, 0.4], "generator": "g", "correct": False},
                    {"step_scores": [0.1], "generator": "human_to_GPT-4", "correct": True},
                ],
            }
        ]

    def test_one_number_per_solution(self, write: Write, tmp_path: Path) -> None:
        (record,) = self.convert(write, tmp_path, {**REWARDMATH, "score": [10, -0.5]})
        assert record["candidates"] == [
            {"score": 10, "generator": "g", "correct": False},
            {"score": -0.5, "generator": "human_to_GPT-4", "correct": True},
        ]

    def test_verdicts_on_pairs(self, write: Write, tmp_path: Path, capsys: Any) -> None:
        # The judge said the side of the right solution for the first pair alone.
        records = self.convert(write, tmp_path, PAIRS)
        assert [record["id"] for record in records] == [f"rewardmath-0-{i}" for i in range(3)]
        assert [[c["score"] for c in record["candidates"]] for record in records] == [
            [1, 0],
            [0, 1],
            [0, 0],
        ]
        for record, generator in zip(records, "ghi", strict=True):
            assert [(c["generator"], c["correct"]) for c in record["candidates"]] == [
                ("human_to_GPT-4", True),
                (generator, False),
            ]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"solution_reference": ["g", "h"]}, 'expected one solution of "human_to_GPT-4"'),
            ({"solution_reference": ["human_to_GPT-4"] * 2}, "expected one solution of"),
            ({"score": ["A", "B"]}, "score[0]: expected step scores, a number, or verdicts"),
            ({"score": [None, 1]}, "score[0]: expected step scores, a number, or verdicts"),
            ({"score": [True, 1]}, "score[0]: expected step scores, a number, or verdicts"),
            ({"score": [[1]]}, "expected lists of one length in solution_reference, score; got"),
            ({**PAIRS, "chosen_position": ["A", "B"]}, "expected lists of one length in solution_"),
            ({**PAIRS, "chosen_position": ["A", "B", "C"]}, "chosen_position[2]: expected"),
            ({**PAIRS, "solution_reference": ["g", "h", "human_to_GPT-4"]}, "wrong solutions"),
        ],
    )
    def test_what_cannot_be_read_is_refused(
        self, changes: dict[str, Any], message: str, write: Write, tmp_path: Path
    ) -> None:
        with pytest.raises(InputError) as error:
            self.convert(write, tmp_path, REWARDMATH, {**REWARDMATH, **changes})
        assert message in str(error.value)
        assert "in.jsonl:1, item 1" in str(error.value)
        assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]

    @pytest.mark.parametrize("name", ["Math_Shepherd", "ReasonEval_7B"])
    def test_the_real_files_in_another_order(
        self, name: str, data: Path, write: Write, tmp_path: Path
    ) -> None:
        problems = json.loads((data / "rewardmath" / f"{name}_reward.json").read_text())
        for index, problem in enumerate(problems):
            turn = index % 10
            for field in ("solution_reference", "score"):
                problem[field] = problem[field][turn:] + problem[field][:turn]
        records = self.convert(write, tmp_path, *problems)
        right = [[c["correct"] for c in r["candidates"]].index(True) for r in records]
        assert right == [-index % 10 for index in range(483)]


@pytest.mark.parametrize(
    ("layout", "line", "message"),
    [
        ("gsm8k", "{", "in.jsonl:2: expected JSON in UTF-8; got Expecting property name"),
        ("gsm8k", [1], "in.jsonl:1, item 0: expected a JSON object; got 1"),
        ("gsm8k", {"question": "?"}, "expected solutions such as 6b_finetuning"),
        ("gsm8k", {**GSM8K, "ground_truth": 2}, "ground_truth: expected a text; got 2"),
        ("gsm8k", {**GSM8K, "6b": {"solution": "x"}}, "6b.is_correct: expected true or false"),
        ("gsm8k", QWEN, "expected solutions such as"),
        ("gsm8k", b"\xff", "in.jsonl:1: expected JSON in UTF-8; got byte 0xff"),
        ("gsm8k", "", "expected at least one problem; got none"),
        ("gsm8k", '{"question": 1, "question": 2}', 'got the key "question" twice in one object'),
        ("gsm8k", "[" * 100_000, "brackets nested too deeply"),
        (
            "qwen_rm_maj",
            {**QWEN, "pred": ["2"]},
            "expected lists of one length in code, pred, score, pred_score; got [2, 1, 2, 2]",
        ),
        ("qwen_rm_maj", {**QWEN, "pred_score": [1, 2]}, "pred_score: expected a list of one score"),
        ("qwen_rm_maj", {k: v for k, v in QWEN.items() if k != "idx"}, "idx: expected the number"),
        (
            "qwen_rm_maj",
            json.dumps(QWEN).replace("1.5", "1e999"),
            "problem 5: expected finite numbers; got an infinite one",
        ),
        (
            "qwen_rm_maj",
            json.dumps(QWEN).replace("1.5", "NaN"),
            "problem 5: expected finite numbers; got an infinite one, or NaN",
        ),
        (
            "qwen_rm_maj",
            json.dumps(QWEN).replace("so 2", "\\ud800"),
            "problem 5: expected text that can be written as UTF-8; got half of a surrogate pair",
        ),
        ("rewardmath", "[", "in.jsonl:2: expected JSON in UTF-8; got Expecting value"),
        ("rewardmath", {"a": 1}, "problem: expected a text; got null"),
        ("rewardmath", [1], "in.jsonl:1, item 0: expected a JSON object; got 1"),
        ("rewardmath", "", "expected at least one problem; got none"),
        ("rewardmath", "[]", "expected at least one problem; got none"),
    ],
)
def test_another_layout_is_an_error(
    layout: str, line: Any, message: str, write: Write, tmp_path: Path, capsys: Any
) -> None:
    out = str(tmp_path / "out")
    assert main(["convert", write(line), out, "--from", layout]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_an_unknown_layout_shows_its_fields(write: Write, tmp_path: Path, capsys: Any) -> None:
    assert main(["convert", write({"a": 1, "b": 2}), str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert 'in.jsonl:1: expected an object of a known layout; got the fields "a", "b"' in said
    assert "--from" in said
    with pytest.raises(InputError, match="layout: expected one of records, gsm8k"):
        convert("in", "out", layout="none")


def test_objects_of_no_layout_can_be_written_one_per_line(tmp_path: Path, capsys: Any) -> None:
    """What vote says of such a file, and what convert says then, leads to its table."""
    source, out = tmp_path / "in.json", tmp_path / "in.jsonl"
    rows = [{"q": "?", "runs": [{"answer": "2", "score": 1}]}, {"q": "!", "runs": [{"score": 1}]}]
    source.write_text(json.dumps(rows, indent=1))
    assert main(["vote", str(source)]) == 2
    assert f"type: stepscore convert {source} in.jsonl" in capsys.readouterr().err
    assert main(["convert", str(source), str(out)]) == 2
    assert "or pass --from records, which writes the objects" in capsys.readouterr().err
    assert main(["convert", str(source), str(out), "--from", "records"]) == 0
    assert read(out) == [{"id": 1, **rows[0]}, {"id": 2, **rows[1]}]
    assert main(["vote", str(out), "--candidates-field", "runs"]) == 0


RECORDS = [{"id": i, "candidates": [{"answer": "ü\n", "score": i}]} for i in range(3)]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(RECORDS, indent=4),
        json.dumps(RECORDS),
        "\n".join(json.dumps(record, indent=1) for record in RECORDS),
        "\r".join(map(json.dumps, RECORDS)),
        "\r\n\r\n".join(map(json.dumps, RECORDS)) + "\r\n",
        "".join(map(json.dumps, RECORDS)),
    ],
    ids=["list over lines", "list in a line", "over lines", "CR alone", "CR LF", "without ends"],
)
@pytest.mark.parametrize("packed", [False, True])
def test_records_in_any_form(text: str, packed: bool, tmp_path: Path) -> None:
    source, out = tmp_path / "in.json", tmp_path / "out.jsonl"
    raw = b"\xef\xbb\xbf" + text.encode()
    source.write_bytes(gzip.compress(raw) if packed else raw)
    convert(str(source), str(out))
    assert read(out) == RECORDS


def test_values_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    """Cuts fall everywhere: in texts, escapes, numbers and words."""
    source, out = tmp_path / "in.json", tmp_path / "out.jsonl"
    records = [
        {"id": i, "candidates": [{"score": 1 / 3 + i, "text": 'ü\\"' * 40, "correct": True}] * 900}
        for i in range(12)
    ]
    source.write_text(json.dumps(records))
    assert source.stat().st_size > 3 * (1 << 20)
    convert(str(source), str(out))
    assert read(out) == records


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_a_large_file_is_never_held(tmp_path: Path) -> None:
    """The peak of a process that converts 30 MB stays near that of one that converts 1 kB."""
    # The maximum that getrusage gives is that of the process before exec, too.
    program = (
        "import re, sys; from stepscore.records.convert import convert;"
        "convert(sys.argv[1], sys.argv[2]);"
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    )
    problem = {
        "problem": "?" * 200,
        "solution_reference": ["human_to_GPT-4", *"abcdefghi"],
        "score": [[0.123456789] * 20] * 10,
    }
    peaks = []
    for count in (1, 10_000):
        source, out = tmp_path / f"{count}.json", tmp_path / f"{count}.jsonl"
        source.write_text(json.dumps([problem] * count))
        done = subprocess.run(
            [sys.executable, "-c", program, str(source), str(out)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout) / 1024)
    assert (tmp_path / "10000.json").stat().st_size > 29e6
    assert peaks[1] - peaks[0] < 12, peaks


def test_the_layouts_are_told_apart() -> None:
    samples = [GSM8K, QWEN, REWARDMATH, PAIRS, RECORDS[0]]
    found = [[name for name, layout in LAYOUTS.items() if layout.matches(s)] for s in samples]
    assert found == [["gsm8k"], ["qwen_rm_maj"], ["rewardmath"], ["rewardmath"], ["records"]]


def prm800k(number: int) -> dict[str, Any]:
    """A labelling with the nulls that its files hold, which a table has in every row."""
    chosen = number % 2
    return {
        "question": {
            "problem": f"{number}+1?",
            "ground_truth_answer": str(number + 1),
            "pre_generated_steps": None if number else ["so", "it is 1"],
        },
        "label": {
            "steps": [
                {
                    "completions": [
                        {"text": "so", "rating": 1, "flagged": None},
                        {"text": "hm", "rating": None, "flagged": False},
                    ],
                    "human_completion": None,
                    "chosen_completion": chosen,
                },
                {
                    "completions": [{"text": "it is 1", "rating": -1, "flagged": None}],
                    "human_completion": {"text": "it is 2", "rating": None} if number else None,
                    "chosen_completion": None,
                },
            ],
            "finish_reason": "found_error",
        },
    }


def objects_of(path: Path) -> Iterator[Any]:
    with LineReader(str(path)) as lines:
        yield from (json.loads(line) for _, line in lines)


@pytest.mark.parametrize("layout", ["prm800k", "gsm8k", "qwen_rm_maj"])
@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_table_is_read_and_written_as_lines_are(
    layout: str, ending: str, write: Write, tmp_path: Path
) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    rows = [prm800k(number) for number in range(3)]
    if layout != "prm800k":
        rows = [dict(GSM8K if layout == "gsm8k" else QWEN) for _ in range(3)]
        for number, row in enumerate(rows):
            row["idx"] = number
    table = tmp_path / "in.parquet"
    pytest.importorskip("pyarrow.parquet").write_table(
        pyarrow.Table.from_pylist(rows), table, row_group_size=2
    )
    source, outs = write(*rows), [tmp_path / f"{n}.{ending}" for n in range(2)]
    for name, out in zip((source, str(table)), outs, strict=True):
        assert main(["convert", name, str(out)]) == 0
    of_lines, of_rows = (list(objects_of(out)) for out in outs)
    assert of_rows == of_lines
    assert len(of_rows) == 3
    assert of_rows[0]["candidates"]


def test_a_row_that_is_no_layout_is_named(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = tmp_path / "in.parquet"
    rows = [prm800k(0), {**prm800k(1), "label": None}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), table)
    with pytest.raises(InputError, match=r"in\.parquet: row 2: label: expected an object"):
        convert(str(table), str(tmp_path / "out.jsonl"))
    rows = [{"problem": "?", "candidates": ["a"], "id": 1, "score": float("inf")}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), table)
    with pytest.raises(InputError, match=r"in\.parquet: row 1: expected .*Infinity"):
        convert(str(table), str(tmp_path / "out.jsonl"))
