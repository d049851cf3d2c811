"""Texts with their tokens: a model of transformers against full logits, and what servers answer."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("httpx")

from test_huggingface import policy_of, uniform  # noqa: E402

from stepscore.errors import InputError  # noqa: E402
from stepscore.policies import EndpointPolicy, HuggingFacePolicy  # noqa: E402
from stepscore.policies.endpoint_texts import text_of  # noqa: E402
from stepscore.policies.posts import AnswerError  # noqa: E402
from stepscore.policies.texts import GeneratedText, TextRequest, Turn  # noqa: E402

PROMPT = "How many eggs does she sell per day?"


def drawn(
    policy: HuggingFacePolicy, prompt: str, asked: TextRequest
) -> tuple[list[int], list[Any]]:
    """The tokens by plain sampling, and the log-probabilities at their places."""
    tokenizer = policy.tokenizer
    ids = tokenizer(prompt, add_special_tokens=isinstance(asked.prompt, str))["input_ids"]
    tokens: list[int] = []
    places = []
    while len(tokens) < asked.max_tokens:
        with torch.no_grad():
            logits = policy.model(torch.tensor([ids + tokens])).logits[0, -1].double()
        places.append(logits.log_softmax(-1))
        if asked.temperature == 0:
            token = int(logits.argmax())
        else:
            chances = (logits / asked.temperature).softmax(-1)
            order = chances.argsort(descending=True, stable=True).tolist()
            if asked.top_k:
                order = order[: asked.top_k]
            total = float(sum(chances[i] for i in order))
            mass, kept = 0.0, []
            for i in order:
                if mass < asked.top_p * total:
                    kept.append(i)
                mass += float(chances[i])
            left = uniform(asked.seed, len(tokens)) * float(sum(chances[i] for i in kept))
            for i in sorted(kept):
                token = i
                left -= float(chances[i])
                if left < 0:
                    break
        tokens.append(token)
        if token == tokenizer.eos_token_id:
            break
        if any(stop in tokenizer.decode(tokens) for stop in asked.stop):
            break
    return tokens, places


@pytest.mark.parametrize("kind", ["qwen", "llama"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"temperature": 0.8},
        {"temperature": 1.2, "top_p": 0.6},
        {"temperature": 1.2, "top_k": 5},
        {"temperature": 1.2, "top_k": 9, "top_p": 0.5},
        {"prefill": " She sells"},
    ],
)
def test_a_text_is_that_of_plain_sampling_and_so_are_its_tokens(kind, changes) -> None:
    policy = policy_of(kind, batch_size=3)
    asked = [
        TextRequest(PROMPT, seed, 7, logprobs=4, **changes) for seed in (3, 2**64 - 5, 11, 12, 3)
    ]
    answers = policy.generate(asked)
    for request, answer in zip(asked, answers, strict=True):
        assert isinstance(answer, GeneratedText)
        tokens, places = drawn(policy, PROMPT + request.prefill, request)
        assert answer.token_count == len(tokens)
        assert [token.logprob for token in answer.tokens] == pytest.approx(
            [float(place[token]) for token, place in zip(tokens, places, strict=True)], abs=1e-4
        )
        for token, place in zip(answer.tokens, places, strict=True):
            best = place.topk(4).values.tolist()
            assert [value for _, value in token.top] == pytest.approx(best, abs=1e-4)
        joined = "".join(token.text for token in answer.tokens)
        whole = joined.partition("\ufffd")[0]  # a character of several tokens is none of a token
        assert answer.text.startswith(whole) or whole.startswith(answer.text)
        assert answer.truncated == (len(tokens) == 7 and tokens[-1] not in policy._ends)
    assert answers[0].text == answers[4].text  # a seed is a text


def test_a_text_ends_before_its_stop() -> None:
    policy = policy_of("qwen")
    [free] = policy.generate([TextRequest(PROMPT, 1, 12, temperature=0.9)])
    stop = free.text[3:5]
    [answer] = policy.generate([TextRequest(PROMPT, 1, 12, stop=("@@", stop), temperature=0.9)])
    assert answer.text == free.text[: free.text.index(stop)]
    assert (answer.stopped_by, answer.truncated) == (stop, False)
    assert free.truncated


def test_turns_are_laid_out_by_the_template_with_the_prefill_behind_them() -> None:
    policy = policy_of("qwen", templated=True)
    turns = (Turn("system", "Judge."), Turn("user", "x"), Turn("assistant", "y"), Turn("user", "z"))
    asked = TextRequest(turns, 5, 6, prefill="So ", logprobs=2)
    text = (
        "<|im_start|>system\nJudge.<|im_end|>\n<|im_start|>user\nx<|im_end|>\n"
        "<|im_start|>assistant\ny<|im_end|>\n<|im_start|>user\nz<|im_end|>\n"
        "<|im_start|>assistant\nSo "
    )
    [answer] = policy.generate([asked])
    tokens, _ = drawn(policy, text, asked)
    assert answer.token_count == len(tokens)
    assert answer.text == policy.tokenizer.decode(
        tokens[:-1] if tokens[-1] in policy._ends else tokens
    ).rstrip("\ufffd")
    with pytest.raises(InputError, match="prompt: expected a tokenizer with a chat template"):
        policy_of("qwen").generate([asked])


def test_a_prompt_without_room_is_the_error_of_its_request() -> None:
    policy = policy_of("qwen")
    long, short = policy.generate([TextRequest("sum " * 200, 1, 5), TextRequest("sum", 1, 5)])
    assert isinstance(long, ValueError)
    assert isinstance(short, GeneratedText)
    with pytest.raises(InputError, match="entries of the vocabulary"):
        policy.check_logprobs(10**6)


# --- what servers answer ----------------------------------------------------------------------


def answer(choice: dict[str, Any]) -> dict[str, Any]:
    return {"choices": [{"finish_reason": "stop", **choice}]}


# What servers other than vLLM say; and what says nothing of an end.
CUT = ("max_tokens", "model_length", "MAX_TOKENS", "load", "", None, 3)
ENDED = ("eos_token", "stop_sequence", "end_turn", "STOP")


@pytest.mark.parametrize(
    ("choice", "text", "by", "truncated"),
    [
        ({"text": "a", "stop_reason": "END"}, "a", "END", False),
        ({"text": "aEND", "stop_reason": "END"}, "a", "END", False),
        ({"text": "aEND", "matched_stop": "END"}, "a", "END", False),
        ({"text": "aEND"}, "a", "END", False),  # of a server that keeps it and tells nothing
        ({"text": "a", "matched_stop": 151645}, "a", None, False),
        ({"text": "a", "stop_reason": None}, "a", None, False),
        ({"text": "a", "finish_reason": "length"}, "a", None, True),
        *(({"text": "a", "finish_reason": why}, "a", None, True) for why in CUT),
        *(({"text": "aEND", "finish_reason": why}, "a", "END", False) for why in ENDED),
        ({"message": {"content": "a"}}, "a", None, False),
        ({"message": {"content": None}}, "", None, False),
        (
            {"message": {"content": "a", "reasoning_content": "hm"}},
            "<think>hm</think>a",
            None,
            False,
        ),
    ],
)
def test_how_a_text_of_a_server_ended(choice, text, by, truncated) -> None:
    read = text_of(answer(choice), ("END",))
    assert (read.text, read.stopped_by, read.truncated) == (text, by, truncated)


def test_a_text_that_the_server_gave_up_is_no_answer() -> None:
    for why in ("content_filter", "abort", "error", "tool_calls"):
        with pytest.raises(AnswerError, match=f"not finish_reason '{why}'"):
            text_of(answer({"text": "a", "finish_reason": why}), ())
    assert text_of({"choices": [{"text": "a"}]}, ()).cut_by == "null"  # it says nothing of an end


@pytest.mark.parametrize(
    "logprobs",
    [
        {
            "tokens": ["Yes"],
            "token_logprobs": [-0.5],
            "top_logprobs": [{"No": -1.0, "Yes": -0.5}],
        },
        {
            "tokens": ["Yes"],
            "token_logprobs": [-0.5],
            "top_logprobs": [[["No", -1.0], ["Yes", -0.5]]],
        },
        {
            "content": [
                {
                    "token": "Yes",
                    "logprob": -0.5,
                    "top_logprobs": [
                        {"token": "No", "logprob": -1.0},
                        {"token": "Yes", "logprob": -0.5},
                    ],
                }
            ]
        },
    ],
)
def test_the_tokens_of_a_server(logprobs: dict[str, Any]) -> None:
    [token] = text_of(answer({"text": "Yes", "logprobs": logprobs}), ()).tokens
    assert (token.text, token.logprob) == ("Yes", -0.5)
    assert token.top == (("Yes", -0.5), ("No", -1.0))


def test_a_policy_says_who_it_is() -> None:
    assert EndpointPolicy("http://h/v1", "m").name == "m at http://h/v1"
