"""End to end on a device: texts of many candidates to their ranks, 1.5B parameters in bfloat16.

Tokens a second, the share of the card's arithmetic, how much of the tokenising hides behind the
forward, against the model card's script one by one and padded, and vLLM's pooling where it is
installed; with attention in parts and over pages.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from bench_forward import Model, Stock, Words, _text, qwen
from device_clock import free, peak_of, wait
from device_table import Table

import stepscore
from stepscore.ragged import offsets_of
from stepscore.scoring import ProcessRewardModel, score_traces
from stepscore.scoring.forward.engine import Engine
from stepscore.scoring.forward.paged_attention import VARIABLE, varlen_attention
from stepscore.scoring.render import Renderer

ROUNDS = 3


class Work:
    """Problems with candidates, and what they are in tokens and in arithmetic."""

    def __init__(self, model: Model, small: bool) -> None:
        problems, candidates, steps = (2, 3, 2) if small else (16, 32, 8)
        words = Words(model)
        tasks = [words.task(8 if small else 256, [steps] * candidates, 32) for _ in range(problems)]
        self.problems = [task.problem for task in tasks]
        self.candidates = [task.candidates for task in tasks]
        encode = Stock(model).tokenizer.encode
        texts = [_text(task.problem, steps) for task in tasks for steps in task.candidates]
        ids = [encode(text) for text in texts]
        self.characters = sum(map(len, texts))
        self.given = sum(map(len, ids))
        flat = np.concatenate(ids).astype(np.int32)
        trie = stepscore.PrefixTrie(flat, offsets_of([len(row) for row in ids]))
        self.unique = len(trie)
        self.seen = float((np.asarray(trie.depth) + 1.0).sum())  # keys of all unique queries

    def operations(self, backbone: Any) -> float:
        """What the unique tokens cost at least: products of weights, and of attention."""
        table = backbone.get_input_embeddings().weight.numel()
        matrices = sum(parameter.numel() for parameter in backbone.parameters()) - table
        config = backbone.config
        width = config.hidden_size  # heads * d
        attention = 4 * width * config.num_hidden_layers * self.seen
        return float(2 * matrices * self.unique + attention)


def measure(table: Table, device: str, small: bool) -> None:
    """All of it."""
    model = qwen(device, tiny=small)
    work = Work(model, small)
    table.add("tokens given", work.given)
    table.add("tokens unique", work.unique)
    seconds: dict[str, float] = {}
    for way in ("parts", "pages"):
        table.run("rerank", functools.partial(ours, table, model, work, device, way, seconds))
    table.run("rerank", lambda: stock(table, model, work, device, small, seconds))
    table.run("rerank", lambda: vllm(table, model, work, seconds))


def ours(
    table: Table, model: Model, work: Work, device: str, way: str, seconds: dict[str, float]
) -> None:
    """`rank_many` with one of the two attentions."""
    if way == "pages" and device != "cpu" and varlen_attention() is None:
        table.skip("pages", f"torch {torch.__version__} reads none; 2.13 does")
        return
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = way
    try:
        prm = model.load()
        _rank(table, prm, work, device, way, seconds)
    finally:
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before
        free(device)


def _rank(
    table: Table,
    prm: ProcessRewardModel,
    work: Work,
    device: str,
    way: str,
    seconds: dict[str, float],
) -> None:
    shared = prm.sharing is not None and prm.sharing.shared
    table.add(f"{way}: shares", float(shared), at_least=1, note=str(prm.sharing))
    prm.rank_many(work.problems, work.candidates)  # warms up
    totals, tokenising, forward = [], [], []
    for _ in range(ROUNDS):
        with timed(work.characters // 4) as spent:
            begin = time.perf_counter()
            prm.rank_many(work.problems, work.candidates)
            wait(device)
            totals.append(time.perf_counter() - begin)
        tokenising.append(spent["render"])
        forward.append(spent["read"])
    total = seconds[way] = statistics.median(totals)
    table.add(f"{way}: rerank", work.given / total, "tokens/s")
    table.add(f"{way}: rerank, unique tokens", work.unique / total, "tokens/s")
    rate = work.operations(prm.backbone) / total
    table.add(f"{way}: arithmetic", rate / 1e12, "TFLOP/s")
    name = "cpu" if device == "cpu" else torch.cuda.get_device_name()
    peak = peak_of(name)
    if peak is None:
        table.skip(f"{way}: share of the card's arithmetic", f"no data sheet of {name}")
    else:
        table.add(f"{way}: share of the card's arithmetic", rate / peak)
    text, model_time = statistics.median(tokenising), statistics.median(forward)
    table.add(f"{way}: tokenising, of the whole", text / total)
    table.add(f"{way}: tokenising", work.given / text, "tokens/s")
    hidden = (text + model_time - total) / text
    table.add(f"{way}: tokenising that the forward hides", hidden, note="1 = all of it")


@contextmanager
def timed(characters: int) -> Iterator[dict[str, float]]:
    """Count the seconds of tokenising and of forward passes; chunks of so many characters."""
    spent = {"render": 0.0, "read": 0.0}
    lock = threading.Lock()

    def counted(method: Any, name: str) -> Any:
        @functools.wraps(method)
        def run(*arguments: Any, **options: Any) -> Any:
            begin = time.perf_counter()
            try:
                return method(*arguments, **options)
            finally:
                with lock:
                    spent[name] += time.perf_counter() - begin

        return run

    render, read, chunks = Renderer.render, Engine.read, score_traces.chunk_traces
    Renderer.render = counted(render, "render")  # type: ignore[method-assign]
    Engine.read = counted(read, "read")  # type: ignore[method-assign]
    score_traces.chunk_traces = functools.partial(chunks, characters=characters)
    try:
        yield spent
    finally:
        Renderer.render, Engine.read = render, read  # type: ignore[method-assign]
        score_traces.chunk_traces = chunks


def stock(
    table: Table, model: Model, work: Work, device: str, small: bool, seconds: dict[str, float]
) -> None:
    """The model card's script, for some of the problems."""
    stock_model = Stock(model)
    chosen = 1 if small else 2
    share = chosen / len(work.problems)
    for name, at_least in (("one_by_one", 8.0), ("padded", 2.0)):
        run = getattr(stock_model, name)

        def all_of_them(run: Any = run) -> None:
            for problem, candidates in zip(
                work.problems[:chosen], work.candidates[:chosen], strict=True
            ):
                run(problem, candidates)
            wait(device)

        all_of_them()
        begin = time.perf_counter()
        all_of_them()
        taken = (time.perf_counter() - begin) / share
        table.add(f"card's script, {name}", work.given / taken, "tokens/s")
        for way, total in seconds.items():
            bar = None if device == "cpu" else at_least
            table.add(f"{way} against {name}", taken / total, "times", at_least=bar)
    free(device)


def vllm(table: Table, model: Model, work: Work, seconds: dict[str, float]) -> None:
    """vLLM's pooling of the hidden states of every token, as its PRMs read them."""
    if importlib.util.find_spec("vllm") is None:
        table.skip("vLLM's pooling", "the package vllm is not installed")
        return
    from vllm import LLM

    server = LLM(
        model=str(model.folder), runner="pooling", dtype="bfloat16", enable_prefix_caching=True
    )
    texts = [
        _text(problem, steps)
        for problem, candidates in zip(work.problems, work.candidates, strict=True)
        for steps in candidates
    ]
    server.encode(texts[:8], pooling_task="token_embed", use_tqdm=False)
    begin = time.perf_counter()
    server.encode(texts, pooling_task="token_embed", use_tqdm=False)
    taken = time.perf_counter() - begin
    table.add("vLLM's pooling", work.given / taken, "tokens/s")
    for way, total in seconds.items():
        table.add(f"{way} against vLLM's pooling", taken / total, "times")
