"""Scoring with the model on the GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from on_gpu import synchronisations

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import models  # noqa: E402

import stepscore  # noqa: E402

KINDS = ["qwen", "shepherd", "skywork", "trl", "trl-llama"]
PROBLEMS = ["How many eggs does she sell per day?", "What is half of 10 + 6?"] * 3
SOLUTIONS = [
    ["We add 3 and 4.", "The sum is 7.", "So the answer is 7"][: 1 + index % 3]
    for index in range(6)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Build each checkpoint once: folder(kind) -> TinyPrm."""
    built: dict[str, models.TinyPrm] = {}

    def build(kind: str) -> models.TinyPrm:
        if kind not in built:
            path: Path = tmp_path_factory.mktemp(kind)
            built[kind] = models.BUILDERS[kind](path)
        return built[kind]

    return build


@pytest.mark.parametrize("kind", KINDS)
def test_scores_on_the_gpu_are_those_of_the_cpu(kind: str, folder: Any, device: Any) -> None:
    prm = folder(kind)
    options = {"recipe": prm.recipe}
    on_gpu = stepscore.load(prm.folder, device="cuda", **options)
    on_cpu = stepscore.load(prm.folder, device="cpu", **options)
    got = on_gpu.score(PROBLEMS, SOLUTIONS)
    expected = on_cpu.score(PROBLEMS, SOLUTIONS)
    assert got.offsets.tolist() == expected.offsets.tolist()
    np.testing.assert_allclose(got.values, expected.values, rtol=0, atol=1e-4)
    again = on_gpu.score(PROBLEMS, SOLUTIONS)
    assert got.values.tobytes() == again.values.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_reading_waits_for_nothing(kind: str, folder: Any, device: Any) -> None:
    from stepscore.scoring.forward.head import read_steps

    prm = folder(kind)
    head = stepscore.load(prm.folder, device="cuda", recipe=prm.recipe).head
    hidden = torch.randn(301, models.HIDDEN, device=device)
    positions = np.arange(0, 301, 3)
    expected = read_steps(head, hidden.cpu(), positions)
    got = read_steps(head, hidden, positions)  # moves the head's weights to the device
    np.testing.assert_allclose(got.cpu(), expected, rtol=1e-4, atol=1e-5)
    assert synchronisations(lambda: read_steps(head, hidden, positions)) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_states_on_the_gpu_are_read_there(kind: str, folder: Any, device: Any) -> None:
    prm = folder(kind)
    head = stepscore.load_head(prm.folder, recipe=prm.recipe)
    laid_out = head.recipe.encode(head.tokenizer, PROBLEMS, SOLUTIONS)
    hidden = torch.randn(len(laid_out.token_ids), models.HIDDEN)
    positions = laid_out.positions, laid_out.step_offsets
    arguments = laid_out.token_ids, laid_out.offsets
    expected = head.read(hidden, *arguments, norm=head.norm, positions=positions)
    got = head.read(hidden.to(device), *arguments, norm=head.norm, positions=positions)
    np.testing.assert_allclose(got.values, expected.values, rtol=1e-4, atol=1e-5)
    counts = np.diff(laid_out.step_offsets)
    if head.recipe.name != "skywork-o1-prm":
        ids = torch.from_numpy(laid_out.token_ids).to(device)
        found = head.positions(ids, laid_out.offsets, step_counts=counts)
        assert all(each.device == ids.device for each in found)
        assert found[0].tolist() == laid_out.positions.tolist()
