"""``stepscore check``: its exit code, its lines, and the files that it reads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stepscore.cli.main import main

Write = Callable[..., str]
RECORD = {
    "id": 1,
    "problem": "85+95-16+20+11-30=?",
    "candidates": ["85+95=180\n180-16=164", {"steps": ["85+95=170"]}, "not a sum"],
}


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_a_model_that_agrees(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "lab"]) == 0
    text = shown(capsys)
    assert text.startswith("lab, recipe trl-prm, float32: agrees\n  12 traces, 60 steps, ")
    assert "  token ids  are the same\n  positions  are the same\n" in text
    assert "right steps of the built-in sums score better than wrong ones in 100%" in text
    assert "  refused    built-in trace 1: expected text that the model's tokenizer" in text


def test_a_file(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(RECORD)
    assert main(["check", "lab", source, "--json"]) == 0
    report = json.loads(shown(capsys))
    assert (report["traces"], report["steps"], report["agrees"]) == (2, 3, True)
    [refused] = report["refused"]
    assert refused["place"] == f"{source}:1, candidate 3"
    assert main(["check", "lab", "--limit", "1", "--json", source]) == 0
    assert json.loads(shown(capsys))["steps"] == 2


def test_a_difference_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from stepscore.scoring.forward import head

    right = head.read_head
    monkeypatch.setattr(head, "read_head", lambda *given: 1 - right(*given))
    assert main(["check", "lab"]) == 1
    told = capsys.readouterr()
    assert "lab, recipe trl-prm, float32: DIFFERS" in told.out
    assert "  DIFFERENT  score of built-in sum 1, right, step 1: 0.000" in told.out
    assert "more differences" in told.out
    assert "stepscore check: " in told.err


def test_warnings_are_exit_code_1_where_it_is_strict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import models

    folder = str(models.trl_prm(tmp_path / "prm").folder)
    assert main(["check", folder]) == 0
    assert "  warning    undecided: " in shown(capsys)
    assert main(["check", folder, "--strict"]) == 1
    assert "1 warning, and --strict" in capsys.readouterr().err


def test_the_built_in_model_passes_strictly(capsys: pytest.CaptureFixture[str]) -> None:
    """AutoTokenizer takes another class than the one that its files name, and drops newlines."""
    assert main(["check", "lab", "--strict"]) == 0
    text = shown(capsys)
    assert "  note       tokenizer: AutoTokenizer (" in text
    assert "tokenizer_config.json says TokenizersBackend, which reads tokenizer.json as her" in text


@pytest.mark.parametrize("declared", ["Qwen2Tokenizer", None])
def test_a_tokenizer_that_may_have_been_the_training_is_a_warning(
    declared: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from stepscore.scoring.checkpoint.folder import LAB

    folder = tmp_path / "prm"
    shutil.copytree(LAB, folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["tokenizer_class"]
    if declared is not None:
        settings["tokenizer_class"] = declared
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    assert main(["check", str(folder), "--strict"]) == 1
    told = capsys.readouterr()
    assert "  warning    tokenizer: AutoTokenizer (" in told.out
    assert "a model that was trained with it was trained on those" in told.out


def test_sums_of_log_probabilities_agree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import models

    folder = str(models.shepherd_prm(tmp_path / "lm").folder)
    assert main(["check", folder, "--recipe", "step-likelihood"]) == 0
    assert "recipe step-likelihood, float32: agrees\n" in capsys.readouterr().out


def test_bad_input_is_exit_code_2(
    tmp_path: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*line: str) -> str:
        assert main(["check", *line]) == 2
        return capsys.readouterr().err

    assert "MODEL nowhere/at/all: expected a folder" in refused("nowhere/at/all")
    assert "expected at least one candidate" in refused("lab", write())
    assert "in.jsonl:1" in refused("lab", write("no record"))
    assert "--recipe: expected one of" in refused("lab", "--recipe", "trl")
    assert "in.jsonl:1, candidate 1" in refused("lab", write({**RECORD, "candidates": ["x"]}))
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"name": "a", "layout": "chat"}))
    assert f"error: {own}: expected for head" in refused("lab", "--recipe", str(own))
    folder = shutil.copytree(models_folder(tmp_path), tmp_path / "broken")
    (folder / "model.safetensors").write_bytes(b"no weights")
    assert "model.safetensors" in refused(str(folder))


def models_folder(tmp_path: Path) -> Path:
    import models

    return models.trl_prm(tmp_path / "whole").folder
