"""Bad input is an error that names its place; truncation happens only when it is asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stepscore.errors import Argument, InputError

GOOD = ["We add 3.", "The sum is 7."]


@pytest.mark.parametrize(
    ("problems", "solutions", "message"),
    [
        (
            "What?",
            [GOOD, ["We add 3.", ""]],
            r"score: solutions\[1\]\[1\]: expected a step with text; got ''; leave empty steps out",
        ),
        ("What?", [GOOD, ["  \n"]], r"score: solutions\[1\]\[0\]: expected a step with text"),
        ("What?", [GOOD, []], r"score: solutions\[1\]: expected at least one step; got \[\]"),
        ("What?", ["", GOOD], r"score: solutions\[0\]: expected at least one step; got ''"),
        ("What?", ["\n\n\n"], r"score: solutions\[0\]: expected at least one step"),
        (["What?"], [GOOD, GOOD], r"problems: .* one per solution \(2\); got 1; repeat a problem"),
        (["What?", "Why?"], [GOOD], r"problems: .* one per solution \(1\); got 2"),
        ([], [GOOD], r"problems: .* one per solution \(1\); got 0"),
    ],
)
def test_values_are_refused(problems, solutions, message, loaded):
    for kind in ("qwen", "shepherd", "skywork", "trl"):
        with pytest.raises(ValueError, match=message):
            loaded(kind).score(problems, solutions)


@pytest.mark.parametrize(
    ("problems", "solutions", "message"),
    [
        ("What?", "We add 3.", r"solutions: expected a list, .*; got str; put it into a list"),
        ("What?", None, r"solutions: expected a list, .*; got NoneType; pass a list"),
        ("What?", [3], r"solutions\[0\]: expected a text or a list of steps; got int"),
        ("What?", [["We add 3.", None]], r"solutions\[0\]\[1\]: expected a text; got NoneType"),
        (7, [GOOD], r"problems: expected a list, one text per solution, or a text; got int"),
        (["What?", 7], [GOOD, GOOD], r"problems\[1\]: expected a text; got int"),
    ],
)
def test_types_are_refused(problems, solutions, message, loaded):
    with pytest.raises(TypeError, match=message):
        loaded("trl").score(problems, solutions)


@pytest.mark.parametrize(
    ("kind", "step", "message"),
    [
        ("qwen", "We add <extra_0> 3.", "without '<extra_0>'"),
        ("shepherd", "We add ки 3.", "without 'ки'"),
        ("skywork", "We add 3.\nThe sum is 7.", r"without '\\n', .*blank lines may"),
        ("qwen", "We add <|im_start|>3.", r"without '<\|im_start\|>', which is a mark of"),
    ],
)
def test_a_step_with_the_separator_is_refused(kind, step, message, loaded):
    with pytest.raises(ValueError, match=r"solutions\[1\]\[1\]: .*" + message):
        loaded(kind).score("What?", [GOOD, ["We add 3.", step]])


@pytest.mark.parametrize(("kind", "tag"), [("qwen", "<extra_0>"), ("shepherd", "ки")])
def test_a_problem_with_the_tag_is_refused(kind, tag, loaded):
    with pytest.raises(ValueError, match=rf"score: problems: expected a problem without '{tag}'"):
        loaded(kind).score(f"What is {tag}?", [GOOD])
    with pytest.raises(ValueError, match=rf"score: problems\[1\]: expected a problem .*'{tag}'"):
        loaded(kind).score(["What?", f"What is {tag}?"], [GOOD, GOOD])


def test_nothing_gives_nothing(loaded):
    scores = loaded("trl").score("What?", [])
    assert len(scores) == 0
    assert scores.to_list() == []
    assert scores.offsets.tolist() == [0]
    assert scores.aggregate("min").shape == (0,)
    assert loaded("trl").score([], []).values.dtype == np.float32


def trace_length(prm, problem, steps):
    """Tokens up to the last step's position."""
    return prm.recipe.encode(prm.tokenizer, [problem], [steps]).trace(0)[1][-1] + 1


@pytest.mark.parametrize("kind", ["qwen", "shepherd", "skywork", "trl"])
def test_a_long_trace_is_refused_with_both_lengths(kind, loaded):
    prm = loaded(kind)
    long = ["We add 3 and 4."] * 120
    length = trace_length(prm, "What?", long)
    assert length > 512
    message = rf"solutions\[1\]: expected at most 512 tokens .*; got {length} tokens; leave it out"
    with pytest.raises(ValueError, match=message):
        prm.score("What?", [GOOD, long, GOOD])


@pytest.mark.parametrize("kind", ["qwen", "shepherd", "skywork", "trl"])
def test_a_trace_of_exactly_the_positions_is_scored(kind, tiny, loaded):
    prm = loaded(kind)
    steps = ["We add 3 and 4."] * 9
    length = trace_length(prm, "What?", steps)
    scores = replace(prm, max_length=length).score("What?", [steps])
    np.testing.assert_allclose(scores.values, tiny(kind).read("What?", steps), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match=f"at most {length - 1} tokens .*; got {length} tokens"):
        replace(prm, max_length=length - 1).score("What?", [steps])


