"""Rates are measured once, kept whole, and never cost a run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import stepscore
from stepscore.jobs.provenance import describe
from stepscore.scoring.forward import measured_rates
from stepscore.scoring.forward.machine_rates import VARIABLE, MachineRates, machine_rates

KEY = {"processor": "a", "threads": 2}
RATES = MachineRates(flops=1.234e11, call=1e-6, number=1e-10, fork=2.06e-5, piece=3e-5, merge=0.0)


class Measured:
    """Counts how often it was asked."""

    def __init__(self, rates: MachineRates = RATES) -> None:
        self.rates, self.times = rates, 0

    def __call__(self) -> MachineRates:
        self.times += 1
        return self.rates


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "stepscore"


def test_a_machine_is_measured_once(cache: Path) -> None:
    measure = Measured()
    first = machine_rates(KEY, measure)
    assert machine_rates(KEY, measure) == first
    assert measure.times == 1
    assert (first.flops, first.fork) == (1.2e11, 2.1e-5), "as it will be read, from the first use"
    assert machine_rates({**KEY, "threads": 1}, measure) == first
    assert measure.times == 2
    assert sorted(path.suffix for path in cache.iterdir()) == [".json", ".json"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"rates": {}}',
        b'{"key": {"processor": "a", "threads": "2"}, "rates": {"flops": 1}}',
        b'{"key": {"processor": "a", "threads": "2"}, "rates": {"flops": NaN, "call": 1, '
        b'"number": 1, "fork": 1, "piece": 1, "merge": 1}}',
        b'{"key": {"processor": "a", "threads": "2"}, "rates": {"flops": 0, "call": 1, '
        b'"number": 1, "fork": 1, "piece": 1, "merge": 1}}',
        b'{"key": {"processor": "a", "threads": "2"}, "rates": {"flops": 1%s, "call": 1, '
        b'"number": 1, "fork": 1, "piece": 1, "merge": 1}}' % (b"0" * 400),
        b'{"a":' * 20_000,
        b'{"key": {"processor": "another"}, "rates": {"flops": 1e9, "call": 1, '
        b'"number": 1, "fork": 1, "piece": 1, "merge": 1}}',
    ],
)
def test_a_broken_file_is_measured_again(cache: Path, content: bytes) -> None:
    expected = machine_rates(KEY, Measured())
    [path] = cache.iterdir()
    path.write_bytes(content)
    measure = Measured()
    assert machine_rates(KEY, measure) == expected
    assert machine_rates(KEY, measure) == expected
    assert measure.times == 1, "and kept again"


@pytest.mark.parametrize("place", ["a file", "a folder without permission", "nothing"])
def test_a_cache_that_cannot_be_written_costs_the_measurement_alone(
    cache: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place == "a file":
        cache.write_text("")
    elif place == "nothing":
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", _no_home)
    else:
        monkeypatch.setattr("tempfile.mkstemp", _refused)
        monkeypatch.setattr(Path, "read_text", _refused)
    measure = Measured()
    assert machine_rates(KEY, measure) == machine_rates(KEY, measure)
    assert measure.times == 2


def _no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def _refused(*_: object, **__: object) -> str:
    raise PermissionError(13, "Permission denied")


def test_a_relative_cache_home_is_ignored(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    machine_rates(KEY, Measured())
    assert not (tmp_path / "here").exists()
    assert (tmp_path / "home" / ".cache" / "stepscore").is_dir()


def test_processes_at_the_same_time_leave_one_whole_file(cache: Path) -> None:
    code = (
        "import sys\n"
        "from stepscore.scoring.forward.machine_rates import MachineRates, machine_rates\n"
        "for turn in range(40):\n"
        "    rates = machine_rates({'a': turn}, lambda: MachineRates(float(sys.argv[1])))\n"
        "    assert rates.flops in (1e9, 2e9, 3e9), rates\n"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code, f"{n}e9"]) for n in (1, 2, 3)]
    assert [run.wait() for run in runs] == [0, 0, 0]
    files = sorted(cache.iterdir())
    assert len(files) == 40, "nothing is left behind"
    for path in files:
        assert json.loads(path.read_text())["rates"]["flops"] in (1e9, 2e9, 3e9)


def test_the_environment_goes_first(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {**RATES.as_json(), "flops": 5e10}
    monkeypatch.setenv(VARIABLE, json.dumps(told))
    measure = Measured()
    assert machine_rates(KEY, measure) == MachineRates.of(told)
    assert measure.times == 0
    assert not cache.exists()


def test_an_empty_variable_is_unset(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    measure = Measured()
    machine_rates(KEY, measure)
    assert measure.times == 1


@pytest.mark.parametrize(
    "text",
    [
        " ",
        "fast",
        "{}",
        "[1]",
        '{"flops": 1e11}',
        json.dumps({**RATES.as_json(), "call": -1}),
        json.dumps({**RATES.as_json(), "flops": 10**400}),
        '{"a":' * 20_000,
    ],
)
def test_a_wrong_variable_is_named(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(ValueError, match=f"the environment variable {VARIABLE}: expected") as error:
        stepscore.load("lab")
    assert f"unset {VARIABLE}" in str(error.value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_this_machine_is_measured(cache: Path, dtype: torch.dtype) -> None:
    drawn = torch.random.get_rng_state()
    rates = measured_rates.rates_of(torch.device("cpu"), dtype)
    assert torch.equal(torch.random.get_rng_state(), drawn), "nobody's seed is used up"
    # A processor of any age, however busy.
    assert 1e7 < rates.flops < 1e15
    assert 1e-8 < rates.call <= rates.fork < 1
    assert 0 < rates.number < 1e-5
    assert 0 <= rates.piece < 1
    [kept] = [json.loads(path.read_text()) for path in cache.iterdir()]
    assert kept["rates"] == rates.as_json()
    assert kept["key"]["dtype"] == str(dtype).removeprefix("torch.")
    assert kept["key"]["threads"] == str(torch.get_num_threads())


def test_a_provenance_has_what_the_environment_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    told = MachineRates(flops=7e10, call=2e-6, number=1e-10, fork=9e-5, piece=1e-5, merge=1e-9)
    monkeypatch.setenv(VARIABLE, json.dumps(told.as_json()))
    prm = stepscore.load("lab")
    described = json.loads(json.dumps(describe(prm, "1")))
    assert described["machine_rates"] == told.as_json()
    whole = stepscore.load("lab", share=False)
    assert "machine_rates" not in describe(whole, "1"), "nothing is chosen there"
