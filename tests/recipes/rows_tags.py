"""Rows of the recipes that are read at a tag, or at the end of a text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial

import models
import torch
from models import HIDDEN, VOCABULARY
from rows import LaidOut, Row, probability
from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers import models as tokenizer_models
from tokenizers.processors import TemplateProcessing
from transformers import LlamaConfig, MistralConfig, PreTrainedTokenizerFast, Qwen2Config

from stepscore import recipes

_CHAT = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<extra_0>", "[PRM]", "</step>"]
_LLAMA = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
_TEXTS = [
    "Step 1: We add 3 and 4. ки Step 2: The sum is 7. ки + - + -\nThe answer is 7.\nки\n",
    "So it is 7 \n\n\n\nand 8 \n\n\n\n\n Step 3: 16 - 3 = 13 \n\n\n\nStep \n\nand so on. и и ки\n",
]


@cache
def tag_tokenizer(bos: str | None = None) -> PreTrainedTokenizerFast:
    """Build a byte-level tokenizer whose tags are single tokens, with BOS in front or without."""
    tokenizer = Tokenizer(tokenizer_models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(models._QWEN_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=460,
        special_tokens=[*_CHAT, *_LLAMA, "<s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*models._CORPUS, *_TEXTS * 20], trainer)
    for tag in (" ки", "ки", "и", " \n\n\n\n", " \n\n\n\n\n", " +", " -"):
        assert len(tokenizer.encode(tag).ids) == 1, tag
    if bos is not None:
        tokenizer.post_processor = TemplateProcessing(
            single=f"{bos} $A",
            pair=f"{bos} $A $B",
            special_tokens=[(bos, tokenizer.token_to_id(bos))],
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=bos, eos_token="<|im_end|>"
    )


@cache
def padded_tokenizer(pad: str) -> PreTrainedTokenizerFast:
    """The word-piece tokenizer, with a padding token."""
    return PreTrainedTokenizerFast(
        tokenizer_object=models.word_piece_tokenizer().backend_tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token=pad,
    )


@cache
def minos_tokenizer() -> PreTrainedTokenizerFast:
    """Build one like that of Mistral, in which the tag of MATH-Minos is one token."""
    tokenizer = Tokenizer.from_str(models.word_piece_tokenizer().backend_tokenizer.to_str())
    tokenizer.model = tokenizer_models.BPE(byte_fallback=True, unk_token="<unk>")
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator([t.replace(".", ". и и + -") for t in models._CORPUS], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def numbered(steps: Sequence[str]) -> list[str]:
    """With "Step k: " in front of those that do not begin so."""
    numbers = {f"Step {n}" for n in range(10)}
    return [step if step[:6] in numbers else f"Step {k}: {step}" for k, step in enumerate(steps, 1)]


def at(ids: list[int], tag: int) -> LaidOut:
    return ids, [place for place, token in enumerate(ids) if token == tag]


def last_of(tokenizer: PreTrainedTokenizerFast, text: str) -> int:
    return models.enc(tokenizer, text)[-1]


def er(tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]) -> LaidOut:
    text = f"{problem} " + "".join(f"{step} ки\n" for step in numbered(steps))
    ids = models.enc(tokenizer, text.replace(" ки\n", " ки"), special=True)
    return at(ids, last_of(tokenizer, " ки"))


def psa(tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]) -> LaidOut:
    answer = " \n\n\n\n\n ".join(numbered(steps)) + " \n\n\n\n\n "
    return at(models.enc(tokenizer, f"{problem} {answer}"), last_of(tokenizer, " \n\n\n\n\n"))


def versa(tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]) -> LaidOut:
    text = f"{problem.strip()} \n\n" + "".join(f"{step.strip()} \n\n\n\n" for step in steps)
    return at(models.enc(tokenizer, text, special=True), last_of(tokenizer, " \n\n\n\n"))


def med(tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]) -> LaidOut:
    def turn(role: str, text: str) -> str:
        return f"<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>"

    system = (
        "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
        "You are an evaluator assessing the logicality and validity of the reasoning in each step "
        "of the given explanation. In order to support the evaluation, the question and the "
        "explanation are provided. If the reasoning contains errors, output - after that step. If "
        "the reasoning in a step is logical and valid, output + after that step."
    )
    solution = " ".join(f"{step} ки" for step in numbered(steps))
    rendered = "<|begin_of_text|>" + turn("system", system)
    rendered += turn("user", f"Question: {problem}\n\nExplanation: {solution}")
    rendered += "<|start_header_id|>assistant<|end_header_id|>\n\n"
    encoded = tokenizer.backend_tokenizer.encode(rendered, add_special_tokens=True)
    bos = tokenizer.bos_token_id
    assert encoded.ids[:2] == [bos, bos]
    # As the authors look for it: by the text that a token covers.
    spans = [rendered[begin:end] for begin, end in encoded.offsets]
    return encoded.ids, [place for place, text in enumerate(spans) if text == " ки"]


def words_score(
    tokenizer: PreTrainedTokenizerFast, logits: torch.Tensor, *, good: str, bad: str
) -> torch.Tensor:
    pair = logits.softmax(-1)[[last_of(tokenizer, good), last_of(tokenizer, bad)]]
    return pair[0] / pair.sum()


def q_values(tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]) -> LaidOut:
    own = [step[8:] if step[:5] == "Step " else step for step in steps]
    text = (
        "Below is an instruction that describes a task.\n"
        "Write a response that appropriately completes the request.\n\n"
        f"### Instruction:\n{problem}\n\n### Response: Let's think step by step\n"
    )
    text += "\n".join(f"Step {k}: {step} [PRM]" for k, step in enumerate(own, 1))
    return at(models.enc(tokenizer, text), tokenizer.convert_tokens_to_ids("[PRM]"))


def minos(tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]) -> LaidOut:
    text = f"Human: {problem}\n\nAssistant:" + "".join(f"{step} и\n" for step in numbered(steps))
    # The newline behind the last tag is not read.
    return at(models.enc(tokenizer, text.rstrip("\n"), special=True), last_of(tokenizer, "и"))


def pure(
    tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str], separator: str = "\n"
) -> LaidOut:
    ids, places = models.enc(tokenizer, problem), []
    for step in steps:
        ids = ids + models.enc(tokenizer, step) + models.enc(tokenizer, separator)
        places.append(len(ids) - 1)
    return ids, places


def reasoneval(
    tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str], *, size: str
) -> LaidOut:
    # The authors' loop: places are counted without the separators before them.
    pad = tokenizer.pad_token
    prompt = f"Question:\n{problem}\nAnswer:\nLet's think step by step.\n"
    text = prompt + pad + "".join(step + pad for step in steps)
    places, ids = [], []
    for token in models.enc(tokenizer, text, special=True):
        if token == tokenizer.pad_token_id:
            places.append(len(ids) - 1)
        else:
            ids.append(token)
    if size == "7B":
        return [tokenizer.bos_token_id, *ids], places[2:]
    return ids, places[1:]


def flux(tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]) -> LaidOut:
    text = f"<|im_start|>user\n{problem}<|im_end|>\n<|im_start|>assistant\n"
    text += "".join(f"{step}<extra_0>" for step in steps) + "<|im_end|>\n"
    return at(models.enc(tokenizer, text), tokenizer.convert_tokens_to_ids("<extra_0>"))


def outcome(
    tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str], *, check: str
) -> LaidOut:
    turns = [
        (
            "system",
            f"Please reason step by step, and {check} your final answer within \\boxed{{}}.",
        ),
        ("user", problem),
        ("assistant", "\n\n".join(steps)),
    ]
    text = "".join(f"<|im_start|>{role}\n{said}<|im_end|>\n" for role, said in turns)
    ids = models.enc(tokenizer, text)
    return ids, [len(ids) - 1]


def intern(tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]) -> LaidOut:
    turns = [("user", problem), ("assistant", "\n\n".join(steps))]
    text = "<s>" + "".join(f"<|im_start|>{role}\n{said}<|im_end|>\n" for role, said in turns)
    ids = [*models.enc(tokenizer, text), tokenizer.convert_tokens_to_ids("[UNUSED_TOKEN_130]")]
    return ids, [len(ids) - 1]


@cache
def reward_tokenizer() -> PreTrainedTokenizerFast:
    """With an entry for the reward, which no text is encoded as."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(tag_tokenizer().backend_tokenizer.to_str()),
        bos_token="<s>",
    )
    tokenizer.add_tokens(["[UNUSED_TOKEN_130]"])
    return tokenizer


