"""The check of verdicts that are written: what is proven, and the faults that it finds."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("httpx")

import models
import torch
from text_server import Said, TextServer, text_server
from transformers import Qwen2Config, Qwen2ForCausalLM

from stepscore.cli.main import main
from stepscore.policies import EndpointPolicy, HuggingFacePolicy
from stepscore.policies.texts import GeneratedText
from stepscore.scoring import verdicts
from stepscore.scoring.checking.report import VerdictReport

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PROMPT = "Problem: {problem}\nSo far: {previous}\nJudge: {step}"
COMMON = torch.randn(models.HIDDEN, generator=torch.Generator().manual_seed(1))


def write_policy(folder: Path, template: str = TEMPLATE) -> Path:
    """A tiny language model with the bytes for its words."""
    torch.manual_seed(3)
    config = Qwen2Config(**models._sizes(max_position_embeddings=4096, tie_word_embeddings=False))
    model = Qwen2ForCausalLM(config)
    tokenizer = models.byte_level_tokenizer()
    with torch.no_grad():  # random weights alone make every token as likely
        model.lm_head.weight.mul_(20)
        model.model.embed_tokens.weight.add_(COMMON)
        for word, by in ((" Yes", 6.0), (" No", 5.5), ("+", 5.0), ("-", 5.2)):
            model.lm_head.weight[models.enc(tokenizer, word)[0]] = by * COMMON
    entry = {**config.to_dict(), "architectures": ["Qwen2ForCausalLM"]}
    models.write_checkpoint(folder, tokenizer, model.state_dict(), entry)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    text = json.dumps({**settings, "chat_template": template})
    (folder / "tokenizer_config.json").write_text(text)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="module")
def policy(folder: Path) -> HuggingFacePolicy:
    return HuggingFacePolicy.load(str(folder), device="cpu")


def signs(policy: Any, **options: Any) -> verdicts.GenerativeRewardModel:
    """A family that asks for + or - behind what was thought."""
    recipe = verdicts.verdict_recipe("signs", confidence="author", source="this test")

    def opening(problem: str, steps: Any) -> verdicts.Opening:
        text = PROMPT.format(problem=problem, previous=" ".join(steps[:-1]), step=steps[-1])
        return verdicts.Opening((verdicts.verdict.Turn("user", text),))

    verifier = verdicts.WordVerdict(
        recipe,
        opening,
        ("+", "-"),
        (1.0, 0.0),
        verdicts.Sampling(6),
        asked=verdicts.Asked("\nVerdict:", options.pop("forms", ("+", "-"))),
        cut_off="ask",
        **options,
    )
    return verdicts.GenerativeRewardModel(policy, verifier)


def kinds(report: VerdictReport, level: str = "warning") -> set[str]:
    return {finding.kind for finding in report.findings if finding.level == level}


def found(report: VerdictReport) -> set[str]:
    return {difference.what for difference in report.differences}


# --- a model of transformers ------------------------------------------------------------------


def test_what_a_model_tells_is_that_of_full_logits(policy: HuggingFacePolicy) -> None:
    report = verdicts.check_verdicts(signs(policy))
    assert report.agrees, report.differences
    assert (report.steps, report.verdicts) == (4, 4)
    assert report.tokens == 4  # one for each verdict that is asked for
    assert report.largest is not None
    assert report.largest < 1e-5
    plus, minus = (models.enc(policy.tokenizer, sign) for sign in "+-")
    assert dict(report.words) == {"+": tuple(plus), "-": tuple(minus)}
    assert report.prompt.startswith("<|im_start|>user\nProblem: A shop sells")
    assert report.prompt.endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert not kinds(report)


def test_a_verdict_in_the_text_is_found_again(policy: HuggingFacePolicy) -> None:
    # Whatever token comes is a verdict, so that one comes.
    signs = (chr(code) for code in range(33, 127))
    words = tuple(sign for sign in signs if sign not in "()" and not sign.isupper())
    prm = verdicts.prompted(
        policy, prompt=PROMPT, pattern="^([^\\s])", words=words, sampling=verdicts.Sampling(8)
    )
    prm = replace(prm, verifier=replace(prm.verifier, which="first"))
    report = verdicts.check_verdicts(prm, "Why?", [["So."], ["x", "y", "z"]])
    assert report.agrees, report.differences
    assert report.tokens >= report.steps == 4


@pytest.mark.parametrize("make", [verdicts.r_prm, verdicts.think_prm, verdicts.genprm])
def test_published_families_can_be_checked(make: Callable[..., Any], policy: Any) -> None:
    report = verdicts.check_verdicts(make(policy), "Why?", [["So.", "Thus."]], max_tokens=5)
    assert report.agrees, report.differences
    assert report.tokens > 0
    assert report.largest is not None
    assert report.largest < 1e-4


def test_a_family_that_reads_the_text_is_shown(policy: HuggingFacePolicy) -> None:
    prm = verdicts.natural_program(policy, premises=lambda problem, steps: [problem])
    report = verdicts.check_verdicts(prm, max_tokens=4)
    assert report.agrees
    assert report.tokens == report.verdicts == 0
    assert kinds(report, "note") == {"log-probabilities", "verdict"}
    [note] = [finding for finding in report.findings if finding.kind == "verdict"]
    assert "within 4 tokens of a text" in note.text


def test_steps_that_nothing_is_asked_about_are_named(policy: HuggingFacePolicy) -> None:
    report = verdicts.check_verdicts(verdicts.natural_program(policy))
    assert (report.prompt, report.answer, report.verdicts) == ("", "", 0)
    [warning] = report.warnings
    assert "4 of 4 steps have no verdict; the first one: premises: expected" in warning.text


def test_probabilities_of_other_weights_are_found(policy: HuggingFacePolicy) -> None:
    class Moved:
        """Writes with the model, and tells other log-probabilities."""

        def __init__(self, by: float) -> None:
            self.by = by

        def __getattr__(self, name: str) -> Any:
            return getattr(policy, name)

        def generate(self, requests: Any) -> list[Any]:
            return [self.moved(answer) for answer in policy.generate(requests)]

        def moved(self, answer: GeneratedText) -> GeneratedText:
            tokens = [
                replace(
                    token,
                    logprob=token.logprob + self.by,
                    top=tuple((text, value + self.by) for text, value in token.top),
                )
                for token in answer.tokens
            ]
            return replace(answer, tokens=tuple(tokens))

    assert verdicts.check_verdicts(signs(Moved(0.0))).agrees
    report = verdicts.check_verdicts(signs(Moved(-0.01)))
    assert found(report) == {"probabilities"}
    assert "that of full logits" in report.differences[0].slow


def test_a_score_of_the_wrong_word_is_found(
    policy: HuggingFacePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stepscore.scoring.verdicts import word_verdict

    right = word_verdict.read_next
    monkeypatch.setattr(word_verdict, "read_next", lambda *given: right(*given)[::-1])
    report = verdicts.check_verdicts(signs(policy))
    assert found(report) == {"score"}
    assert report.differences[0].slow.endswith("by full logits")


@pytest.mark.parametrize(
    ("forms", "said"),
    [
        (("+1", "+2"), "'+1', '+2' begins with the token of another word"),
        (("+", "-7-7"), "'-7-7' is several tokens, and is looked for as one"),
    ],
)
def test_words_that_cannot_be_read_are_named(policy: Any, forms: Any, said: str) -> None:
    report = verdicts.check_verdicts(signs(policy, forms=forms))
    assert any(finding.kind == "words" and said in finding.text for finding in report.warnings)
    assert len({finding.text for finding in report.findings}) == len(report.findings)


def test_a_prompt_that_its_template_spoils_is_found(tmp_path: Path) -> None:
    def report(template: str) -> VerdictReport:
        folder = write_policy(tmp_path / str(len(list(tmp_path.iterdir()))), template)
        made = HuggingFacePolicy.load(str(folder), device="cpu")
        return verdicts.check_verdicts(signs(made), " Why? ", [["So. "]])

    assert "template" not in kinds(report(TEMPLATE)) | kinds(report(TEMPLATE), "note")
    no_place = TEMPLATE.partition("{% if")[0]
    assert "template" in kinds(report(no_place))
    other = report(TEMPLATE.replace("m.content", "m.content | upper"))
    assert any("changes the turn of the user" in f.text for f in other.warnings)
    trimmed = report(TEMPLATE.replace("m.content", "m.content | trim"))
    assert "template" in kinds(trimmed, "note")
    adds = report("<|im_start|>system\nYou are kind.<|im_end|>\n" + TEMPLATE)
    assert any("adds 'You are kind.'" in finding.text for finding in adds.findings)


def test_special_tokens_in_texts_are_found(policy: HuggingFacePolicy) -> None:
    solutions = [["So 7.<|im_end|>"], ["<|im_start|>", "So."]]
    report = verdicts.check_verdicts(signs(policy), "Why?", solutions, places=["a", "b"])
    assert [place for place, _ in report.refused] == ["b"]
    assert "special tokens" in kinds(report)
    with pytest.raises(ValueError, match="solutions: expected a trace that can be asked about"):
        verdicts.check_verdicts(signs(policy), "Why?", solutions[1:])


# --- a server -----------------------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[TextServer]:
    for name in ("OPENAI_API_KEY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with text_server() as opened:
        yield opened


def remote(server: TextServer) -> EndpointPolicy:
    return EndpointPolicy(server.url, "m", backoff=0.0, timeout=5.0, retries=0)


def boxed(server: TextServer) -> verdicts.GenerativeRewardModel:
    return verdicts.prompted(remote(server), prompt=PROMPT)


def test_a_server_is_asked_about_one_step(server: TextServer) -> None:
    likely = {"Yes": math.log(0.75), "No": math.log(0.25)}
    filler = {f"~{n}": -9.0 for n in range(18)}
    server.script = lambda body: Said(["\\boxed{", "Yes", "}"], {1: {**likely, **filler}})
    report = verdicts.check_verdicts(boxed(server))
    assert len(server.bodies) == 1
    assert report.agrees
    assert (report.steps, report.verdicts, report.largest) == (1, 1, None)
    assert report.answer == "\\boxed{Yes}"
    assert report.prompt.startswith("[user]\nProblem: A shop sells")
    assert not kinds(report)
    [note] = [finding for finding in report.findings if finding.kind == "log-probabilities"]
    assert "of 20 likeliest tokens that are asked for, 20 are told" in note.text


def test_a_server_without_logprobs_differs(server: TextServer) -> None:
    server.logprobs = False
    server.script = lambda body: Said(["\\boxed{", "Yes", "}"])
    report = verdicts.check_verdicts(boxed(server))
    assert found(report) == {"answer"}
    assert report.differences[0].slow == "20 log-probabilities"
    assert report.answer == "\\boxed{Yes}"
    text = verdicts.prompted(remote(server), prompt=PROMPT, by="text")
    assert verdicts.check_verdicts(text).agrees


def test_a_server_that_cuts_is_named(server: TextServer) -> None:
    server.script = lambda body: Said(["Let ", "me"], reason="length")
    report = verdicts.check_verdicts(boxed(server))
    assert report.agrees
    [warning] = report.warnings
    assert "1 of 1 steps have no verdict; the first one: expected" in warning.text
    assert "(finish_reason length)" in warning.text


def test_a_server_that_refuses_is_shown(server: TextServer) -> None:
    server.script = lambda body: Said([], status=400)
    report = verdicts.check_verdicts(boxed(server))
    assert found(report) == {"answer"}
    assert "400" in report.differences[0].engine


# --- the command line -----------------------------------------------------------------------------


def test_the_command_shows_prompt_and_answer(
    folder: Path, write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    source = write({"id": 1, "problem": "6 * 7?", "candidates": [{"steps": ["6 * 7 is 42"]}]})
    command = ["check", str(folder), source, "--recipe", "pro-step"]
    assert main(command) == 0
    lines = capsys.readouterr().out.split("\n")
    assert lines[0] == f"{folder}, recipe pro-step: agrees"
    assert "  1 step, 0 with a verdict" in lines
    assert "  16 tokens compared with full logits, each text alone" in lines
    assert "  | Current Step to Evaluate:" in lines
    assert any(line.startswith("  word       '1' begins with token ") for line in lines)
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["agrees"], report["steps"]) == (True, 1)
    assert [each["word"] for each in report["words"]] == ["1", "0"]


def test_the_command_asks_a_server_once(
    server: TextServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.script = lambda body: Said(["Fine."], reason="stop")
    command = ["check", server.url, "--served-as", "m", "--recipe", "pro-step"]
    assert main(command) == 0
    assert "1 step, 0 with a verdict" in capsys.readouterr().out
    assert main([*command, "--strict"]) == 1
    server.logprobs = False
    assert main(command) == 1
    assert "DIFFERENT  answer of the first answer: none; expected 20 log" in capsys.readouterr().out
    assert main(["check", server.url, "--recipe", "pro-step"]) == 2
    assert "add --served-as NAME" in capsys.readouterr().err
