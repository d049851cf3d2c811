"""One problem, explained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_model import FakeModel

import stepscore
from stepscore.cli.main import main

Write = Callable[..., str]

RECORD = {
    "id": "p1",
    "problem": "What is one half?\nGive a fraction.",
    "answer": "1/2",
    "candidates": [
        {"answer": "\\frac{1}{2}", "step_scores": [0.9, 0.8]},
        {"answer": "x+1", "step_scores": [0.9, 0.95]},
        {"answer": "0.5", "step_scores": [0.5, 0.4]},
        {"answer": "1+x", "step_scores": [0.3, 0.2]},
        {"answer": "", "step_scores": [0.9, 0.99]},
    ],
}

EXPLAINED = r"""problem p1: What is one half? ...
known answer: 1/2

5 candidates, 4 with an answer, 3 different answers
  answer            class       count         key   candidates
  \frac{1}{2}           0           2         1/2   0, 2
    = 0.5                                           2, by its key
  x+1                   1           1               1
  1+x                   2           1               3
  none                              1               4

scores by last, the aggregation that ranks
  rank   candidate       score          is   answer
     1           4      0.9900       wrong   none
     2           1      0.9500       wrong   x+1
     3           0      0.8000       right   \frac{1}{2}
     4           2      0.4000       right   \frac{1}{2}
     5           3      0.2000       wrong   1+x

what every answer reaches, by last (* wins)
  answer                majority    weighted   best_of_n
  \frac{1}{2}                 2*     1.2000*     0.8000
  x+1                         1      0.9500      0.9500*
  1+x                         1      0.2000      0.2000
  winner: candidate           0           0           1
  margin                      1      0.2500      0.1500
  tied                       no          no          no

why
  majority: \frac{1}{2} with 2 of 4 votes, 1 ahead of x+1
  weighted: \frac{1}{2} with a sum of 1.2, 0.25 ahead of x+1
  best_of_n: x+1 with a best score of 0.95, 0.15 ahead of \frac{1}{2}