def babelscape(tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]) -> LaidOut:
    text = f"Problem: {problem}\nSteps:\n" + "\n".join(f"{step}\nки" for step in numbered(steps))
    return at(models.enc(tokenizer, text, special=True), models.enc(tokenizer, "ки")[0])


def agents(tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]) -> LaidOut:
    ids = models.enc(tokenizer, problem + "".join(f"{step}</step>" for step in steps))
    return at(ids, tokenizer.convert_tokens_to_ids("</step>"))


def retrieval(
    tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]
) -> list[LaidOut]:
    head = f"<|im_start|>user\n{recipes.prompt_texts.PRORAG_BEFORE}{problem}\n<|im_end|>\n"
    head += "<|im_start|>assistant\n<think>\n</think>\n"
    every = []
    for k in range(1, len(steps) + 1):
        ids = models.enc(tokenizer, head + "".join(steps[:k]) + "<|im_end|>")
        every.append((ids, [len(ids) - 1]))
    return every


def skywork(tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]) -> LaidOut:
    ids, places = models.enc(tokenizer, f"<|endoftext|>{problem}\n"), []
    for step in steps:
        ids = [*ids, *models.enc(tokenizer, step), *models.enc(tokenizer, "\n")]
        places.append(len(ids) - 1)
    return ids, places


