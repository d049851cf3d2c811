"""The lab's policy in a search, against a sampler that knows neither batches nor caches."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from stepscore import lab  # noqa: E402
from stepscore.lab.continuations import LabContinuationPolicy  # noqa: E402
from stepscore.lab.tokenizer import EOS_ID, NEWLINE_ID, PAD_ID, encode  # noqa: E402
from stepscore.lab.tokenizer import decode as text_of  # noqa: E402
from stepscore.policies.requests import Continuation, ExpandRequest  # noqa: E402

PROBLEMS = lab.generate(6, seed=3, split="eval")


@pytest.fixture(scope="module")
def policy() -> LabContinuationPolicy:
    return LabContinuationPolicy()


def request(problem: str, steps: list[str], mode: str = "step", **changes: object) -> ExpandRequest:
    seeds = changes.pop("seeds", [1, 2**64 - 1, 77])
    plain = ExpandRequest(problem, steps, len(seeds), mode, 60, 1.0, (), seeds)
    return replace(plain, **changes)


def uniform(seed: int, index: int) -> float:
    """SplitMix64, from its paper."""
    z = (seed + (index + 1) * 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return ((z ^ (z >> 31)) >> 12) / 2**52


@torch.inference_mode()
def sample(model, one: ExpandRequest, seed: int) -> Continuation:
    """One token after the other, each from a forward pass over the whole text."""
    prompt = encode(one.problem + "".join(one.steps))
    tokens, logprob = [], 0.0
    at_line = one.mode != "block" and prompt[-1] == NEWLINE_ID
    by_lines = one.mode in ("step", "partial")
    while len(prompt) + len(tokens) < 128:
        logits = model(torch.tensor([prompt + tokens])).logits[0, -1].double()
        chances = logits.log_softmax(-1)
        looking = by_lines and NEWLINE_ID in tokens
        if len(tokens) >= one.max_tokens and not looking:
            break
        logits[PAD_ID] = -torch.inf
        if at_line and not tokens:
            logits[EOS_ID] = -torch.inf
        if one.temperature:
            weights = (logits / one.temperature).softmax(-1).tolist()
            left = uniform(seed, len(tokens)) * sum(weights)
            token = 0
            while left >= weights[token]:
                left -= weights[token]
                token += 1
        else:
            token = int(logits.argmax())
        if looking and token != EOS_ID:
            break
        tokens.append(token)
        logprob += float(chances[token])
        if token == EOS_ID:
            break
    line = by_lines and NEWLINE_ID in tokens
    full = len(prompt) + len(tokens) == 128
    cut = one.mode == "rollout" or (one.mode == "step" and not line) or full
    count = min(len(tokens), one.max_tokens)
    return Continuation(text_of(tokens), count, logprob, EOS_ID in tokens or cut)


def check(found: list[list[Continuation]], model, requests: list[ExpandRequest]) -> None:
    for samples, one in zip(found, requests, strict=True):
        assert len(samples) == len(one.seeds)
        for got, seed in zip(samples, one.seeds, strict=True):
            wanted = sample(model, one, seed)
            assert replace(got, logprob=0.0) == replace(wanted, logprob=0.0)
            assert got.logprob == pytest.approx(wanted.logprob, abs=1e-3)


# How many steps are there, and the most tokens.
LENGTHS = [(0, 40), (2, 5), (4, 9), (5, 60)]


@pytest.mark.parametrize("mode", ["step", "block", "partial", "rollout"])
@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.5])
def test_samples_are_those_of_plain_sampling(policy, mode, temperature) -> None:
    lines = [[step + "\n" for step in lab.true_steps(problem)] for problem in PROBLEMS]
    requests = [
        request(problem, own[:done], mode, temperature=temperature, max_tokens=most)
        for problem, own, (done, most) in zip(PROBLEMS, lines, LENGTHS, strict=False)
    ]
    check(policy(requests), policy.model, requests)


def test_a_sample_depends_on_its_own_request_alone(policy) -> None:
    draw = random.Random(0)
    lines = {problem: lab.true_steps(problem) for problem in PROBLEMS}
    requests = [
        request(
            problem,
            [line + "\n" for line in lines[problem][: draw.randrange(6)]],
            draw.choice(["step", "block", "partial", "rollout"]),
            max_tokens=draw.randrange(1, 40),
            temperature=draw.choice([0.0, 0.8, 1.0]),
            seeds=[draw.getrandbits(64) for _ in range(draw.randrange(1, 5))],
        )
        for problem in draw.choices(PROBLEMS, k=40)
    ]
    whole = policy(requests)
    draw.shuffle(order := list(range(len(requests))))
    for size in (1, 7):
        small = LabContinuationPolicy(batch_size=size)
        again = small([requests[index] for index in order])
        for index, samples in zip(order, again, strict=True):
            for got, wanted in zip(samples, whole[index], strict=True):
                assert replace(got, logprob=0.0) == replace(wanted, logprob=0.0)
                assert got.logprob == pytest.approx(wanted.logprob, abs=1e-3)


def test_steps_one_after_the_other_are_a_rollout(policy) -> None:
    for problem in PROBLEMS:
        greedy = policy([request(problem, [], "rollout", temperature=0.0, seeds=[0])])[0][0]
        steps: list[str] = []
        tokens, logprob, ended = 0, 0.0, False
        while not ended:
            (one,) = policy([request(problem, steps, temperature=0.0, seeds=[5])])[0]
            assert one.text.endswith("\n")
            assert one.text.count("\n") == 1
            steps.append(one.text)
            tokens, logprob, ended = tokens + one.tokens, logprob + one.logprob, one.terminal
        assert "".join(steps) == greedy.text
        assert tokens == greedy.tokens
        assert logprob == pytest.approx(greedy.logprob, abs=1e-3)


def test_sampled_steps_are_as_often_right_as_sampled_solutions(policy) -> None:
    problems = lab.generate(100, seed=9, split="eval")
    traces = [(problem, []) for problem in problems for _ in range(4)]
    done = []
    for depth in range(12):
        requests = [
            request(problem, steps, seeds=[depth << 32 | number])
            for number, (problem, steps) in enumerate(traces)
        ]
        longer = [
            (problem, [*steps, one.text], one.terminal)
            for (problem, steps), (one,) in zip(traces, policy(requests), strict=True)
        ]
        done += [(problem, "".join(steps)) for problem, steps, ended in longer if ended]
        traces = [(problem, steps) for problem, steps, ended in longer if not ended]
    assert len(done) == 400
    by_steps = sum(lab.is_correct(*one) for one in done) / 400
    whole = lab.load_policy().sample(problems, 4, seed=1)
    at_once = sum(lab.is_correct(p, s) for p, own in zip(problems, whole, strict=True) for s in own)
    assert by_steps == pytest.approx(at_once / 400, abs=0.1)  # three standard errors of 0.035


def test_a_line_may_have_exactly_the_tokens_asked_for(policy) -> None:
    problem = PROBLEMS[0]
    lines = [step + "\n" for step in lab.true_steps(problem)]
    greedy = request(problem, lines[:-1], temperature=0.0, seeds=[0])
    ((line,),) = policy([greedy])
    assert line.terminal
    ((same,),) = policy([replace(greedy, max_tokens=len(line.text))])
    assert (same.text, same.tokens, same.terminal) == (line.text, len(line.text), True)
    ((cut,),) = policy([replace(greedy, max_tokens=len(line.text) - 1)])
    assert (cut.text, cut.tokens, cut.terminal) == (line.text[:-1], len(line.text) - 1, True)


def test_no_requests_no_samples(policy) -> None:
    assert policy([]) == []


def test_what_has_no_room_or_no_meaning_costs_no_other(policy) -> None:
    good = request(PROBLEMS[0], [])
    wanted = policy([good])[0]
    full = replace(good, steps=["1" * 128])
    too_long = replace(good, problem="11+" * 41 + "111=?")
    unknown = replace(good, problem="x")
    first, second, third, fourth, fifth = policy([full, good, too_long, unknown, good])
    assert first == [Continuation("", terminal=True)] * 3
    assert [one.text for one in second] == [one.text for one in wanted]
    assert str(third) == "expected a problem of 1 to 127 tokens, prompt included; got 128"
    assert "the lab knows its own kind of sums alone" in str(fourth)
    assert [one.text for one in fifth] == [one.text for one in wanted]
    assert [type(one) for one in policy([unknown])] == [ValueError]


@pytest.mark.parametrize("problem", ["What is 12+34?", "12345", "3*4=?", "12+34", "", "12+34=46"])
def test_the_lab_says_that_it_knows_its_own_sums_alone(policy, problem: str) -> None:
    (answer,) = policy([replace(request(PROBLEMS[0], []), problem=problem)])
    assert str(answer) == (
        "LabContinuationPolicy: the lab knows its own kind of sums alone, such as '69+15-75=?'; "
        f"got {problem!r}; search with another policy"
    )


def test_a_step_with_other_characters_is_named(policy) -> None:
    (answer,) = policy([request(PROBLEMS[0], ["so 12+34=46\n"])])
    assert "text may hold only" in str(answer)


def test_another_stop_text_is_refused(policy) -> None:
    requests = [request(PROBLEMS[0], []), request(PROBLEMS[0], [], stop=("\n\n",))]
    with pytest.raises(ValueError, match=r"requests\[1\]\.stop must be \(\) or \('\\n',\)"):
        policy(requests)


def test_hidden_states_are_those_of_the_model(policy) -> None:
    traces = [[], ["1+2=3\n"], ["1+2=3\n", "4"]]
    found = policy.hidden_states(PROBLEMS[:3], traces)
    for problem, steps, row in zip(PROBLEMS, traces, found, strict=False):
        ids = torch.tensor([encode(problem + "".join(steps))])
        with torch.inference_mode():
            wanted = policy.model.model(ids).last_hidden_state[0, -1]
        torch.testing.assert_close(row, wanted, atol=1e-4, rtol=1e-4)
