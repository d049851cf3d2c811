"""A Ray cluster: the bytes of one process, whoever scores what and whoever is killed."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from worker_models import load_mortal, load_mortal_lab, load_noting_caches, records

from stepscore.cli.main import main
from stepscore.errors import InputError
from stepscore.jobs import ray as cluster
from stepscore.jobs.files import Files
from stepscore.jobs.ray import RayWorkers
from stepscore.jobs.run import rerank_file, score_file

Write = Callable[..., str]
# Ray's own: files and sockets that it leaves to the collector.
quiet = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
pytestmark = quiet


@pytest.fixture(scope="module")
def here() -> Iterator[None]:
    """Two processors of this machine, as a cluster."""
    ray = pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    tests = {"env_vars": {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}}
    ray.init("local", num_cpus=2, num_gpus=0, log_to_driver=False, runtime_env=tests)
    yield
    ray.shutdown()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def workers(here: None, log: Path) -> RayWorkers:
    return RayWorkers(partial(load_mortal, str(log)), actors=2)


@pytest.mark.parametrize("deed", ["step @0.4", "killed once @0.4"])
def test_the_output_is_that_of_one_process(
    write: Write, workers: RayWorkers, log: Path, tmp_path: Path, deed: str
) -> None:
    rows = records(40, at_11="forbidden", at_20=deed)
    rows[17] = {"id": 17}  # cannot be read
    source = write(*rows)
    Path(f"{log}.one.killed").touch()
    for name, load in (
        ("one", lambda: load_mortal(f"{log}.one", "cpu")),
        ("many", lambda: workers),
    ):
        files = Files(
            source,
            str(tmp_path / f"{name}.jsonl"),
            on_error="skip",
            skipped=str(tmp_path / f"{name}.skipped"),
            chunk_size=4,
        )
        rerank_file(files, load, on_bad="error", version="0")
    for ending in ("jsonl", "skipped"):
        one, many = ((tmp_path / f"{name}.{ending}").read_bytes() for name in ("one", "many"))
        assert one == many
    scored = {line.split()[0] for line in log.read_text().splitlines()}
    assert len(scored) == (3 if "killed" in deed else 2)
    assert str(os.getpid()) not in scored


def test_a_chunk_that_ends_its_worker_twice_is_named_and_what_was_finished_is_kept(
    write: Write, workers: RayWorkers, tmp_path: Path
) -> None:
    source, out = write(*records(40, at_20="killed")), tmp_path / "out.jsonl"
    said: list[str] = []
    files = Files(source, str(out), chunk_size=4, say=said.append)
    with pytest.raises(InputError) as caught:
        score_file(files, lambda: workers, version="0")
    told = str(caught.value)
    assert "in.jsonl:21: expected a worker that scores until the end; got two after" in told
    assert f"{source}:21 to {source}:22" in told
    assert not out.exists()
    assert said[-1].startswith("40 candidates are kept in")


def test_what_a_model_raises_is_raised_here(
    write: Write, workers: RayWorkers, tmp_path: Path
) -> None:
    files = Files(write(*records(4, at_2="crash")), str(tmp_path / "out.jsonl"), chunk_size=2)
    with pytest.raises(InputError, match=r"in.jsonl:3: expected the model to score"):
        score_file(files, lambda: workers, version="0")


def test_another_version_on_a_worker(
    write: Write, workers: RayWorkers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "installed", lambda name: "99.1")
    files = Files(write(*records(2)), str(tmp_path / "out.jsonl"))
    with pytest.raises(InputError, match=r"expected stepscore 99\.1 on every.*; got stepscore"):
        score_file(files, lambda: workers, version="0")


def test_an_actor_keeps_few_kernels(write: Write, here: None, log: Path, tmp_path: Path) -> None:
    workers = RayWorkers(partial(load_noting_caches, str(log)), actors=1)
    score_file(Files(write(*records(2)), str(tmp_path / "out")), lambda: workers, version="0")
    assert Path(f"{log}.caches").read_text() == "64 64\n"


def test_a_path_that_workers_cannot_read(write: Write, workers: RayWorkers, tmp_path: Path) -> None:
    missing = str(tmp_path / "prm")
    elsewhere = RayWorkers(workers.load, actors=1, paths={"model": missing})
    files = Files(write(*records(2)), str(tmp_path / "out.jsonl"))
    with pytest.raises(InputError, match=r"model='.*prm': expected a file or folder that every"):
        score_file(files, lambda: elsewhere, version="0")


def test_another_model_on_a_worker(write: Write, here: None, log: Path, tmp_path: Path) -> None:
    files = Files(write(*records(2)), str(tmp_path / "out.jsonl"))
    workers = RayWorkers(partial(load_of_its_own, str(log)), actors=2)
    with pytest.raises(InputError, match=r"expected the same model on every worker; got model '"):
        score_file(files, lambda: workers, version="0")


def load_of_its_own(log: str, device: str) -> Any:
    """Load a model of another name in every process."""
    from dataclasses import replace

    return replace(load_mortal(log, device), name=f"model {os.getpid()}")


def test_a_cluster_without_room(
    write: Write, workers: RayWorkers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Files(write(*records(2)), str(tmp_path / "out.jsonl"))
    with pytest.raises(InputError, match=r"room for a worker of 64 CPU and 0 GPU; got machines w"):
        score_file(files, lambda: RayWorkers(workers.load, cpus=64), version="0")
    monkeypatch.setattr(cluster, "_SECONDS_FOR_A_PLACE", 1.0)
    with pytest.raises(InputError, match=r"a place on the cluster for every worker within 1 sec"):
        score_file(files, lambda: RayWorkers(workers.load, actors=1, cpus=64), version="0")


@pytest.fixture
def sums(tmp_path: Path) -> str:
    pytest.importorskip("torch")
    path = tmp_path / "lab.jsonl"
    assert main(["demo", "--problems", "12", "--samples", "4", "--save", str(path)]) == 0
    return str(path)


def test_the_lab_model_on_two_workers(here: None, sums: str, log: Path, tmp_path: Path) -> None:
    one, two, killed = (tmp_path / f"{name}.jsonl" for name in ("one", "two", "killed"))
    options = ["--model", "lab", "--chunk-size", "8", "-q"]
    assert main(["rerank", sums, "-o", str(one), "--device", "cpu", *options]) == 0
    assert main(["rerank", sums, "-o", str(two), "--engine", "ray", *options]) == 0
    assert one.read_bytes() == two.read_bytes()

    mortal = RayWorkers(partial(load_mortal_lab, str(log)), actors=2)
    version = __import__("stepscore").__version__
    rerank_file(Files(sums, str(killed), chunk_size=8), lambda: mortal, version=version)
    assert Path(f"{log}.killed").exists()
    assert len(set(log.read_text().split())) == 3
    assert one.read_bytes() == killed.read_bytes()


# --- without a cluster ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--ray-actors", "2"], "--ray-actors: expected --engine ray beside it; got --engine lo"),
        (["--engine", "ray", "--device", "cpu,cpu"], "--engine ray: expected a model that a worke"),
        (["--engine", "ray", "--device-map", "auto"], "got a device map, which places one model"),
    ],
)
def test_options_that_do_not_fit(
    write: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    told: str,
) -> None:
    arguments = ["score", write(*records(1)), "-o", str(tmp_path / "out.jsonl"), "--model", "lab"]
    assert main([*arguments, *options]) == 2
    assert told in capsys.readouterr().err


def test_an_explanation_is_of_this_machine(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["rerank", write(*records(1)), "--model", "lab", "--explain", "0"]
    assert main([*arguments, "--engine", "ray"]) == 2
    assert "--engine: expected local for what one model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("cpus", "gpus", "room"),
    [(1, 0, 11), (4, 0, 2), (1, 1, 4), (1, 2, 1), (1, 0.4, 8), (0, 0.1, 50), (0.1, 0, 110)],
)
def test_as_many_as_the_machines_hold(cpus: float, gpus: float, room: int) -> None:
    machines = [{"CPU": 8.0, "GPU": 3.0}, {"CPU": 3.0, "GPU": 1.0}, {"GPU": 1.0}]
    nodes = [{"Alive": True, "Resources": machine} for machine in machines]
    nodes.append({"Alive": False, "Resources": {"CPU": 99.0, "GPU": 99.0}})
    workers = RayWorkers(partial(load_mortal, ""), cpus=cpus)
    assert workers._room(SimpleNamespace(nodes=lambda: nodes), gpus) == room


def test_what_no_worker_can_have() -> None:
    load = partial(load_mortal, "")
    with pytest.raises(InputError, match=r"ray_gpus: expected whole GPUs .*; got 1.5"):
        RayWorkers(load, gpus=1.5)
    nothing = SimpleNamespace(nodes=lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}])
    with pytest.raises(InputError, match=r"0 CPU and 0 GPU; got machines with 2 CPU and 0 GPU; .*"):
        RayWorkers(load, cpus=0)._room(nothing, 0)


@pytest.mark.parametrize("option", ["--ray-cpus", "--ray-gpus"])
@pytest.mark.parametrize("number", ["-1", "x", "nan", "inf"])
def test_a_share_that_is_none(capsys: pytest.CaptureFixture[str], option: str, number: str) -> None:
    with pytest.raises(SystemExit):
        main(["score", "in", "-o", "out", "--model", "lab", option, number])
    assert f"{option}: must be a number of at least 0; got '{number}'" in capsys.readouterr().err


def test_without_ray(
    write: Write, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    workers = RayWorkers(partial(load_mortal, str(log)))
    files = Files(write(*records(1)), str(tmp_path / "out.jsonl"))
    with pytest.raises(InputError, match=r'expected Ray, .*pip install "stepscore\[ray\]"'):
        score_file(files, lambda: workers, version="0")


def test_what_ray_prints_is_not_among_the_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def shutdown() -> None:
        print("(raylet) left over")

    fake = SimpleNamespace(
        is_initialized=lambda: False, init=lambda **options: None, shutdown=shutdown
    )
    monkeypatch.setitem(sys.modules, "ray", fake)
    with cluster._cluster(None):
        print("(raylet) A worker died")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "(raylet) A worker died\n(raylet) left over\n"


def test_a_cluster_that_does_not_answer(write: Write, log: Path, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    ray.shutdown()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        workers = RayWorkers(partial(load_mortal, str(log)), address=address)
        files = Files(write(*records(1)), str(tmp_path / "out.jsonl"))
        with pytest.raises(InputError, match=r"ray_address='127.*: expected a Ray cluster that an"):
            score_file(files, lambda: workers, version="0")
