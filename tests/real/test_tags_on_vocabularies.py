"""Recipes that are read at a tag, over the vocabularies that they were published for.

As in `test_recipes_on_vocabularies`: the authors' whole texts, encoded by the vocabulary's own
library.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
import vocabularies
from test_recipes_on_vocabularies import TRACES, Case, LaidOut, words, write_checkpoint
from vocabularies import Encoder

import stepscore
from stepscore import recipes

torch = pytest.importorskip("torch")


def lines(steps: Sequence[str]) -> list[str]:
    return [f"Step {k}: {step.strip()}" for k, step in enumerate(steps, 1)]


def at(ids: list[int], tag: int) -> LaidOut:
    return ids, [place for place, token in enumerate(ids) if token == tag]


def er(encode: Encoder, problem: str, steps: Sequence[str], *, bos: int, tag: int) -> LaidOut:
    text = f"{problem} " + "".join(f"{line} ки\n" for line in lines(steps))
    return at([bos, *encode(text.replace(" ки\n", " ки"))], tag)


def med(encode: Encoder, problem: str, steps: Sequence[str]) -> LaidOut:
    system = recipes.prompt_texts.LLAMA_31_DATES + recipes.prompt_texts.MED_PRM["question"]
    said = " ".join(f"{line} ки".replace("\n", " ") for line in lines(steps))
    text = (
        f"<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n{system}<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\n"
        f"Question: {problem}\n\nExplanation: {said}<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    return at([128000, *encode(text)], 116624)


def versa(
    encode: Encoder, problem: str, steps: Sequence[str], *, bos: Sequence[int], tag: int
) -> LaidOut:
    text = f"{problem.strip()} \n\n" + "".join(f"{step.strip()} \n\n\n\n" for step in steps)
    return at([*bos, *encode(text)], tag)


def psa(encode: Encoder, problem: str, steps: Sequence[str]) -> LaidOut:
    answer = " \n\n\n\n\n ".join(lines(steps)) + " \n\n\n\n\n "
    return at(encode(f"{problem} {answer}"), 76325)


def minos(encode: Encoder, problem: str, steps: Sequence[str]) -> LaidOut:
    text = f"Human: {problem}\n\nAssistant:" + "\n".join(f"{line} и" for line in lines(steps))
    return at([1, *encode(text)], 839)


def babelscape(encode: Encoder, problem: str, steps: Sequence[str]) -> LaidOut:
    text = f"Problem: {problem}\nSteps:\n" + "\n".join(f"{line}\nки" for line in lines(steps))
    return at([128000, *encode(text)], 17165)


def q_values(encode: Encoder, problem: str, steps: Sequence[str]) -> LaidOut:
    text = f"{recipes.prompt_texts.PQM_BEFORE}{problem}{recipes.prompt_texts.PQM_BETWEEN}"
    text += "\n".join(f"{line} [PRM]" for line in lines(steps))
    *parts, last = text.split("[PRM]")
    assert last == ""
    ids, places = [], []
    for part in parts:
        ids = [*ids, *encode(part), TAG_ID]
        places.append(len(ids) - 1)
    return ids, places


# Behind the last entry of the vocabulary.
TAG_ID = 151643 + len(vocabularies.QWEN_SPECIAL)


def reasoneval(encode: Encoder, problem: str, steps: Sequence[str]) -> LaidOut:
    # The separator keeps the parts apart, so that each is encoded as if it stood alone.
    ids, places = encode(f"Question:\n{problem}\nAnswer:\nLet's think step by step.\n"), []
    for step in steps:
        ids = [*ids, *encode(step)]
        places.append(len(ids) - 1)
    return [1, *ids], places  # counted without the BOS


def outcome(encode: Encoder, problem: str, steps: Sequence[str]) -> LaidOut:
    ids = encode(
        "<|im_start|>system\n"
        "Please reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n"
        f"<|im_start|>user\n{problem}<|im_end|>\n"
        "<|im_start|>assistant\n" + "\n\n".join(steps) + "<|im_end|>\n"
    )
    assert ids[-1] == 198
    return ids, [len(ids) - 1]


def pair(outputs: torch.Tensor, *, good: int, bad: int) -> torch.Tensor:
    of_all = outputs.log_softmax(-1)[:, [good, bad]].exp()
    return of_all[:, 0] / of_all.sum(-1)


_LLAMA = {
    "vocabulary": "llama-3",
    "config": "LlamaConfig",
    "rows": 128256,
    "architecture": "LlamaForCausalLM",
    "head": (("lm_head", 128256),),
}
_QWEN = {
    "vocabulary": "qwen2.5",
    "config": "Qwen2Config",
    "rows": 152064,
    "architecture": "Qwen2ForCausalLM",
    "head": (("lm_head", 152064),),
}
_MISTRAL = {"vocabulary": "mistral", "config": "MistralConfig", "rows": 32000}
_NO_SCORES = {"architecture": "", "head": (), "score": words}
CASES = {
    "er-prm on Llama": Case(
        recipe=recipes.er_prm(),
        lay_out=partial(er, bos=128000, tag=116624),
        score=partial(pair, good=489, bad=482),
        **_LLAMA,
    ),
    "er-prm on Mistral": Case(
        recipe=recipes.er_prm(), lay_out=partial(er, bos=1, tag=12902), **_MISTRAL, **_NO_SCORES
    ),
    "med-prm": Case(
        recipe=recipes.med_prm(), lay_out=med, score=partial(pair, good=489, bad=482), **_LLAMA
    ),
    "versa-prm on Llama": Case(
        recipe=recipes.versa_prm(),
        lay_out=partial(versa, bos=[128000], tag=23535),
        score=partial(pair, good=10, bad=12),
        **_LLAMA,
    ),
    "versa-prm on Qwen": Case(
        recipe=recipes.versa_prm(),
        lay_out=partial(versa, bos=[], tag=22701),
        score=partial(pair, good=10, bad=12),
        **_QWEN,
    ),
    "math-psa": Case(
        recipe=recipes.math_psa(), lay_out=psa, score=partial(pair, good=488, bad=481), **_QWEN
    ),
    "mathminos": Case(recipe=recipes.mathminos(), lay_out=minos, **_MISTRAL, **_NO_SCORES),
    "babelscape-prm": Case(
        recipe=recipes.babelscape_prm("head", "identity"),
        lay_out=babelscape,
        **{**_LLAMA, **_NO_SCORES},
    ),
    "pqm": Case(recipe=recipes.pqm(), lay_out=q_values, **{**_QWEN, **_NO_SCORES}),
    "reasoneval-7b": Case(
        recipe=recipes.reasoneval_7b(), lay_out=reasoneval, **_MISTRAL, **_NO_SCORES
    ),
    "qwen2.5-math-rm": Case(
        recipe=recipes.qwen_math_rm(), lay_out=outcome, **{**_QWEN, **_NO_SCORES}
    ),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def tokenizer_of(case: Case, loaded):
    tokenizer = loaded(case.vocabulary, case.bos)
    if case.recipe.name not in ("pqm", "reasoneval-7b"):
        return tokenizer
    tokenizer = copy.deepcopy(tokenizer)
    if case.recipe.name == "pqm":
        tokenizer.add_special_tokens({"additional_special_tokens": ["[PRM]"]})
    else:
        tokenizer.pad_token = "<s>"
    return tokenizer


# Words that hold a tag whose token the vocabulary makes of their end.
REFUSED = {
    "mathminos": re.compile(r"\bи\b"),
    "babelscape-prm": re.compile(r"ки\b"),
    "reasoneval-7b": re.compile(r"<s>"),
}


def taken(case: Case, traces):
    """The traces without those that hold the recipe's tag, which it refuses."""
    pattern = REFUSED.get(case.recipe.name)
    return [
        (problem, steps)
        for problem, steps in traces
        if pattern is None or not any(map(pattern.search, [problem, *steps]))
    ]


