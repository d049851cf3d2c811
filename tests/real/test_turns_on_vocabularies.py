"""Label turns and prefixes over the vocabularies of Llama 3 and Qwen2.5.

Texts are encoded by the vocabulary's own library, and the places found by the authors' rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import vocabularies
from test_recipes_on_vocabularies import Case, write_checkpoint
from vocabularies import Encoder

import stepscore
from stepscore import recipes

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

# What could merge with the marks, or be taken for one: newlines and signs at both ends, the words
# of headers and labels, runs of newlines within, letters of several bytes.
TRACES = [
    ("What is 3 + 4?", ["3 + 4 = 7.", "So the answer is 7."]),
    ("Ends in newlines.\n\n", ["a.\n\n", "\n\nb:\n", "c!\n\n\nd)", " e "]),
    ("assistant\n\n+", ["assistant", "user\n\nassistant\n\n+", "+", "-", "correct", "incorrect"]),
    ("  two spaces, \t a tab", ["\n+", "+\n\n", "\n\n\n", ". . ."][:2]),
    ("¿Qué? 日本 𝄞", ["cafe\u0301 é", "年𝄞.", "\u200bzero\u00a0width"]),
    ("<|im_start|", ["<|eot_id|", "|end_header_id|>", "<extr", "a>", "<+", "->"]),
    ("", ["x"]),
    ("newlines first", ["\n\nleading", "\n again"]),
    ("Code:\n    if x:\n        y\n", ["for i in range(3):\n    print(i)", "\ty"]),
]


def llama(messages: Sequence[tuple[str, str]]) -> str:
    text = (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: "
        "December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|>"
    )
    for role, content in messages:
        text += f"<|start_header_id|>{role}<|end_header_id|>\n\n{content.strip()}<|eot_id|>"
    return text


def chatml(messages: Sequence[tuple[str, str]], system: str) -> str:
    every = [("system", system), *messages]
    return "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in every)


def turns(asked: Sequence[str], label: str) -> list[tuple[str, str]]:
    return [turn for text in asked for turn in (("user", text), ("assistant", label))]


def rlhflow(encode: Encoder, problem: str, steps: Sequence[str]) -> tuple[list[int], list[int]]:
    """Of the conversation up to each step, the third token from its end."""
    asked = [step.strip() for step in steps]
    asked[0] = f"{problem} {asked[0]}"
    places = []
    for k in range(1, len(asked) + 1):
        ids = encode(llama(turns(asked[:k], "+")))
        assert ids[-3:] == [271, 10, 128009]
        places.append(len(ids) - 3)
    return ids, places


FOVER = (
    "** Problem **\n{}\n\n** Task **\nYour task is to evaluate the accuracy of each step in the "
    'provided solution to the above question. For each step, respond with "correct" if the '
    "reasoning is logically valid and mathematically sound, or if the step is a general statement "
    'or transition that does not contain reasoning. Respond with "incorrect" if the step includes '
    "any errors or flawed logic.\n\n** Sotluion **\n{}"
)


def fover(
    encode: Encoder, problem: str, steps: Sequence[str], *, model: str
) -> tuple[list[int], list[int]]:
    """The tokens that all three of the authors' rules name."""
    asked = [FOVER.format(problem, steps[0]), *steps[1:]]
    write = llama
    if model == "qwen":
        system = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
        write = partial(chatml, system=system)
    ids = encode(write(turns(asked, "correct")))
    newline, role, mark = encode({"llama": "\n\n", "qwen": "\n"}[model]), encode("assistant"), None
    mark = encode({"llama": "<|end_header_id|>", "qwen": "<|im_start|>"}[model])
    after_role, after_mark = {"llama": (2, 1), "qwen": (1, 2)}[model]
    places = [
        place
        for place in range(2, len(ids))
        if ids[place] == newline[0]
        and ids[place - after_role] == role[0]
        and ids[place - after_mark] == mark[0]
    ]
    return ids, places


LABELS: dict[str, tuple[recipes.Recipe, str, Callable[..., tuple[list[int], list[int]]]]] = {
    "rlhflow-prm": (recipes.rlhflow_prm(), "llama-3", rlhflow),
    "fover-prm, Llama": (recipes.fover_prm("llama"), "llama-3", partial(fover, model="llama")),
    "fover-prm, Qwen": (recipes.fover_prm("qwen"), "qwen2.5", partial(fover, model="qwen")),
}


@pytest.mark.parametrize("name", LABELS)
def test_label_turns_are_the_authors_texts_and_places(name, loaded):
    recipe, vocabulary, lay_out = LABELS[name]
    tokenizer, encode = loaded(vocabulary), vocabularies.encoder(vocabulary)
    recipe.check_tokenizer(tokenizer)
    problems, steps = map(list, zip(*TRACES, strict=True))
    encoded = recipe.encode(tokenizer, problems, steps)
    for index, (problem, each) in enumerate(TRACES):
        expected = lay_out(encode, problem, each)
        assert encoded.trace(index) == expected, problem
        assert len(expected[1]) == len(each)
    # The published ids tell the places without a tokenizer.
    for known in ({}, {"tokenizer": tokenizer}):
        positions, step_offsets = recipe.positions(encoded.token_ids, encoded.offsets, **known)
        np.testing.assert_array_equal(positions, encoded.positions)
        np.testing.assert_array_equal(step_offsets, encoded.step_offsets)
    assert {encoded.token_ids[place] for place in encoded.positions} == {
        {"llama-3": 271, "qwen2.5": 198}[vocabulary]
    }


