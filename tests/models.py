"""Tiny random PRMs of the real Hugging Face classes, with tokenizers trained here.

Every builder writes a checkpoint folder and returns the float64 model that the test reads on its
own: the full logits or the full head, one candidate at a time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModel,
    LlamaConfig,
    LlamaForTokenClassification,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForTokenClassification,
    Qwen2Model,
)

HIDDEN = 48
POSITIONS = 512
VOCABULARY = 701  # more rows than the tokenizers have entries, as published checkpoints have

# The splitting pattern of Qwen2.5: a full stop takes the newlines behind it into its own piece.
_QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CORPUS = [
    "Step 1: We add 3 and 4.\nStep 2: The sum is 7.\n\nSo the answer is 7.\n",
    "How many eggs does a duck lay per day? She sells 16 - 3 - 4 = 9 eggs.\n\n",
    "Please reason step by step, and put your final answer within \\boxed{}.\n",
    "Half of 10 + 6 is 8, and 8 - 5 is 3.\nThe value is x = 12.\n\nTherefore, the total is 12.\n",
] * 8


PROBLEMS = [
    "How many eggs does she sell per day?",
    "What is half of 10 + 6?",
    "Find the value of x if x - 5 = 7. The answer is a number.",
]
STEPS = [
    "We add 3 and 4.",
    "The sum is 7.",
    "So the answer is 7",
    "She sells 16 - 3 - 4 = 9 eggs. That is 9 eggs per day, because a duck lays eggs.",
    "Therefore, the total is 12.",
]


@cache
def byte_level_tokenizer(bos: str | None = None) -> PreTrainedTokenizerFast:
    """Build a tokenizer like that of Qwen2.5, in which ``.`` and newlines merge."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        _CORPUS,
        trainers.BpeTrainer(
            vocab_size=500,
            special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<extra_0>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    assert len(tokenizer.encode("7.\n").ids) == 2, "the full stop and its newline must merge"
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|endoftext|>", bos_token=bos
    )


@cache
def word_piece_tokenizer() -> PreTrainedTokenizerFast:
    """Build a tokenizer like that of Mistral: a BOS, spaces as ``▁``, the tag ``ки`` one token."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("\n", behavior="isolated"),
            pre_tokenizers.Metaspace(prepend_scheme="first", split=True),
        ]
    )
    tokenizer.decoder = decoders.Metaspace()
    tagged = [text.replace(".", ". ки ки + -") for text in _CORPUS]
    tokenizer.train_from_iterator(
        tagged,
        trainers.BpeTrainer(
            vocab_size=400, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False
        ),
    )
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


@dataclass(frozen=True)
class TinyPrm:
    """A checkpoint folder, and the test's own way to its scores."""

    folder: Path
    recipe: str
    tokenizer: PreTrainedTokenizerFast
    read: Callable[[str, Sequence[str]], list[float]]  # problem, steps -> scores, in float64


def enc(tokenizer: PreTrainedTokenizerFast, text: str, *, special: bool = False) -> list[int]:
    """Encode with the tokenizers library alone."""
    return tokenizer.backend_tokenizer.encode(text, add_special_tokens=special).ids


