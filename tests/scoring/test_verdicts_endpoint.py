"""Generative PRMs over endpoints: with log-probabilities, without, that cut, that fail."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("httpx")

from text_server import Said, TextServer, text_server

from stepscore.errors import InputError
from stepscore.policies import EndpointPolicy
from stepscore.policies.endpoint import EndpointError
from stepscore.scoring import verdicts

PROMPT = "Problem: {problem}\nSo far: {previous}\nJudge: {step}\nEnd in a box."
WHOLE = "{problem}\n\n{solution}\n\nJudge."


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[TextServer]:
    for name in ("OPENAI_API_KEY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with text_server() as opened:
        yield opened


def policy(server: TextServer, **options: object) -> EndpointPolicy:
    return EndpointPolicy(server.url, "m", backoff=0.0, timeout=5.0, retries=0, **options)


def boxed(word: str, likely: dict[str, float]) -> Said:
    return Said(["Fine", ". ", "\\boxed{", word, "}"], {3: likely})


def test_the_probability_is_renormalised_over_the_words_at_the_verdict(server: TextServer) -> None:
    # By hand: p(Yes) = .5, p(No) = .2, and .3 for what is no verdict: 5 / 7.
    server.script = lambda body: boxed(
        "Yes", {"Yes": math.log(0.5), "No": math.log(0.2), "Maybe": math.log(0.3)}
    )
    prm = verdicts.prompted(policy(server), prompt=PROMPT)
    scores = prm.score("1 + 1?", [["1 + 1 = 2", "so 2"]])
    assert scores.to_list() == [[pytest.approx(5 / 7), pytest.approx(5 / 7)]]
    probe, first, second = server.bodies  # the order of the last two is the threads'
    assert probe["max_tokens"] == 1
    assert server.paths == ["/v1/chat/completions"] * 3
    shown = {body["messages"][0]["content"] for body in (first, second)}
    assert shown == {
        "Problem: 1 + 1?\nSo far: \nJudge: 1 + 1 = 2\nEnd in a box.",
        "Problem: 1 + 1?\nSo far: 1 + 1 = 2\nJudge: so 2\nEnd in a box.",
    }
    assert scores.recipe.name == "prompted-verdict"


@pytest.mark.parametrize(
    ("word", "likely", "expected"),
    [
        # No is drawn, and Yes stands beside it.
        ("No", {"No": math.log(0.6), "Yes": math.log(0.3)}, 1 / 3),
        # A partner that is not told gets the least of those that are: .6 / (.6 + .05).
        ("Yes", {"Yes": math.log(0.6), "x": math.log(0.05)}, 0.6 / 0.65),
        # Other spellings are other tokens.
        ("Yes", {"Yes": math.log(0.5), " No": math.log(0.4), "No": math.log(0.1)}, 5 / 6),
        # The partner in the case of what was said.
        ("YES", {"YES": math.log(0.5), "No": math.log(0.4), "NO": math.log(0.125)}, 0.8),
    ],
)
def test_which_tokens_are_the_verdict(server, word, likely, expected) -> None:
    server.script = lambda body: boxed(word, likely)
    prm = verdicts.prompted(policy(server), prompt=PROMPT)
    assert prm.score("p", [["a"]]).values[0] == pytest.approx(expected)


def test_a_word_of_several_tokens_counts_by_its_first(server: TextServer) -> None:
    likely = {"in": math.log(0.3), "correct": math.log(0.6)}
    server.script = lambda body: Said(["\\boxed{", "in", "correct", "}"], {1: likely})
    prm = verdicts.prompted(policy(server), prompt=PROMPT, words=("correct", "incorrect"))
    assert prm.score("p", [["a"]]).values[0] == pytest.approx(2 / 3)


def test_a_token_that_begins_two_grades_is_refused_before_it_costs(server: TextServer) -> None:
    # "1" may go on to "10": its probability is that of both.
    likely = {"1": math.log(0.5), "2": math.log(0.4)}
    server.script = lambda body: Said(["<score>", "1", "</score>"], {1: likely})
    ten = {"prompt": "{problem} {step}", "scale": range(1, 11)}
    for options in ({}, {"by": "text", "asked": "Grade: "}):
        with pytest.raises(InputError, match="scale: expected grades of one character each"):
            verdicts.likert(policy(server), **ten, **options)
    assert server.bodies == []
    said = Said(["<score>", "1", "0", "</score>"])
    server.script = lambda body: said
    text = verdicts.likert(policy(server), **ten, by="text")
    assert text.score("p", ["a"]).values.tolist() == [10.0]
    words = verdicts.prompted(
        policy(server),
        prompt="{problem}|{step}",
        words=("1", "10"),
        pattern=r"<score>(\d+)</score>",
    )
    server.script = lambda body: Said(["<score>", "1", "</score>"], {1: likely})
    with pytest.raises(InputError, match="may begin several of 1, 10"):
        words.score("p", ["a"])
    five = verdicts.likert(policy(server), prompt="{problem} {step}", scale=(1, 2))
    assert five.score("p", ["a"]).values[0] == pytest.approx((0.5 + 2 * 0.4) / 0.9)


def test_a_verdict_that_does_not_come_is_an_error_of_its_step(server: TextServer) -> None:
    def script(body: dict) -> Said:
        if "Judge: bad" in body["messages"][0]["content"]:
            return Said(["I ", "do ", "not ", "know"])
        return boxed("Yes", {"Yes": math.log(0.9), "No": math.log(0.1)})

    server.script = script
    prm = verdicts.prompted(policy(server), prompt=PROMPT)
    with pytest.raises(
        verdicts.MissingVerdictError, match=r"solutions\[1\]\[1\].*do not know"
    ) as e:
        prm.score("p", [["good"], ["good", "bad"]])
    # Nothing that was paid for is lost.
    assert e.value.scores.to_list()[0] == [pytest.approx(0.9)]
    propagated = prm.score("p", [["good"], ["good", "bad"]], nan="propagate")
    assert np.isnan(propagated.values).tolist() == [False, False, True]
    assert list(propagated.faults) == [(1, 1)]
    kept = prm.score("p", [["good"], ["good", "bad"]], on_bad="keep", nan="propagate")
    assert list(kept.skipped) == [1]
    assert kept.to_list() == [[pytest.approx(0.9)], []]
    assert "do not know" in str(kept.skipped[1])
    best, worst = prm.rank("p", [["good", "bad"], ["good"]], nan="propagate")
    assert (best.index, math.isnan(worst.score)) == (1, True)


def test_a_cut_answer_is_named(server: TextServer) -> None:
    server.script = lambda body: Said(["Well", ", ", "let"], reason="length")
    prm = verdicts.prompted(policy(server), prompt=PROMPT)
    with pytest.raises(InputError, match=r"cut off at 3 tokens \(finish_reason length\)"):
        prm.score("p", [["a"]])
    spark = verdicts.spark(policy(server), prompt=WHOLE, votes=1)
    with pytest.raises(InputError, match="finish_reason length"):
        spark.score("p", [["a"]])


def test_a_server_without_logprobs_is_refused_before_anything_that_costs(server) -> None:
    server.logprobs = False
    server.script = lambda body: boxed("Yes", {})
    prm = verdicts.prompted(policy(server), prompt=PROMPT)
    with pytest.raises(
        InputError, match="20 likeliest tokens with their log-probabilities; got none"
    ):
        prm.score("p", [["a", "b", "c"]])
    [probe] = server.bodies
    assert probe["max_tokens"] == 1
    # Not even that, where it is known beforehand.
    with pytest.raises(InputError, match="logprobs=False"):
        verdicts.r_prm(policy(server, logprobs=False)).score("p", [["a"]])
    assert len(server.bodies) == 1
    # What reads the text runs.
    text = verdicts.prompted(policy(server, logprobs=False), prompt=PROMPT, by="text")
    assert text.score("p", [["a"]]).to_list() == [[1.0]]
    assert "logprobs" not in server.bodies[-1]


def test_a_server_that_refuses_the_field_is_named(server: TextServer) -> None:
    server.script = lambda body: Said(["1"], status=400 if body.get("logprobs") else 200)
    with pytest.raises(InputError, match=r"status 400.*use a server that tells them"):
        verdicts.prompted(policy(server), prompt=PROMPT).score("p", [["a"]])


def test_a_server_that_fails(server: TextServer) -> None:
    calls = 0

    def script(body: dict) -> Said:
        nonlocal calls
        calls += 1
        bad = calls > 1 and "Judge: bad" in body["messages"][0]["content"]
        return Said([], status=500) if bad else boxed("Yes", {"Yes": -0.1, "No": -2.3})

    server.script = script
    prm = verdicts.prompted(policy(server, concurrency=1), prompt=PROMPT)
    scores = prm.score("p", [["good", "bad"]], nan="propagate")
    assert np.isfinite(scores.values).tolist() == [True, False]
    assert "status 500" in scores.faults[0, 1]
    # A server that fails at everything is no fault of a step.
    server.script = lambda body: Said([], status=500)
    with pytest.raises(EndpointError, match="status 500"):
        prm.score("p", [["good", "bad"]], nan="propagate")


def test_votes_of_a_step_come_in_one_batch_with_seeds_of_their_own(server: TextServer) -> None:
    words = iter(["Yes", "No", "Yes", "Yes"])
    server.script = lambda body: Said(["\\boxed{", next(words), "}"])
    sampling = verdicts.Sampling(64, 0.7, votes=4)
    prm = verdicts.prompted(policy(server), prompt=PROMPT, by="text", sampling=sampling)
    assert prm.score("p", [["a"]]).to_list() == [[0.75]]
    first = [body["seed"] for body in server.bodies]
    assert len(set(first)) == 4
    words = iter(["Yes"] * 8)
    prm.score("p", [["b"], ["a"]])
    assert set(first) < {body["seed"] for body in server.bodies[4:]}  # as alone


def test_a_quorum_of_votes(server: TextServer) -> None:
    words = iter(["Yes", "?", "?", "Yes", "Yes", "?"])
    server.script = lambda body: Said(["\\boxed{", next(words), "}"])
    sampling = verdicts.Sampling(64, 0.7, votes=3)
    prm = verdicts.prompted(policy(server), prompt=PROMPT, by="text", sampling=sampling)
    with pytest.raises(InputError, match="1 of 3 votes gave a verdict"):
        prm.score("p", [["a"]])
    scores = prm.score("p", [["a"]])
    assert (scores.to_list(), scores.verdicts[0].votes) == ([[1.0]], 2)


def test_r_prm_reads_the_token_behind_the_question(server: TextServer) -> None:
    def script(body: dict) -> Said:
        if body["max_tokens"] == 1:
            return Said([" Yes"], {0: {" Yes": math.log(0.3), " No": math.log(0.6), "Yes": -1.0}})
        return Said(["Fine. Is the step correct (Yes/No)?", " No", " and more"])

    server.script = script
    prm = verdicts.r_prm(policy(server), votes=2, temperature=0.5)
    scores = prm.score("What is 1 + 1?", [["First.", "Second."]])
    assert scores.to_list() == [[pytest.approx(1 / 3)] * 2]
    asked = [body for body in server.bodies if body["max_tokens"] == 1][1:]  # not the probe
    assert all(
        body["messages"][-1]
        == {"role": "assistant", "content": "Fine. Is the step correct (Yes/No)?"}
        and body["continue_final_message"] is True
        and body["add_generation_prompt"] is False
        for body in asked
    )
    users = {body["messages"][0]["content"] for body in asked}
    assert any(
        "Previous Steps: Since the Now Step is the first step, there are no Previous Steps.\n"
        "Now Step: First.\n" in user
        for user in users
    )
    assert any("Previous Steps: First.\nNow Step: Second.\nPlease care" in user for user in users)
    assert all(user.endswith("the correctness of the Now Step.\nReply: ") for user in users)


def test_r_prm_asks_where_the_critique_does_not(server: TextServer) -> None:
    likely = {0: {" Yes": math.log(0.5), " No": math.log(0.5)}}
    server.script = lambda body: (
        Said([" Yes"], likely) if body["max_tokens"] == 1 else Said(["Hm."], reason="length")
    )
    prm = verdicts.r_prm(policy(server), votes=1, temperature=0.0)
    scores = prm.score("p", [["a"]])
    assert scores.to_list() == [[0.5]]
    assert scores.verdicts[0].truncated == 1  # told, though the authors ask all the same
    assert server.bodies[-1]["messages"][-1]["content"] == (
        "Hm.\nBased on your analysis. Is the answer correct (Yes/No)?"
    )


def test_a_prefill_needs_a_server_that_continues(server: TextServer) -> None:
    prm = verdicts.think_prm(policy(server, continues=False))
    with pytest.raises(InputError, match=r"continues=False; pass template"):
        prm.score("p", ["Step 1: a"])
    # With a template the turns go to completions as one text.
    server.paths.clear()
    server.bodies.clear()
    server.script = lambda body: (
        Said([" yes"], {0: {" yes": math.log(0.6), " no": math.log(0.2)}})
        if body["max_tokens"] == 1
        else Said([" fine"], stop="</think>")
    )
    template = lambda turns: "".join(f"<{t.role}>{t.content}" for t in turns) + "<assistant>"  # noqa: E731
    prm = verdicts.think_prm(policy(server, continues=False, template=template))
    scores = prm.score("What?", ["Step 1: We add.\nStep 2: Done."])
    assert scores.to_list() == [[pytest.approx(0.75)] * 2]
    assert set(server.paths) == {"/v1/completions"}
    last = {body["prompt"] for body in server.bodies if body["max_tokens"] == 1}
    assert (
        "<user>You are given a math problem and a proposed step-by-step solution:\n\n"
        "[Math Problem]\n\nWhat?\n\n[Solution]\n\nStep 1: We add.\nStep 2: Done.\n\n"
        "Review and critique each step in the proposed solution to determine whether each step is "
        "correct. If the solution is incomplete, only verify the provided steps.<assistant>\n"
        "Let's verify step by step: fine\nIs the solution correct?" in last
    )
    cold = verdicts.think_prm(policy(server, template=template), decision_temperature=2.0)
    half = math.sqrt(0.6) / (math.sqrt(0.6) + math.sqrt(0.2))
    assert cold.score("What?", ["Step 1: We add."]).values[0] == pytest.approx(half)


def test_the_trace_is_a_prm_to_sessions_and_to_a_search(server: TextServer) -> None:
    from stepscore.search.requests import ScoreRequest
    from stepscore.search.scorers import PrmScorer

    def script(body: dict) -> Said:
        wrong = "Judge: bad" in body["messages"][0]["content"]
        return boxed("Yes", {"Yes": math.log(0.2 if wrong else 0.8), "No": math.log(0.2)})

    server.script = script
    prm = verdicts.prompted(policy(server), prompt=PROMPT)
    with prm.session("p") as session:
        first = session.extend(session.roots[0], ["good", "bad"])
        assert first.scores.to_list() == [[pytest.approx(0.8)], [pytest.approx(0.5)]]
        asked = len(server.bodies)
        second = session.extend(first.nodes[0], [["bad", "good"]])
        assert len(server.bodies) == asked + 2  # new steps alone
        assert second.scores.to_list() == [[pytest.approx(0.5), pytest.approx(0.8)]]
        assert session.scores(second.nodes[0]).tolist() == pytest.approx([0.8, 0.5, 0.8])
    scorer = PrmScorer(prm)
    requests = [
        ScoreRequest("p", ["good\n\n", "bad\n\n"], 2, 1),
        ScoreRequest("p", ["good\n\n"], 1, 0),
    ]
    assert scorer(requests) == [pytest.approx([0.8, 0.5]), pytest.approx([0.8])]
