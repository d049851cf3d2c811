"""A candidate that cannot be scored keeps its place; a score that is no number is an error."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from stepscore.errors import Argument, InputError, InputTypeError
from stepscore.scoring import score_traces
from stepscore.scoring.chunks import chunk_traces

GOOD = ["We add 3.", "The sum is 7."]
LONG = ["We add 3 and 4."] * 120
KINDS = ["qwen", "shepherd", "skywork", "trl"]

# What cannot be scored -> a part of the reason.
BAD = {
    "": "at least one step",
    " \n\n": "at least one step",
    "<|end|>": "at least one step",
    "empty list": "at least one step",
    "blank step": "a step with text",
    "long": "at most 512 tokens",
    "special": "special token|mark of|without",
    "surrogate": "UTF-8",
    "none": "a text or a list of steps",
    "number": "a text",
}


def bad_one(name, prm):
    special = prm.tokenizer.eos_token
    return {
        "<|end|>": special + "\n",
        "empty list": [],
        "blank step": [*GOOD, " "],
        "long": LONG,
        "special": [f"a{special}b", "c"],
        "surrogate": ["It is \ud800."],
        "none": None,
        "number": ["We add 3.", 7],
    }.get(name, name)


@pytest.mark.parametrize("kind", KINDS)
def test_the_others_are_scored_as_if_it_were_not_there(kind, loaded, monkeypatch):
    # Chunks of a problem each: what is found while rendering is found in several of them.
    monkeypatch.setattr(score_traces, "chunk_traces", lambda traces: chunk_traces(traces, 0))
    prm = loaded(kind)
    solutions, problems = [], []
    for number, name in enumerate(BAD):
        solutions += [GOOD, bad_one(name, prm), "x"]
        problems += [f"What {number % 3}?"] * 3
    scores = prm.score(problems, solutions, on_bad="keep")
    assert list(scores.skipped) == list(range(1, len(solutions), 3))
    assert [len(each) for each in scores] == [2, 0, 1] * len(BAD)
    good = [index for index in range(len(solutions)) if index not in scores.skipped]
    alone = prm.score([problems[i] for i in good], [solutions[i] for i in good])
    np.testing.assert_allclose(scores.values, alone.values, rtol=0, atol=3e-6)
    assert scores.truncated.tolist() == [0] * len(solutions)
    totals = scores.aggregate("min")
    assert np.flatnonzero(np.isnan(totals)).tolist() == list(scores.skipped)
    assert f"{len(BAD)} skipped" in repr(scores)
    for place, expected in zip(scores.skipped, BAD.values(), strict=True):
        reason = scores.skipped[place]
        assert reason.argument.index[0] == place
        assert reason.where == "score"
        assert any(part in str(reason.expected) for part in expected.split("|"))
        with pytest.raises(type(reason)) as caught:
            prm.score(problems[place], [solutions[place]])
        assert caught.value.clauses(str) == reason.clauses(str)
    assert isinstance(scores.skipped[list(BAD).index("none") * 3 + 1], InputTypeError)
    again = pickle.loads(pickle.dumps(scores)).skipped
    assert list(map(str, again.values())) == list(map(str, scores.skipped.values()))


def test_nothing_but_bad_ones(loaded):
    scores = loaded("trl").score("What?", ["", LONG, []], on_bad="keep")
    assert scores.to_list() == [[], [], []]
    assert list(scores.skipped) == [0, 1, 2]
    assert loaded("trl").score([], [], on_bad="keep").skipped == {}


def test_steps_that_are_left_out_are_no_reason_to_skip(loaded):
    prm = loaded("trl")
    with pytest.warns(UserWarning, match="steps of 1 solutions end past"):
        scores = prm.score("What?", [GOOD, LONG, ""], truncation="steps", on_bad="keep")
    assert list(scores.skipped) == [2]
    assert scores.truncated[1] > 0
    assert len(scores[1]) == len(LONG)


def test_a_problem_at_fault_is_an_error_all_the_same(loaded):
    for kind, problem in (("qwen", "What<extra_0>?"), ("trl", "What\ud800?")):
        with pytest.raises(ValueError, match=r"score: problems\[1\]: expected"):
            loaded(kind).score(["What?", problem], [GOOD, GOOD], on_bad="keep")
    with pytest.raises(ValueError, match='score: on_bad: expected "error" or "keep"; got \'skip\''):
        loaded("trl").score("What?", [GOOD], on_bad="skip")


def test_text_that_the_tokenizer_cannot_write_is_kept_where_it_stands():
    import stepscore

    prm = stepscore.load("lab")
    solutions = ["1+2=3", "1+2=日本", "2+2=4", "x日"]
    scores = prm.score("1+2=?", solutions, on_bad="keep")
    assert list(scores.skipped) == [1, 3]
    assert scores.skipped[3].argument == Argument("solutions", index=(3, 0))
    np.testing.assert_array_equal(
        scores.values, prm.score("1+2=?", [solutions[0], solutions[2]]).values
    )
    with pytest.raises(ValueError, match=r"problems: expected text that the model's tokenizer"):
        prm.score("日?", solutions, on_bad="keep")


def test_rank_puts_it_last_and_never_first(loaded):
    prm = loaded("trl")
    candidates = ["", "It is 7.", LONG, "So."]
    ranking = prm.rank("What?", candidates, on_bad="keep")
    assert {each.index for each in ranking[:2]} == {1, 3}
    assert [each.index for each in ranking[2:]] == [0, 2]
    assert all(np.isnan(each.score) and each.step_scores == [] for each in ranking[2:])
    for best in prm.rank_many(["What?"] * 2, [candidates, candidates], top_k=1, on_bad="keep"):
        assert best[0].index == ranking[0].index
    with pytest.raises(ValueError, match=r"rank: candidates\[0\]: expected at least one step"):
        prm.rank("What?", candidates)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["empty", "long", "surrogate", "special", "word"])
def test_places_are_the_callers_own_in_every_chunk(kind, fault, loaded):
    prm = loaded(kind)
    bad = {"empty": "", "long": LONG, "surrogate": "a \ud800", "special": "<s> <|im_start|> x"}
    # A word that the tokenizer of Math-Shepherd writes with the token of the tag.
    bad["word"] = "x кино" if kind == "shepherd" else ["x", ""]
    # More than a chunk holds, in an order that is not that of the chunks.
    problems = [f"What {(37 * n) % 700}?" for n in range(700)]
    solutions: list[object] = [["x"]] * 700
    solutions[650] = bad[fault]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score_traces, "chunk_traces", lambda traces: chunk_traces(traces, 900))
        patch.setattr(
            type(prm.engine),
            "read",
            lambda _, call, traces, on: np.zeros((len(traces.positions), 1)),
        )
        with pytest.raises(InputError) as caught:
            prm.score(problems, solutions)
        assert caught.value.argument.index[0] == 650
        kept = prm.score(problems, solutions, on_bad="keep").skipped
        assert {place: each.argument for place, each in kept.items()} == {
            650: caught.value.argument
        }


def with_nan(prm, value=np.nan):
    """The same model with a head that gives no number where a hidden state is large."""
    layers = tuple(
        (weight, torch.full_like(weight[:, 0], value) if bias is None else bias + value)
        for weight, bias in prm.head.layers
    )
    return replace(prm, head=replace(prm.head, layers=layers, copies={}))


@pytest.mark.parametrize("kind", ["qwen", "skywork", "trl"])
def test_a_score_that_is_no_number_is_an_error_that_says_where(kind, loaded):
    broken = with_nan(loaded(kind))
    for call, argument in (
        (lambda: broken.score("What?", ["", GOOD], on_bad="keep"), ("solutions", 1, 0)),
        (lambda: broken.rank("What?", [GOOD]), ("candidates", 0, 0)),
        (lambda: broken.rank_many(["What?"], [[GOOD]]), ("candidates", 0, 0, 0)),
    ):
        with pytest.raises(InputError, match="a finite score of the model for every step; got nan"):
            call()
        with pytest.raises(InputError) as caught:
            call()
        assert caught.value.argument == Argument(argument[0], index=argument[1:])
        assert Argument("nan", "propagate") in caught.value.advice
    assert np.isnan(broken.score("What?", [GOOD], nan="propagate").values).all()
    assert np.isnan(broken.rank("What?", [GOOD], nan="propagate")[0].score)
    with pytest.raises(ValueError, match='nan: expected "error" or "propagate"; got \'drop\''):
        broken.score("What?", [GOOD], nan="drop")


def test_only_the_step_at_fault_is_named(loaded, monkeypatch):
    prm = loaded("trl")
    read = type(prm.engine).read

    def broken(self, call, traces, on_steps=int):
        values = read(self, call, traces, on_steps)
        values[3:] = np.inf
        return values

    monkeypatch.setattr(type(prm.engine), "read", broken)
    with pytest.raises(ValueError, match=r"solutions\[1\]\[1\]: .*got inf, and 2 more; its weig"):
        prm.score("What?", [GOOD, [*GOOD, "x"], ["y"]])
    with pytest.warns(UserWarning, match="end past"):
        scores = prm.score("What?", [GOOD, LONG], truncation="steps", nan="propagate")
    assert np.isinf(scores[1][1])
    assert np.isnan(scores[1][-1])


def test_steps_left_out_stay_nan(loaded):
    prm = replace(loaded("trl"), max_length=12)
    with pytest.warns(UserWarning, match="end past"):
        assert np.isnan(prm.score("What?", [["x", *LONG]], truncation="steps")[0][-1])


def test_a_session_names_the_branch_and_changes_nothing(loaded):
    prm = loaded("trl")
    session = with_nan(prm).session("What?")
    with pytest.raises(ValueError, match=r"extend: steps\[0\]: expected a finite score.*got nan"):
        session.extend(session.roots[0], "We add 3.")
    with pytest.raises(ValueError, match=r"extend: steps\[0\]\[0\]: .*got nan, and 3 more"):
        session.extend(session.roots[0], [GOOD, GOOD])
    assert len(session) == 1
    session.close()
    with with_nan(prm, np.inf).session("What?", nan="propagate") as session:
        made = session.extend(session.roots[0], [GOOD])
        assert np.isnan(made.scores.values).all()  # the softmax of two infinities
