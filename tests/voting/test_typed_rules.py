"""Rules as they are typed, and what they decide, against the reference."""

from __future__ import annotations

import itertools
import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_model import FakeModel, read

import stepscore
from stepscore import Rule, reference
from stepscore.cli.main import main
from stepscore.errors import InputError
from stepscore.ops.aggregate import AGGREGATIONS
from stepscore.ops.vote import RULES
from stepscore.voting import DEFAULT_RULES, VoteSettings, objectives_of, parse_rules
from stepscore.voting.columns import NEED_PROBABILITIES
from stepscore.voting.rules import typed_forms, typed_parameters

Write = Callable[..., str]

# Every rule as typed, with what the call takes for it.
TYPED: dict[str, dict[str, Any]] = {
    "majority": {},
    "weighted": {},
    "weighted_mean": {},
    "best_of_n": {},
    "minmax_weighted": {},
    "softmax_weighted:temperature=0.1": {"temperature": 0.1},
    "softmax_weighted:temperature=1": {"temperature": 1.0},
    "logodds_weighted": {},
    "logodds_weighted:eps=1e-3": {"eps": 1e-3},
    "loglik_weighted:prior=0.4,reliability=0.6,answers=10": {
        "prior": 0.4,
        "reliability": 0.6,
        "answers": 10,
    },
    "confidence_weighted": {},
    "crew": {},
    "borda": {},
    "borda:power=2": {"power": 2},
    "hybrid_majority_reward:tau=0.5,consensus=share,reward=max": {
        "tau": 0.5,
        "consensus": "share",
        "reward": "max",
    },
    "hybrid_majority_reward:tau=0.7,consensus=entropy,reward=sum": {
        "tau": 0.7,
        "consensus": "entropy",
        "reward": "sum",
    },
    "weighted_reward_frequency:reward_weight=0.5,normalize=minmax": {
        "reward_weight": 0.5,
        "normalize": "minmax",
    },
    "weighted_reward_frequency:reward_weight=0.5,normalize=sum": {
        "reward_weight": 0.5,
        "normalize": "sum",
    },
    "pareto": {},
    "multi_objective:objective_weights=0.5:-0.25,scale=minmax": {
        "objective_weights": [0.5, -0.25],
        "scale": "minmax",
    },
}
OBJECTIVES = ("last", "min")


def asked(*rules: str) -> list[str]:
    return [part for rule in rules for part in ("--rule", rule)]


def step_records(seed: int, problems: int = 40, *, low: float = 0.0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "id": index,
            "answer": "1",
            "candidates": [
                {
                    "answer": f"{rng.integers(4)}" if rng.random() < 0.9 else "",
                    "step_scores": [
                        round(float(rng.uniform(low, low + 1)), 1)
                        for _ in range(rng.integers(1, 5))
                    ],
                }
                for _ in range(rng.integers(1, 9))
            ],
        }
        for index in range(problems)
    ]


def rows(table: str) -> dict[str, list[str]]:
    lines = [line.split() for line in table.splitlines() if line.startswith("  ")]
    return {line[0]: line[1:] for line in lines}


def test_every_rule_is_typed_here() -> None:
    assert {rule.partition(":")[0] for rule in TYPED} == set(RULES)
    for typed, parameters in TYPED.items():
        (rule,) = parse_rules([typed])
        assert (rule.label, rule.name) == (typed, typed.partition(":")[0])
        assert rule.rule == Rule(rule.name, **parameters)


