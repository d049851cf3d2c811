"""Threads, levels, forks: nothing of it changes a result or stops another."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from same_bits import LEVELS, bits

import stepscore
from stepscore import _core


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def ragged(sizes: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def work(scale: int = 1) -> dict[str, Callable[[], bytes]]:
    """One call per op, large enough for several threads; each gives its result's bits."""
    hidden, weight = normal(600 * scale, 1024), normal(2, 1024, seed=1)
    layers = [(normal(96, 1024, seed=2), None), (normal(2, 96, seed=3), None)]
    matrix = normal(2000, 64, seed=9)
    offsets = ragged(np.random.default_rng(4).integers(0, 12, 20_000 * scale))
    values = np.random.default_rng(5).uniform(0.01, 0.99, offsets[-1])
    ids = np.random.default_rng(6).integers(0, 4, offsets[-1])
    everything = ["min", "mean", "geometric_mean", "logit_mean", "softmin"]
    rules = ["majority", "weighted", "best_of_n"]
    tokens = 300 * scale
    query, key = normal(tokens, 4, 32, seed=7), normal(tokens, 2, 32, seed=8)
    pieces = [0, 200, tokens]
    return {
        "value_head": lambda: bits(stepscore.value_head(hidden, weight)),
        "mlp_head": lambda: bits(stepscore.mlp_head(hidden, layers)),
        "path_attention": lambda: bits(stepscore.path_attention(query, key, key, pieces)),
        "token_logprob": lambda: bits(
            stepscore.token_logprob(np.round(hidden[:, :64]), np.round(matrix), ids[: len(hidden)])
        ),
        "aggregate": lambda: bits(stepscore.aggregate(values, offsets, everything)),
        "find_steps": lambda: bits(np.concatenate(stepscore.find_steps(ids, offsets, [1, 1]))),
        "vote": lambda: b"".join(
            map(bits, stepscore.vote(ids, values, offsets, rules, class_scores=True))
        ),
    }


OPS = [
    "value_head",
    "mlp_head",
    "path_attention",
    "token_logprob",
    "aggregate",
    "find_steps",
    "vote",
]


def fresh(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | environment,
    )


# --- settings -------------------------------------------------------------------------------


def test_the_number_of_threads_can_be_set() -> None:
    for threads in (1, 2, 5, 1024):
        stepscore.set_num_threads(threads)
        assert stepscore.num_threads() == threads


@pytest.mark.parametrize("threads", [0, -1, 1025, 2**31 - 1])
def test_an_impossible_number_of_threads_is_refused(threads: int) -> None:
    before = stepscore.num_threads()
    with pytest.raises(ValueError, match=f"threads must be 1 to 1024; got {threads}"):
        stepscore.set_num_threads(threads)
    assert stepscore.num_threads() == before


@pytest.mark.parametrize("threads", [1.5, "2", None], ids=str)
def test_a_number_of_threads_that_is_none_is_refused(threads: object) -> None:
    with pytest.raises(TypeError, match="set_num_threads"):
        stepscore.set_num_threads(threads)  # type: ignore[arg-type]


def test_the_default_is_the_processors_that_this_process_may_use() -> None:
    code = "import os, stepscore; print(stepscore.num_threads(), len(os.sched_getaffinity(0)))"
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system has no affinity")
    ours, allowed = fresh(code, STEPSCORE_NUM_THREADS="").stdout.split()
    assert ours == allowed
    one = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});" + code
    assert fresh(one, STEPSCORE_NUM_THREADS="").stdout.split() == ["1", "1"]


def test_the_environment_sets_the_threads() -> None:
    code = "import stepscore; print(stepscore.num_threads())"
    assert fresh(code, STEPSCORE_NUM_THREADS="3").stdout.strip() == "3"


@pytest.mark.parametrize("text", ["0", "-1", "1025", "two", "2.5", "2 ", "99999999999999999999"])
def test_a_wrong_environment_is_an_error_at_the_first_op(text: str) -> None:
    code = """
import stepscore
try:
    stepscore.aggregate([0.5], [0, 1], "min")
except ValueError as error:
    print(error)
"""
    said = fresh(code, STEPSCORE_NUM_THREADS=text).stdout.strip()
    assert said == f"STEPSCORE_NUM_THREADS must be a number from 1 to 1024; got '{text}'"


# --- levels ---------------------------------------------------------------------------------


