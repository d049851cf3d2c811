"""Keys never appear, whoever says them: errors of models, servers, libraries and URLs."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from stepscore.cli.main import main
from stepscore.credentials import described, masked, text_of
from stepscore.errors import InputError
from stepscore.jobs.model_faults import fault_of, model_failure
from stepscore.policies.requests import Continuation, ExpandRequest
from stepscore.records import Fields, Record
from stepscore.search import search
from stepscore.search.requests import ScoreRequest

SECRET = "q7Zr-hunter-09x"


@pytest.mark.parametrize(
    "text",
    [
        f"Invalid header value b'Bearer {SECRET}\\n'",
        f"{{'Authorization': 'Bearer {SECRET}'}}",
        f"('authorization', 'Bearer {SECRET}')",
        f"headers: {{'x-api-key': '{SECRET}', 'accept': '*/*'}}",
        f"x-api-key: {SECRET}",
        f'{{"api_key": "{SECRET}"}}',
        f"OpenAI(api_key='{SECRET}')",
        f"(b'api-key', b'{SECRET}')",
        f"GET http://me:{SECRET}@host/v1 failed",
        f"https://{SECRET}@host:8000/v1",
        f"http://host/v1?api-version=2&api_key={SECRET}&x=1",
        f"http://host/v1?access_token={SECRET}",
        "Incorrect API key provided: sk-proj-q7Zr-hunter-09x",
        "401 of hf_q7ZrhunterhunterABCDEFGH0123",
        "eyJq7Zrhunter09.eyJq7Zrhunter.q7Zr",
    ],
)
def test_what_looks_like_a_key_is_masked(text: str) -> None:
    said = masked(text)
    assert "***" in said
    assert "hunter" not in said
    assert masked(said) == said


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens=512: expected a count; got tokens: 12, prompt_tokens=7",
        "api_key: expected a text; got None",
        "search: separator token: expected one of the vocabulary",
        "POST http://localhost:8000/v1/completions: status 401: Bearer authentication needed",
        "basic arithmetic of hf_hub_download in sk-learn; key error: 'answer'",
        "the answer is http://host/a?b=c&n=16 at 3:4",
    ],
)
def test_what_is_no_key_stays(text: str) -> None:
    assert masked(text) == text


def test_keys_of_the_environment_are_masked_in_every_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SERVICE_TOKEN", "päss wörd/12")
    monkeypatch.setenv("SHORT_KEY", "abc")
    said = masked("päss wörd/12 and p%C3%A4ss%20w%C3%B6rd%2F12 of abc")
    assert said == "*** and *** of abc"
    monkeypatch.setenv("OPENAI_API_KEY", "line one!\n")
    assert masked("bad b'line one!\\n' or 'line one!\n'") == "bad b'***' or '***'"


def test_errors_that_cannot_speak_have_a_name() -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert text_of(SilentError()) == ""
    assert described(SilentError()) == "SilentError"
    assert described(KeyError("a\ud800")) == "KeyError: 'a\\ud800'"


def fails_in_many_ways(requests: Sequence[Any]) -> list[Any]:
    """A chain of errors, each with the key."""
    try:
        raise ValueError(f"Invalid header value b'Bearer {SECRET}\\n'")
    except ValueError as error:
        raise RuntimeError(f"request with key {SECRET}\nfailed: \ud800 {error}") from error


def answers_with_errors(requests: Sequence[Any]) -> list[Any]:
    return [PermissionError(f"http://me:{SECRET}@host: refused") for _ in requests]


def sums(requests: Sequence[ExpandRequest]) -> list[list[Continuation]]:
    return [[Continuation("1\n", 1, 0.0, True) for _ in request.seeds] for request in requests]


@pytest.mark.parametrize("broken", [fails_in_many_ways, answers_with_errors])
@pytest.mark.parametrize("place", ["policy", "scorer", "value"])
@pytest.mark.parametrize("timeout", [None, 60.0])
def test_a_search_shows_and_keeps_no_key(
    broken: Callable[..., Any],
    place: str,
    timeout: float | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOME_API_KEY", SECRET)

    def ones(requests: Sequence[ScoreRequest]) -> list[float]:
        return [1.0] * len(requests)

    models: dict[str, Any] = {"policy": sums, "scorer": ones, "value": ones} | {place: broken}
    journal = tmp_path / "journal.jsonl"
    found = search(
        ["1+1", "2+2"],
        "best_of_n",
        models.pop("policy"),
        models.pop("scorer"),
        samples=2,
        n=2,
        retries=0,
        timeout=timeout,
        journal=journal,
        **models,
    )
    assert all(result.status.startswith("failed: ") for result in found)
    assert "***" in found[0].status
    kept = journal.read_text()
    for text in (kept, repr(found), json.dumps(found.to_list()), repr(pickle.dumps(found[0]))):
        assert "hunter" not in text
    json.dumps(found.to_list(), ensure_ascii=False).encode()  # a file can hold it


def test_a_model_that_scores_shows_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    record = Record("in.jsonl:1", "{}", 1, None, [])
    errors: list[InputError] = [
        fault_of(ValueError(f"token {SECRET}"), record, Fields()),
        model_failure("in.jsonl:1", "score", RuntimeError(f"token {SECRET}")),
    ]
    for error in errors:
        assert "***" in str(error)
        assert "hunter" not in repr(error) + repr(pickle.dumps(error))


@pytest.mark.parametrize(
    "more",
    [
        ("--policy", f"http://me:{SECRET}@host/v1", "--policy-model", "m"),
        ("--policy", f"http://host/v1?api_key={SECRET}", "--policy-model", "m"),
        ("--policy", f"http://me:{SECRET}@ho\u2100st/v1", "--policy-model", "m"),
        ("--policy", f"http://me:{SECRET}@host"),
    ],
)
def test_the_command_line_repeats_no_password(
    more: tuple[str, ...],
    write: Callable[..., str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("httpx")
    source = write({"id": 1, "problem": "1+1"})
    out = str(tmp_path / "out.jsonl")
    assert main(["search", source, "-o", out, "--strategy", "self_consistency", *more]) == 2
    printed = capsys.readouterr()
    assert "--policy" in printed.err
    assert "hunter" not in printed.err + printed.out


def test_a_key_where_no_option_is_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["vote", "in.jsonl", "--api-key", f"sk-{SECRET}", f"--api-key={SECRET}"])
    assert "hunter" not in capsys.readouterr().err
