"""``stepscore doctor``: what it finds, and above all what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np
import pytest

import stepscore
from stepscore import _core, ops, reference
from stepscore.cli.main import main
from stepscore.jobs.doctor import packages
from stepscore.jobs.self_test import CASES, parts_of, self_test

TYPES = {"AnswerGroups", "VoteResult", "Rule", "TokenLogprob"}  # what ops take and give, and no op


def test_every_op_is_tested_on_inputs_that_give_something() -> None:
    assert set(CASES) == set(reference.__all__) - TYPES == set(ops.__all__) - TYPES
    for name, make in CASES.items():
        parts = list(parts_of(make(reference, np.random.default_rng(0))))
        assert sum(part.size for part in parts) >= 8, name


@pytest.mark.parametrize("seed", range(5))
def test_the_ops_agree_at_every_level(seed: int, levels: list[str]) -> None:
    for level in levels:
        _core.set_cpu_level(level)
        assert {each.op: each.fault for each in self_test(seed)} == dict.fromkeys(CASES)


def spoilt(op: Callable[..., Any], spoil: Callable[[np.ndarray], None]) -> Callable[..., Any]:
    """The op with its last array changed."""

    def changed(*given: Any, **options: Any) -> Any:
        parts = [part.copy() for part in parts_of(op(*given, **options))]
        spoil(max(parts, key=lambda part: part.size))
        return parts

    return changed


def one_more(part: np.ndarray) -> None:
    part.flat[part.size // 2] = "z" if part.dtype.kind == "U" else part.flat[part.size // 2] + 1


FUNCTIONS = sorted(name for name in CASES if name not in ("TreeSearch", "PrefixTrie"))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_wrong_number_of_any_op_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, name, spoilt(getattr(ops, name), one_more))
    assert [each.op for each in self_test() if each.fault is not None] == [name]


def test_a_tree_that_chooses_otherwise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(ops.TreeSearch):
        def select(self, rule: Any, **parameters: Any) -> int:
            return super().select("uct", **parameters)

    monkeypatch.setattr(ops, "TreeSearch", Other)
    assert [each.op for each in self_test() if each.fault is not None] == ["TreeSearch"]


def test_a_trie_that_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = ops.PrefixTrie
    monkeypatch.setattr(ops, "PrefixTrie", lambda ids, offsets: right(ids[::-1], offsets))
    assert [each.op for each in self_test() if each.fault is not None] == ["PrefixTrie"]


def test_a_wrong_op_is_named_with_the_place_and_both_numbers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def raises(*given: Any, **options: Any) -> Any:
        raise RuntimeError("illegal instruction")

    right = ops.gated_activation

    def wrong(gate: Any, up: Any, **options: Any) -> Any:
        out = right(gate, up, **options)
        out[2, 3] = 7.0
        return out

    monkeypatch.setattr(ops, "gated_activation", wrong)
    monkeypatch.setattr(ops, "top_k", raises)
    assert main(["doctor"]) == 1
    told = capsys.readouterr()
    expected = reference.gated_activation(*_gates())[2, 3]
    assert (
        f"  WRONG       gated_activation: result 0 at [2, 3]: 7.0; expected {expected}" in told.out
    )
    assert "  WRONG       top_k: RuntimeError: illegal instruction" in told.out
    count = len(CASES)
    assert f"{count - 2} of {count} ops agree with their specification" in told.out
    assert "stepscore doctor: wrong on this machine: gated_activation, top_k" in told.err


def _gates() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    gate = rng.standard_normal((5, 67)).astype(np.float32)
    return gate, rng.standard_normal((5, 67)).astype(np.float32)


def test_a_package_that_is_missing_or_old_is_named_with_what_to_type(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = metadata.version

    def version(name: str) -> str:
        if name in ("pyarrow", "peft"):
            raise metadata.PackageNotFoundError(name)
        return {"torch": "2.2.9+cpu", "accelerate": "1.0"}.get(name) or right(name)

    monkeypatch.setattr(metadata, "version", version)
    assert main(["doctor"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert 'parquet missing: pyarrow; type: pip install "stepscore[parquet]"' in out
    assert 'adapters accelerate 1.0; missing: peft; type: pip install "stepscore[adapters]"' in out
    assert 'unfit: needs torch>=2.3; type: pip install "stepscore[hf]"' in out


def test_requirements_are_read_as_metadata_writes_them() -> None:
    found = packages(
        [
            "numpy>=1.24",
            "torch>=2.3; extra == 'hf'",
            'nothing-of-this-name>=4 ; extra == "math"',
            'stepscore[hf,math]; extra == "all"',
        ]
    )
    assert [(each.name, each.extra, each.wanted) for each in found] == [
        ("numpy", "", ">=1.24"),
        ("torch", "hf", ">=2.3"),
        ("nothing-of-this-name", "math", ">=4"),
    ]
    assert (found[0].version, found[0].fits) == (np.__version__, True)
    assert (found[2].version, found[2].fits) == (None, False)


def test_json_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["cpu_level"], told["threads"]) == (stepscore.cpu_level(), stepscore.num_threads())
    assert (told["gpu"], told["gpu_reason"]) == stepscore.cuda_available()
    assert (told["computes_right"], told["model"]) == (True, None)
    assert [each["op"] for each in told["tested"]] == list(CASES)


def test_a_model_with_its_recipe_and_what_it_shares(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "lab"]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = lines[lines.index("lab") :]
    assert told[1:4] == [
        "  recipe      trl-prm",
        "              author; huggingface/trl, PRMTrainer",
        "  format      float32 on cpu",
    ]
    assert any(line.startswith("  shares      shares prefixes: ") for line in told)
    assert "  passed      head: score, in the shape that trl-prm reads" in told
    assert told[-1] == "  next: stepscore check lab"
    assert main(["doctor", "lab", "--dtype", "bfloat16", "--json"]) == 0
    model = json.loads(capsys.readouterr().out)["model"]
    assert (model["model"], model["recipe"], model["dtype"]) == ("lab", "trl-prm", "bfloat16")


def test_a_model_that_cannot_be_loaded(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    assert main(["doctor", str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert "self-test" in told.out  # what is known of the machine is still said
    assert "stepscore doctor: error: " in told.err
    assert str(tmp_path) in told.err
