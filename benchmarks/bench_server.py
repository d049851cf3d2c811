"""A server under load: real connections, every answer checked against a direct call, bit for bit.

``python benchmarks/bench_server.py`` lets 500 clients ask for 60 seconds, over connections that
they keep. They ask as trainers do: 16 of them at a time for samples of one problem, each in a
request of its own with one to three candidates. Then the same clients ask in turns a
server that forwards every request by itself, and one with a small queue. The server runs in a
process of its own, on the loopback of this machine; the clients share the machine with it.

Clients speak HTTP by hand: a library for it takes more time of a processor than the server does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROUTE = "/v1/step_scores"
# Samples of a problem, each a request of its own.
GROUP = 16
# What a server says of the requests that it has counted.
COUNTED = re.compile(r'stepscore_requests_total\{route="([^"]+)",status="(\d+)"\} ([\d.e+]+)')
# As `stepscore serve` sets them.
KERNELS = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64", "LRU_CACHE_CAPACITY": "64"}
# Runs a server with settings that the command line has no options for.
SERVER = """
import json, sys
import torch
import stepscore
from stepscore.server import Settings, create_app
from stepscore.server.listening import listening, serve

torch.set_num_threads(1)
with listening("127.0.0.1", 0) as sockets:
    app = create_app(stepscore.load("lab"), Settings(**json.loads(sys.argv[1])))
    serve(app, sockets, lambda: print(sockets[0].getsockname()[1], flush=True))
