"""A check agrees on models that are read right, and finds every fault that is planted."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import stepscore
from stepscore.recipes import Encoded, trl_prm, user_defined
from stepscore.scoring.checkpoint.folder import LAB
from stepscore.scoring.forward.head import HeadWeights

sys.path.append(str(Path(__file__).parents[1] / "recipes"))
from rows import ROWS
from test_rows import traces_of, written


def kinds(report: stepscore.CheckReport) -> set[str]:
    return {finding.kind for finding in report.warnings}


def found(report: stepscore.CheckReport) -> set[str]:
    return {difference.what for difference in report.differences}


@pytest.mark.parametrize("kind", [kind for kind in models.BUILDERS if "sharded" not in kind])
def test_every_kind_of_checkpoint_agrees(kind: str, tiny: Any, loaded: Any) -> None:
    report = stepscore.check_model(tiny(kind).folder, recipe=loaded(kind).recipe)
    assert report.agrees, report.differences
    assert report.largest < 1e-5
    assert (report.traces, report.steps) == (21, 90)
    assert not report.refused


@pytest.mark.parametrize("kind", ["qwen", "shepherd", "skywork", "trl"])
def test_the_slow_reading_is_that_of_the_tests(kind: str, tiny: Any, mixed: Any) -> None:
    # Against an oracle that neither the engine nor the slow reading has code in common with.
    from stepscore.scoring.checking.check import load_slow_reading, open_model

    recipe = stepscore.recipes.recipe_by_name(tiny(kind).recipe)
    tokenizer = tiny(kind).tokenizer
    slow = load_slow_reading(
        open_model(tiny(kind).folder),
        recipe,
        tokenizer,
        dtype=torch.float32,
        device=torch.device("cpu"),
    )
    for problem, steps in zip(*mixed, strict=True):
        ids, positions = recipe.encode(tokenizer, [problem], [steps]).trace(0)
        read = slow.read(ids, positions)[:, 0]
        np.testing.assert_allclose(read, tiny(kind).read(problem, steps), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_measured_by_its_own_noise(dtype: str) -> None:
    report = stepscore.check_model("lab", dtype=dtype)
    assert report.agrees
    assert report.noise is not None
    assert 0 < report.noise < report.tolerance


# --- planted faults: the engine differs from the files --------------------------------------


@pytest.mark.parametrize("kind", ["qwen", "shepherd", "trl"])
def test_swapped_rows_of_the_head_are_found(kind: str, loaded: Any) -> None:
    prm = loaded(kind)
    *before, (weight, bias) = prm.head.layers
    swapped = (weight.flip(0), None if bias is None else bias.flip(0))
    tampered = replace(prm, head=HeadWeights(prm.recipe, (*before, swapped)))
    assert found(stepscore.check_model(tampered)) == {"score"}
    assert stepscore.check_model(prm).agrees


def test_a_weight_of_the_backbone_that_differs_is_found(tiny: Any) -> None:
    prm = stepscore.load(tiny("trl").folder)
    with torch.no_grad():
        next(prm.backbone.parameters()).mul_(1.01)
    assert found(stepscore.check_model(prm)) == {"score"}


def test_a_fault_of_the_engines_head_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from stepscore.scoring.forward import head

    right = head.read_head
    monkeypatch.setattr(head, "read_head", lambda *given: right(*given) * 0.999)
    assert found(stepscore.check_model("lab")) == {"score"}


def test_a_trace_that_loses_its_prefix_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from stepscore.scoring.forward import engine

    right = engine.hidden_states

    def shifted(*given: Any, **more: Any) -> Any:
        for hidden in right(*given, **more):
            yield hidden.roll(1, 0)

    monkeypatch.setattr(engine, "hidden_states", shifted)
    assert "score" in found(stepscore.check_model("lab"))


class Early:
    """Encodes as a recipe does, and reads some tokens early."""

    def __init__(self, recipe: stepscore.recipes.Recipe, tokens: int = 1) -> None:
        self.right, self.tokens = recipe.encode, tokens

    def __call__(self, *given: Any) -> Encoded:
        encoded = self.right(*given)
        return replace(encoded, positions=encoded.positions - self.tokens)


@pytest.mark.parametrize("kind", ["qwen", "shepherd", "skywork", "trl"])
def test_a_recipe_that_reads_one_token_early_is_found(kind: str, tiny: Any, loaded: Any) -> None:
    recipe = loaded(kind).recipe
    report = stepscore.check_model(tiny(kind).folder, recipe=replace(recipe, encode=Early(recipe)))
    assert found(report) == {"positions"}
    # Two tokens early the step itself has not ended.
    encode = Early(recipe, 3)
    report = stepscore.check_model(tiny(kind).folder, recipe=replace(recipe, encode=encode))
    assert "positions" in found(report) & kinds(report)


def test_a_tokenizer_with_another_rule_of_bos_is_found(tiny: Any, tmp_path: Path) -> None:
    # In the engine: the ids are not those of the checkpoint's tokenizer.
    prm = stepscore.load(tiny("trl-llama").folder, recipe=TAGGED)
    other = type(prm.tokenizer)(
        tokenizer_object=models.Tokenizer.from_str(prm.tokenizer.backend_tokenizer.to_str()),
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
    )
    other.backend_tokenizer.post_processor = models.TemplateProcessing(
        single="$A", pair="$A $B", special_tokens=[]
    )
    assert stepscore.check_model(prm).agrees
    report = stepscore.check_model(replace(prm, tokenizer=other))
    assert found(report) == {"token ids"}
    # In the files: tokenizer_config.json says another thing than tokenizer.json does.
    folder = shutil.copytree(tiny("trl-llama").folder, tmp_path / "bos")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "add_bos_token": False}))
    assert "BOS" in kinds(stepscore.check_model(folder, recipe=TAGGED))


TAGGED = {
    "name": "tagged",
    "layout": "tagged-text",
    "prompt": "{problem} ",
    "step": "{step} ",
    "tag": "ки",
    "special_tokens": True,
    "head": {"layers": ["score"], "outputs": 2},
    "readings": [{"activation": "softmax", "output": 1}],
}


def test_two_bos_are_found(tiny: Any) -> None:
    folder = tiny("trl-llama").folder
    assert "BOS" not in kinds(stepscore.check_model(folder, recipe=TAGGED))
    doubled = stepscore.check_model(folder, recipe={**TAGGED, "prompt": "<s>{problem} "})
    assert "BOS" in kinds(doubled)
    assert any("begin with two '<s>'" in finding.text for finding in doubled.warnings)
    without = stepscore.check_model(folder, recipe={**TAGGED, "special_tokens": False})
    assert any("and the layout of tagged does not" in each.text for each in without.warnings)


# --- planted faults: both readings agree, and are worthless ---------------------------------


def lab_with(folder: Path, **changed: Any) -> Path:
    """A copy of the lab's PRM whose head is changed: name of a tensor -> what makes it."""
    shutil.copytree(LAB, folder)
    tensors = load_file(folder / "model.safetensors")
    for name, change in changed.items():
        name = name.replace("_", ".")
        tensors[name] = change(tensors[name]).contiguous()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_checkpoint_with_swapped_rows_orders_sums_the_wrong_way(tmp_path: Path) -> None:
    flipped = {"score_weight": lambda t: t.flip(0), "score_bias": lambda t: t.flip(0)}
    report = stepscore.check_model(lab_with(tmp_path / "swapped", **flipped))
    assert report.agrees
    assert "reversed" in kinds(report)
    assert not {"reversed", "undecided"} & kinds(stepscore.check_model("lab"))


