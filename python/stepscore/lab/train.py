"""Train the lab's policy and PRM: ``python -m stepscore.lab.train --seed 0 --out DIR``.

Three stages. The policy learns solutions that hold the planted misconception. The PRM starts from
the policy's backbone and learns to tell right steps from wrong ones, on samples of the policy at
several temperatures and on written mistakes of many kinds. Then, twice, the PRM looks for what
still fools it, and is trained on that: among many new samples, the wrong ones that it likes best
and the right ones that it likes least.

Training needs torch 2.9 or later, for Muon.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import torch
from torch.nn import functional
from transformers import PreTrainedModel, Qwen2Config, Qwen2ForCausalLM, Qwen2ForTokenClassification

from stepscore.hub import silenced_hub
from stepscore.lab.fit import fit
from stepscore.lab.mistakes import misconceived_steps
from stepscore.lab.policy import LabPolicy
from stepscore.lab.prm import IGNORED, RIGHT, from_policy, pad
from stepscore.lab.recipe import Recipe
from stepscore.lab.rows import Row, mined_rows, right_share, sampled_rows, written_rows
from stepscore.lab.tasks import generate, join_steps
from stepscore.lab.tokenizer import EOS_ID, PAD_ID, VOCABULARY, build_tokenizer, encode

Item = TypeVar("Item")
Report = Callable[[str], None]


def train(
    recipe: Recipe, *, seed: int, report: Report = print
) -> tuple[Qwen2ForCausalLM, Qwen2ForTokenClassification]:
    """Train a policy and its PRM. The same seed on the same machine gives the same weights."""
    policy = train_policy(recipe, seed=seed, report=report)
    prm = train_prm(recipe, policy, seed=seed, report=report)
    return policy, prm


def train_policy(recipe: Recipe, *, seed: int, report: Report = print) -> Qwen2ForCausalLM:
    """Train the policy on solutions that hold the misconception; problems are only read."""
    torch.manual_seed(seed)
    rng = random.Random(f"policy/{seed}")
    problems = generate(recipe.policy_problems, seed=4 * seed, split="train")
    prompts = [encode(problem) for problem in problems]
    rows = []
    for problem, prompt in zip(problems, prompts, strict=True):
        steps = misconceived_steps(problem, recipe.misconception, rng)
        rows.append([*prompt, *encode(join_steps(steps)), EOS_ID])
    report(f"policy: {len(rows)} solutions")
    model = Qwen2ForCausalLM(_config(recipe))
    prompt_length = min(len(prompt) for prompt in prompts)

    def loss_of(batch: list[list[int]]) -> torch.Tensor:
        ids = pad(batch)
        hidden = model.model(input_ids=ids[:, :-1]).last_hidden_state[:, prompt_length - 1 :]
        target = ids[:, prompt_length:]
        kept = target != PAD_ID
        return functional.cross_entropy(model.lm_head(hidden[kept]), target[kept])

    fit(
        model,
        loss_of,
        _shuffled(rows, recipe.policy_batch, rng, len),
        steps=recipe.policy_steps,
        rate=recipe.policy_rate,
        final_share=recipe.final_share,
        warmup=recipe.warmup,
        title="policy",
        report=report,
    )
    return model


def train_prm(
    recipe: Recipe, policy: Qwen2ForCausalLM, *, seed: int, report: Report = print
) -> Qwen2ForTokenClassification:
    """Train the PRM in rounds, each but the first with what fooled the round before."""
    torch.manual_seed(seed)
    rng = random.Random(f"prm/{seed}")
    rows = first_rows(recipe, policy, seed=seed, rng=rng, report=report)
    model = from_policy(policy, more_layers=recipe.prm_more_layers)
    _fit_prm(
        model,
        rows,
        recipe,
        title="PRM, first round",
        steps=recipe.first_steps,
        rate=recipe.prm_rate,
        final_share=recipe.first_final_share,
        rng=rng,
        report=report,
    )
    for number in range(recipe.mined_rounds):
        mined_round(recipe, policy, model, rows, seed=seed, number=number, report=report)
    return model


def first_rows(
    recipe: Recipe, policy: Qwen2ForCausalLM, *, seed: int, rng: random.Random, report: Report
) -> list[Row]:
    """Write solutions and sample others, without repeats: the data of the PRM's first round."""
    rows = written_rows(recipe, seed, rng)
    report(f"PRM: {len(rows)} written solutions")
    rows |= sampled_rows(recipe, LabPolicy(policy), seed)
    report(f"PRM: {len(rows)} solutions with samples, {right_share(rows):.0%} of the steps right")
    return list(rows.values())