@pytest.mark.parametrize("kind", ["qwen", "shepherd", "skywork", "trl"])
def test_truncation_leaves_out_steps_and_says_so(kind, tiny, loaded):
    prm = loaded(kind)
    long = ["We add 3 and 4.", "The sum is 7."] * 60
    with pytest.warns(UserWarning, match=r"score: \d+ steps of 1 solutions end past .* 512"):
        scores = prm.score("What?", [GOOD, long, GOOD], truncation="steps")
    assert [len(values) for values in scores] == [2, 120, 2]
    read = int(np.count_nonzero(~np.isnan(scores[1])))
    assert 0 < read < 120
    assert scores.truncated.tolist() == [0, 120 - read, 0]
    assert not np.isnan(scores[1][:read]).any(), "steps are left out at the end"
    # As many steps as fit: the next one would end past the positions.
    assert trace_length(prm, "What?", long[: read + 1]) > 512
    assert trace_length(prm, "What?", long[:read]) <= 512
    expected = tiny(kind).read("What?", long[:read])
    np.testing.assert_allclose(scores[1][:read], expected, rtol=0, atol=1e-5)


def test_a_trace_may_lose_all_its_steps(loaded):
    prm = replace(loaded("trl"), max_length=12)
    with pytest.warns(UserWarning, match="1 steps of 1 solutions"):
        scores = prm.score("What?", [["The sum is 7." * 9], ["x"]], truncation="steps")
    assert np.isnan(scores[0]).all()
    assert not np.isnan(scores[1]).any()
    with pytest.warns(UserWarning, match="1 steps"):
        assert np.isnan(prm.score("What?", ["The sum is 7." * 9], truncation="steps").values).all()


def test_an_unknown_truncation_is_refused(loaded):
    with pytest.raises(ValueError, match='truncation: expected "error" or "steps"; got \'left\''):
        loaded("trl").score("What?", [GOOD], truncation="left")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("What?", []), ValueError, "rank: candidates: expected at least one candidate"),
        (("What?", "We add"), TypeError, "rank: candidates: expected a list"),
        ((["What?"], [GOOD]), TypeError, "rank: problem: expected a text; got list"),
        (("What?", [GOOD, [""]]), ValueError, r"rank: candidates\[1\]\[0\]: expected a step"),
        (("ки", [GOOD]), ValueError, "rank: problem: expected a problem"),
    ],
)
def test_rank_names_its_own_arguments(arguments, error, message, loaded):
    with pytest.raises(error, match=message):
        loaded("shepherd").rank(*arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("What?", [[GOOD]]), TypeError, "rank_many: problems: expected a list"),
        ((["What?"], "We add"), TypeError, "rank_many: candidates: expected a list"),
        ((["What?"], [[GOOD], [GOOD]]), ValueError, r"expected one list per problem \(1\); got 2"),
        ((["What?", "Why?"], [[GOOD], []]), ValueError, r"candidates\[1\]: expected at least one"),
        ((["What?"], ["We add"]), TypeError, r"rank_many: candidates\[0\]: expected a list"),
        (
            (["a", "b"], [[GOOD], [GOOD, [""]]]),
            ValueError,
            r"rank_many: candidates\[1\]\[1\]\[0\]: expected a step",
        ),
        ((["a", "ки"], [[GOOD], [GOOD]]), ValueError, r"rank_many: problems\[1\]: expected"),
    ],
)
def test_rank_many_names_its_own_arguments(arguments, error, message, loaded):
    with pytest.raises(error, match=message):
        loaded("shepherd").rank_many(*arguments)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"top_k": 0}, ValueError, "top_k: expected at least 1"),
        ({"top_k": 1.0}, TypeError, "top_k: expected a whole number"),
        ({"how": ["min", "last"]}, TypeError, "how: expected the name of one aggregation"),
        ({"how": "no-such"}, ValueError, "no-such"),
    ],
)
def test_ranking_options_are_checked(options, error, message, loaded):
    with pytest.raises(error, match=message):
        loaded("trl").rank("What?", [GOOD], **options)
    with pytest.raises(error, match=message):
        loaded("trl").rank_many(["What?"], [[GOOD]], **options)


@pytest.mark.parametrize(
    ("call", "problems", "solutions", "argument"),
    [
        ("score", "What?", [GOOD, [""]], Argument("solutions", index=(1, 0))),
        ("score", ["What?", "ки"], [GOOD, GOOD], Argument("problems", index=(1,))),
        ("score", "What?", [GOOD, []], Argument("solutions", index=(1,))),
        ("score", "What?", [GOOD, ["x"] * 600], Argument("solutions", index=(1,))),
        ("rank", "What?", [GOOD, ["x", 3]], Argument("candidates", index=(1, 1))),
        ("rank_many", ["a", "b"], [[GOOD], [GOOD, [""]]], Argument("candidates", index=(1, 1, 0))),
        ("rank_many", ["a", "ки"], [[GOOD], [GOOD]], Argument("problems", index=(1,))),
    ],
)
def test_an_error_says_its_place_as_data(call, problems, solutions, argument, loaded):
    with pytest.raises(InputError) as caught:
        getattr(loaded("shepherd"), call)(problems, solutions)
    assert caught.value.where == call
    assert caught.value.argument == argument
    assert caught.value.expected
    assert caught.value.got


def test_advice_names_arguments_and_no_flags(loaded):
    with pytest.raises(InputError) as caught:
        loaded("trl").score("What?", [["We add 3 and 4."] * 600])
    assert Argument("truncation", "steps") in caught.value.advice
    assert str(caught.value).endswith("pass truncation='steps' to score the steps that fit")
    as_flag = caught.value.told(lambda argument: f"--{argument.name}")
    assert as_flag.endswith("or pass --truncation to score the steps that fit")