@pytest.mark.parametrize("separator", ["=", "0", "1\n"])
def test_another_separator_is_found(separator: str) -> None:
    report = stepscore.check_model("lab", recipe=trl_prm(separator))
    assert "recipe" in kinds(report)
    said = next(finding.text for finding in report.warnings if finding.kind == "recipe")
    assert repr({"recipe": "trl-prm", "separator": "\n"}) in said


def test_another_separator_of_a_recipe_of_ones_own_is_found() -> None:
    own = {
        "name": "own",
        "layout": "separate-parts",
        "separator": "-",
        "bos": "id",
        "head": {"layers": ["score"], "outputs": 2},
        "readings": [{"activation": "softmax", "output": 1}],
    }
    assert {"recipe"} <= kinds(stepscore.check_model("lab", recipe=own))
    right = stepscore.check_model("lab", recipe={**own, "separator": "\n"})
    assert right.agrees
    assert "undecided" not in kinds(right)


def test_saturated_and_constant_scores_are_found(tmp_path: Path) -> None:
    large = {"score_weight": lambda t: t * 1e4}
    assert "saturation" in kinds(stepscore.check_model(lab_with(tmp_path / "large", **large)))
    small = {"score_weight": lambda t: t * 1e-9}
    assert "constant" in kinds(stepscore.check_model(lab_with(tmp_path / "small", **small)))