def write_checkpoint(
    folder: Path,
    tokenizer: PreTrainedTokenizerFast,
    tensors: dict[str, torch.Tensor],
    config: dict[str, object],
    shards: int = 1,
) -> None:
    """Write a checkpoint as its author would have: config, tokenizer, safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {key: tensor.float().contiguous() for key, tensor in tensors.items()}
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    weight_map = {}
    for shard in range(shards):
        name = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = dict(list(tensors.items())[shard::shards])
        save_file(part, folder / name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, name)
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    """Read a one-file checkpoint back."""
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def _sizes(**more: object) -> dict[str, object]:
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": POSITIONS,
        "initializer_range": 0.15,
        "tie_word_embeddings": False,
        **more,
    }


def _with_prefix(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + key: tensor for key, tensor in tensors.items()}


@torch.no_grad()
def qwen_prm(folder: Path, *, shards: int = 1, seed: int = 0) -> TinyPrm:
    """Qwen2 with the two-layer head of Qwen2.5-Math-PRM, remote code named in its config."""
    torch.manual_seed(seed)
    tokenizer = byte_level_tokenizer()
    config = Qwen2Config(**_sizes())
    body = Qwen2Model(config).double().eval()
    head = torch.nn.Sequential(
        torch.nn.Linear(HIDDEN, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 2)
    ).double()
    entry = {
        **config.to_dict(),
        "architectures": ["Qwen2ForProcessRewardModel"],
        "auto_map": {
            "AutoConfig": "configuration_qwen2_rm.Qwen2RMConfig",
            "AutoModel": "modeling_qwen2_rm.Qwen2ForProcessRewardModel",
        },
    }
    tensors = _with_prefix(body.state_dict(), "model.") | _with_prefix(head.state_dict(), "score.")
    # The published checkpoints also carry the matrix that the PRM does not use.
    tensors["lm_head.weight"] = torch.randn(VOCABULARY, HIDDEN)
    write_checkpoint(folder, tokenizer, tensors, entry, shards)

    @torch.no_grad()
    def read(problem: str, steps: Sequence[str]) -> list[float]:
        text = (
            "<|im_start|>system\nPlease reason step by step, and put your final answer within "
            r"\boxed{}." + f"<|im_end|>\n<|im_start|>user\n{problem}<|im_end|>\n"
            "<|im_start|>assistant\n" + "<extra_0>".join(steps) + "<extra_0><|im_end|>\n"
        )
        ids = torch.tensor([enc(tokenizer, text)])
        everywhere = head(body(ids).last_hidden_state)[0].softmax(-1)
        return everywhere[ids[0] == tokenizer.convert_tokens_to_ids("<extra_0>"), 1].tolist()

    return TinyPrm(folder, "qwen2.5-math-prm", tokenizer, read)


@torch.no_grad()
def shepherd_prm(folder: Path, *, shards: int = 1, tied: bool = False, seed: int = 1) -> TinyPrm:
    """Mistral as a causal language model."""
    torch.manual_seed(seed)
    tokenizer = word_piece_tokenizer()
    config = MistralConfig(**_sizes(tie_word_embeddings=tied, sliding_window=None))
    model = MistralForCausalLM(config).double().eval()
    entry = {**config.to_dict(), "architectures": ["MistralForCausalLM"]}
    tensors = dict(model.state_dict())
    if tied:
        del tensors["lm_head.weight"]
    write_checkpoint(folder, tokenizer, tensors, entry, shards)

    @torch.no_grad()
    def read(problem: str, steps: Sequence[str]) -> list[float]:
        lines = [
            f"{step} ки" if step.startswith("Step") else f"Step {k}: {step} ки"
            for k, step in enumerate(steps, 1)
        ]
        ids = torch.tensor([enc(tokenizer, f"{problem} " + "\n".join(lines), special=True)])
        whole = model(ids).logits[0].log_softmax(-1)  # over the whole vocabulary
        good, bad = enc(tokenizer, "+ -", special=True)[1:]
        pair = whole[:, [good, bad]].exp()
        share = pair[:, 0] / pair.sum(-1)
        return share[ids[0] == enc(tokenizer, "ки", special=True)[-1]].tolist()

    return TinyPrm(folder, "math-shepherd", tokenizer, read)


@torch.no_grad()
def skywork_prm(folder: Path, *, shards: int = 1, wrapped: bool = False, seed: int = 2) -> TinyPrm:
    """Qwen2 inside Skywork's wrapper, with its value head."""
    torch.manual_seed(seed)
    tokenizer = byte_level_tokenizer("<|endoftext|>")
    config = Qwen2Config(**_sizes())
    body = Qwen2Model(config).double().eval()
    head = torch.nn.Linear(HIDDEN, 1).double()
    entry = {**config.to_dict(), "architectures": ["Qwen2ForPrmModel"]}
    prefix = "pretrained_model." if wrapped else ""
    tensors = _with_prefix(body.state_dict(), f"{prefix}model.")
    tensors |= _with_prefix(head.state_dict(), "v_head.summary.")
    write_checkpoint(folder, tokenizer, tensors, entry, shards)

    @torch.no_grad()
    def read(problem: str, steps: Sequence[str]) -> list[float]:
        # The author's loop, over the lines of the whole response.
        newline = enc(tokenizer, "\n")[-1]
        ids = enc(tokenizer, "<|endoftext|>" + problem + "\n")
        scored = []
        for line in "\n".join(steps).split("\n"):
            if line != "":
                ids += enc(tokenizer, line)
            ids.append(newline)
            if line != "":
                scored.append(len(ids) - 1)
        values = head(body(torch.tensor([ids])).last_hidden_state)[0, :, 0].sigmoid()
        return values[scored].tolist()

    return TinyPrm(folder, "skywork-o1-prm", tokenizer, read)