def mined_round(
    recipe: Recipe,
    policy: Qwen2ForCausalLM,
    model: Qwen2ForTokenClassification,
    rows: list[Row],
    *,
    seed: int,
    number: int,
    report: Report,
) -> None:
    """Look for what fools the PRM and train on that, together with a part of the first rows."""
    rng = random.Random(f"prm/{seed}/{number}")
    mined = mined_rows(recipe, LabPolicy(policy), model, seed, number)
    report(f"PRM: {len(mined)} mined solutions, {right_share(mined):.0%} of the steps right")
    again = rng.sample(rows, min(recipe.mined_again, len(rows)))
    _fit_prm(
        model,
        list(mined.values()) * recipe.mined_times + again,
        recipe,
        title=f"PRM, mined round {number + 1}",
        steps=recipe.mined_steps,
        rate=recipe.prm_rate * recipe.first_final_share,
        final_share=recipe.final_share,
        rng=rng,
        report=report,
    )


def _fit_prm(
    model: Qwen2ForTokenClassification,
    rows: Sequence[Row],
    recipe: Recipe,
    *,
    title: str,
    steps: int,
    rate: float,
    final_share: float,
    rng: random.Random,
    report: Report,
) -> None:
    def loss_of(batch: list[Row]) -> torch.Tensor:
        ids = pad([row.layout.ids for row in batch])
        labels = pad([row.token_labels for row in batch], IGNORED)
        hidden = model.model(input_ids=ids).last_hidden_state
        read = labels != IGNORED
        judged = functional.cross_entropy(model.score(hidden[read]), labels[read])
        right = labels[:, 1:] == RIGHT
        logits = functional.linear(hidden[:, :-1][right], model.model.embed_tokens.weight)
        return judged + recipe.prm_language * functional.cross_entropy(logits, ids[:, 1:][right])

    fit(
        model,
        loss_of,
        _shuffled(rows, recipe.prm_batch, rng, lambda row: len(row.layout.ids)),
        steps=steps,
        rate=rate,
        final_share=final_share,
        warmup=recipe.warmup,
        title=title,
        report=report,
    )


def save(
    directory: Path, policy: PreTrainedModel, prm: PreTrainedModel, about: dict[str, object]
) -> None:
    """Write ``policy/``, ``prm/`` and ``training.json``, each whole or not at all.

    What stood there is replaced only once its successor is complete.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer()
    for name, model in (("policy", policy), ("prm", prm)):
        fresh = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=directory))
        fresh.chmod(0o755)
        with silenced_hub():
            model.save_pretrained(fresh)
        tokenizer.save_pretrained(fresh)
        for path in fresh.iterdir():
            path.chmod(0o644)
        final = directory / name
        if final.exists():
            retired = Path(tempfile.mkdtemp(prefix=f".{name}-old-", dir=directory))
            final.rename(retired / name)
            fresh.rename(final)
            shutil.rmtree(retired)
        else:
            fresh.rename(final)
    part = directory / ".training.json"
    part.write_text(json.dumps(about, indent=2) + "\n")
    os.replace(part, directory / "training.json")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m stepscore.lab.train", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    parser.add_argument("--out", type=Path, required=True, help="folder for policy/ and prm/")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    recipe = Recipe()
    started = time.monotonic()
    policy, prm = train(recipe, seed=options.seed, report=lambda line: print(line, flush=True))
    seconds = round(time.monotonic() - started)
    about = {
        "seed": options.seed,
        "threads": options.threads,
        "seconds": seconds,
        "torch": torch.__version__,
        "recipe": asdict(recipe),
    }
    save(options.out, policy, prm, about)
    print(f"written to {options.out} after {seconds} s")


def _config(recipe: Recipe) -> Qwen2Config:
    return Qwen2Config(
        vocab_size=len(VOCABULARY),
        hidden_size=recipe.width,
        intermediate_size=recipe.feed_forward,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        pad_token_id=PAD_ID,
        eos_token_id=EOS_ID,
        bos_token_id=None,
        use_sliding_window=False,
    )


def _shuffled(
    data: Sequence[Item], size: int, rng: random.Random, length: Callable[[Item], int]
) -> Iterator[list[Item]]:
    """Yield batches for ever, each row once before any comes again.

    Rows of a batch have similar lengths, so that little is padded; batches come in random order.
    """
    order = list(range(len(data)))
    while True:
        rng.shuffle(order)
        for start in range(0, len(order), 16 * size):
            group = sorted(order[start : start + 16 * size], key=lambda at: length(data[at]))
            batches = [group[at : at + size] for at in range(0, len(group), size)]
            rng.shuffle(batches)
            for batch in batches:
                yield [data[index] for index in batch]


if __name__ == "__main__":
    main()
