"""The table of rules, and a rule with its parameters as a value."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
import re
from typing import Any, get_args

import numpy as np
import pytest

import stepscore
from stepscore import Rule, errors, reference
from stepscore.ops.vote_rule import RULES, ParameterInfo, RuleName
from stepscore.reference import vote as reference_vote

A, S = [0, 1, 1], [0.1, 0.2, 0.3]

# --- the table ------------------------------------------------------------------------------


def test_the_literal_and_the_reference_know_the_rules_of_the_table() -> None:
    assert get_args(RuleName) == tuple(RULES)
    module = inspect.getmodule(reference_vote)
    assert list(module._SCORES) == list(RULES)


def test_the_manual_names_every_rule_and_parameter() -> None:
    manual = inspect.getdoc(Rule)
    for name, info in RULES.items():
        assert f"``{name}``" in manual, name
        for parameter in info.parameters.values():
            words = (f"`{parameter.name}`", f'``{parameter.name}="')
            assert any(word in manual for word in words), (name, parameter.name)


@pytest.mark.parametrize("info", RULES.values(), ids=RULES)
def test_a_row_is_complete(info) -> None:
    assert RULES[info.name] is info
    assert info.phrase
    assert info.phrase == info.phrase.strip(" .")
    for name, parameter in info.parameters.items():
        assert parameter.name == name
        assert (parameter.kind == "choice") == bool(parameter.choices)
        if parameter.required:
            assert parameter.default is None
        example = info.example.parameters.get(name)
        assert Rule(info.name, **{**info.example.parameters, name: parameter.example})
        assert not parameter.required or example == parameter.example
    if info.narrowed is not None:
        name, choice, scores = info.narrowed
        assert choice in info.parameters[name].choices
        assert Rule(info.name, **{**info.example.parameters, name: choice}).scores == scores


@pytest.mark.parametrize("info", RULES.values(), ids=RULES)
def test_an_example_votes(info) -> None:
    rule = info.example
    columns = len(rule.parameters.get("objective_weights", "1"))
    low, high = max(rule.scores.low, -1.0), min(rule.scores.high, 1.0)
    scores = np.linspace(low, high, 3)[:, None].repeat(columns, axis=1)
    got = stepscore.vote(A, scores, [0, 3], rule)
    assert (got.winner >= 0).all()
    assert (got.winner == reference.vote(A, scores, [0, 3], rule).winner).all()


@pytest.mark.parametrize("info", RULES.values(), ids=RULES)
def test_an_argmax_is_one_for_any_answers(info) -> None:
    rng = np.random.default_rng(0)
    low, high = max(info.scores.low, -4.0), min(info.scores.high, 4.0)
    scores = low + (high - low) * rng.integers(0, 5, (200, 3, 1)) / 4
    columns = len(info.example.parameters.get("objective_weights", "1"))
    answers = rng.integers(0, 3, 600)
    table = scores.reshape(600, 1).repeat(columns, axis=1)
    got = stepscore.vote(answers, table, np.arange(0, 601, 3), info.example)
    chosen = np.arange(0, 600, 3) + scores[..., 0].argmax(axis=1)
    assert (got.winner[:, 0] == chosen).all() == info.argmax


def test_the_ranges_are_those_of_the_op() -> None:
    rules = [info.example for info in RULES.values()]
    rules.append(Rule("weighted_reward_frequency", reward_weight=0.5, normalize="sum"))
    for rule in rules:
        columns = len(rule.parameters.get("objective_weights", "1"))
        for score in (-math.inf, -1e308, -1.0, -1e-9, 0.0, 0.5, 1.0, 1.0 + 1e-9, 1e308, math.inf):
            got = stepscore.vote([0], np.full((1, columns), score), [0, 1], rule)
            fits = rule.scores.low <= score <= rule.scores.high
            assert (got.winner >= 0).all() == fits, (rule, score)


def test_a_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        RULES["weighted"] = RULES["majority"]  # type: ignore[index]
    with pytest.raises(AttributeError):
        RULES["weighted"].phrase = ""  # type: ignore[misc]


# --- a value --------------------------------------------------------------------------------


def test_equal_parameters_make_equal_rules() -> None:
    plain, full = Rule("borda"), Rule("borda", power=1)
    assert (plain, hash(plain)) == (full, hash(full))
    assert Rule("borda", power=1.0) == plain
    assert Rule("borda", power=2) != plain
    assert Rule("majority") != "majority"
    assert len({Rule("softmax_weighted", temperature=t) for t in (0.1, 0.1, 2)}) == 2
    one = Rule("multi_objective", objective_weights=[1, 2], scale="none")
    two = Rule("multi_objective", scale="none", objective_weights=np.array([1.0, 2.0]))
    assert one == two
    assert one.parameters == {"objective_weights": (1.0, 2.0), "scale": "none", "columns": None}


@pytest.mark.parametrize("info", RULES.values(), ids=RULES)
def test_a_rule_reads_as_its_call(info) -> None:
    full = {name: parameter.example for name, parameter in info.parameters.items()}
    for rule in (info.example, Rule(info.name, **full)):
        assert eval(repr(rule)) == rule
        assert pickle.loads(pickle.dumps(rule)) == rule
        assert copy.deepcopy(rule) == rule
        assert rule.info is info


def test_a_rule_does_not_change() -> None:
    rule = Rule("softmax_weighted", temperature=0.1)
    with pytest.raises(AttributeError, match="a Rule does not change"):
        rule.name = "borda"
    with pytest.raises(AttributeError, match="a Rule does not change"):
        rule.temperature = 2
    with pytest.raises(AttributeError, match="a Rule does not change"):
        del rule.name
    rule.parameters["temperature"] = 2
    assert rule.parameters == {"temperature": 0.1}


def test_numbers_of_numpy_are_numbers() -> None:
    rule = Rule("borda", power=np.int64(2))
    assert type(rule.parameters["power"]) is int
    assert type(
        Rule("softmax_weighted", temperature=np.float32(0.5)).parameters["temperature"]
    ) is (float)


LOGLIK = {"prior": 0.5, "reliability": 0.6, "answers": 10}
FAULTS: dict[str, tuple[Any, type[Exception], str]] = {
    "unknown rule": (
        lambda: Rule("plurality"),
        ValueError,
        "Rule: name: expected one of majority, weighted,",
    ),
    "no name": (
        lambda: Rule(7),
        TypeError,
        "Rule: name: expected a name; got 7",
    ),
    "unknown parameter": (
        lambda: Rule("borda", powr=2),
        ValueError,
        "Rule('borda'): expected power and nothing else; got 'powr'; did you mean 'power'? for "
        "example Rule('borda')",
    ),
    "no parameters": (
        lambda: Rule("majority", power=2),
        ValueError,
        "Rule('majority'): expected no parameters; got 'power'; for example Rule('majority')",
    ),
    "missing": (
        lambda: Rule("loglik_weighted", prior=0.5),
        ValueError,
        "Rule('loglik_weighted'): reliability: expected a number in (0, 1); got nothing; for "
        "example Rule('loglik_weighted', prior=0.5, reliability=0.6, answers=10)",
    ),
    "None is missing": (
        lambda: Rule("softmax_weighted", temperature=None),
        ValueError,
        "temperature: expected a finite number above 0; got nothing",
    ),
    "temperature": (
        lambda: Rule("softmax_weighted", temperature=0.0),
        ValueError,
        "Rule('softmax_weighted'): temperature: expected a finite number above 0; got 0.0; for "
        "example Rule('softmax_weighted', temperature=0.1)",
    ),
    "temperature NaN": (
        lambda: Rule("softmax_weighted", temperature=math.nan),
        ValueError,
        "temperature: expected a finite number above 0; got nan",
    ),
    "temperature infinite": (
        lambda: Rule("softmax_weighted", temperature=math.inf),
        ValueError,
        "temperature: expected a finite number above 0; got inf",
    ),
    "temperature of text": (
        lambda: Rule("softmax_weighted", temperature="warm"),
        TypeError,
        "temperature: expected a finite number above 0; got 'warm'",
    ),
    "eps": (
        lambda: Rule("logodds_weighted", eps=0.5),
        ValueError,
        "Rule('logodds_weighted'): eps: expected a number in [2.22045e-16, 0.5); got 0.5; for "
        "example Rule('logodds_weighted', eps=1e-07)",
    ),
    "power": (
        lambda: Rule("borda", power=1.5),
        TypeError,
        "power: expected a whole number in [1, 16]; got 1.5",
    ),
    "power huge": (
        lambda: Rule("borda", power=1e30),
        TypeError,
        "power: expected a whole number in [1, 16]; got 1e+30",
    ),
    "power infinite": (
        lambda: Rule("borda", power=math.inf),
        TypeError,
        "power: expected a whole number in [1, 16]; got inf",
    ),
    "power true": (
        lambda: Rule("borda", power=True),
        TypeError,
        "power: expected a whole number in [1, 16]; got True",
    ),
    "power zero": (
        lambda: Rule("borda", power=0),
        ValueError,
        "power: expected a whole number in [1, 16]; got 0",
    ),
    "tau": (
        lambda: Rule("hybrid_majority_reward", tau=1.5, consensus="share", reward="max"),
        ValueError,
        "tau: expected a number in [0, 1]; got 1.5",
    ),
    "consensus": (
        lambda: Rule("hybrid_majority_reward", tau=0.5, consensus="most", reward="max"),
        ValueError,
        "consensus: expected one of share, entropy; got 'most'",
    ),
    "a choice of a number": (
        lambda: Rule("hybrid_majority_reward", tau=0.5, consensus=1, reward="max"),
        TypeError,
        "consensus: expected one of share, entropy; got 1",
    ),
    "prior": (
        lambda: Rule("loglik_weighted", **{**LOGLIK, "prior": 0.0}),
        ValueError,
        "prior: expected a number in (0, 1); got 0.0",
    ),
    "reliability": (
        lambda: Rule("loglik_weighted", **{**LOGLIK, "reliability": 1.0}),
        ValueError,
        "reliability: expected a number in (0, 1); got 1.0",
    ),
    "answers": (
        lambda: Rule("loglik_weighted", **{**LOGLIK, "answers": 1}),
        ValueError,
        "answers: expected a whole number of at least 2; got 1",
    ),
    "reward_weight": (
        lambda: Rule("weighted_reward_frequency", reward_weight=2, normalize="sum"),
        ValueError,
        "reward_weight: expected a number in [0, 1]; got 2",
    ),
    "weights infinite": (
        lambda: Rule("multi_objective", objective_weights=[1, math.inf], scale="none"),
        ValueError,
        "objective_weights: expected a list of finite numbers; got [1, inf]",
    ),
    "one weight": (
        lambda: Rule("multi_objective", objective_weights=1.0, scale="none"),
        TypeError,
        "objective_weights: expected a list of finite numbers; got 1.0",
    ),
    "no weights": (
        lambda: Rule("multi_objective", objective_weights=[], scale="none"),
        ValueError,
        "objective_weights: expected a list of finite numbers; got []",
    ),
    "columns of names": (
        lambda: Rule("pareto", columns="min"),
        TypeError,
        "columns: expected a list of whole numbers of at least 0; got 'min'",
    ),
    "a column below 0": (
        lambda: Rule("pareto", columns=[0, -1]),
        ValueError,
        "columns: expected a list of whole numbers of at least 0; got [0, -1]",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_are_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)) as caught:
        call()
    assert isinstance(caught.value, errors.InputError)


def bounds_of(parameter: ParameterInfo) -> list[float]:
    """Numbers on both sides of the ends of a range, and the ends."""
    step = 1 if parameter.kind in ("count", "counts") else 1e-9
    ends = [end for end in (parameter.low, parameter.high) if math.isfinite(end)]
    return [end + by for end in ends for by in (-step, 0, step)]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("softmax_weighted", {"temperature": "0.1"}),
        ("softmax_weighted", {"temperature": b"0.1"}),
        ("borda", {"power": "2"}),
        ("multi_objective", {"objective_weights": ["1", "2"], "scale": "none"}),
        ("multi_objective", {"objective_weights": b"12", "scale": "none"}),
        ("pareto", {"columns": ["0"]}),
    ],
)
def test_a_text_is_no_number(name: Any, parameters: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=rf"^Rule\('{name}'\): "):
        Rule(name, **parameters)


def test_a_name_is_a_plain_text() -> None:
    rule = Rule(np.array(["borda"])[0])
    assert type(rule.name) is str
    assert repr(rule) == "Rule('borda')"


@pytest.mark.parametrize("info", RULES.values(), ids=RULES)
def test_python_and_the_core_draw_the_same_line(info) -> None:
    for parameter in info.parameters.values():
        for number in bounds_of(parameter):
            several = parameter.kind in ("reals", "counts")
            given = {**info.example.parameters, parameter.name: [number] if several else number}
            try:
                Rule(info.name, **given)
            except ValueError:
                allowed = False
            else:
                allowed = True
            assert allowed == parameter.allows(number)
            if several:  # the number of columns has a say too
                continue
            bare = object.__new__(Rule)  # past the checks of Python
            object.__setattr__(bare, "name", info.name)
            object.__setattr__(bare, "_items", tuple(given.items()))
            if allowed:
                stepscore.vote([0], [0.0], [0, 1], bare)
            else:
                with pytest.raises(ValueError, match=f"vote: {info.name}: {parameter.name} must"):
                    stepscore.vote([0], [0.0], [0, 1], bare)


# --- parameters beside the rule, until 0.3 --------------------------------------------------


def test_parameters_beside_the_rule_still_work() -> None:
    with pytest.warns(DeprecationWarning, match=r"pass Rule\('softmax_weighted', temperature=0\.5"):
        got = stepscore.vote(A, S, [0, 3], "softmax_weighted", temperature=0.5)
    assert (
        got.score == stepscore.vote(A, S, [0, 3], Rule("softmax_weighted", temperature=0.5)).score
    )
    names = ["majority", "logodds_weighted", "borda", "loglik_weighted"]
    with pytest.warns(DeprecationWarning, match=r"pass Rule\('logodds_weighted', eps=0\.01\)"):
        got = stepscore.vote(A, S, [0, 3], names, eps=0.01, power=2, **LOGLIK)
    rules = [
        "majority",
        Rule("logodds_weighted", eps=0.01),
        Rule("borda", power=2),
        Rule("loglik_weighted", eps=0.01, **LOGLIK),
    ]
    assert got.score.tolist() == stepscore.vote(A, S, [0, 3], rules).score.tolist()
    expected = reference.vote(A, S, [0, 3], names, eps=0.01, power=2, **LOGLIK)
    assert got.score == pytest.approx(expected.score)


def test_the_warning_points_to_the_caller() -> None:
    with pytest.warns(DeprecationWarning, match="parameters beside the rule") as caught:
        stepscore.vote(A, S, [0, 3], "borda", power=2)
    assert [warning.filename for warning in caught] == [__file__]


def test_a_rule_keeps_its_own_parameters_beside_loose_ones() -> None:
    cold = Rule("softmax_weighted", temperature=0.01)
    with pytest.warns(DeprecationWarning, match="parameters beside the rule"):
        got = stepscore.vote(A, S, [0, 3], [cold, "softmax_weighted"], temperature=9)
    assert got.score[0, 0] == stepscore.vote(A, S, [0, 3], cold).score[0]
    assert got.score[0, 1] < got.score[0, 0] - 0.2


def test_none_is_as_good_as_nothing() -> None:
    got = stepscore.vote(A, S, [0, 3], "borda", temperature=None, power=None)
    assert got.score == stepscore.vote(A, S, [0, 3], "borda").score


def test_loose_parameters_that_belong_nowhere() -> None:
    message = "vote: temperature belongs to softmax_weighted, which is not asked for; leave it out"
    with pytest.raises(ValueError, match=message):
        stepscore.vote(A, S, [0, 3], "weighted", temperature=0.1)
    with pytest.raises(TypeError, match=r"vote\(\) got an unexpected keyword argument 'warmth'"):
        stepscore.vote(A, S, [0, 3], "weighted", warmth=0.1)