@torch.no_grad()
def trl_prm(
    folder: Path, *, shards: int = 1, separator: str = "\n", llama: bool = False, seed: int = 3
) -> TinyPrm:
    """A token classifier with two labels, as TRL's trainer saves it; Llama brings a BOS."""
    torch.manual_seed(seed)
    tokenizer = word_piece_tokenizer() if llama else byte_level_tokenizer()
    make_config, make_model = (
        (LlamaConfig, LlamaForTokenClassification)
        if llama
        else (Qwen2Config, Qwen2ForTokenClassification)
    )
    config = make_config(**_sizes(num_labels=2))
    model = make_model(config).double().eval()
    torch.nn.init.normal_(model.score.bias)
    entry = {
        **config.to_dict(),
        "architectures": [make_model.__name__],
        "stepscore": {"recipe": "trl-prm", "separator": separator},
    }
    write_checkpoint(folder, tokenizer, dict(model.state_dict()), entry, shards)

    @torch.no_grad()
    def read(problem: str, steps: Sequence[str]) -> list[float]:
        ids = ([tokenizer.bos_token_id] if llama else []) + enc(tokenizer, problem)
        ends = []
        for step in steps:
            ids = ids + enc(tokenizer, step) + enc(tokenizer, separator)
            ends.append(len(ids) - 1)
        return model(torch.tensor([ids])).logits[0].softmax(-1)[ends, 1].tolist()

    return TinyPrm(folder, "trl-prm", tokenizer, read)


@torch.no_grad()
def classifier_prm(folder: Path, config: PretrainedConfig, *, seed: int = 4) -> TinyPrm:
    """Any backbone under a token classifier with two labels, in the layout of TRL."""
    torch.manual_seed(seed)
    tokenizer = byte_level_tokenizer()
    body = AutoModel.from_config(config).eval()
    head = torch.nn.Linear(HIDDEN, 2)
    entry = {
        **config.to_dict(),
        "architectures": [type(body).__name__.replace("Model", "ForTokenClassification")],
        "num_labels": 2,
        "stepscore": {"recipe": "trl-prm", "separator": "\n"},
    }
    tensors = _with_prefix(body.state_dict(), "model.") | _with_prefix(head.state_dict(), "score.")
    write_checkpoint(folder, tokenizer, tensors, entry)

    @torch.no_grad()
    def read(problem: str, steps: Sequence[str]) -> list[float]:
        ids = enc(tokenizer, problem)
        ends = []
        for step in steps:
            ids = ids + enc(tokenizer, step) + enc(tokenizer, "\n")
            ends.append(len(ids) - 1)
        hidden = body(input_ids=torch.tensor([ids])).last_hidden_state
        return head(hidden)[0].softmax(-1)[ends, 1].tolist()

    return TinyPrm(folder, "trl-prm", tokenizer, read)


def long_rope_prm(folder: Path, *, switch_length: int = 64) -> TinyPrm:
    """Phi3 with other rotary frequencies for a batch that is longer than ``switch_length``."""
    parts = HIDDEN // 4 // 2
    rotary = {
        "type": "longrope",
        "short_factor": [1.0] * parts,
        "long_factor": [1.0 + part for part in range(parts)],
    }
    config = Phi3Config(
        **_sizes(pad_token_id=0),
        rope_scaling=rotary,
        original_max_position_embeddings=switch_length,
    )
    return classifier_prm(folder, config)


BUILDERS: dict[str, Callable[[Path], TinyPrm]] = {
    "qwen": qwen_prm,
    "qwen-sharded": lambda folder: qwen_prm(folder, shards=3),
    "shepherd": shepherd_prm,
    "shepherd-sharded": lambda folder: shepherd_prm(folder, shards=2),
    "shepherd-tied": lambda folder: shepherd_prm(folder, tied=True),
    "skywork": skywork_prm,
    "skywork-wrapped": lambda folder: skywork_prm(folder, wrapped=True, shards=2),
    "trl": trl_prm,
    "trl-blank-line": lambda folder: trl_prm(folder, separator="\n\n"),
    "trl-llama": lambda folder: trl_prm(folder, llama=True),
}