def test_the_best_level_is_the_default(levels: list[str]) -> None:
    code = "import stepscore; print(stepscore.cpu_level())"
    assert fresh(code, STEPSCORE_CPU="").stdout.strip() == levels[-1]
    _core.set_cpu_level("baseline")
    _core.set_cpu_level("")
    assert stepscore.cpu_level() == levels[-1]


NEEDED = {
    "baseline": set(),
    "avx2": {"avx", "avx2", "fma", "f16c"},
    "avx512": {"avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512dq", "avx512vl"},
}


def test_the_levels_are_those_that_the_system_says_the_processor_has(levels: list[str]) -> None:
    processors = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not processors.is_file():
        pytest.skip("needs Linux on x86-64, which lists what the processor has")
    line = next(each for each in processors.read_text().splitlines() if each.startswith("flags"))
    flags = set(line.partition(":")[2].split())
    assert levels == [level for level in LEVELS if NEEDED[level] <= flags]


@pytest.mark.parametrize("level", LEVELS)
def test_the_environment_forces_the_level(level: str, levels: list[str]) -> None:
    code = "import stepscore; print(stepscore.cpu_level())"
    done = fresh(code, STEPSCORE_CPU=level)
    if level in levels:
        assert done.stdout.strip() == level
    else:
        assert f"ValueError: STEPSCORE_CPU={level}: this" in done.stderr


def test_an_unknown_level_is_an_error() -> None:
    for name in ("sse", "AVX2", "avx512 "):
        done = fresh(
            "import stepscore; stepscore.aggregate([.5], [0, 1], 'min')", STEPSCORE_CPU=name
        )
        assert done.returncode != 0
        assert f"STEPSCORE_CPU must be baseline, avx2 or avx512; got '{name}'" in done.stderr
        with pytest.raises(ValueError, match="STEPSCORE_CPU must be baseline, avx2 or avx512"):
            _core.set_cpu_level(name)


DIGEST = """
import hashlib
import test_parallel
for op, call in test_parallel.work().items():
    print(op, hashlib.sha256(call()).hexdigest())
"""


def test_processes_at_every_level_and_thread_count_agree(levels: list[str]) -> None:
    expected = {op: hashlib.sha256(call()).hexdigest() for op, call in work().items()}
    here = os.path.dirname(__file__)
    for level, threads in zip(levels, ("3", "1", "2"), strict=False):
        done = fresh(DIGEST, STEPSCORE_CPU=level, STEPSCORE_NUM_THREADS=threads, PYTHONPATH=here)
        assert done.returncode == 0, done.stderr
        assert dict(line.split() for line in done.stdout.splitlines()) == expected


# --- small inputs ---------------------------------------------------------------------------

# Counts the threads of the process: a pool that was never asked has none.
SMALL = """
import os, sys
import numpy as np
import stepscore
from stepscore import _core
assert stepscore.num_threads() == 8
rng = np.random.default_rng(0)
def even(count, size): return np.arange(0, count * size + 1, size)
def normal(*shape): return rng.standard_normal(shape).astype(np.float32)
def tree():
    search = stepscore.TreeSearch(16, max_nodes=40)
    search.select("puct", simulations=4, samples=2, leaves=2)
    return search.ask()
ids, scores, values = rng.integers(0, 50, 3200), rng.random(1600), rng.random(3200)
texts = [f"the answer is {i}/7" for i in range(40)]
inner, last = (normal(32, 64), None), (normal(2, 32), None)
calls = {
    "find_steps": lambda: stepscore.find_steps(ids[:2000], even(100, 20), 7),
    "find_steps, short": lambda: stepscore.find_steps(ids[:2000], even(400, 5), 7),
    "aggregate": lambda: stepscore.aggregate(values, even(400, 8), ["min", "prod"]),
    "vote": lambda: stepscore.vote(ids[:1600] % 8, scores, even(100, 16), "weighted"),
    "vote, large": lambda: stepscore.vote(ids[:1024] % 8, scores[:1024], even(1, 1024), "borda"),
    "answer_keys": lambda: stepscore.answer_keys(texts),
    "extract_answers": lambda: stepscore.extract_answers(texts),
    "group_answers": lambda: stepscore.group_answers(texts, even(10, 4), verify=None),
    "PrefixTrie": lambda: stepscore.PrefixTrie(ids % 5, even(32, 100)),
    "value_head": lambda: stepscore.value_head(normal(64, 512), normal(2, 512)),
    "mlp_head": lambda: stepscore.mlp_head(normal(8, 64), [inner, last]),
    "path_attention": lambda: stepscore.path_attention(*normal(3, 24, 4, 32), [0, 4, 24]),
    "token_logprob": lambda: stepscore.token_logprob(normal(4, 16), normal(900, 16), [1, 2, 3, 4]),
    "top_k": lambda: stepscore.top_k(scores, even(50, 32), 4),
    "tree_search": tree,
}
def threads(): return len(os.listdir("/proc/self/task"))
before = threads()
for name, call in calls.items():
    call()
    print(name, threads() - before)
before = threads()
_core.set_least_work(0)  # the same calls can be split
for call in calls.values():
    call()
print("forced", threads() - before)
"""