def test_a_template_that_has_drifted_is_found(tmp_path: Path) -> None:
    folder = models.qwen_prm(tmp_path / "prm").folder
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    turns = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    )

    def with_template(template: str) -> stepscore.CheckReport:
        (folder / "tokenizer_config.json").write_text(
            json.dumps({**settings, "chat_template": template})
        )
        return stepscore.check_model(folder)

    same = with_template(turns)
    assert "template" not in {finding.kind for finding in same.findings}
    drifted = with_template(turns.replace("{{ m.content }}", "{{ m.content | trim }}<think>"))
    assert "template" in kinds(drifted)
    broken = with_template("{{ raise_exception('no') }}")
    assert "template" not in kinds(broken)
    assert any(finding.kind == "template" for finding in broken.findings)


def test_truncation_special_tokens_and_merges_are_found(tiny: Any) -> None:
    folder = tiny("trl").folder
    solutions = [["The sum is 7."] * 200, ["The sum is 7.<|im_end|>"], ["So the answer is 7"]]
    report = stepscore.check_model(folder, "What is 1?", solutions, recipe=trl_prm())
    assert {"truncation", "special tokens"} <= kinds(report)
    assert report.traces == 2
    [(place, reason)] = report.refused
    assert place == "solutions[0]"
    assert "at most 512 tokens" in reason
    assert any(finding.kind == "separator merges" for finding in report.findings)


def test_what_cannot_be_checked_is_an_error(loaded: Any) -> None:
    with pytest.raises(ValueError, match=r"check_model: solutions: expected a trace that"):
        stepscore.check_model("lab", "What?", [["x"]])
    with pytest.raises(ValueError, match="solutions beside the problems"):
        stepscore.check_model("lab", "What?")
    with pytest.raises(ValueError, match=r"a model that stepscore\.load made"):
        stepscore.check_model(replace(loaded("trl"), load_again=None))


def test_a_recipe_with_several_readings_is_compared_in_all_of_them() -> None:
    recipe = user_defined(
        {
            "name": "two",
            "layout": "separate-parts",
            "separator": "\n",
            "bos": "id",
            "head": {"layers": ["score"], "outputs": 2},
            "readings": [
                {"activation": "softmax", "weights": [-1, 1]},
                {"name": "raw", "activation": "identity", "output": 0},
                {"name": "soft", "activation": "softplus", "output": 1},
                {"name": "tanh", "activation": "tanh", "output": 1},
                {"name": "sigmoid", "activation": "sigmoid", "output": 0},
            ],
        }
    )
    report = stepscore.check_model("lab", recipe=recipe)
    assert report.agrees, report.differences
    assert report.largest < 1e-5


HIDDEN_STATES = [name for name, row in ROWS.items() if row.recipe.head.likelihood is None]
LIKELIHOODS = [name for name in ROWS if name not in HIDDEN_STATES]


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_what_reads_every_token_is_refused_by_name(name: str, tmp_path: Path) -> None:
    row = ROWS[name]
    written(row, tmp_path / "prm")
    with pytest.raises(ValueError, match=f"got that of '{row.recipe.name}', with next_tokens"):
        stepscore.check_model(tmp_path / "prm", recipe=row.recipe)


@pytest.mark.parametrize("name", HIDDEN_STATES)
def test_every_published_recipe_agrees_with_the_slow_reading(name: str, tmp_path: Path) -> None:
    row = ROWS[name]
    written(row, tmp_path / "prm")
    traces = traces_of(row)[:3]
    report = stepscore.check_model(
        tmp_path / "prm",
        [problem for problem, _ in traces],
        [steps for _, steps in traces],
        recipe=row.recipe,
    )
    assert report.agrees, report.differences
    assert report.largest < 1e-5
    assert report.traces == len(traces)


def test_an_adapter_is_read_with_its_base(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    from test_adapters import PLAIN, train
    from transformers import LlamaConfig, LlamaForCausalLM

    base = LlamaForCausalLM(LlamaConfig(**models._sizes()))
    base.save_pretrained(tmp_path / "base")
    models.word_piece_tokenizer().save_pretrained(tmp_path / "base")
    train(peft, base, tmp_path / "adapter", task_type="CAUSAL_LM", **PLAIN)
    given = {"recipe": "math-shepherd", "base": tmp_path / "base"}
    report = stepscore.check_model(tmp_path / "adapter", **given)
    assert report.agrees, report.differences
    prm = stepscore.load(tmp_path / "base", recipe="math-shepherd")
    adapted = stepscore.load(tmp_path / "adapter", **given)
    assert found(stepscore.check_model(replace(adapted, backbone=prm.backbone))) == {"score"}
