"""Each unique token once: scoring that shares prefixes, against the ways that forward them again.

Random models of real classes score candidates of one problem in the layout of Math-Shepherd, from
texts, a word per token:

    candidates    50M parameters, a problem of 200 tokens, 16 candidates of 120 to 360
    long-problem  the same model, a problem of 2,000 tokens, 16 candidates of 300
    kept          64 candidates of one problem: how often its keys and values are kept
    session       a beam of 16 grows to 20 steps of 30 tokens; every 4th time the best 4 fork 4 ways
    device        with --device cuda: 1.5B parameters of a Qwen2 in bfloat16, a problem of 512
                  tokens, 64 candidates of 512; and its session

The ways, each with the model's own code and weights:

    ours          ``prm.score``, with its defaults
    bare          the floor: the stock backbone alone (scaled_dot_product_attention, torch's linear
                  layers) over as many tokens as the traces have unique ones, random, in rows of one
                  length (the traces' mean), so without padding, repeats, tokenising or a head; the
                  number of rows in a batch is the fastest of several
    bare-packed   the same with our linear layers: what is left of the ratio is due to sharing
    padded        the stock backbone in batches of 8 candidates as they come, padded on the right,
                  with an attention mask, and the head at the step ends alone
    padded-logits the same, with every logit
    one-by-one    the model card's script: one candidate at a time, every logit

A ratio is the median of the rounds' ratios; the ways take turns in a round. Ratios to a bare way
are of tokens per second, because its rows need not come to exactly as many tokens. All scores are
compared with those of a model that shares nothing.

    python benchmarks/bench_forward.py [THREADS] [--only NAME] [--rounds N]
    python benchmarks/bench_forward.py --device cuda [--tiny]
    pytest benchmarks/bench_forward.py --benchmark-enable --benchmark-only
"""

from __future__ import annotations

import argparse
import atexit
import multiprocessing
import random
import resource
import shutil
import statistics
import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import transformers
from bench_end_to_end import build_tokenizer
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config
from transformers import PreTrainedTokenizerFast as FastTokenizer
from transformers.utils import logging

import stepscore
from stepscore.ragged import offsets_of
from stepscore.scoring import ProcessRewardModel
from stepscore.scoring.forward import prefix_cache
from stepscore.scoring.forward.key_values import Segment
from stepscore.scoring.forward.memory import token_bytes

ROUNDS = 5
PADDED_ROWS = 8
# Rows of a batch of the bare forward; a batch of more tokens than this is not tried on a CPU.
BARE_ROWS = (1, 2, 4, 8, 16, 32, 64)
BARE_TOKENS_ON_CPU = 8192
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 5e-2}

Scores = list[list[float]]


