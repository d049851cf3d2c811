"""Recipes over the vocabularies that they were published for, on tiny random models.

The tokens are compared with the authors' whole texts, encoded by the vocabulary's own library, and
the places with the authors' rule; the scores with a reading of the stock class in float64.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import vocabularies
from vocabularies import Encoder

import stepscore
from stepscore.recipes import Recipe, math_shepherd, qwen_math_prm, skywork_o1_prm, trl_prm

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

Traces = list[tuple[str, list[str]]]
# Token ids, and the places at which the steps are read.
LaidOut = tuple[list[int], list[int]]
HIDDEN = 32

# Merges over full stops and newlines, byte fallback, runs of spaces, decomposed letters.
TRACES: Traces = [
    ("What is 3 + 4?", ["3 + 4 = 7.", "So the answer is 7."]),
    ("Ends in a full stop and newlines.\n\n", ["a.", "b:", "c!", "d)"]),
    ("  two spaces, \t a tab", ["x  =   5", "\\frac{1}{2}$", "- 5 + 3", "['a']"]),
    ("¿Qué? 日本 𝄞 👩‍👩‍👧", ["cafe\u0301 é", "年𝄞.", "ｱ İ ﬁ", "\u200bzero\u00a0width"]),
    ("руки и ноги", ["руки", "сутки.", "и"]),
    ("<0x0A> is text, and so is ▁", ["<extra_1>", "<|im", "_end|>", "▁x▁"]),
    ("", ["7", "1234567890", "+", "-"]),
    ("Code:\n    if x:\n        y\n", ["for i in range(3):\n    print(i)", "\ty"]),
]


def qwen(encode: Encoder, problem: str, steps: Sequence[str]) -> LaidOut:
    ids = encode(
        "<|im_start|>system\n"
        "Please reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n"
        f"<|im_start|>user\n{problem}<|im_end|>\n"
        "<|im_start|>assistant\n" + "<extra_0>".join(steps) + "<extra_0><|im_end|>\n"
    )
    return ids, [place for place, token in enumerate(ids) if token == 151651]


def shepherd(encode: Encoder, problem: str, steps: Sequence[str]) -> LaidOut:
    lines = [f"Step {k}: {step.strip()} ки" for k, step in enumerate(steps, 1)]
    ids = [1, *encode(f"{problem} " + "\n".join(lines))]
    return ids, [place for place, token in enumerate(ids) if token == 12902]


def skywork(encode: Encoder, problem: str, steps: Sequence[str]) -> LaidOut:
    ids, ends = encode(f"<|endoftext|>{problem}\n"), []
    for step in steps:
        ids = [*ids, *encode(step), 198]
        ends.append(len(ids) - 1)
    return ids, ends


def trl(
    encode: Encoder, problem: str, steps: Sequence[str], *, bos: Sequence[int], separator: str
) -> LaidOut:
    ids, ends = [*bos, *encode(problem)], []
    for step in steps:
        ids = [*ids, *encode(step), *encode(separator)]
        ends.append(len(ids) - 1)
    return ids, ends


def sigmoid(outputs: torch.Tensor) -> torch.Tensor:
    return outputs[:, 0].sigmoid()


def softmax(outputs: torch.Tensor, *, good: int) -> torch.Tensor:
    return outputs.softmax(-1)[:, good]


def words(outputs: torch.Tensor) -> torch.Tensor:
    pair = outputs.log_softmax(-1)[:, [648, 387]].exp()  # of the whole vocabulary
    return pair[:, 0] / pair.sum(-1)


@dataclass(frozen=True)
class Case:
    """A recipe over a vocabulary.

    Attributes:
        recipe: as its entry in the catalog makes it.
        vocabulary: its name.
        lay_out: encoder, problem, steps -> tokens and places, as the authors write them.
        architecture: what config.json names, ``config`` its class.
        rows: of the embedding, as the published models have.
        head: its modules in the checkpoint, and the outputs of each.
        score: outputs of the head at the places -> scores.
        bos: what the checkpoint's tokenizer names, where Qwen's own file names none.
        line_breaks: whether a step may hold the newline.
    """

    recipe: Recipe
    vocabulary: str
    lay_out: Callable[[Encoder, str, Sequence[str]], LaidOut]
    architecture: str
    config: str
    rows: int
    head: tuple[tuple[str, int], ...]
    score: Callable[[torch.Tensor], torch.Tensor]
    bos: str | None = None
    line_breaks: bool = True


_QWEN = {"vocabulary": "qwen2.5", "config": "Qwen2Config", "rows": 152064}
_LLAMA = {"vocabulary": "llama-3", "config": "LlamaConfig", "rows": 128256}
_MISTRAL = {"vocabulary": "mistral", "config": "MistralConfig", "rows": 32000}
_TRL = {"head": (("score", 2),), "score": partial(softmax, good=1)}
CASES = {
    "qwen2.5-math-prm": Case(
        recipe=qwen_math_prm(),
        lay_out=qwen,
        architecture="Qwen2ForProcessRewardModel",
        head=(("score.0", HIDDEN), ("score.2", 2)),
        score=partial(softmax, good=1),
        **_QWEN,
    ),
    "math-shepherd": Case(
        recipe=math_shepherd(),
        lay_out=shepherd,
        architecture="MistralForCausalLM",
        head=(("lm_head", 32000),),
        score=words,
        **_MISTRAL,
    ),
    "skywork-o1-prm": Case(
        recipe=skywork_o1_prm(),
        lay_out=skywork,
        architecture="Qwen2ForPrmModel",
        head=(("v_head.summary", 1),),
        score=sigmoid,
        bos="<|endoftext|>",
        line_breaks=False,
        **_QWEN,
    ),
    "trl-prm on Qwen": Case(
        recipe=trl_prm(),
        lay_out=partial(trl, bos=(), separator="\n"),
        architecture="Qwen2ForTokenClassification",
        **_QWEN,
        **_TRL,
    ),
    "trl-prm on Qwen, blank line": Case(
        recipe=trl_prm("\n\n"),
        lay_out=partial(trl, bos=(), separator="\n\n"),
        architecture="Qwen2ForTokenClassification",
        **_QWEN,
        **_TRL,
    ),
    "trl-prm on Llama": Case(
        recipe=trl_prm(),
        lay_out=partial(trl, bos=(128000,), separator="\n"),
        architecture="LlamaForTokenClassification",
        **_LLAMA,
        **_TRL,
    ),
    # Every part has its own space in front, the separator too.
    "trl-prm on Mistral": Case(
        recipe=trl_prm(),
        lay_out=partial(trl, bos=(1,), separator="\n"),
        architecture="MistralForTokenClassification",
        **_MISTRAL,
        **_TRL,
    ),
}
# What the tokenizer_config.json of published checkpoints says beside a tokenizer.json: classes of
# transformers that build other pipelines, which must change no token.
PUBLISHED_SETTINGS = {
    "mistral": {
        "tokenizer_class": "LlamaTokenizer",
        "legacy": False,
        "add_bos_token": True,
        "add_eos_token": False,
        "add_prefix_space": False,
        "use_default_system_prompt": False,
    },
    "qwen2.5": {
        "tokenizer_class": "Qwen2Tokenizer",
        "add_bos_token": False,
        "add_prefix_space": False,
        "errors": "replace",
        "split_special_tokens": False,
    },
    "llama-3": {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": True,
    },
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def traces_of(case: Case) -> Traces:
    return [
        (problem, [step.replace("\n", " ") for step in steps] if not case.line_breaks else steps)
        for problem, steps in TRACES
    ]


def check_tokens(
    case: Case, tokenizer: transformers.PreTrainedTokenizerFast, traces: Traces
) -> None:
    encode = vocabularies.encoder(case.vocabulary)
    encoded = case.recipe.encode(tokenizer, *map(list, zip(*traces, strict=True)))
    for index, (problem, steps) in enumerate(traces):
        assert encoded.trace(index) == case.lay_out(encode, problem, steps), problem
        assert len(encoded.trace(index)[1]) == len(steps)


@each_case
def test_the_tokens_are_those_of_the_published_text(case, loaded):
    tokenizer = loaded(case.vocabulary, case.bos)
    case.recipe.check_tokenizer(tokenizer)
    check_tokens(case, tokenizer, traces_of(case))


@each_case
def test_so_they_are_for_real_solutions(case, loaded, gsm8k):
    check_tokens(case, loaded(case.vocabulary, case.bos), gsm8k)


@torch.no_grad()
def write_checkpoint(case: Case, folder: Path) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Write a tiny checkpoint, and give its body and its head in float64."""
    from safetensors.torch import save_file

    shutil.copytree(vocabularies.folder(case.vocabulary), folder)
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text()) | PUBLISHED_SETTINGS[case.vocabulary]
    if case.bos is not None:
        settings["bos_token"] = case.bos
    path.write_text(json.dumps(settings))
    torch.manual_seed(0)
    config = getattr(transformers, case.config)(
        vocab_size=case.rows,
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        initializer_range=0.15,
        tie_word_embeddings=False,
    )
    body = transformers.AutoModel.from_config(config).eval()
    with_bias = case.head[0][0] != "lm_head"
    layers = [torch.nn.Linear(HIDDEN, outputs, bias=with_bias) for _, outputs in case.head]
    tensors = {f"model.{key}": tensor for key, tensor in body.state_dict().items()}
    for (name, _), layer in zip(case.head, layers, strict=True):
        tensors |= {f"{name}.{key}": tensor for key, tensor in layer.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    entry = {**config.to_dict(), "architectures": [case.architecture]}
    entry["stepscore"] = case.recipe.as_config()
    (folder / "config.json").write_text(json.dumps(entry))
    between = [layer for linear in layers for layer in (torch.nn.ReLU(), linear)][1:]
    return body.double(), torch.nn.Sequential(*between).double()


@each_case
@torch.no_grad()
def test_the_scores_are_those_of_the_stock_class(case, loaded, tmp_path):
    loaded(case.vocabulary)
    folder = tmp_path / "prm"
    body, head = write_checkpoint(case, folder)
    encode = vocabularies.encoder(case.vocabulary)
    traces = traces_of(case)
    expected = []
    for problem, steps in traces:
        ids, places = case.lay_out(encode, problem, steps)
        hidden = body(torch.tensor([ids])).last_hidden_state[0, places]
        expected.append(case.score(head(hidden)).numpy())
    prm = stepscore.load(folder)
    scores = prm.score(*map(list, zip(*traces, strict=True)))
    np.testing.assert_allclose(scores.values, np.concatenate(expected), rtol=0, atol=1e-5)
    assert np.std(scores.values) > 0.01, "else this test shows nothing"
    # Step by step: the tokens of a step do not depend on what follows it.
    session = prm.session([problem for problem, _ in traces])
    for root, (_, steps), known in zip(session.roots, traces, expected, strict=True):
        node, grown = root, []
        for step in steps:
            branches = session.extend(node, [step])
            [node] = branches.nodes
            grown += branches.scores.values.tolist()
        np.testing.assert_allclose(grown, known, rtol=0, atol=1e-5)