"""


@dataclass(frozen=True)
class Question:
    """A request as bytes, and what it has to be answered with."""

    request: bytes
    scores: list[list[float]]


@dataclass
class Load:
    """What clients saw.

    Attributes:
        seconds: how long they asked.
        latencies: of the requests that were answered with scores, in seconds.
        statuses: how often each came.
        wrong: answers that were not those of a direct call.
        lost: requests without an answer.
        processor: seconds that the server took of a processor.
        memory: of the server while they asked, in bytes, one after the other.
        counted: what the server says of the route, by status.
        figures: other figures of the server, by name.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    retry_after: list[int] = field(default_factory=list)
    wrong: int = 0
    lost: int = 0
    processor: float = 0.0
    memory: list[int] = field(default_factory=list)
    counted: Counter[int] = field(default_factory=Counter)
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Answers with scores, a second."""
        return len(self.latencies) / self.seconds

    @property
    def cost(self) -> float:
        """Milliseconds of a processor that an answer took the server."""
        return 1e3 * self.processor / max(1, len(self.latencies))

    def percentile(self, share: float) -> float:
        """Of the latencies, in milliseconds."""
        return float(np.percentile(self.latencies, share)) * 1e3


def questions(count: int, seed: int = 0) -> list[Question]:
    """Make groups of candidates over problems of the lab, and score them in this process."""
    import torch

    import stepscore
    from stepscore import lab

    torch.set_num_threads(1)
    prm, draw = stepscore.load("lab"), random.Random(seed)
    made = []
    for number, problem in enumerate(lab.generate(count // GROUP, seed=seed, split="eval")):
        for _ in range(GROUP):
            candidates = [_candidate(problem, draw) for _ in range(1 + number % 3)]
            scores = prm.score(problem, candidates).to_list()
            body = json.dumps({"problems": problem, "solutions": candidates}).encode()
            head = f"POST {ROUTE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            head += f"Content-Length: {len(body)}\r\n\r\n"
            made.append(Question(head.encode() + body, scores))
    return made


def group_order(group: int, problems: int) -> Iterator[int]:
    """The problems that a group of clients asks about, one after the other."""
    draw = random.Random(group)
    while True:
        yield draw.randrange(problems)


def _candidate(problem: str, draw: random.Random) -> list[str]:
    """Make the first steps of a solution, with slips."""
    from stepscore import lab

    steps = list(lab.true_steps(problem))
    for place in range(len(steps)):
        if draw.random() < 0.2:
            left, _, right = steps[place].partition("=")
            steps[place] = f"{left}={abs(int(right) - 10)}"
    return steps[: draw.randrange(1, len(steps) + 1)]


@contextmanager
def server(settings: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """Run a server; gives its port and its process."""
    command = [sys.executable, "-c", SERVER, json.dumps(settings)]
    environment = {**KERNELS, **os.environ}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline()), process.pid
        finally:
            process.terminate()
            if process.wait(60) != 0:
                raise RuntimeError(f"the server ended with {process.returncode}")


async def ask(port: int, asked: Sequence[Question], clients: int, seconds: float, pid: int) -> Load:
    """Let clients ask one question after the other for so many seconds."""
    load, loop = Load(), asyncio.get_running_loop()
    begin = loop.time()
    until = begin + seconds

    async def client(number: int) -> None:
        draw = random.Random(number)
        order = group_order(number // GROUP, len(asked) // GROUP)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while loop.time() < until:
            question = asked[GROUP * next(order) + number % GROUP]
            sent = time.perf_counter()
            writer.write(question.request)
            try:
                status, headers, body = await asyncio.wait_for(_answer(reader), 120)
            except (OSError, EOFError, asyncio.TimeoutError):
                load.lost += 1
                return
            load.statuses[status] += 1
            if status == 200:
                load.latencies.append(time.perf_counter() - sent)
                results = json.loads(body)["results"]
                load.wrong += [each["step_scores"] for each in results] != question.scores
            elif status == 429:
                load.retry_after.append(int(headers[b"retry-after"]))
                await asyncio.sleep(0.02 + 0.02 * draw.random())  # sooner than it was told
        writer.close()

    async def watch() -> None:
        while True:
            load.memory.append(_memory(pid))
            await asyncio.sleep(0.25)

    processor = _processor(pid)
    watching = asyncio.create_task(watch())
    await asyncio.gather(*map(client, range(clients)))
    watching.cancel()
    load.seconds = loop.time() - begin
    load.processor = _processor(pid) - processor
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    text = (await _answer(reader))[2].decode()
    writer.close()
    for route, status, count in COUNTED.findall(text):
        if route == ROUTE:
            load.counted[int(status)] += int(float(count))
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name.startswith("stepscore_") and "{" not in name:
            load.figures[name] = float(value)
    return load


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[bytes, bytes], bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head[:-4].split(b"\r\n")
    parts = [line.partition(b":") for line in lines]
    headers = {name.lower(): value.strip() for name, _, value in parts}
    return int(first.split()[1]), headers, await reader.readexactly(int(headers[b"content-length"]))


def _memory(pid: int) -> int:
    """The memory that a process has now, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def _processor(pid: int) -> float:
    """The seconds of a processor that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(
    asked: Sequence[Question], clients: int, seconds: float, settings: dict[str, Any] | None = None
) -> Load:
    """Run a server, and clients that ask it."""
    with server(settings or {}) as (port, pid):
        asyncio.run(ask(port, asked, clients, 0.5, pid))  # what is made once is made
        before = asyncio.run(ask(port, asked, 1, 0.0, pid)).counted
        load = asyncio.run(ask(port, asked, clients, seconds, pid))
    load.counted.subtract(before)
    load.counted = +load.counted
    return load


def growth(load: Load) -> float:
    """How far the memory of the server grew after the first third, as a share."""
    third = len(load.memory) // 3
    early, late = load.memory[third : 2 * third], load.memory[2 * third :]
    return float(np.median(late) / np.median(early)) - 1


def told(name: str, load: Load) -> str:
    """Give the figures of a run as a line."""
    figures = load.figures
    batches = figures.get("stepscore_forward_seconds_count", 0) or 1
    return (
        f"{name}: {load.rate:,.0f} answers/s, {load.cost:.2f} ms of a processor each; "
        f"p50 {load.percentile(50):,.0f} ms, p99 {load.percentile(99):,.0f} ms; "
        f"statuses {dict(load.statuses)}; wrong {load.wrong}, lost {load.lost}; "
        f"metrics agree: {load.counted == load.statuses}; "
        f"{figures['stepscore_batch_requests_sum'] / batches:.1f} requests a forward pass of "
        f"{1e3 * figures['stepscore_forward_seconds_sum'] / batches:.1f} ms; "
        f"{load.memory[-1] / 2**20:,.0f} MB, grown by {100 * growth(load):.2f} %"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=3, help="turns of the comparison")
    given = parser.parse_args()
    asked = questions(2000)
    load = run(asked, given.clients, given.seconds)
    print(told(f"{given.clients} clients, {given.seconds:g} s", load), flush=True)
    ratios, costs = [], []
    for number in range(given.rounds):
        turn = given.seconds / 4
        alone = run(asked, given.clients, turn, {"batch_requests": 1, "latency": 0.0})
        together = run(asked, given.clients, turn)
        ratios.append(together.rate / alone.rate)
        costs.append(alone.cost / together.cost)
        print(told(f"turn {number}, one request a forward pass", alone), flush=True)
        print(told(f"turn {number}, together", together), flush=True)
    print(
        f"against one request a forward pass: {np.median(ratios):.1f} times the throughput of "
        f"{np.round(ratios, 1)}, {np.median(costs):.1f} times less of a processor"
    )
    small = run(asked, given.clients, given.seconds / 4, {"max_requests": 32})
    print(told("at most 32 requests", small))
    print(f"Retry-After: {sorted(set(small.retry_after))} s")


if __name__ == "__main__":
    main()