@dataclass(frozen=True)
class Model:
    """A random model: its configuration, number format and device."""

    config: Any
    dtype: torch.dtype = torch.float32
    device: str = "cpu"

    @cached_property
    def folder(self) -> Path:
        """Its checkpoint; the weights are drawn on the device."""
        folder = Path(tempfile.mkdtemp(prefix="stepscore-bench-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        torch.manual_seed(0)
        with torch.device(self.device):
            model = AutoModelForCausalLM.from_config(self.config).to(self.dtype)
        model.save_pretrained(folder)
        build_tokenizer(self.config.vocab_size).save_pretrained(folder)
        return folder

    def load(self, **options: Any) -> ProcessRewardModel:
        """Ours."""
        dtype = None if self.device == "cpu" and self.dtype == torch.float32 else self.dtype
        return stepscore.load(
            self.folder, recipe="math-shepherd", device=self.device, dtype=dtype, **options
        )


@dataclass(frozen=True)
class Task:
    """One problem with its candidates, each a list of steps, a word per token."""

    problem: str
    candidates: list[list[str]]


class Stock:
    """What model cards do with the stock model."""

    def __init__(self, model: Model) -> None:
        self.device = model.device
        self.tokenizer = FastTokenizer.from_pretrained(model.folder)
        self.tokenizer.pad_token = self.tokenizer.eos_token
        self.good_bad = self.tokenizer.encode("+ -")[1:]
        self.tag = self.tokenizer.encode("ки")[-1]
        name = "dtype" if transformers.__version__ >= "4.56" else "torch_dtype"
        self.model = (
            AutoModelForCausalLM.from_pretrained(model.folder, **{name: model.dtype})
            .to(model.device)
            .eval()
        )
        self.rows = self.model.lm_head.weight[self.good_bad]

    @torch.no_grad()
    def one_by_one(self, problem: str, candidates: Sequence[list[str]]) -> Scores:
        scores = []
        for steps in candidates:
            ids = torch.tensor([self.tokenizer.encode(_text(problem, steps))], device=self.device)
            logits = self.model(ids).logits[:, :, self.good_bad]
            scores.append(logits.softmax(dim=-1)[:, :, 0][ids == self.tag].tolist())
        return scores

    def padded(self, problem: str, candidates: Sequence[list[str]]) -> Scores:
        return self._padded(problem, candidates, self._two_logits)

    def padded_logits(self, problem: str, candidates: Sequence[list[str]]) -> Scores:
        return self._padded(problem, candidates, self._all_logits)

    @torch.no_grad()
    def _padded(
        self, problem: str, candidates: Sequence[list[str]], logits_of: Callable[..., torch.Tensor]
    ) -> Scores:
        scores: Scores = []
        for first in range(0, len(candidates), PADDED_ROWS):
            texts = [_text(problem, steps) for steps in candidates[first : first + PADDED_ROWS]]
            encoded = self.tokenizer(texts, padding=True, padding_side="right", return_tensors="pt")
            ids = encoded["input_ids"].to(self.device)
            ends = ids == self.tag
            good = logits_of(ids, encoded["attention_mask"].to(self.device), ends)
            scores += [
                trace_scores.tolist() for trace_scores in good.cpu().split(ends.sum(dim=1).tolist())
            ]
        return scores

    def _two_logits(self, ids: Any, mask: Any, ends: Any) -> torch.Tensor:
        hidden = self.model.model(ids, attention_mask=mask, use_cache=False).last_hidden_state
        return (hidden[ends] @ self.rows.T).softmax(dim=-1)[:, 0]

    def _all_logits(self, ids: Any, mask: Any, ends: Any) -> torch.Tensor:
        logits = self.model(ids, attention_mask=mask, use_cache=False).logits
        return logits[:, :, self.good_bad].softmax(dim=-1)[:, :, 0][ends]


class Bare:
    """A backbone over random tokens in rows of one length."""

    def __init__(self, backbone: torch.nn.Module, device: str, length: int, tokens: int) -> None:
        self.backbone, self.device = backbone, device
        self.rows = max(1, round(tokens / length))
        self.tokens = self.rows * length
        draw = torch.Generator().manual_seed(0)
        vocabulary = backbone.get_input_embeddings().num_embeddings
        self.ids = torch.randint(vocabulary, (self.rows, length), generator=draw).to(device)
        fits = [
            rows
            for rows in BARE_ROWS
            if rows <= self.rows and (device != "cpu" or rows * length <= BARE_TOKENS_ON_CPU)
        ]
        self.batch = min(fits or [1], key=self._try)

    def __call__(self, *_: object) -> None:
        self._run(self.batch)

    def _try(self, batch: int) -> float:
        self._run(batch)
        return min(_seconds(lambda: self._run(batch)) for _ in range(2))

    @torch.inference_mode()
    def _run(self, batch: int) -> None:
        for ids in self.ids.split(batch):
            hidden = self.backbone(ids, use_cache=False).last_hidden_state
        hidden[-1, -1, 0].item()  # all of it is done


def _text(problem: str, steps: Sequence[str]) -> str:
    return f"{problem} " + "\n".join(f"{step} ки" for step in steps)


def _seconds(run: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    begin = clock()
    run()
    return clock() - begin


# What is measured ---------------------------------------------------------------------------------


@cache
def llama(device: str = "cpu") -> Model:
    """About 50M parameters, as in bench_end_to_end, with more positions."""
    config = LlamaConfig(
        vocab_size=32_000,
        hidden_size=512,
        intermediate_size=1376,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        initializer_range=0.05,
    )
    return Model(config, torch.float32, device)


@cache
def qwen(device: str, *, tiny: bool) -> Model:
    """1.5B parameters of a Qwen2 in bfloat16; tiny: the same in small, to try the code."""
    size = {
        "vocab_size": 151_936,
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
    }
    if tiny:
        size = {
            "vocab_size": 1000,
            "hidden_size": 48,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 6,
            "num_key_value_heads": 1,
        }
    config = Qwen2Config(**size, max_position_embeddings=4096, tie_word_embeddings=True)
    return Model(config, torch.bfloat16, device)


class Words:
    """Random texts of a given number of tokens."""

    def __init__(self, model: Model, seed: int = 0) -> None:
        self.draw = random.Random(seed)
        self.vocabulary = model.config.vocab_size - 100

    def text(self, count: int) -> str:
        return " ".join(f"w{self.draw.randrange(self.vocabulary)}" for _ in range(count))

    def step(self, number: int, tokens: int) -> str:
        # A step's number and tag take three of its tokens.
        return f"Step {number}: {self.text(tokens - 3)}"

    def task(self, problem: int, steps: Sequence[int], step_tokens: int) -> Task:
        candidates = [
            [self.step(number + 1, step_tokens) for number in range(count)] for count in steps
        ]
        self.draw.shuffle(candidates)
        return Task(self.text(problem), candidates)


def candidates_task(model: Model) -> Task:
    """16 candidates of 120 to 360 tokens in random order, over a problem of 200."""
    return Words(model).task(200, [3 + index * 6 // 15 for index in range(16)], 40)


def long_problem_task(model: Model) -> Task:
    """16 candidates of 300 tokens over a problem of 2,000."""
    return Words(model).task(2000, [6] * 16, 50)


def device_task(model: Model, *, tiny: bool) -> Task:
    """64 candidates of 512 tokens over a problem of 512."""
    return Words(model).task(512, [16] * (16 if tiny else 64), 32)


def alternate(
    ways: dict[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of every way in every round; the ways take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            seconds[name].append(_seconds(run, clock))
    return seconds


def ratios_of(others: Sequence[float], ours: Sequence[float]) -> list[float]:
    """How many times as long as ours the others took, in every round."""
    return [other / base for other, base in zip(others, ours, strict=True)]


def check(expected: Scores, scores: Scores, dtype: torch.dtype) -> float:
    """Compare scores; give the largest difference."""
    assert [len(values) for values in scores] == [len(values) for values in expected]
    difference = float(np.abs(np.concatenate(scores) - np.concatenate(expected)).max())
    assert difference < TOLERANCE[dtype], difference
    return difference


def measure(model: Model, task: Task, rounds: int = ROUNDS) -> dict[str, Any]:
    """Score one task in every way: median seconds, ratios, tokens and the largest difference."""
    ours, plain, stock = model.load(), model.load(share=False), Stock(model)
    lengths = [len(stock.tokenizer.encode(_text(task.problem, steps))) for steps in task.candidates]
    ids = np.concatenate(
        [stock.tokenizer.encode(_text(task.problem, steps)) for steps in task.candidates]
    )
    unique = len(stepscore.PrefixTrie(ids.astype(np.int32), offsets_of(lengths)))
    length = round(statistics.mean(lengths))
    # The plain model's backbone has our linear layers and the stock attention.
    bare = {
        "bare": Bare(stock.model.model, model.device, length, unique),
        "bare-packed": Bare(plain.backbone, model.device, length, unique),
    }
    scored: dict[str, Callable[[str, list[list[str]]], Scores]] = {
        "ours": lambda *texts: ours.score(*texts).to_list(),
        "padded": stock.padded,
        "padded-logits": stock.padded_logits,
        "one-by-one": stock.one_by_one,
    }
    expected = plain.score(task.problem, task.candidates).to_list()
    differences = {  # this also warms them up
        name: check(expected, run(task.problem, task.candidates), model.dtype)
        for name, run in scored.items()
    }
    ways = {
        name: lambda run=run: run(task.problem, task.candidates)
        for name, run in {**scored, **bare}.items()
    }
    seconds = alternate(ways, rounds)
    ratios = {}
    for name in ways:
        same = unique / bare[name].tokens if name in bare else 1.0
        ratios[name] = [rounds_ * same for rounds_ in ratios_of(seconds[name], seconds["ours"])]
    return {
        "seconds": {name: statistics.median(rounds_) for name, rounds_ in seconds.items()},
        "ratios": {name: statistics.median(rounds_) for name, rounds_ in ratios.items()},
        "ranges": {name: (min(rounds_), max(rounds_)) for name, rounds_ in ratios.items()},
        "given": sum(lengths),
        "unique": unique,
        "bare": {name: (run.batch, length) for name, run in bare.items()},
        "difference": max(differences.values()),
    }


def show(title: str, measured: dict[str, Any], bars: dict[str, float]) -> None:
    """One table."""
    print(f"\n{title}: {measured['given']} tokens given, {measured['unique']} unique")
    for name, seconds in measured["seconds"].items():
        bar = f"   bar {bars[name]}" if name in bars else ""
        rows = (
            "   {} rows of {}".format(*measured["bare"][name]) if name in measured["bare"] else ""
        )
        low, high = measured["ranges"][name]
        print(
            f"  {name:<14}{seconds * 1e3:>9.0f} ms{measured['ratios'][name]:>8.2f}x"
            f"  ({low:.2f} to {high:.2f}){bar}{rows}"
        )
    print(f"  scores differ from the plain path by at most {measured['difference']:.1e}")


# Kept keys and values -----------------------------------------------------------------------------


class Counted(Segment):
    """A segment that is counted while it lives."""

    living: ClassVar[weakref.WeakSet[Counted]] = weakref.WeakSet()
    most = 0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        Counted.living.add(self)

    def write(self, *arguments: Any, **options: Any) -> None:
        super().write(*arguments, **options)
        Counted.most = max(Counted.most, sum(segment.nbytes for segment in Counted.living))


def measure_kept(model: Model, candidates: int = 64) -> dict[str, Any]:
    """How many tokens' keys and values exist at most while candidates are scored."""
    task = Words(model).task(200, [4] * candidates, 40)
    prm = model.load()
    encode = FastTokenizer.from_pretrained(model.folder).encode
    traces = [encode(_text(task.problem, steps)) for steps in task.candidates]
    shared = next(at for at, ids in enumerate(zip(*traces, strict=False)) if len(set(ids)) > 1)
    before, prefix_cache.Segment = prefix_cache.Segment, Counted
    try:
        Counted.most = 0
        prm.score(task.problem, task.candidates)
    finally:
        prefix_cache.Segment = before
    kept = Counted.most / token_bytes(prm.backbone)
    return {"problem": shared, "kept": kept, "bytes": Counted.most}


# Sessions -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Beams:
    """A search that grows."""

    problem: str
    width: int
    depth: int
    step_tokens: int
    fork_every: int = 4
    best: int = 4

    def step(self, words: Words, depth: int) -> str:
        return words.step(depth + 1, self.step_tokens)


def beams_of(model: Model, *, problem: int, step_tokens: int, depth: int = 20) -> Beams:
    return Beams(Words(model, 1).text(problem), width=16, depth=depth, step_tokens=step_tokens)


def grow(
    model: Model,
    beams: Beams,
    score: Callable[[list[int], list[str]], tuple[list[int], list[float]]],
) -> list[float]:
    """Search: `score` takes beams and their new steps, and gives their handles and the scores."""
    words = Words(model, 2)
    handles = [0] * beams.width  # the root
    all_scores: list[float] = []
    for depth in range(beams.depth):
        steps = [beams.step(words, depth) for _ in handles]
        handles, scores = score(handles, steps)
        all_scores += scores
        if (depth + 1) % beams.fork_every == 0:
            order = sorted(range(len(scores)), key=lambda beam: (-round(scores[beam], 4), beam))
            chosen = order[: beams.best]
            handles = [handles[beam] for beam in chosen for _ in range(beams.width // beams.best)]
    return all_scores


def grow_in_session(model: Model, beams: Beams, prm: ProcessRewardModel) -> tuple[list[float], Any]:
    """With one session: only new steps are forwarded, and pruned beams are freed."""
    with prm.session([beams.problem]) as session:

        def score(handles: list[int], steps: list[str]) -> tuple[list[int], list[float]]:
            session.keep(set(handles))
            grown = session.extend(handles, steps)
            return grown.nodes, [values[-1] for values in grown.scores.to_list()]

        return grow(model, beams, score), session.stats


def grow_from_zero(
    model: Model, beams: Beams, score_all: Callable[[str, list[list[str]]], Scores]
) -> list[float]:
    """Without one: every beam is scored from its first token whenever it has grown."""
    traces: list[list[str]] = [[]]

    def score(handles: list[int], steps: list[str]) -> tuple[list[int], list[float]]:
        grown = [[*traces[handle], step] for handle, step in zip(handles, steps, strict=True)]
        first = len(traces)
        traces.extend(grown)
        scores = [values[-1] for values in score_all(beams.problem, grown)]
        return list(range(first, len(traces))), scores

    return grow(model, beams, score)


def session_ways(model: Model, beams: Beams, names: Sequence[str]) -> dict[str, Callable[[], Any]]:
    """The ways by name; a model is loaded for those alone that are asked for."""
    made: dict[str, Callable[[], Any]] = {}
    if "session" in names:
        ours = model.load()
        made["session"] = lambda: grow_in_session(model, beams, ours)[0]
    if "rescored-shared" in names:
        sharing = model.load()
        made["rescored-shared"] = lambda: grow_from_zero(
            model, beams, lambda *texts: sharing.score(*texts).to_list()
        )
    if "rescored" in names:
        plain = model.load(share=False)
        made["rescored"] = lambda: grow_from_zero(
            model, beams, lambda *texts: plain.score(*texts).to_list()
        )
    if "rescored-padded" in names:
        stock = Stock(model)
        made["rescored-padded"] = lambda: grow_from_zero(model, beams, stock.padded)
    return made


SESSION_WAYS = ("session", "rescored-shared", "rescored", "rescored-padded")


def measure_session(model: Model, beams: Beams, rounds: int = 1) -> dict[str, Any]:
    """Median seconds of every way, ratios to the session, and their memory."""
    ways = session_ways(model, beams, SESSION_WAYS)
    expected = ways["rescored"]()  # this warms up the backbone's code, too
    grown, stats = grow_in_session(model, beams, model.load())
    assert len(grown) == len(expected)
    difference = float(np.abs(np.array(grown) - np.array(expected)).max())
    assert difference < TOLERANCE[model.dtype], difference
    seconds = alternate(ways, rounds)
    return {
        "seconds": {name: statistics.median(rounds_) for name, rounds_ in seconds.items()},
        "ratios": {
            name: statistics.median(ratios_of(rounds_, seconds["session"]))
            for name, rounds_ in seconds.items()
        },
        "memory": {name: peak_memory(model, beams, name) for name in SESSION_WAYS},
        "stats": stats,
        "difference": difference,
    }


def peak_memory(model: Model, beams: Beams, name: str) -> float:
    """MB at the highest, beyond a loaded model: of the device, or of a process of its own."""
    if model.device != "cpu":
        run = session_ways(model, beams, [name])[name]
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    # A process of its own: what earlier ways took is not handed back to the system.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_memory_of, model, beams, name, torch.get_num_threads()).result()


def _memory_of(model: Model, beams: Beams, name: str, threads: int) -> float:
    torch.set_num_threads(threads)
    run = session_ways(model, beams, [name])[name]
    before = _resident()
    run()
    return (_resident(peak=True) - before) / 1e6


def _resident(*, peak: bool = False) -> float:
    """Bytes of this process; the peak since the last call without it, where Linux can say so."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if not peak:
        Path("/proc/self/clear_refs").write_text("5")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return float(line.split()[1]) * 1024


def show_session(measured: dict[str, Any], bars: dict[str, float]) -> None:
    """One table."""
    print("\nsession: a beam of 16 grows to 20 steps")
    for name, seconds in measured["seconds"].items():
        bar = f"   bar {bars[name]}" if name in bars else ""
        print(
            f"  {name:<16}{seconds:>7.2f} s{measured['ratios'][name]:>8.2f}x"
            f"{measured['memory'][name]:>8.0f} MB beyond the model{bar}"
        )
    print(f"  {measured['stats']}")
    print(f"  scores differ from the plain path by at most {measured['difference']:.1e}")


# Bars and tables ----------------------------------------------------------------------------------

BARS = {
    "candidates": {"bare": 0.95, "padded": 3.0, "one-by-one": 3.0},
    "long-problem": {"padded": 8.0},
    "session": {"rescored": 6.0, "rescored-padded": 6.0},
    "device": {"padded": 2.0, "one-by-one": 8.0},
    "device-session": {"rescored": 8.0, "rescored-padded": 8.0},
}


def check_bars(name: str, measured: dict[str, Any]) -> None:
    missed = {
        way: (measured["ratios"][way], bar)
        for way, bar in BARS[name].items()
        if measured["ratios"][way] < bar
    }
    assert not missed, missed


def test_candidates(benchmark: Any) -> None:
    check_bars("candidates", benchmark.pedantic(measure, (llama(), candidates_task(llama()))))


def test_long_problem(benchmark: Any) -> None:
    check_bars("long-problem", benchmark.pedantic(measure, (llama(), long_problem_task(llama()))))


def test_the_problem_is_kept_once(benchmark: Any) -> None:
    measured = benchmark.pedantic(measure_kept, (llama(),))
    assert measured["kept"] == measured["problem"], measured


def test_session(benchmark: Any) -> None:
    beams = beams_of(llama(), problem=200, step_tokens=30)
    check_bars("session", benchmark.pedantic(measure_session, (llama(), beams)))


def main() -> None:
    """Print a table for each case."""
    parser = argparse.ArgumentParser(description="How much sharing prefixes saves.")
    parser.add_argument("threads", nargs="?", type=int, help="of torch")
    parser.add_argument("--only", metavar="NAME", help="candidates, long-problem, kept or session")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--device", default="cpu", help="cuda runs the cases of a device")
    parser.add_argument("--tiny", action="store_true", help="the cases of a device, in small")
    wanted = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if wanted.threads:
        torch.set_num_threads(wanted.threads)
    on_device = wanted.device != "cpu" or wanted.tiny
    where = torch.cuda.get_device_name() if wanted.device.startswith("cuda") else "cpu"
    print(f"torch {torch.__version__}, {where}, {torch.get_num_threads()} threads")

    def chosen(name: str) -> bool:
        return wanted.only in (None, name)

    if on_device:
        model = qwen(wanted.device, tiny=wanted.tiny)
        if chosen("device"):
            task = device_task(model, tiny=wanted.tiny)
            show("device", measure(model, task, wanted.rounds), BARS["device"])
        if chosen("kept"):
            print("\nkept: {kept:g} tokens, problem {problem}".format(**measure_kept(model)))
        if chosen("session"):
            beams = beams_of(model, problem=512, step_tokens=32)
            show_session(measure_session(model, beams), BARS["device-session"])
        return
    model = llama()
    if chosen("candidates"):
        show(
            "candidates", measure(model, candidates_task(model), wanted.rounds), BARS["candidates"]
        )
    if chosen("long-problem"):
        task = long_problem_task(model)
        show("long problem", measure(model, task, wanted.rounds), BARS["long-problem"])
    if chosen("kept"):
        measured = measure_kept(model)
        print(
            f"\nkept: {measured['kept']:g} tokens ({measured['bytes'] / 1e6:.1f} MB) of a problem "
            f"of {measured['problem']} tokens, for 64 candidates"
        )
    if chosen("session"):
        beams = beams_of(model, problem=200, step_tokens=30)
        show_session(measure_session(model, beams), BARS["session"])


if __name__ == "__main__":
    main()
