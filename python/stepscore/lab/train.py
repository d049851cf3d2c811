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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch.nn import functional
from transformers import PreTrainedModel, Qwen2Config, Qwen2ForCausalLM, Qwen2ForTokenClassification

from stepscore.hub import silenced_hub
from stepscore.lab.fit import fit
from stepscore.lab.mistakes import flawed_steps, misconceived_steps
from stepscore.lab.policy import LabPolicy
from stepscore.lab.prm import IGNORED, RIGHT, Layout, from_policy, lay_out, pad, read_steps
from stepscore.lab.tasks import check_steps, generate, join_steps, split_steps, true_steps
from stepscore.lab.tokenizer import EOS_ID, PAD_ID, VOCABULARY, build_tokenizer, encode

LONGEST_ROW = 100

Item = TypeVar("Item")
Report = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """Every number of the training. The defaults gave the shipped weights."""

    misconception: float = 0.3  # how often a carry is forgotten in the policy's data

    width: int = 96
    layers: int = 3
    heads: int = 4
    feed_forward: int = 288

    policy_problems: int = 90_000
    policy_steps: int = 1_400
    policy_batch: int = 64
    policy_rate: float = 3e-3

    # (problems, samples of each, temperature) the PRM's first round is made from
    first_samples: tuple[tuple[int, int, float], ...] = (
        (4_000, 6, 1.0),
        (3_000, 4, 1.5),
        (2_000, 4, 2.0),
    )
    written_problems: int = 20_000  # a right, a misconceived and several flawed solutions of each
    written_flawed: int = 3
    mined_problems: int = 1_000
    mined_samples: int = 64
    mined_kept: int = 6  # wrong solutions that the PRM likes best, kept per problem
    mined_times: int = 2  # how often each mined solution stands in its round's data
    mined_again: int = 24_000  # rows of the first round that a mined round repeats

    prm_more_layers: int = 2
    prm_language: float = 1.0  # weight of predicting the next token of right text
    prm_batch: int = 64
    prm_rate: float = 2e-3
    first_steps: int = 1_000
    first_final_share: float = 0.4
    mined_rounds: int = 2
    mined_steps: int = 600

    warmup: int = 50
    final_share: float = 0.02


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


@dataclass(frozen=True)
class Row:
    """One training row of the PRM: a laid-out solution, a label per step and a label per token.

    A token's label says whether the text is right up to there: at a newline that is the step's
    own label. Steps alone are too few to learn from; only they are ever read.
    """

    layout: Layout
    labels: list[bool]
    token_labels: list[int]


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
    rows = _written_rows(recipe, seed, rng)
    report(f"PRM: {len(rows)} written solutions")
    rows |= _sampled_rows(recipe, LabPolicy(policy), seed)
    report(f"PRM: {len(rows)} solutions with samples, {_right_share(rows):.0%} of the steps right")
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
    mined = _mined_rows(recipe, LabPolicy(policy), model, seed, number)
    report(f"PRM: {len(mined)} mined solutions, {_right_share(mined):.0%} of the steps right")
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


def _written_rows(recipe: Recipe, seed: int, rng: random.Random) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for problem in generate(recipe.written_problems, seed=4 * seed + 1, split="train"):
        _add(rows, problem, true_steps(problem))
        _add(rows, problem, misconceived_steps(problem, recipe.misconception, rng))
        for _ in range(recipe.written_flawed):
            _add(rows, problem, flawed_steps(problem, rng))
    return rows


def _sampled_rows(recipe: Recipe, sampler: LabPolicy, seed: int) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    counts = [count for count, _, _ in recipe.first_samples]
    problems = generate(sum(counts), seed=4 * seed + 2, split="train")
    for count, n, temperature in recipe.first_samples:
        chosen, problems = problems[:count], problems[count:]
        solutions = sampler.sample(chosen, n, temperature=temperature, seed=seed)
        for problem, texts in zip(chosen, solutions, strict=True):
            for text in texts:
                _add(rows, problem, split_steps(text))
    return rows


def _mined_rows(
    recipe: Recipe,
    sampler: LabPolicy,
    model: Qwen2ForTokenClassification,
    seed: int,
    number: int,
) -> dict[str, Row]:
    """Keep, of many new samples, the wrong ones scored highest and the right ones scored lowest."""
    mined: dict[str, Row] = {}
    fresh = 4 * seed + 3 + 1_000_000 * number  # no round meets another's problems
    problems = generate(recipe.mined_problems, seed=fresh, split="train")
    samples = sampler.sample(problems, recipe.mined_samples, seed=seed)
    for problem, texts in zip(problems, samples, strict=True):
        rows: dict[str, Row] = {}
        for text in texts:
            _add(rows, problem, split_steps(text))
        scores = read_steps(model, [row.layout for row in rows.values()])
        ranked = sorted(zip(rows, scores, strict=True), key=lambda pair: -min(pair[1]))
        keys = [key for key, _ in ranked]
        wrong = [key for key in keys if not rows[key].labels[-1]][: recipe.mined_kept]
        right = [key for key in keys if rows[key].labels[-1]][-2:]
        mined |= {key: rows[key] for key in wrong + right}
    return mined


def _add(rows: dict[str, Row], problem: str, steps: Sequence[str]) -> None:
    """Add a solution once, unless it has no steps or is far longer than a right one."""
    layout = lay_out(problem, steps)
    if steps and len(layout.ids) <= LONGEST_ROW:
        labels = token_labels(problem, layout)
        rows[problem + join_steps(steps)] = Row(layout, check_steps(problem, steps), labels)


def token_labels(problem: str, layout: Layout) -> list[int]:
    """Label every token of a solution by whether the text up to it begins the true solution."""
    truth = lay_out(problem, true_steps(problem)).ids
    same = 0
    for token, right in zip(layout.ids, truth, strict=False):
        if token != right:
            break
        same += 1
    start = len(problem)
    return [IGNORED] * start + [int(at < same) for at in range(start, len(layout.ids))]


def _right_share(rows: dict[str, Row]) -> float:
    labels = [label for row in rows.values() for label in row.labels]
    return sum(labels) / len(labels)


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