def test_small_inputs_start_no_thread() -> None:
    if not Path("/proc/self/task").is_dir():
        pytest.skip("counts threads in /proc")
    done = fresh(SMALL, STEPSCORE_NUM_THREADS="8")
    assert done.returncode == 0, done.stderr
    *counts, forced = (line.rpartition(" ") for line in done.stdout.splitlines())
    assert {name: int(count) for name, _, count in counts} == {name: 0 for name, _, _ in counts}
    assert len(counts) == 15
    assert int(forced[2]) == 7


@pytest.mark.parametrize("op", OPS)
def test_large_inputs_are_split(op: str) -> None:
    code = (
        "import os, sys, test_parallel as t, stepscore\n"
        "calls = t.work(4)\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        f"calls[{op!r}]()\n"
        "print(len(os.listdir('/proc/self/task')) - before)"
    )
    if not Path("/proc/self/task").is_dir():
        pytest.skip("counts threads in /proc")
    here = os.pathsep.join(path for path in sys.path if path)
    done = fresh(code, STEPSCORE_NUM_THREADS="4", PYTHONPATH=here)
    assert (done.returncode, done.stdout.strip()) == (0, "3"), done.stderr


# --- several callers ------------------------------------------------------------------------


def test_calls_from_several_threads_give_the_right_results() -> None:
    calls = work()
    stepscore.set_num_threads(3)
    expected = {op: call() for op, call in calls.items()}
    jobs = OPS * 8
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda op: calls[op](), jobs))
    for op, result in zip(jobs, results, strict=True):
        assert result == expected[op], op


def test_the_number_of_threads_may_change_during_a_call() -> None:
    calls = work()
    expected = {op: call() for op, call in calls.items()}
    stop = threading.Event()

    def toggle() -> None:
        threads = 1
        while not stop.is_set():
            threads = threads % 7 + 1
            stepscore.set_num_threads(threads)
            time.sleep(0.0005)

    toggler = threading.Thread(target=toggle)
    toggler.start()
    try:
        for _ in range(5):
            for op, call in calls.items():
                assert call() == expected[op], op
    finally:
        stop.set()
        toggler.join()


def test_an_error_leaves_the_threads_usable() -> None:
    call = work()["aggregate"]
    expected = call()
    stepscore.set_num_threads(7)
    wrong = np.where(np.arange(30_000) >= 7, np.nan, 0.5)
    for _ in range(20):
        with pytest.raises(ValueError, match=r"values\[7\] "):
            stepscore.aggregate(wrong, np.arange(30_001), "min")
        assert call() == expected


@pytest.mark.parametrize("threads", [1, 4])
def test_a_flush_to_zero_mode_of_the_caller_changes_no_bit(threads: int) -> None:
    # torch.set_flush_denormal sets it for one thread: the caller would round differently from the
    # workers that take the rest of the rows.
    torch = pytest.importorskip("torch")
    hidden, weight = np.full((20_000, 64), 1e-25, np.float32), np.full((1, 64), 1e-15, np.float32)
    stepscore.set_num_threads(4)
    expected = bits(stepscore.value_head(hidden, weight))  # subnormal; and the workers exist now
    stepscore.set_num_threads(threads)
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor has no flush-to-zero mode")
    try:
        got = bits(stepscore.value_head(hidden, weight))
    finally:
        torch.set_flush_denormal(False)
    assert got == expected