def test_the_words_of_labels_are_the_published_ids(loaded):
    for recipe, vocabulary, ids in [
        (recipes.rlhflow_prm(), "llama-3", (10, 12)),
        (recipes.fover_prm("llama"), "llama-3", (63054, 20523)),
        (recipes.fover_prm("qwen"), "qwen2.5", (61954, 19928)),
        (recipes.visual_prm(), "qwen2.5", (10, 12)),
    ]:
        assert recipe.head.word_ids is not None
        assert recipe.head.word_ids(loaded(vocabulary)) == ids


@pytest.mark.parametrize("name", ["rlhflow-prm", "fover-prm, Qwen"])
@torch.no_grad()
def test_their_scores_are_those_of_the_stock_class(name, loaded, tmp_path):
    recipe, vocabulary, lay_out = LABELS[name]
    loaded(vocabulary)
    rows, config = {"llama-3": (128256, "Llama"), "qwen2.5": (152064, "Qwen2")}[vocabulary]
    words = {"rlhflow-prm": ("+", "-"), "fover-prm": ("correct", "incorrect")}[recipe.name]
    encode = vocabularies.encoder(vocabulary)
    good, bad = (encode(word)[0] for word in words)
    case = Case(
        recipe=recipe,
        vocabulary=vocabulary,
        lay_out=lay_out,
        architecture=f"{config}ForCausalLM",
        config=f"{config}Config",
        rows=rows,
        head=(("lm_head", rows),),
        score=lambda logits: logits.softmax(-1)[:, [good, bad]],
    )
    body, head = write_checkpoint(case, tmp_path / "prm")
    expected = []
    traces = TRACES[:4]
    for problem, steps in traces:
        ids, places = lay_out(encode, problem, steps)
        pair = case.score(head(body(torch.tensor([ids])).last_hidden_state[0, places]))
        expected.append((pair[:, 0] / pair.sum(-1)).numpy())
    scores = stepscore.load(tmp_path / "prm").score(*map(list, zip(*traces, strict=True)))
    np.testing.assert_allclose(scores.values, np.concatenate(expected), rtol=0, atol=1e-5)
    assert np.std(scores.values) > 0.01, "else this test shows nothing"


MARKS = ("<extra>", "<+>", "<->")


def with_marks(encode: Encoder, ids: dict[str, int], text: str) -> list[int]:
    """Encode a text in which marks are cut out first, as added tokens are."""
    for mark in ids:
        before, found, behind = text.partition(mark)
        if found:
            return [*with_marks(encode, ids, before), ids[mark], *with_marks(encode, ids, behind)]
    return encode(text) if text else []


def test_path_finder_is_its_card_s_text_read_before_every_mark(loaded):
    tokenizer, encode = deepcopy(loaded("qwen2.5")), vocabularies.encoder("qwen2.5")
    tokenizer.add_tokens(list(MARKS))  # as its training prepared the vocabulary
    ids = {mark: tokenizer.convert_tokens_to_ids(mark) for mark in MARKS}
    recipe = recipes.pathfinder_prm()
    recipe.check_tokenizer(tokenizer)
    problems, steps = map(list, zip(*TRACES, strict=True))
    encoded = recipe.encode(tokenizer, problems, steps)
    sequences = encoded.sequences()
    space = encode(" ")
    for index, (problem, each) in enumerate(TRACES):
        expected = []
        for k, step in enumerate(each):
            said = "\n\n".join([*each[:k], f"Current Step: {step}"])
            first = f"{said} Math reasoning: <extra>, Consistency: <extra>"
            second = first.replace("<extra>", "<+>") + ", Correctness: <extra>"
            for content in (first, second):
                prompt = (
                    "You are a Math Teacher. Given a question and a student's solution, evaluate "
                    "the mathemetical correctness, logic consistency of the current step and "
                    "whether it will lead to the correct final solution\n\n Question: " + problem
                )
                system = "Please reason step by step, and put your final answer within \\boxed{}."
                text = chatml([("user", prompt), ("assistant", content)], system)
                tokens = with_marks(encode, ids, text)
                places = [at - 1 for at, token in enumerate(tokens) if token == ids["<extra>"]]
                assert {tokens[place] for place in places} == set(space), "the space before it"
                expected.append((tokens, places))
        found = [encoded.trace(i) for i in range(sequences[index], sequences[index + 1])]
        assert found == expected, problem


def test_universal_reads_the_eos_behind_every_prefix(loaded):
    tokenizer, encode = loaded("qwen2.5"), vocabularies.encoder("qwen2.5")
    eos = tokenizer.eos_token_id
    assert eos in (151643, 151645)
    recipe = recipes.universal_prm("score.weight")
    recipe.check_tokenizer(tokenizer)
    problems, steps = map(list, zip(*TRACES, strict=True))
    encoded = recipe.encode(tokenizer, problems, steps)
    sequences = encoded.sequences()
    for index, (problem, each) in enumerate(TRACES):
        question = (
            f"{problem}\n\n###\n\nThe reference answer is: There is no reference answer for this "
            "question."
        )
        query = chatml([("user", question)], "You are a helpful assistant.")
        expected = []
        for k in range(1, len(each) + 1):
            answer = encode("\n\n".join(each[:k]) + "\n\n")
            tokens = [*encode(query + "<|im_start|>assistant\n"), *answer, eos]
            expected.append((tokens, [len(tokens) - 1]))
        found = [encoded.trace(i) for i in range(sequences[index], sequences[index + 1])]
        assert found == expected, problem
