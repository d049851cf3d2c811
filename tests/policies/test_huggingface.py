"""Tiny models of transformers as policies, against a sampler without batches, padding or cache."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from models import byte_level_tokenizer, word_piece_tokenizer  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402
from tokenizers.models import WordLevel  # noqa: E402
from tokenizers.pre_tokenizers import Whitespace  # noqa: E402

from stepscore import lab  # noqa: E402
from stepscore.errors import InputError  # noqa: E402
from stepscore.policies import HuggingFacePolicy  # noqa: E402
from stepscore.policies.huggingface_tokenizer import load_tokenizer  # noqa: E402
from stepscore.policies.requests import Continuation, ExpandRequest  # noqa: E402

PROBLEMS = ["What is half of 10 + 6?", "Find x.", "How many eggs does she sell per day, é and 日?"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
KINDS = ("qwen", "llama", "mistral-window", "gpt2")


@cache
def build(kind: str, templated: bool = False):
    torch.manual_seed(5)
    tokenizer = word_piece_tokenizer() if kind == "llama" else byte_level_tokenizer()
    if templated:
        tokenizer = type(tokenizer)(
            tokenizer_object=tokenizer.backend_tokenizer, eos_token="<|im_end|>"
        )
        tokenizer.chat_template = TEMPLATE
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 160,
        "initializer_range": 0.25,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
        "pad_token_id": None,
    }
    if kind == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=160,
            n_embd=32,
            n_layer=2,
            n_head=4,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
            initializer_range=0.25,
        )
    elif kind == "llama":
        config = transformers.LlamaConfig(**sizes)
    elif kind == "mistral-window":
        config = transformers.MistralConfig(**sizes, sliding_window=12)
    else:
        config = transformers.Qwen2Config(**sizes)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    return model, tokenizer


def policy_of(kind: str, templated: bool = False, **options: object) -> HuggingFacePolicy:
    return HuggingFacePolicy(*build(kind, templated), **options)


def request(problem: str, steps: list[str], mode: str = "step", **changes: object) -> ExpandRequest:
    seeds = changes.pop("seeds", [3, 2**64 - 2])
    return replace(ExpandRequest(problem, steps, len(seeds), mode, 24, 1.0, (), seeds), **changes)


def uniform(seed: int, index: int) -> float:
    z = (seed + (index + 1) * 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return ((z ^ (z >> 31)) >> 12) / 2**52


@torch.inference_mode()
def sample(
    policy: HuggingFacePolicy,
    text: str,
    one: ExpandRequest,
    seed: int,
    stops,
    special: bool,
    top_p=1.0,
) -> Continuation:
    tokenizer, model = policy.tokenizer, policy.model
    prompt = tokenizer(text, add_special_tokens=special)["input_ids"]
    before = tokenizer.decode(prompt, skip_special_tokens=True)
    tokens, logprob, kept, terminal = [], 0.0, "", False
    while len(tokens) < one.max_tokens and len(prompt) + len(tokens) < 160:
        logits = model(torch.tensor([prompt + tokens])).logits[0, -1].double()
        if one.temperature:
            weights = (logits / one.temperature).softmax(-1).tolist()
            if top_p < 1:
                best = sorted(range(len(weights)), key=lambda i: -weights[i])
                mass = 0.0
                for index in best:
                    weights[index], mass = weights[index] * (mass < top_p), mass + weights[index]
            left = uniform(seed, len(tokens)) * sum(weights)
            token = 0
            while left >= weights[token]:
                left -= weights[token]
                token += 1
        else:
            token = int(logits.argmax())
        tokens.append(token)
        logprob += float(logits.log_softmax(-1)[token])
        whole = tokenizer.decode(prompt + tokens, skip_special_tokens=True)
        assert whole.startswith(before)
        kept = whole[len(before) :].rstrip("\ufffd")
        if token == tokenizer.eos_token_id:
            terminal = True
            break
        if one.mode in ("step", "partial"):
            ends = [
                at + len(stop)
                for stop in stops
                for at in range(len(kept))
                if kept.startswith(stop, at) and kept[:at].strip()
            ]
            # A stop cannot begin in the white space before the first word.
            if ends:
                kept = kept[: min(ends)]
                break
    else:
        terminal = one.mode in ("step", "rollout") or len(prompt) + len(tokens) == 160
    if one.mode in ("step", "partial") and "\\boxed" in kept:
        terminal = True
    return Continuation(kept, len(tokens), logprob, terminal)


def check(policy, requests, heads, *, stops, special=True, top_p=1.0) -> None:
    for samples, one in zip(policy(requests), requests, strict=True):
        text = heads(one.problem) + "".join(one.steps)
        for got, seed in zip(samples, one.seeds, strict=True):
            wanted = sample(policy, text, one, seed, stops, special, top_p)
            assert replace(got, logprob=0.0) == replace(wanted, logprob=0.0)
            assert got.logprob == pytest.approx(wanted.logprob, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["step", "block", "partial", "rollout"])
def test_samples_are_those_of_plain_sampling(kind: str, mode: str) -> None:
    policy = policy_of(kind, batch_size=5, stop=("e", " s"))
    requests = [
        request(problem, steps, mode, temperature=temperature)
        for problem in PROBLEMS
        for steps in ([], ["We add 3 and 4.\n"], ["The sum is 7.\n", "So the answer is 7"])
        for temperature in (0.0, 0.8)
    ]
    check(policy, requests, lambda problem: problem + "\n", stops=("e", " s"))


def test_a_request_may_bring_its_own_stop_and_the_model_a_top_p() -> None:
    policy = policy_of("qwen", top_p=0.7)
    requests = [request(problem, [], stop=("a", "."), temperature=1.3) for problem in PROBLEMS]
    check(policy, requests, lambda problem: problem + "\n", stops=("a", "."), top_p=0.7)


def test_the_chat_template_writes_the_special_tokens() -> None:
    policy = policy_of("qwen", templated=True, system="Think.", stop=("e",))
    check(
        policy,
        [request(problem, ["We add.\n"]) for problem in PROBLEMS],
        lambda problem: (
            f"<|im_start|>system\nThink.<|im_end|>\n<|im_start|>user\n{problem}<|im_end|>\n"
            "<|im_start|>assistant\n"
        ),
        stops=("e",),
        special=False,
    )


def test_a_prompt_builder_takes_the_place_of_the_template() -> None:
    policy = policy_of("qwen", templated=True, prompt=lambda text: f"Q: {text}\nA:", stop=("e",))
    check(policy, [request(PROBLEMS[0], [])], lambda text: f"Q: {text}\nA:", stops=("e",))


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_does_not_depend_on_its_batch(kind: str) -> None:
    requests = [request(problem, steps) for problem in PROBLEMS for steps in ([], ["We add 3.\n"])]
    together = policy_of(kind, batch_size=64)(requests)
    for index, one in enumerate(requests):
        (alone,) = policy_of(kind, batch_size=1)([one])
        for got, wanted in zip(together[index], alone, strict=True):
            assert replace(got, logprob=0.0) == replace(wanted, logprob=0.0)
            assert math.isclose(got.logprob, wanted.logprob, abs_tol=1e-3)


def scripted(monkeypatch, policy, text: str) -> None:
    """Let the model write a text, whatever it is given."""
    from stepscore.policies import decode

    ids = policy.tokenizer(text, add_special_tokens=False)["input_ids"]
    ids.append(policy.tokenizer.eos_token_id)
    told = iter(ids)
    monkeypatch.setattr(
        decode, "_choose", lambda logits, *_: torch.full((len(logits),), next(told))
    )


@pytest.mark.parametrize(
    ("written", "stop", "kept", "terminal"),
    [
        ("We add.\n\nThe sum", "\n\n", "We add.\n\n", False),
        ("\n\nWe add.\n\nThe sum", "\n\n", "\n\nWe add.\n\n", False),  # no empty step
        ("The sum is 7.\n", "7", "The sum is 7", False),  # the token may hold more
        ("So \\boxed{7}\n\nand on", "\n\n", "So \\boxed{7}\n\n", True),
        ("The sum is 7.", "\n\n", "The sum is 7.", True),  # the end of the text
        ("", "\n\n", "", True),
    ],
)
def test_where_a_step_ends(monkeypatch, written, stop, kept, terminal) -> None:
    policy = policy_of("qwen")
    scripted(monkeypatch, policy, written)
    ((got,),) = policy([request("Find x.", ["We add.\n\n"], stop=(stop,), seeds=[0])])
    assert (got.text, got.terminal) == (kept, terminal)


def test_half_a_character_is_given_up(monkeypatch) -> None:
    policy = policy_of("qwen")
    scripted(monkeypatch, policy, "a日")
    tokens = len(policy.tokenizer("a日")["input_ids"])
    assert tokens > 2
    ((got,),) = policy([request("Find x.", [], "block", max_tokens=tokens - 1, seeds=[0])])
    assert (got.text, got.tokens) == ("a", tokens - 1)


def test_a_prefix_goes_through_the_model_once(monkeypatch) -> None:
    policy = policy_of("qwen")
    sizes = []
    forward = policy.model.forward

    def counted(*args, **kwargs):
        sizes.append(tuple(kwargs["input_ids"].shape))
        return forward(*args, **kwargs)

    monkeypatch.setattr(policy.model, "forward", counted)
    one = request("Find x.", [], "block", seeds=list(range(16)))
    policy([one, replace(one, seeds=list(range(16, 24)))])
    assert sizes[0][0] == 1  # 24 samples of one prompt
    assert all(length == 1 for _, length in sizes[1:])


def test_hidden_states_are_those_of_the_model() -> None:
    for kind in ("qwen", "gpt2"):
        policy = policy_of(kind, batch_size=2)
        found = policy.hidden_states(PROBLEMS, [[], ["We add 3.\n"], ["a", "b"]])
        texts = [PROBLEMS[0] + "\n", PROBLEMS[1] + "\nWe add 3.\n", PROBLEMS[2] + "\nab"]
        for text, row in zip(texts, found, strict=True):
            ids = torch.tensor([policy.tokenizer(text)["input_ids"]])
            with torch.inference_mode():
                wanted = policy.model.base_model(ids).last_hidden_state[0, -1]
            torch.testing.assert_close(row, wanted, atol=1e-4, rtol=1e-4)


def test_load_reads_a_folder(tmp_path) -> None:
    model, tokenizer = build("qwen")
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = HuggingFacePolicy.load(str(tmp_path), device="cpu", stop=("e",))
    one = [request(PROBLEMS[0], [])]
    (found,), (wanted,) = loaded(one), policy_of("qwen", stop=("e",))(one)
    assert [own.text for own in found] == [own.text for own in wanted]
    assert loaded.name == str(tmp_path)


@pytest.mark.parametrize("role", ["policy", "prm"])
def test_load_writes_and_reads_the_tokens_of_the_checkpoint(tmp_path, role: str) -> None:
    # A class of transformers for this model type would drop the line breaks of this vocabulary.
    folder = Path(lab.__file__).parent / "weights" / role
    exact = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / name, tmp_path)
    loaded = load_tokenizer(str(tmp_path), None)
    text = "85+95=180\n180-16=164\n"
    ids = loaded(text, add_special_tokens=False)["input_ids"]
    assert ids == exact.encode(text, add_special_tokens=False).ids
    assert loaded.decode(ids) == text


def test_a_tokenizer_that_drops_line_breaks_is_refused(monkeypatch, tmp_path) -> None:
    words = Tokenizer(WordLevel({"1": 0, "2": 1, "[UNK]": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=words)
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda *_, **options: made)
    with pytest.raises(InputError, match=r"load: model: expected a tokenizer that keeps line"):
        load_tokenizer(str(tmp_path), None)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"top_p must lie in \(0, 1\]; got 0"):
        policy_of("qwen", top_p=0)
    with pytest.raises(ValueError, match="stop must hold at least one text"):
        policy_of("qwen", stop=())


def test_what_has_no_room_costs_no_other() -> None:
    policy = policy_of("qwen", max_length=20)
    good, full = request("Find x.", []), request("Find x.", ["We add.\n" * 20])
    first, second, third = policy([full, request("Find x." * 20, []), good])
    assert first == [Continuation("", terminal=True)] * 2
    assert "expected a problem of 1 to 19 tokens, prompt included; got 1" in str(second)
    assert [one.text for one in third] == [one.text for one in policy([good])[0]]
    assert policy([]) == []