LONG_CALLS: dict[str, Callable[[int], Callable[[], object]]] = {
    "value_head": lambda n: _call(stepscore.value_head, normal(500 * n, 1024), normal(16, 1024)),
    "mlp_head": lambda n: _call(
        stepscore.mlp_head,
        normal(20 * n, 1024),
        [(normal(64, 1024), None), (normal(2, 64), None)],
    ),
    "path_attention": lambda n: _call(
        stepscore.path_attention, *normal(3, 300 * n, 2, 32), [*range(0, 300 * n + 1, 300)]
    ),
    "token_logprob": lambda n: _call(
        stepscore.token_logprob, normal(400 * n, 4), normal(4000, 4), np.arange(400 * n)
    ),
    "aggregate": lambda n: _call(
        stepscore.aggregate, np.full(10**6 * n, 0.5), [0, 10**6 * n], ["prod", "softmin"]
    ),
    "find_steps": lambda n: _call(
        stepscore.find_steps, np.arange(10**6 * n) % 2, [0, 10**6 * n], [1, 1]
    ),
    "vote": lambda n: _call(
        stepscore.vote, np.arange(10**6 * n) % 7, None, [0, 10**6 * n], "majority"
    ),
}


def _call(op: Callable[..., object], *arguments: object) -> Callable[[], object]:
    return lambda: op(*arguments)


@pytest.mark.parametrize("op", OPS)
def test_the_gil_is_released(op: str) -> None:
    # Another thread notes the time while the op runs. With the GIL held it could note nothing at
    # all between begin and end of the call, however slow or busy the machine is; so a longer call
    # can only help.
    assert list(LONG_CALLS) == OPS
    stepscore.set_num_threads(1)
    _core.set_cpu_level("baseline")
    for scale in (2, 8, 32):
        call = LONG_CALLS[op](scale)
        notes: list[float] = []
        stop = threading.Event()

        def note(notes: list[float] = notes, stop: threading.Event = stop) -> None:
            while not stop.is_set():
                notes.append(time.perf_counter())
                time.sleep(0.001)

        noter = threading.Thread(target=note)
        noter.start()
        begin = time.perf_counter()
        call()
        end = time.perf_counter()
        stop.set()
        noter.join()
        # At both ends of the call the interpreter runs, and threads may change anyway.
        margin = (end - begin) / 4
        if sum(begin + margin < time_noted < end - margin for time_noted in notes) >= 3:
            return
    pytest.fail(f"no other thread ran in the middle of {end - begin:.3f} s of {op}")


# --- fork -----------------------------------------------------------------------------------

FORK = """
import os, threading, time
import test_parallel, stepscore
stepscore.set_num_threads(3)
calls = test_parallel.work()
expected = {op: call() for op, call in calls.items()}  # the threads of the parent are made here
stop = threading.Event()

def busy():
    while not stop.is_set():
        calls["aggregate"]()

if BUSY:  # fork while another thread is in the middle of a call
    threading.Thread(target=busy, daemon=True).start()
for round in range(10):
    child = os.fork()
    if child == 0:
        good = all(call() == expected[op] for op, call in calls.items())
        os._exit(0 if good else 3)
    begin = time.monotonic()
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() - begin > 60:
            os.kill(child, 9)
            raise SystemExit("the child hangs")
        time.sleep(0.002)
    assert status == 0, status
    assert calls["value_head"]() == expected["value_head"]  # and the parent still works
stop.set()
print("forked")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("busy", [False, True])
def test_a_child_of_a_fork_can_compute(busy: bool) -> None:
    here = os.path.dirname(__file__)
    done = fresh(FORK.replace("BUSY", str(busy)), PYTHONPATH=here)
    assert done.stdout.strip() == "forked", done.stderr


def test_multiprocessing_by_fork() -> None:
    code = """
import multiprocessing, test_parallel
test_parallel.work()["aggregate"]()

def child(_):
    import hashlib
    return [hashlib.sha256(call()).hexdigest() for call in test_parallel.work().values()]

with multiprocessing.get_context("fork").Pool(2) as pool:
    results = pool.map(child, range(4))
assert results == [child(None)] * 4
print("agreed")
"""
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system has no fork")
    done = fresh(code, PYTHONPATH=os.path.dirname(__file__))
    assert done.stdout.strip() == "agreed", done.stderr


def test_the_process_ends_while_workers_sleep() -> None:
    done = fresh("import test_parallel as t; [c() for c in t.work().values()]; print('end')",
                 PYTHONPATH=os.path.dirname(__file__), STEPSCORE_NUM_THREADS="4")  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "end"), done.stderr
