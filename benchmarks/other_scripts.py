"""What other scripts around PRMs do to scores and to the number of tokens, measured.

    STEPSCORE_DATA=../shared/data python benchmarks/other_scripts.py [--problems 100] [--traces 10]

Three kinds of figures, each of what its heading says and of nothing else:

- counts, over 100 problems of MATH with 8 real samples each (QwenLM/Qwen2.5-Math), in the published
  vocabularies: tokens, merged separators, scores without a step. They need no model.
- ties on the lab: a real PRM, of a miniature world.
- how far a reading moves when the layout is another one: of SmolLM2-135M-Instruct, a language model
  and no PRM, read by two words at the step ends. It says how much a layout matters to a reading of
  a real model, and not how much worse a PRM ranks.

A part whose data or packages are not there is left out by name.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

import stepscore
from stepscore import PrefixTrie, lab
from stepscore.recipes import Recipe, math_shepherd, qwen_math_prm, trl_prm

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests" / "real"))
import smollm2  # noqa: E402
import vocabularies  # noqa: E402

DATA = Path(os.environ.get("STEPSCORE_DATA", ROOT.parent / "shared" / "data"))
# The beginning of the policy's system prompt, which search-and-learn puts in front of the problem
# of Math-Shepherd: what is counted for it is the least.
_POLICY_PROMPT = (
    "Solve the following math problem efficiently and clearly:\n\n"
    "- For simple problems (2 steps or fewer):\nProvide a concise solution with minimal "
    "explanation.\n\n- For complex problems (3 steps or more):\nUse this step-by-step format:\n\n"
)

Samples = list[tuple[str, list[str]]]


def samples(problems: int) -> Samples:
    """Problems with their samples, each a text."""
    with open(DATA / "qwen_rm_maj" / "math_cot_100.jsonl", encoding="utf-8") as file:
        rows = [json.loads(line) for _, line in zip(range(problems), file, strict=False)]
    return [(row["question"], [text for text in row["code"] if text.strip()]) for row in rows]


def tokenizer_of(name: str) -> object:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(vocabularies.folder(name))


def say(what: str, figure: str) -> None:
    print(f"  {what:<78} {figure}")


# --- counts ---------------------------------------------------------------------------------


def counts(given: Samples) -> None:
    texts = [text for _, each in given for text in each]
    print(f"\ncounts: {len(given)} problems, {len(texts)} samples")
    if (reason := vocabularies.missing("qwen2.5")) is None:
        qwen_counts(given)
    else:
        print(f"  qwen2.5: {reason}")
    blank = sum(line.strip() == "" for text in texts for line in text.split("\n"))
    lines = sum(len(text.split("\n")) for text in texts)
    say("skywork: scores of the author's loop that belong to a blank line", share(blank, lines))
    if (reason := vocabularies.missing("mistral")) is None:
        shepherd_counts(given)
    else:
        print(f"  mistral: {reason}")


def share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} % ({part:,.0f} of {whole:,.0f})"


def qwen_counts(given: Samples) -> None:
    tokenizer = tokenizer_of("qwen2.5")
    for recipe in (trl_prm("\n"), trl_prm("\n\n")):
        steps = [step for _, texts in given for text in texts for step in recipe.split(text)]
        joint = tokenizer([step + recipe.separator for step in steps])["input_ids"]
        apart = tokenizer(steps)["input_ids"]
        end = tokenizer([recipe.separator])["input_ids"][0]
        merged = sum(a != [*b, *end] for a, b in zip(joint, apart, strict=True))
        say(
            f"trl, separator {recipe.separator!r}, encoded as one text: steps whose end merges",
            share(merged, len(steps)),
        )
    recipe = qwen_math_prm()
    whole, unique, growing = tokens_of(recipe, tokenizer, given)
    say("qwen: tokens forwarded, every candidate whole", f"{whole / unique:.2f} x the unique ones")
    say(
        "a forward per step over the growing prefix (as per-step loops do)",
        f"{growing / whole:.2f} x the tokens of whole traces",
    )


def tokens_of(recipe: Recipe, tokenizer: object, given: Samples) -> tuple[int, int, int]:
    """Tokens of all traces, the distinct ones, and those of a forward for each step."""
    whole = unique = growing = 0
    for problem, texts in given:
        steps = [recipe.split(text) for text in texts]
        encoded = recipe.encode(tokenizer, [problem] * len(steps), steps)
        trie = PrefixTrie(encoded.token_ids, encoded.offsets)
        whole += len(encoded.token_ids)
        unique += len(trie.token)
        starts = np.repeat(encoded.offsets[:-1], np.diff(encoded.step_offsets))
        growing += int((encoded.positions - starts + 1).sum())
    return whole, unique, growing


def shepherd_counts(given: Samples) -> None:
    tokenizer = tokenizer_of("mistral")
    recipe = math_shepherd()
    own, _, _ = tokens_of(recipe, tokenizer, given)
    more = len(tokenizer(_POLICY_PROMPT)["input_ids"]) * sum(len(texts) for _, texts in given)
    say(
        "search-and-learn, Math-Shepherd: tokens more for the policy's system prompt",
        share(more, own),
    )


# --- ties on the lab ------------------------------------------------------------------------


def ties(problems: int) -> None:
    import torch

    given = lab.generate(problems, seed=1, split="eval")
    texts = lab.load_policy().sample(given, 16, seed=0)
    scores = stepscore.load("lab").score(
        [problem for problem in given for _ in range(16)], [t for each in texts for t in each]
    )
    print(f"\nties: the lab's PRM, {problems} problems, 16 samples each")
    for name in ("float32", "float16", "bfloat16"):
        values = torch.from_numpy(scores.values).to(getattr(torch, name)).double().numpy()
        one = float((values == 1).mean())
        say(f"{name}: step scores that are exactly 1", f"{100 * one:.1f} %")
        best = stepscore.aggregate(values, scores.offsets, "min").reshape(problems, 16)
        tied = 0
        for row, each in zip(best, texts, strict=True):
            # Samples that are equal tie in any number format.
            at_top = {text.strip() for text, top in zip(each, row == row.max(), strict=True) if top}
            tied += len(at_top) > 1
        what = "problems whose best of 16, by min, ties with another text"
        say(f"{name}: {what}", share(tied, problems))


# --- how far a reading moves ----------------------------------------------------------------


def moves(given: Samples, count: int) -> None:
    """Read the same steps of the same texts in the layout of the training and in another one."""
    if (reason := smollm2.missing()) is not None:
        print(f"\nmoves: {reason}")
        return
    import torch
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(smollm2.folder())
    model = AutoModelForCausalLM.from_pretrained(smollm2.folder(), dtype=torch.float32).eval()
    good, bad = (tokenizer(word)["input_ids"][0] for word in (" correct", " wrong"))

    @torch.inference_mode()
    def read(ids: Sequence[int], positions: Sequence[int]) -> np.ndarray:
        hidden = model.model(input_ids=torch.tensor([list(ids)])).last_hidden_state[0, positions]
        pair = hidden @ model.lm_head.weight[[good, bad]].T
        return pair.double().softmax(-1)[:, 0].numpy()

    texts = [(problem, each) for problem, all_texts in given for each in all_texts[:2]][:count]
    print(f"\nmoves: {smollm2.NAME}, no PRM, read by two words; {len(texts)} traces")
    recipe = trl_prm("\n\n")
    traces = [(p, recipe.split(t)) for p, t in texts]
    plain = [recipe.encode(tokenizer, [p], [s]).trace(0) for p, s in traces]
    before = np.concatenate([read(*trace) for trace in plain])
    for what, change in other_layouts(tokenizer).items():
        changed = [change(problem, steps) for problem, steps in traces]
        apart = np.abs(np.concatenate([read(*trace) for trace in changed]) - before)
        tokens = sum(len(ids) for ids, _ in changed) / sum(len(ids) for ids, _ in plain)
        say(
            what, f"{apart.mean():.3f} on average, {apart.max():.3f} at most; {tokens:.2f} x tokens"
        )


LaidOut = tuple[list[int], list[int]]


def other_layouts(tokenizer: object) -> dict[str, Callable[[str, list[str]], LaidOut]]:
    def ids_of(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    def parts(problem: str, steps: Iterable[str], end: str = "\n\n", front: str = "") -> LaidOut:
        ids, ends = ids_of(front + problem), []
        for step in steps:
            ids += [*ids_of(step), *ids_of(end)]
            ends.append(len(ids) - 1)
        return ids, ends

    def joint(problem: str, steps: list[str]) -> LaidOut:
        text, ends = problem, []
        for step in steps:
            text += step + "\n\n"
            ends.append(len(text))
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        bounds = [end for _, end in encoded["offset_mapping"]]
        return encoded["input_ids"], [int(np.searchsorted(bounds, end)) for end in ends]

    def early(problem: str, steps: list[str]) -> LaidOut:
        ids, ends = parts(problem, steps)
        return ids, [end - 1 for end in ends]

    def behind_problem(problem: str, steps: list[str]) -> LaidOut:
        return parts(f"{problem}\n\n", steps)

    return {
        "encoded as one text (TRL's pipeline example)": joint,
        "a separator behind the problem (the same example)": behind_problem,
        "the policy's system prompt in front (search-and-learn)": lambda p, s: parts(
            p, s, front=_POLICY_PROMPT
        ),
        "steps end in '\\n' instead of '\\n\\n' (TRL's default, H4's models)": lambda p, s: parts(
            p, s, end="\n"
        ),
        "'Step k: ' in front of steps (VersaPRM's adapter)": lambda p, s: parts(
            p, [f"Step {k}: {step}" for k, step in enumerate(s, 1)]
        ),
        "read one token early": early,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--traces", type=int, default=10)
    parser.add_argument("--part", choices=("ties", "counts", "moves"), help="one of them alone")
    chosen = parser.parse_args()
    parts = {chosen.part} if chosen.part else {"ties", "counts", "moves"}
    if "ties" in parts:
        ties(chosen.problems)
    if not DATA.is_dir():
        print(f"counts, moves: need the data folder; {DATA} does not exist")
        return
    given = samples(chosen.problems)
    if "counts" in parts:
        counts(given)
    if "moves" in parts:
        moves(given, chosen.traces)


if __name__ == "__main__":
    main()