def value(_: PreTrainedTokenizerFast, logits: torch.Tensor) -> torch.Tensor:
    assert logits.shape == (1,)
    return logits[0]


_PLUS_MINUS = partial(words_score, good=" +", bad=" -")
_BLANK_LINES = {"a\nb\n\nc\n\n": ["a\nb", "c"], "": []}
_NUMBERED = {"Step 1: a ки\nStep 2: b": ["Step 1: a", "Step 2: b"], "a\n\nb\n": ["a", "b"]}
_WHOLE = {"a\n\nb \n": ["a\n\nb "], " \n": [], "a": ["a"]}
_LM = (("lm_head", VOCABULARY),)
_MLP = (("score.0", HIDDEN), ("score.2", 2))
_BOS = partial(tag_tokenizer, "<|begin_of_text|>")
_VERSA = {
    "tokenizer": _BOS,
    "lay_out": versa,
    "splits": {**_BLANK_LINES, "a \n\n\n\nb \n\n\n\n": ["a ", "b "]},
    "config": LlamaConfig,
    "architecture": "LlamaForCausalLM",
    "head": _LM,
    "score": partial(words_score, good="+", bad="-"),
    "detected": False,
}

ROWS = {
    "er-prm": Row(
        recipes.er_prm(),
        _BOS,
        er,
        {"Step 1: a ки\nStep 2: b": ["Step 1: a", "Step 2: b"], "a ки b ки": ["a", "b"]},
        LlamaConfig,
        "LlamaForCausalLM",
        _LM,
        _PLUS_MINUS,
        detected=False,
    ),
    "med-prm": Row(
        recipes.med_prm(),
        _BOS,
        med,
        _NUMBERED,
        LlamaConfig,
        "LlamaForCausalLM",
        _LM,
        _PLUS_MINUS,
        detected=False,
    ),
    "math-psa": Row(
        recipes.math_psa(),
        tag_tokenizer,
        psa,
        {**_BLANK_LINES, "Step 1: a \n\n\n\n\n Step 2: b": ["Step 1: a ", " Step 2: b"]},
        Qwen2Config,
        "Qwen2ForCausalLM",
        _LM,
        _PLUS_MINUS,
        detected=False,
    ),
    "versa-prm": Row(recipe=recipes.versa_prm(), **_VERSA),
    "multi-rm-dprm": Row(recipe=recipes.multi_rm_dprm(), **_VERSA),
    "multi-rm-dorm": Row(recipe=recipes.multi_rm_dorm(), **_VERSA),
    "pqm": Row(
        recipes.pqm(),
        tag_tokenizer,
        q_values,
        {"Step 1: a\nmore\nStep 2: b": ["Step 1: a\nmore", "Step 2: b"], "a[PRM]b": ["a", "b"]},
        LlamaConfig,
        "LlamaForCausalLM",
        (("v_head.summary", 1),),
        value,
        detected=False,
    ),
    "mathminos": Row(
        recipes.mathminos(),
        minos_tokenizer,
        minos,
        {"Step 1: a и\nStep 2: b": ["Step 1: a", "Step 2: b"], "или\nи": ["или"]},
        MistralConfig,
        "MistralForTokenClassification",
        (("score", 1),),
        value,
        detected=False,
    ),
    "pure-prm": Row(
        recipes.pure_prm(),
        tag_tokenizer,
        pure,
        {"a\n\nb\n": ["a", "b"]},
        Qwen2Config,
        "Qwen2ForProcessRewardModel",
        _MLP,
        lambda _, logits: logits.softmax(-1)[1] - logits.softmax(-1)[0],
        detected=False,
        takes_separator=True,
    ),
    "reasoneval-7b": Row(
        recipes.reasoneval_7b(),
        partial(padded_tokenizer, "<s>"),
        partial(reasoneval, size="7B"),
        {"1. a\n\n2. b\n": ["1. a", "2. b"]},
        MistralConfig,
        "ReasonEval_7B",
        (("score_head", 3),),
        lambda _, logits: logits.softmax(-1)[1:].sum(),
        detected=False,
        takes_separator=True,
    ),
    "reasoneval-34b": Row(
        recipes.reasoneval_34b(),
        partial(padded_tokenizer, "</s>"),
        partial(reasoneval, size="34B"),
        {"1. a\n\n2. b\n": ["1. a", "2. b"]},
        LlamaConfig,
        "ReasonEval_34B",
        (("score_head", 3),),
        lambda _, logits: logits.softmax(-1)[1:].sum(),
        detected=False,
        takes_separator=True,
    ),
    "reasonflux-prm-7b": Row(
        recipes.reasonflux_prm_7b(system=""),
        tag_tokenizer,
        flux,
        _BLANK_LINES,
        Qwen2Config,
        "Qwen2ForProcessRewardModel",
        _MLP,
        probability(2, 1),
        detected=False,
    ),
    "h4-trl-prm": Row(
        recipes.h4_trl_prm(),
        models.byte_level_tokenizer,
        partial(pure, separator="\n\n"),
        _BLANK_LINES,
        Qwen2Config,
        "Qwen2ForTokenClassification",
        (("score", 2),),
        probability(2, 1),
        detected=False,
        takes_separator=True,
    ),
    "qwen2.5-math-rm": Row(
        recipes.qwen_math_rm(),
        tag_tokenizer,
        partial(outcome, check="put"),
        _WHOLE,
        Qwen2Config,
        "Qwen2ForRewardModel",
        (("score.0", HIDDEN), ("score.2", 1)),
        value,
    ),
    "acemath-rm": Row(
        recipes.acemath_rm(),
        tag_tokenizer,
        partial(outcome, check="check"),
        _WHOLE,
        Qwen2Config,
        "Qwen2ForSequenceClassification",
        (("score", 1),),
        value,
        detected=False,
        bias=False,
    ),
    "internlm2-reward": Row(
        recipes.internlm2_reward(),
        reward_tokenizer,
        intern,
        _WHOLE,
        LlamaConfig,
        "InternLM2ForRewardModel",
        (("v_head", 1),),
        value,
        detected=False,
        bias=False,
    ),
    "babelscape-prm": Row(
        recipes.babelscape_prm("reward_head", "sigmoid"),
        _BOS,
        babelscape,
        _NUMBERED,
        LlamaConfig,
        "Anything",
        (("reward_head", 1),),
        lambda _, logits: logits[0].sigmoid(),
        detected=False,
    ),
    "masprm": Row(
        recipes.masprm(),
        tag_tokenizer,
        agents,
        {"a</step> b</step>": ["a", "b"]},
        Qwen2Config,
        "Qwen2ForTokenClassification",
        (("score", 1),),
        lambda _, logits: logits[0].tanh(),
        detected=False,
    ),
    "prorag-prm": Row(
        recipes.prorag_prm(),
        tag_tokenizer,
        retrieval,
        {"<step>a</step>\n<step>b</step>": ["<step>a</step>\n", "<step>b</step>"]},
        Qwen2Config,
        "Qwen2ForSequenceClassification",
        (("score", 1),),
        value,
        detected=False,
        bias=False,
    ),
    "beta-prm": Row(
        recipes.beta_prm("skywork-o1-prm", "beta_head"),
        partial(models.byte_level_tokenizer, "<|endoftext|>"),
        skywork,
        {"a\n\nb": ["a", "\nb"]},
        Qwen2Config,
        "Anything",
        (("beta_head", 2),),
        lambda _, logits: logits[0].sigmoid(),
        detected=False,
    ),
}
