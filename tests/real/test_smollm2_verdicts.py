"""SmolLM2 as a judge: no good one, but a real model, vocabulary and chat template."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import smollm2

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from stepscore.policies import HuggingFacePolicy  # noqa: E402
from stepscore.scoring import verdicts  # noqa: E402

Traces = list[tuple[str, list[str]]]


@pytest.fixture(scope="module")
def policy() -> Iterator[HuggingFacePolicy]:
    if (reason := smollm2.missing()) is not None:
        pytest.skip(reason)
    threads = torch.get_num_threads()
    torch.set_num_threads(min(2, threads))
    yield HuggingFacePolicy.load(str(smollm2.folder()), device="cpu", batch_size=8)
    torch.set_num_threads(threads)


def next_logprobs(policy: HuggingFacePolicy, text: str) -> Any:
    """Of the token behind a text, by the stock model alone."""
    ids = policy.tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        return policy.model(ids).logits[0, -1].double().log_softmax(-1)


def laid_out(policy: HuggingFacePolicy, user: str) -> str:
    turns = [{"role": "user", "content": user}]
    return policy.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)


def test_a_forced_verdict_is_that_of_full_logits(policy, gsm8k: Traces) -> None:
    problem, steps = gsm8k[0]
    prompt = "Question: {problem}\nSteps: {previous}\nNew step: {step}\nIs the new step right?"
    prm = verdicts.likert(
        policy,
        prompt=prompt,
        scope="step",
        scale=(0, 1),
        asked="\nMark (0 or 1):",
        cut_off="ask",
        sampling=verdicts.Sampling(8, logprobs=policy.model.config.vocab_size),  # all of them
    )
    scores = prm.score(problem, [steps[:2]])
    for number, verdict in enumerate(scores.verdicts):
        user = prompt.format(
            problem=problem, previous="\n\n".join(steps[:number]), step=steps[number]
        )
        assert verdict.fault is None
        [text] = verdict.texts
        asked = laid_out(policy, user) + text[: text.index("(0 or 1):") + len("(0 or 1):")]
        ids = [policy.tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in "01"]
        zero, one = next_logprobs(policy, asked)[ids].tolist()
        assert verdict.score == pytest.approx(1 / (1 + math.exp(zero - one)), abs=1e-4)


def test_published_prompts_run_on_a_real_model(policy, gsm8k: Traces) -> None:
    problem, steps = gsm8k[1]
    prm = verdicts.r_prm(policy, votes=2, max_tokens=6, seed=4)
    scores = prm.score(problem, [steps[:1]], nan="propagate")
    [verdict] = scores.verdicts
    assert verdict.fault is not None or 0 < verdict.score < 1
    assert all("Yes/No)?" in text for text in verdict.texts)
    # By full logits: a word that is not among the 20 likeliest has the least of their chances.
    words = [policy.tokenizer(w, add_special_tokens=False)["input_ids"][0] for w in (" Yes", " No")]
    user = prm.verifier.open(problem, steps[:1]).prompt[0].content
    expected = []
    for text in verdict.texts:
        asked = text.removesuffix(" Yes").removesuffix(" No")
        logprobs = next_logprobs(policy, laid_out(policy, user) + asked)
        floor = float(logprobs.topk(20).values[-1])
        yes, no = (max(floor, value) for value in logprobs[words].tolist())
        expected.append(1 / (1 + math.exp(no - yes)))
    if verdict.fault is None:
        assert verdict.score == pytest.approx(sum(expected) / 2, abs=1e-4)


def test_the_check_reads_a_real_model_again(policy, gsm8k: Traces) -> None:
    problem, steps = gsm8k[0]
    prm = verdicts.likert(
        policy,
        prompt="Question: {problem}\nNew step: {step}\nIs the new step right?",
        scope="step",
        scale=(0, 1),
        asked="\nMark (0 or 1):",
        cut_off="ask",
        sampling=verdicts.Sampling(8, logprobs=4000),
    )
    report = verdicts.check_verdicts(prm, problem, [steps[:1]], max_tokens=4)
    assert report.agrees, report.differences
    assert (report.steps, report.verdicts, report.tokens) == (1, 1, 1)
    assert report.largest is not None
    assert report.largest < 1e-4
    assert [len(ids) for _, ids in report.words] == [1, 1]
    [adds] = [finding for finding in report.findings if finding.kind == "template"]
    assert "You are a helpful AI named SmolLM" in adds.text  # which nobody passed
