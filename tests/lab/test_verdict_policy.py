"""A verdict policy of the lab: its PRM, trained there, says + or - as the next token.

The head of the lab's PRM becomes the rows of + and - of a language model, so that the generative
PRM over it must have the scores that the PRM has: in `score`, in sessions and in a search.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytest.importorskip("httpx")

from text_server import Said, TextServer, text_server  # noqa: E402

import stepscore  # noqa: E402
from stepscore import lab  # noqa: E402
from stepscore.errors import InputError  # noqa: E402
from stepscore.lab.continuations import LabContinuationPolicy  # noqa: E402
from stepscore.lab.prm import RIGHT, WRONG, load_prm  # noqa: E402
from stepscore.policies import EndpointPolicy, HuggingFacePolicy  # noqa: E402
from stepscore.policies.texts import TextPolicy, TextRequest  # noqa: E402
from stepscore.scoring import verdicts  # noqa: E402
from stepscore.search import search  # noqa: E402
from stepscore.search.scorers import PrmScorer  # noqa: E402


@pytest.fixture(scope="module")
def judge() -> HuggingFacePolicy:
    prm = load_prm()
    tokenizer = lab.build_tokenizer()
    model = transformers.Qwen2ForCausalLM(prm.config).eval()
    model.model.load_state_dict(prm.model.state_dict())
    words = torch.nn.Linear(prm.config.hidden_size, prm.config.vocab_size)
    with torch.no_grad():
        words.weight.zero_()
        words.bias.fill_(-30.0)  # what is no verdict is possible, too
        for word, label in (("+", RIGHT), ("-", WRONG)):
            [row] = tokenizer(word, add_special_tokens=False)["input_ids"]
            words.weight[row] = prm.score.weight[label]
            words.bias[row] = 0.0 if prm.score.bias is None else prm.score.bias[label]
    model.lm_head = words
    return HuggingFacePolicy(model, tokenizer, batch_size=64)


def generative(
    judge: TextPolicy, max_tokens: int = 1, **options: object
) -> verdicts.GenerativeRewardModel:
    def opening(problem: str, steps: Sequence[str]) -> verdicts.Opening:
        return verdicts.Opening(problem + "".join(f"{step}\n" for step in steps))

    recipe = verdicts.verdict_recipe(
        "lab-verdict", confidence="author", source="this test", separator="\n"
    )
    verifier = verdicts.WordVerdict(
        recipe,
        opening,
        ("+", "-"),
        (1.0, 0.0),
        verdicts.Sampling(max_tokens, logprobs=5),
        pattern=re.compile("([+-])"),
        **options,
    )
    return verdicts.GenerativeRewardModel(judge, verifier)


@pytest.fixture(scope="module")
def traces() -> tuple[list[str], list[list[str]]]:
    problems = lab.generate(12, seed=5, split="eval")
    samples = lab.LabPolicy(lab.load_policy().model).sample(problems, 3, temperature=1.5, seed=2)
    each = [problem for problem in problems for _ in range(3)]
    return each, [lab.split_steps(text) or ["1+1=2"] for of_one in samples for text in of_one]


def test_its_verdicts_are_the_scores_of_the_prm(judge, traces) -> None:
    expected = stepscore.load("lab").score(*traces)
    scores = generative(judge).score(*traces)
    assert scores.offsets.tolist() == expected.offsets.tolist()
    np.testing.assert_allclose(scores.values, expected.values, atol=2e-5)
    assert 0.2 < float((scores.values > 0.5).mean()) < 0.98  # it tells right from wrong


def test_its_word_alone_is_the_side_of_a_half(judge, traces) -> None:
    expected = stepscore.load("lab").score(*traces)
    said = generative(judge, by="text").score(*traces)
    clear = np.abs(expected.values - 0.5) > 1e-3
    np.testing.assert_array_equal(said.values[clear], expected.values[clear] > 0.5)


def test_it_guides_a_search_as_the_prm_does(judge) -> None:
    problems = lab.generate(4, seed=8, split="eval")
    settings = {"seed": 1, "samples": 12, "temperature": 1.2, "n": 4, "m": 2}
    results = [
        search(problems, "beam", LabContinuationPolicy(), PrmScorer(prm), **settings)
        for prm in (stepscore.load("lab"), generative(judge))
    ]
    for prm, judged in zip(*results, strict=True):
        assert (prm.answer, prm.text) == (judged.answer, judged.text)
        assert [trace.text for trace in prm.traces] == [trace.text for trace in judged.traces]


def test_its_forms_for_an_event_loop(judge, traces) -> None:
    problems, solutions = traces[0][:3], traces[1][:3]
    prm = generative(judge)
    scores = asyncio.run(prm.ascore(problems, solutions))
    np.testing.assert_allclose(scores.values, prm.score(problems, solutions).values, atol=1e-5)


# --- the same judge behind a server -----------------------------------------------------------


@pytest.fixture
def server(judge, monkeypatch: pytest.MonkeyPatch) -> Iterator[TextServer]:
    """It writes what the judge of the lab writes, and tells what that tells."""

    def script(body: dict) -> Said:
        request = TextRequest(
            body["prompt"], body["seed"], body["max_tokens"], logprobs=body.get("logprobs", 5)
        )
        [answer] = judge.generate([request])
        likely = {place: dict(token.top) for place, token in enumerate(answer.tokens)}
        pieces = [token.text for token in answer.tokens]
        return Said(pieces, likely, reason="length" if answer.truncated else "stop")

    for name in ("OPENAI_API_KEY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with text_server() as opened:
        opened.script = script
        yield opened


def behind(server: TextServer, **options: object) -> verdicts.GenerativeRewardModel:
    policy = EndpointPolicy(server.url, "lab", backoff=0.0, timeout=30.0, retries=0, concurrency=1)
    # The server takes a request of one token for a question about itself. Of the two tokens of a
    # text the first is the verdict, which nothing behind it can change.
    return generative(policy, max_tokens=2, which="first", **options)


def few(traces) -> tuple[list[str], list[list[str]]]:
    return traces[0][:8], traces[1][:8]


def test_a_server_with_logprobs_gives_the_scores_of_the_prm(server, traces) -> None:
    expected = stepscore.load("lab").score(*few(traces))
    scores = behind(server).score(*few(traces))
    np.testing.assert_allclose(scores.values, expected.values, atol=2e-5)
    assert all(body["logprobs"] == 5 for body in server.bodies)


def test_a_server_without_logprobs_serves_the_word_alone(server, traces) -> None:
    server.logprobs = False
    with pytest.raises(InputError, match=r"expected the 5 likeliest tokens .* got none"):
        behind(server).score(*few(traces))
    assert len(server.bodies) == 1, "nothing was judged for nothing"
    expected = stepscore.load("lab").score(*few(traces))
    said = behind(server, by="text").score(*few(traces))
    clear = np.abs(expected.values - 0.5) > 1e-3
    np.testing.assert_array_equal(said.values[clear], expected.values[clear] > 0.5)


def test_a_server_that_cuts_answers_gives_no_scores(server, traces) -> None:
    whole = server.script

    def cut(body: dict) -> Said:
        said = whole(body)
        if body["prompt"].count("\n") == 2:  # of each trace the second step
            said.pieces, said.likely = said.pieces[:0], {}
        return said

    server.script = cut
    scores = behind(server).score(*few(traces), nan="propagate")
    expected = stepscore.load("lab").score(*few(traces))
    second = np.zeros(len(expected.values), bool)
    lengths = np.diff(expected.offsets)
    second[expected.offsets[:-1][lengths > 1] + 1] = True
    assert np.isnan(scores.values[second]).all()
    np.testing.assert_allclose(scores.values[~second], expected.values[~second], atol=2e-5)
    reasons = list(scores.faults.values())
    assert len(reasons) == second.sum() > 0
    assert all("cut off" in reason and "finish_reason length" in reason for reason in reasons)


def test_the_check_agrees_with_the_judge(judge, traces) -> None:
    report = verdicts.check_verdicts(generative(judge), traces[0][:3], traces[1][:3])
    assert report.agrees, report.differences
    assert report.verdicts == report.steps == sum(map(len, traces[1][:3]))
    assert report.largest is not None
    assert report.largest < 1e-5