def check_tokens(case: Case, tokenizer, traces) -> None:
    encode = vocabularies.encoder(case.vocabulary)
    encoded = case.recipe.encode(tokenizer, *map(list, zip(*traces, strict=True)))
    for index, (problem, steps) in enumerate(traces):
        ids, places = encoded.trace(index)
        expected_ids, expected = case.lay_out(encode, problem, steps)
        assert len(places) == (1 if case.recipe.unit == "solution" else len(steps))
        assert (ids, places) == (expected_ids, expected), problem


@each_case
def test_the_tokens_are_those_of_the_published_text(case, loaded):
    tokenizer = tokenizer_of(case, loaded)
    case.recipe.check_tokenizer(tokenizer)
    traces = taken(case, TRACES)
    assert len(traces) > len(TRACES) - 2
    check_tokens(case, tokenizer, traces)


@each_case
def test_so_they_are_for_real_solutions(case, loaded, gsm8k):
    check_tokens(case, tokenizer_of(case, loaded), gsm8k)


@pytest.mark.parametrize("name", ["versa-prm on Llama", "math-psa"])
@torch.no_grad()
def test_the_scores_are_those_of_the_stock_class(name, loaded, tmp_path):
    case = CASES[name]
    loaded(case.vocabulary)
    body, head = write_checkpoint(case, tmp_path / "prm")
    encode = vocabularies.encoder(case.vocabulary)
    traces = TRACES[:4]
    expected = []
    for problem, steps in traces:
        ids, places = case.lay_out(encode, problem, steps)
        hidden = body(torch.tensor([ids])).last_hidden_state[0, places]
        expected.append(case.score(head(hidden)).numpy())
    prm = stepscore.load(tmp_path / "prm", show_progress=False)
    scores = prm.score(*map(list, zip(*traces, strict=True)))
    np.testing.assert_allclose(scores.values, np.concatenate(expected), rtol=0, atol=1e-5)
    assert np.std(scores.values) > 0.01, "else this test shows nothing"


@pytest.mark.parametrize(
    ("recipe", "vocabulary"),
    [
        (recipes.mathminos(), "qwen2.5"),
        (recipes.versa_prm(), "mistral"),
        (recipes.math_psa(), "mistral"),
        (recipes.er_prm(), "qwen2.5"),
        (recipes.babelscape_prm("head", "identity"), "mistral"),
        (recipes.qwen_math_rm(), "llama-3"),
        (recipes.med_prm(), "qwen2.5"),
        (recipes.internlm2_reward(), "qwen2.5"),
    ],
)
def test_a_vocabulary_without_the_tag_is_refused(recipe, vocabulary, loaded):
    # Where it is several tokens, or merges with what stands before it, nothing could be read.
    with pytest.raises(ValueError, match=f"{recipe.name}: expected .*"):
        recipe.check_tokenizer(loaded(vocabulary))