@pytest.mark.parametrize("low", [0.0, -1.0, -0.5])
def test_votes_of_every_rule_are_those_of_the_reference(
    low: float, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = step_records(1, low=low)
    out = tmp_path / "out"
    arguments = [*asked(*TYPED), "--objectives", ",".join(OBJECTIVES), "--score-range"]
    arguments += ["probability" if low == 0 else "any", "--chunk-size", "50"]
    assert main(["vote", write(*lines), "-o", str(out), *arguments]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 100
    seen = {True: 0, False: 0}
    for line in read(out):
        result = line["stepscore"]
        assert list(result["votes"]) == list(TYPED)
        classes = [candidate["answer_class"] for candidate in result["candidates"]]
        scores = {
            name: np.array([c["scores"][name] for c in result["candidates"]], dtype=np.float64)
            for name in AGGREGATIONS
        }
        for (typed, parameters), how in itertools.product(TYPED.items(), AGGREGATIONS):
            rule = typed.partition(":")[0]
            values = scores[how]
            if rule in ("pareto", "multi_objective"):
                values = np.stack([scores[name] for name in OBJECTIVES], axis=1)
            found = result["votes"][typed][how]
            if not readable(rule, how, values[np.array(classes) >= 0], low, parameters):
                assert found is None
                seen[False] += 1
                continue
            if rule == "majority":
                values = None
            expected = reference.vote(
                classes, values, [0, len(classes)], rule, nan="drop", **parameters
            )
            if values is not None and values.ndim == 2:  # the same in each column
                fields = (field[:, 0] for field in expected[:5])
                expected = reference.VoteResult(*fields, None)
            if expected.winner[0] < 0:
                assert found is None
                continue
            seen[True] += 1
            margin = expected.margin[0]
            assert found["winner"] == expected.winner[0]
            assert found["score"] == pytest.approx(expected.score[0], rel=1e-12, abs=1e-12)
            assert found["tied"] == expected.tied[0]
            if math.isinf(margin):
                assert found["margin"] is None
            else:
                assert found["margin"] == pytest.approx(margin, rel=1e-9, abs=1e-12)
    assert min(seen.values()) > 500


def readable(rule: str, how: str, values: Any, low: float, parameters: dict[str, Any]) -> bool:
    """Whether the scores of those who take part are what the rule reads, by its manual."""
    if rule in ("majority", "best_of_n", "borda", "pareto"):
        return True
    if rule in ("logodds_weighted", "loglik_weighted", "crew"):
        values = values[~np.isnan(values)]
        return not len(values) or (low == 0 and how not in ("sum", "odds_mean"))
    if rule == "confidence_weighted":
        values = values[~np.isnan(values)]
        return not len(values) or (low < 0 and bool((values <= 0).all()))
    if parameters.get("normalize") == "sum":
        return not (values < 0).any()
    return True


def test_the_ranges_are_those_of_the_op() -> None:
    for rule in parse_rules(list(TYPED)):
        if not rule.reads_scores:
            continue
        low, high = rule.rule.scores.low, rule.rule.scores.high
        for score in (-math.inf, -1e308, -1.0, -1e-9, 0.0, 0.5, 1.0, 1.0 + 1e-9, 1e308, math.inf):
            values = np.full((1, 2) if rule.name == "multi_objective" else (1, 1), score)
            taken = low <= score <= high
            try:
                stepscore.vote([0], values, [0, 1], rule.rule, unfit="error")
            except ValueError:
                assert not taken, (rule.label, score)
            else:
                assert taken, (rule.label, score)


def test_columns_and_keys_are_named_by_what_was_typed(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = {
        "id": 1,
        "answer": "a",
        "candidates": [{"answer": a, "score": s} for a, s in (("a", 0.9), ("b", 0.5), ("b", 0.6))],
    }
    out = tmp_path / "out"
    typed = ["majority", "softmax_weighted:temperature=0.1", "softmax_weighted:temperature=1.0"]
    assert main(["vote", write(line), "-o", str(out), *asked(*typed)]) == 0
    assert capsys.readouterr().out == (
        "1 problem, 3 candidates (3 each)\n"
        "\n"
        "accuracy in % (ties: share)\n"
        "                        majority  softmax_weighted  softmax_weighted\n"
        "  aggregation                      temperature=0.1   temperature=1.0\n"
        "  score                      0.0             100.0               0.0\n"
        "\n"
        "  pass@1                    33.3   mean accuracy of the single candidates\n"
        "  majority                   0.0   the most frequent answer; no scores\n"
        "  pass@3                   100.0   some candidate is right: the ceiling\n"
    )
    (result,) = read(out)
    assert list(result["stepscore"]["votes"]) == typed


def test_rules_over_several_columns_have_a_line_of_their_own(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # a dominates in mean, b in last: two on the front; c is dominated.
    candidates = [
        {"answer": "a", "step_scores": [0.9, 0.5]},
        {"answer": "b", "step_scores": [0.1, 0.6]},
        {"answer": "b", "step_scores": [0.2, 0.6]},
    ]
    source = write({"id": 1, "answer": "b", "candidates": candidates})
    out = tmp_path / "out"
    weights = "multi_objective:objective_weights=1:0.1,scale=none"
    arguments = ["vote", source, *asked("pareto", weights), "--objectives", "last,mean"]
    assert main([*arguments, "-o", str(out)]) == 0
    table = capsys.readouterr().out
    assert "aggregation" not in table  # no rule reads one
    # Of the three candidates with an answer that ties, two have the right one.
    assert "  pareto                    66.7   over last, mean\n" in table
    assert (
        "  multi_objective          100.0   objective_weights=1:0.1; scale=none; over last, mean\n"
        in table
    )
    (result,) = (line["stepscore"] for line in read(out))
    assert result["provenance"]["objectives"] == ["last", "mean"]
    front = {"winner": 0, "answer": "a", "score": 1.0, "tied": True, "margin": 0.0}
    assert result["votes"]["pareto"] == dict.fromkeys(AGGREGATIONS, front)
    assert result["votes"][weights]["min"]["score"] == pytest.approx(1.2 + 0.075)
    assert main(["vote", source, *asked("majority", "pareto")]) == 0
    table = capsys.readouterr().out
    assert rows(table)["min"] == ["100.0"]
    assert f"over {', '.join(AGGREGATIONS)}" in " ".join(table.split())


def test_pareto_takes_all_that_the_scores_have() -> None:
    settings = VoteSettings(parse_rules(["pareto"]))
    assert objectives_of(settings, AGGREGATIONS, bounded=True) == AGGREGATIONS
    assert not NEED_PROBABILITIES & set(objectives_of(settings, AGGREGATIONS, bounded=False))
    assert objectives_of(VoteSettings(DEFAULT_RULES), AGGREGATIONS, bounded=True) == ()


def test_what_a_rule_cannot_read_is_missing_and_says_why(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def line(record_id: int, *scores: float) -> dict[str, Any]:
        candidates = [{"answer": "a", "score": score} for score in scores]
        return {"id": record_id, "answer": "a", "candidates": candidates}

    out = tmp_path / "out"
    typed = ["weighted", "logodds_weighted", "confidence_weighted"]
    source = write(line(1, 0.5, 0.25), line(2, 0.5, 1.5), line(3, 1e308, 0.0))
    assert main(["vote", source, "-o", str(out), *asked(*typed), "--chunk-size", "1"]) == 0
    printed = capsys.readouterr().out
    assert rows(printed)["score"] == ["100.0", "-", "-"]
    text = " ".join(printed.split())
    assert (
        "Shown as -: logodds_weighted, which reads scores in [0, 1]; other scores are among those "
        "of every aggregation." in text
    )
    assert "Shown as -: confidence_weighted, which reads log probabilities, at most 0;" in text
    votes = [result["stepscore"]["votes"] for result in read(out)]
    assert [vote["logodds_weighted"]["score"] is None for vote in votes] == [False, True, True]
    assert [vote["confidence_weighted"]["score"] for vote in votes] == [None] * 3
    # One who takes no part spoils nothing.
    spoiled = line(1, 0.5, 7.0)
    spoiled["candidates"][1]["answer"] = ""
    assert main(["vote", write(spoiled), *asked("logodds_weighted")]) == 0
    assert rows(capsys.readouterr().out)["score"] == ["100.0"]


def test_a_sum_of_probabilities_is_none(
    write: Write, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    candidates = [{"answer": "a", "step_scores": [0.1, 0.2]}]
    source = write({"id": 1, "answer": "a", "candidates": candidates})
    assert main(["vote", source, *asked("logodds_weighted", "borda")]) == 0
    printed = capsys.readouterr().out
    assert rows(printed)["mean"] == ["100.0", "100.0"]
    assert rows(printed)["sum"] == rows(printed)["odds_mean"] == ["-", "100.0"]
    assert "other scores are among those of sum, odds_mean." in " ".join(printed.split())


def test_scores_that_overflow_do_not_stop_a_file(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    candidates = [{"answer": "a", "step_scores": [1e308, 1e308]}]
    assert main(["vote", write({"id": 1, "answer": "a", "candidates": candidates})]) == 0
    printed = capsys.readouterr().out
    assert rows(printed)["sum"] == ["100.0", "-", "100.0"]
    text = " ".join(printed.split())
    # The mean is a sum before it is divided.
    assert "weighted, which reads finite scores; other scores are among those of mean, sum," in text


def test_many_rules_are_compared_with_the_first(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [{k: v for k, v in line.items() if k != "answer"} for line in step_records(2)]
    typed = ["majority", "borda", "weighted", "best_of_n"]
    assert main(["vote", write(*lines), *asked(*typed)]) == 0
    table = capsys.readouterr().out
    assert table.count("= majority") == 3
    assert "= borda" not in table
    assert main(["vote", write(*lines), *asked("borda")]) == 0
    assert "one rule has none to agree with: add another --rule" in capsys.readouterr().out


def test_rerank_takes_rules_too(fake: FakeModel, write: Write, tmp_path: Path) -> None:
    source = write({"id": 1, "problem": "?", "candidates": ["A: 1 @0.2", "A: 2 @0.7"]})
    one, two = tmp_path / "one", tmp_path / "two"
    options = [*asked("borda", "pareto"), "--objectives", "min,last"]
    assert main(["rerank", source, "-o", str(one), "--model", "m", *options]) == 0
    assert main(["vote", str(one), "-o", str(two), *options]) == 0
    (left,), (right,) = read(one), read(two)
    assert left["stepscore"]["votes"] == right["stepscore"]["votes"]
    assert left["stepscore"]["votes"]["borda"]["last"]["winner"] == 1
    assert left["stepscore"]["provenance"]["objectives"] == ["min", "last"]


KNOWN = ", ".join(RULES)
TYPE_SOFTMAX = "type --rule softmax_weighted:temperature=0.1"
TYPE_HYBRID = "type --rule hybrid_majority_reward:tau=0.5,consensus=share,reward=max"
TYPE_MULTI = "type --rule multi_objective:objective_weights=0.5:0.3:0.2,scale=none"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            "majorty",
            f"expected one of {KNOWN}; got 'majorty'; did you mean 'majority'? type one of these",
        ),
        ("majority,borda", f"expected one of {KNOWN}; got 'majority,borda'"),
        ("", f"expected one of {KNOWN}; got ''"),
        (
            "softmax_weighted",
            f"expected temperature too; got no parameters; {TYPE_SOFTMAX}",
        ),
        (
            "hybrid_majority_reward:tau=0.5",
            f"expected consensus and reward too; got tau; {TYPE_HYBRID}",
        ),
        ("softmax_weighted:", f"expected PARAM=VALUE; got ''; {TYPE_SOFTMAX}"),
        ("softmax_weighted:0.1", f"expected PARAM=VALUE; got '0.1'; {TYPE_SOFTMAX}"),
        (
            "softmax_weighted:t=1",
            f"expected temperature for softmax_weighted; got 't'; {TYPE_SOFTMAX}",
        ),
        ("majority:x=1", "expected no parameters for majority; got 'x'; type --rule majority"),
        (
            "softmax_weighted:temperature=1,temperature=2",
            "expected temperature once; got it twice; leave one out",
        ),
        (
            "softmax_weighted:temperature=hot",
            f"expected a number for temperature; got 'hot'; {TYPE_SOFTMAX}",
        ),
        (
            "softmax_weighted:temperature=0",
            f"expected a finite number above 0 for temperature; got '0'; {TYPE_SOFTMAX}",
        ),
        (
            "borda:power=1.5",
            "expected a whole number for power; got '1.5'; type --rule borda:power=2",
        ),
        ("borda:power=1" + "0" * 30, "expected a whole number for power"),
        (
            "borda:power=17",
            "expected a whole number in [1, 16] for power; got '17'; type --rule borda:power=2",
        ),
        (
            "hybrid_majority_reward:tau=0.5,consensus=x,reward=max",
            f"expected one of share, entropy for consensus; got 'x'; {TYPE_HYBRID}",
        ),
        (
            "multi_objective:objective_weights=0.5:x,scale=none",
            "expected numbers with colons between them for objective_weights; got '0.5:x'; "
            + TYPE_MULTI,
        ),
    ],
)
def test_a_rule_that_cannot_be_read(
    rule: str, message: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["vote", write("nothing is read"), "--rule", rule]) == 2
    typed = shlex.quote(rule)
    assert f"stepscore vote: error: --rule {typed}: {message}" in capsys.readouterr().err


MULTI = "multi_objective:objective_weights=0.5:0.5,scale=none"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            asked("borda", "borda"),
            "--rule borda: expected every rule once; got borda before; leave one of them out",
        ),
        (
            asked("softmax_weighted:temperature=1", "softmax_weighted:temperature=1.0"),
            "--rule softmax_weighted:temperature=1.0: expected every rule once; got "
            "softmax_weighted:temperature=1 before",
        ),
        (
            asked(MULTI),
            f"--rule {MULTI}: expected the aggregations that its weights belong to; got none; type "
            "them as in --objectives min,last,mean",
        ),
        (
            [*asked(MULTI), "--objectives", "min"],
            f"--rule {MULTI}: expected 1 weight, one for each of --objectives min; got 2;",
        ),
        (
            ["--objectives", "min"],
            "--objectives: expected --rule pareto or --rule multi_objective:..., which read them; "
            "got neither",
        ),
        (
            [*asked("pareto"), "--objectives", "min,x"],
            f"--objectives: expected some of {', '.join(AGGREGATIONS)}, score; got 'x'; type them "
            "as in --objectives min,last,mean",
        ),
        (
            [*asked("pareto"), "--objectives", "min,min"],
            "--objectives: expected every aggregation once; got min twice; leave one out",
        ),
        (
            [*asked("pareto"), "--objectives", "min"],
            "--objectives: expected some of score for a file with such scores; got min; leave it",
        ),
    ],
)
def test_options_that_do_not_fit(
    options: list[str], message: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write({"id": 1, "candidates": [{"answer": "1", "score": 1}]})
    assert main(["vote", source, *options]) == 2
    assert f"error: {message}" in capsys.readouterr().err


def test_a_wrong_rule_costs_no_model(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(name: str, **options: Any) -> None:
        raise AssertionError("loaded")

    monkeypatch.setitem(stepscore.__dict__, "load", load)
    source = write({"id": 1, "problem": "?", "candidates": ["A: 1"]})
    arguments = ["rerank", source, "-o", str(tmp_path / "out"), "--model", "m"]
    assert main([*arguments, *asked("nonsense")]) == 2


def test_the_help_names_every_rule(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("vote", "rerank"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        printed = capsys.readouterr().out
        described = printed[printed.index("rules of --rule") :]
        for name in RULES:
            assert name in described
            assert all(f"{parameter}=" in described for parameter in typed_parameters(name))


def test_rules_are_told_as_they_are_typed() -> None:
    typed = typed_forms()
    names = [name for name in RULES if not typed_parameters(name)]
    lines = sum(set(line.split()) <= set(names) for line in typed)
    assert " ".join(typed[:lines]).split() == names
    forms = typed[lines:]
    assert {form.partition(":")[0].partition("[")[0] for form in forms} == set(RULES) - set(names)
    assert "logodds_weighted[:eps=1e-7]" in forms
    assert "loglik_weighted:prior=0.5,reliability=0.6,answers=10[,eps=1e-7]" in forms
    assert "hybrid_majority_reward:tau=0.5,consensus=share|entropy,reward=max|mean|sum" in forms


def test_the_library_names_arguments() -> None:
    with pytest.raises(InputError) as caught:
        parse_rules(["borda:power=17"])
    assert str(caught.value) == (
        "rule='borda:power=17': expected a whole number in [1, 16] for power; got '17'; "
        "type rule='borda:power=2'"
    )


def test_objectives_that_scores_do_not_have() -> None:
    settings = VoteSettings(parse_rules(["pareto"]), ("min", "prod"))
    assert objectives_of(settings, AGGREGATIONS, bounded=True) == ("min", "prod")
    with pytest.raises(InputError, match="got prod; leave it out"):
        objectives_of(settings, AGGREGATIONS, bounded=False)