"""


def explained(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 100
    return printed


def why(printed: str) -> list[str]:
    """The sentences, each as one line."""
    lines = printed[printed.index("\nwhy\n") + 5 :].splitlines()
    found: list[str] = []
    for line in lines:
        if line.startswith("    "):
            found[-1] += " " + line.strip()
        else:
            found.append(line.strip())
    return found


def asked(*rules: str) -> list[str]:
    return [part for rule in rules for part in ("--rule", rule)]


def test_one_problem(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = {"id": 2, "candidates": [{"answer": "1", "step_scores": [0.5]}]}
    source = write(other, RECORD, "never read")
    before = set(tmp_path.iterdir())
    assert explained(capsys, "vote", source, "--explain", "p1") == EXPLAINED
    assert set(tmp_path.iterdir()) == before


SENTENCES = {
    "weighted_mean": "x+1 with a mean score of 0.95, 0.35 ahead of \\frac{1}{2}",
    "minmax_weighted": (
        "\\frac{1}{2} with a sum of 1.067, scaled to [0, 1] each, 0.06667 ahead of x+1"
    ),
    "softmax_weighted:temperature=0.1": (
        "x+1 with 0.8145 of the weight, 0.6294 ahead of \\frac{1}{2}"
    ),
    "logodds_weighted": "x+1 with log odds that sum to 2.944, 1.964 ahead of \\frac{1}{2}",
    "loglik_weighted:prior=0.5,reliability=0.5,answers=2": (
        "x+1 with a log likelihood of 2.944, 1.964 ahead of \\frac{1}{2}"
    ),
    "confidence_weighted": "no vote; it reads log probabilities, at most 0, and there are others",
    "crew": (
        "x+1 with 0.95, the highest of their scores, which are mean token probabilities of the "
        "answer, 0.15 ahead of \\frac{1}{2}"
    ),
    "borda": "\\frac{1}{2} with a Borda count of 3, as much as x+1, which came later",
    "hybrid_majority_reward:tau=0.5,consensus=share,reward=max": (
        "\\frac{1}{2} with 2 of 4 votes (consensus), 1 ahead of x+1"
    ),
    "hybrid_majority_reward:tau=0.6,consensus=share,reward=max": (
        "x+1 with a max score of 0.95 (no consensus), 0.15 ahead of \\frac{1}{2}"
    ),
    "weighted_reward_frequency:reward_weight=0.5,normalize=minmax": (
        "x+1 with 0.625 of mean score and frequency, 0.1083 ahead of \\frac{1}{2}"
    ),
    "pareto": "x+1 with 1 undominated of 4 candidates (min, last), 1 ahead of \\frac{1}{2}",
    "multi_objective:objective_weights=1:1,scale=none": (
        "\\frac{1}{2} with objectives that sum to 2.4 (min, last), 0.55 ahead of x+1"
    ),
}


def test_every_rule_says_why(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    options = [*asked(*SENTENCES), "--objectives", "min,last"]
    printed = explained(capsys, "vote", write(RECORD), "--explain", "p1", *options)
    assert why(printed) == [f"{rule}: {sentence}" for rule, sentence in SENTENCES.items()]


def test_candidates_that_stand_for_themselves(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write({"id": 7, "candidates": [{"score": 1}, {"score": 3}, {"score": 2}]})
    printed = explained(capsys, "vote", source, "--explain", "7")
    assert printed.startswith("problem 7\n\n3 candidates without texts or answers: nothing to")
    assert why(printed) == [
        "majority: no vote; there are no answers to count",
        "weighted: no vote; there are no answers to count",
        "best_of_n: candidate 1 with a best score of 3, 1 ahead of candidate 2",
    ]


def test_a_tie_of_candidates_says_who_reached_it_first(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = {"a": 0.25, "b": 0.75, "c": 0.75}
    candidates = [{"answer": answer, "score": score} for answer, score in scores.items()]
    source = write({"id": 1, "candidates": [*candidates, {"answer": "a", "score": 0.75}]})
    printed = explained(capsys, "vote", source, "--explain", "1", *asked("best_of_n"))
    assert why(printed) == [
        "best_of_n: b with a best score of 0.75, as much as a, which reached it later"
    ]


def test_a_single_answer_and_none(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    one = {"id": 1, "candidates": [{"answer": "4", "score": 0.5}]}
    none = {"id": 2, "candidates": [{"answer": "", "score": 0.5}]}
    source = write(one, none)
    printed = explained(capsys, "vote", source, "--explain", "1", *asked("weighted"))
    assert why(printed) == ["weighted: 4 with a sum of 0.5; there is no other answer"]
    assert (
        "  margin                      - \n" in printed
        or "  margin                      -\n" in printed
    )
    printed = explained(capsys, "vote", source, "--explain", "2", *asked("weighted"))
    assert why(printed) == ["weighted: no vote; no candidate has all that it takes to vote"]


def test_long_and_many_answers_fit_the_page(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "a very long answer that goes on and on, " * 5
    candidates = [
        {"answer": f"{long}{index % 40}", "score": 10.0 ** (index % 7)} for index in range(90)
    ]
    source = write({"id": 1, "problem": "why " * 60, "answer": long, "candidates": candidates})
    printed = explained(capsys, "vote", source, "--explain", "1")
    assert "90 candidates, 90 with an answer, 40 different answers" in printed
    assert "a very long answer that go ... (class 39)" in printed


def test_only_that_problem_goes_through_the_model(
    fake: FakeModel, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [
        {
            "id": index,
            "problem": "?",
            "candidates": [
                {"text": f"@0.{index}", "answer": "1"},
                {"text": "@0.5", "answer": "2"},
            ],
        }
        for index in range(1, 9)
    ]
    source = write(*records)
    before = set(tmp_path.iterdir())
    printed = explained(capsys, "rerank", source, "--model", "m", "--explain", "7", "--how", "min")
    assert fake.calls == [2]
    assert set(tmp_path.iterdir()) == before
    assert "scores by min, the aggregation that ranks" in printed
    assert why(printed)[2] == "best_of_n: 1 with a best score of 0.7, 0.2 ahead of 2"


def test_an_unknown_id_names_the_nearest(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(name: str, **options: Any) -> None:
        raise AssertionError("loaded")

    monkeypatch.setitem(stepscore.__dict__, "load", load)
    records = [
        {"id": f"{kind}-{index}", "problem": "?", "candidates": [{"text": "A: 1", "score": 1}]}
        for kind in ("train", "test")
        for index in range(20)
    ]
    source = write(*records)
    for command in (["vote"], ["rerank", "--model", "m"]):
        assert main([*command, source, "--explain", "tests-7"]) == 2
        message = capsys.readouterr().err
        assert f"--explain: expected the id of a record of {source}; got 'tests-7'; the" in message
        assert "nearest of its 40 ids: test-7, " in message
        assert message.endswith("; type one of these\n")


def test_faults_before_and_in_the_record(
    fake: FakeModel, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = {"id": 5, "problem": "?", "candidates": [{"text": "A: 1", "score": "high"}]}
    good = {"id": 6, "problem": "?", "candidates": [{"text": "A: 1", "score": 1}]}
    source = write(bad, good)
    assert main(["vote", source, "--explain", "6"]) == 2
    assert "in.jsonl:1: id 5: candidates[0].score: expected a finite" in capsys.readouterr().err
    explained(capsys, "vote", source, "--explain", "6", "--on-error", "skip")
    assert main(["vote", source, "--explain", "5", "--on-error", "skip"]) == 2
    assert "in.jsonl:1: id 5: candidates[0].score: expected a finite" in capsys.readouterr().err
    assert main(["vote", write("{}"), "--explain", "5", "--on-error", "skip"]) == 2
    assert "has no record that can be processed; got '5'" in capsys.readouterr().err
    long = write({"id": 1, "problem": "?", "candidates": ["x" * 500]})
    stop = ("--on-bad-candidate", "error")
    assert main(["rerank", long, "--model", "m", "--explain", "1", *stop]) == 2
    assert (
        "in.jsonl:1: id 1: candidates[0]: expected no more tokens, with the problem"
        in capsys.readouterr().err
    )


def test_what_belongs_to_the_whole_file_is_refused(
    fake: FakeModel, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    for options, name in (
        (["-o", str(out)], "-o"),
        (["--skipped", str(out), "--on-error", "skip"], "--skipped"),
        (["--prefixes", "1"], "--prefixes"),
        (["-q"], "--quiet"),
        (["--chunk-size", "4"], "--chunk-size"),
    ):
        assert main(["vote", write(RECORD), "--explain", "p1", *options]) == 2
        expected = f"--explain: expected nothing that belongs to the whole file; got {name}; leave"
        assert expected in capsys.readouterr().err
    assert not out.exists()
    assert main(["rerank", write(RECORD), "--model", "m"]) == 2
    expected = "expected -o OUT, where the result is written, or --explain ID; got neither"
    assert expected in capsys.readouterr().err


def test_a_candidate_without_a_score_only_counts(
    fake: FakeModel, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    candidates = [
        {"text": "x" * 300, "answer": "1"},
        {"text": "@0.5", "answer": "2"},
        {"text": "@0.25", "answer": "2"},
    ]
    source = write({"id": 1, "problem": "?", "candidates": candidates})
    rules = ["majority", "borda", "hybrid_majority_reward:tau=0.9,consensus=share,reward=mean"]
    arguments = ["rerank", source, "--model", "m", "--truncate", "--explain", "1", *asked(*rules)]
    printed = explained(capsys, *arguments)
    assert ["3", "0", "-", "1"] in [line.split() for line in printed.splitlines()]
    assert why(printed) == [
        "majority: 2 with 2 of 3 votes, 1 ahead of 1",
        "borda: 2 with a Borda count of 1; there is no other answer",
        f"{rules[2]}: 2 with 2 of 2 votes (consensus); there is no other answer",
    ]


def voted(record_id: Any, answer: str) -> dict[str, Any]:
    return {"id": record_id, "candidates": [{"answer": answer, "score": 1}]}


@pytest.mark.parametrize(
    ("ids", "typed", "answer"),
    [
        ([1, "1"], "1", "answer 0"),
        (["1", 1], "1", "answer 1"),
        ([1, "1"], '"1"', "answer 1"),
        (["1", 1], '"1"', "answer 0"),
        (["1", 2], "1", "answer 0"),
        (["1", 2], '"1"', "answer 0"),
        ([2, 1], "1", "answer 1"),
        (["-1", -1], "-1", "answer 1"),
        (["ü", "a"], '"ü"', "answer 0"),
        (["ü", "a"], "ü", "answer 0"),
        (['"1"', 1], '"1"', "answer 0"),
    ],
)
def test_a_number_and_a_text_can_both_be_named(
    ids: list[Any], typed: str, answer: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(*(voted(id_, f"answer {i}") for i, id_ in enumerate(ids)))
    assert answer in explained(capsys, "vote", source, f"--explain={typed}")


def test_what_stands_behind_the_text_is_no_fault_of_it(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(voted("1", "the text"), "no JSON")
    assert "the text" in explained(capsys, "vote", source, "--explain", "1")
    # The number was asked for, and it is at fault.
    source = write(voted("1", "the text"), {"id": 1, "candidates": []})
    assert main(["vote", source, "--explain", "1"]) == 2
    assert "in.jsonl:2: id 1: candidates: expected" in capsys.readouterr().err
