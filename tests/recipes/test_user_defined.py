"""Recipes of users: the same scores as the published ones that they describe, or a named error."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
import torch
from rows import ROWS
from test_rows import written

import stepscore
from stepscore.errors import InputError
from stepscore.recipes import recipe_from, user_defined
from stepscore.recipes.user_defined_layouts import LAYOUTS

PARTS = {
    "name": "my-prm",
    "layout": "separate-parts",
    "separator": "\n",
    "bos": "id",
    "head": {"layers": ["score"], "outputs": 2},
    "readings": [{"activation": "softmax", "output": 1}],
}
TAGGED = {
    "name": "my-tagged",
    "layout": "tagged-text",
    "prompt": "{problem} ",
    "step": "Step {number}: {step} ",
    "tag": "ки",
    "joiner": "\n",
    "special_tokens": True,
    "head": {"words": ["+", "-"]},
    "readings": [{"activation": "softmax", "output": 0}],
}
CHAT = {
    "name": "my-chat",
    "layout": "chat",
    "format": "chatml",
    "system": "Please reason step by step, and put your final answer within \\boxed{}.",
    "tag": "<extra_0>",
    "head": {"layers": ["score.0", "score.2"], "outputs": 2},
    "readings": [{"activation": "softmax", "output": 1}],
}
END = {
    "name": "my-end",
    "layout": "text-end",
    "prompt": "{problem}\n",
    "unit": "step",
    "joiner": "\n\n",
    "after": "<|im_end|>",
    "added_tokens": ["<|im_end|>"],
    "special_tokens": False,
    "head": {"layers": ["score"], "outputs": 2},
    "readings": [{"activation": "softmax", "output": 1}],
}
TURNS = {
    "name": "my-turns",
    "layout": "label-turns",
    "format": "llama-3",
    "system": "dated",
    "label": "+",
    "user": "{problem} ",
    "strips": True,
    "head": {"words": ["+", "-"], "token": "last"},
    "readings": [{"activation": "softmax", "output": 0}],
}
# What is described -> the builder of a checkpoint that a published recipe reads in the same way.
SAME = {
    "separate-parts": (PARTS, "trl"),
    "tagged-text": (TAGGED, "shepherd"),
    "chat": (CHAT, "qwen"),
}


def test_every_layout_is_tried() -> None:
    assert {*SAME, "text-end", "label-turns"} == set(LAYOUTS)


@pytest.mark.parametrize("layout", SAME)
def test_a_description_scores_as_what_it_describes(layout: str, tmp_path: Path) -> None:
    description, kind = SAME[layout]
    tiny = models.BUILDERS[kind](tmp_path / "prm")
    steps = [["We add 3 and 4.", "Step 2: The sum is 7."], ["So the answer is 7"]]
    # The rows of the words are found one by one here, and behind BOS there: the same rows.
    scores = stepscore.load(tiny.folder, recipe=description).score(models.PROBLEMS[0], steps)
    known = stepscore.load(tiny.folder, recipe=tiny.recipe).score(models.PROBLEMS[0], steps)
    assert scores.values.tobytes() == known.values.tobytes()
    read = [tiny.read(models.PROBLEMS[0], each) for each in steps]
    np.testing.assert_allclose(scores.values, np.concatenate(read), rtol=0, atol=1e-5)
    assert scores.recipe.confidence == "user"


def test_label_turns_score_as_the_recipe_that_they_describe(tmp_path: Path) -> None:
    row = ROWS["rlhflow-prm"]
    read = written(row, tmp_path / "prm")
    steps = ["We add 3 and 4.", " The sum is 7. "]
    prm = stepscore.load(tmp_path / "prm", recipe=TURNS)
    scores = prm.score("What is 7?", [steps])
    known = stepscore.load(tmp_path / "prm", recipe=row.recipe).score("What is 7?", [steps])
    assert scores.values.tobytes() == known.values.tobytes()
    [trace] = row.sequences(row.tokenizer(), "What is 7?", steps)
    with torch.no_grad():
        expected = read(*trace)
    np.testing.assert_allclose(scores.values, expected, rtol=0, atol=1e-5)
    assert stepscore.check_model(prm).agrees


@pytest.mark.parametrize("unit", ["step", "solution"])
def test_a_text_that_is_read_at_its_end(unit: str, tmp_path: Path) -> None:
    from transformers import AutoModelForTokenClassification

    tiny = models.trl_prm(tmp_path / "prm")
    steps = ["We add 3 and 4.", "The sum is 7."]
    prm = stepscore.load(tiny.folder, recipe=changed(END, unit=unit))
    scores = prm.score("What is 7?", [steps])
    stock = AutoModelForTokenClassification.from_pretrained(tiny.folder).double()
    expected = []
    for read in [steps[:1], steps] if unit == "step" else [steps]:
        text = "What is 7?\n" + "\n\n".join(read) + "<|im_end|>"
        with torch.no_grad():
            logits = stock(torch.tensor([models.enc(tiny.tokenizer, text)])).logits
        expected.append(float(logits[0, -1].softmax(-1)[1]))
    np.testing.assert_allclose(scores.values, expected, rtol=0, atol=1e-5)
    assert stepscore.check_model(prm).agrees


@pytest.mark.parametrize("description", [*(each for each, _ in SAME.values()), END, TURNS])
def test_a_description_comes_back_from_its_recipe(description: dict[str, Any]) -> None:
    recipe = user_defined(description)
    assert recipe.as_config() == {"recipe": description}
    again = recipe_from(recipe.as_config())
    assert again.as_config() == recipe.as_config()
    assert (again.readings, again.head.layers) == (recipe.readings, recipe.head.layers)


@pytest.mark.parametrize("ending", ["yaml", "yml", "json"])
def test_a_file(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"my.{ending}"
    if ending == "json":
        path.write_text(json.dumps(PARTS))
    else:
        yaml = pytest.importorskip("yaml")
        path.write_text(yaml.safe_dump(PARTS))
    assert recipe_from(path).as_config() == {"recipe": PARTS}
    by_text = stepscore.load("lab", recipe=str(path))
    by_path = stepscore.load("lab", recipe=path)
    assert by_text.recipe.name == by_path.recipe.name == "my-prm"
    assert stepscore.load_head("lab", recipe=path).recipe.source == str(path)


def test_a_published_recipe_with_its_arguments_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "trl.json"
    path.write_text(json.dumps({"recipe": "trl-prm", "separator": "\n\n"}))
    assert recipe_from(path).as_config() == {"recipe": "trl-prm", "separator": "\n\n"}
    path.write_text(json.dumps({"recipe": "trl-prm", "seperator": "\n\n"}))
    with pytest.raises(ValueError, match=r"'seperator'; did you mean 'separator'. trl-prm has s"):
        recipe_from(path)


def test_config_json_holds_a_description(tmp_path: Path) -> None:
    tiny = models.trl_prm(tmp_path / "prm")
    config = json.loads((tiny.folder / "config.json").read_text())
    config["stepscore"] = user_defined(PARTS).as_config()
    (tiny.folder / "config.json").write_text(json.dumps(config))
    prm = stepscore.load(tiny.folder)
    assert prm.recipe.as_config() == {"recipe": PARTS}
    out = stepscore.convert_checkpoint(tiny.folder, tmp_path / "out").folder
    assert stepscore.load(out).recipe.as_config() == {"recipe": PARTS}
    config["stepscore"]["recipe"]["bos"] = "ids"
    (tiny.folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        InputError, match=r"for bos, one of id, text.*; got 'ids'; did you mean 'id'"
    ):
        stepscore.load(tiny.folder)


def changed(base: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """With other fields; ... removes one."""
    return {name: value for name, value in {**base, **fields}.items() if value is not ...}


def reading(**fields: Any) -> list[dict[str, Any]]:
    return [{"activation": "softmax", "output": 1, **fields}]


WRONG = {
    "a typo": (changed(PARTS, bos=..., boss="id"), ["'boss'", "did you mean 'bos'", "separator_i"]),
    "a field of another layout": (changed(PARTS, tag="x"), ["'tag'", "layout separate-parts has"]),
    "an unknown layout": (changed(PARTS, layout="taged-text"), ["did you mean 'tagged-text'"]),
    "a typo of layout": (changed(PARTS, layout=..., layuot="chat"), ["did you mean 'layout'"]),
    "no layout": (changed(PARTS, layout=...), ["for layout, one of tagged-text, chat, "]),
    "no separator": (changed(PARTS, separator=...), ["for separator, the text that ends every st"]),
    "no head": (changed(PARTS, head=...), ["for head, the head: {layers"]),
    "no special_tokens": (changed(TAGGED, special_tokens=...), ["for special_tokens, true or fal"]),
    "a number for a text": (
        changed(PARTS, separator=5),
        ["for separator, a text", "got 5"],
    ),
    "an empty tag": (changed(TAGGED, tag=""), ["for tag, a text of at least one character"]),
    "a text for a flag": (changed(TAGGED, special_tokens="yes"), ["special_tokens, true or false"]),
    "no placeholder": (changed(TAGGED, prompt="Q: "), ["for prompt, a text with {problem} once"]),
    "a placeholder twice": (changed(TAGGED, prompt="{problem}{problem}"), ["has it 2 times"]),
    "a wrong placeholder": (
        changed(TAGGED, prompt="{problm}"),
        ["{problm}", "did you mean {problem}?"],
    ),
    "another placeholder": (changed(TAGGED, prompt="{problem}{steps}"), ["got {steps} in"]),
    "no step": (changed(TAGGED, step="Step {number}: "), ["for step, a text with {step} once"]),
    "a number behind": (changed(TAGGED, step="{step} ({number})"), ["{number} in front of"]),
    "numbering without": (
        changed(TAGGED, step="{step}", numbering="always"),
        ["a {number} in"],
    ),
    "a tag beside its marks": (changed(TAGGED, added_tokens=["<a>"]), ["the tag 'ки' among them"]),
    "text before the problem": (
        changed(PARTS, prompt="Q {problem}"),
        ["nothing in front of"],
    ),
    "a wrong chat": (changed(CHAT, format="chat-ml"), ["did you mean 'chatml'"]),
    "no head of a kind": (changed(PARTS, head={"layrs": ["s"]}), ["did you mean 'layers'"]),
    "an empty head": (changed(PARTS, head={}), ["one of the fields layers, words"]),
    "two heads": (changed(PARTS, head={"layers": ["s"], "words": ["a"]}), ["layers and words"]),
    "no outputs": (changed(PARTS, head={"layers": ["s"]}), ["for head.outputs, how many"]),
    "one word": (changed(TAGGED, head={"words": ["+"]}), ["at least two different words"]),
    "a wrong activation": (
        changed(PARTS, readings=reading(activation="sofmax")),
        ["for readings[0].activation", "did you mean 'softmax'"],
    ),
    "an output too far": (changed(PARTS, readings=reading(output=2)), ["less than the 2 outputs"]),
    "both": (changed(PARTS, readings=reading(weights=[0, 1])), ["output, which is read alone, or"]),
    "neither": (
        changed(PARTS, readings=reading(output=None)),
        ["readings[0].output, a whole"],
    ),
    "too few weights": (
        changed(PARTS, readings=[{"activation": "softmax", "weights": [1]}]),
        ["one finite number for each of the 2 outputs"],
    ),
    "a softmax of one": (
        changed(PARTS, head={"layers": ["v"], "outputs": 1}, readings=[{"activation": "softmax"}]),
        ["which is 1 for every step"],
    ),
    "a second reading without a name": (
        changed(PARTS, readings=[*reading(), *reading(output=0)]),
        ["for readings[1].name"],
    ),
    "two of a name": (
        changed(PARTS, readings=[*reading(), *reading(output=0, name="score")]),
        ["a name of its own"],
    ),
    "a range": (changed(PARTS, readings=reading(range=[1, 0])), ["the least and the greatest"]),
    "a range that scores leave": (
        changed(PARTS, readings=[{"activation": "softmax", "weights": [-1, 1], "range": [0, 1]}]),
        ["for readings[0].range, a range that holds [-1, 1], which softmax gives", "leave it out"],
    ),
    "a split of what is not split": (
        changed(END, unit="solution", split="\n"),
        ["for split, no such field where the unit is the solution", "unit: step"],
    ),
    "an unknown aggregate": (changed(PARTS, default_aggregate="mni"), ["did you mean 'min'"]),
    "a product of any numbers": (
        changed(PARTS, readings=reading(activation="identity"), default_aggregate="prod"),
        ["an aggregate of scores outside [0, 1]", "'prod' of scores in [-inf, inf]"],
    ),
    "no mapping": ([PARTS], ["the fields of a recipe", "got list"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_description_that_is_none_is_refused_by_name(case: str) -> None:
    description, parts = WRONG[case]
    with pytest.raises(InputError) as caught:
        user_defined(description, source="my.yaml")
    message = str(caught.value)
    assert message.startswith("my.yaml: expected ")
    for part in parts:
        assert part in message, message


def test_a_name_that_a_published_recipe_has() -> None:
    with pytest.raises(InputError, match="for name, a name that no published recipe has"):
        recipe_from(changed(PARTS, name="math-shepherd"))


def test_braces_of_mathematics_are_text() -> None:
    recipe = user_defined(changed(TAGGED, prompt=r"Answer in \boxed{}, \frac{a}{b}: {problem} "))
    encoded = recipe.encode(models.word_piece_tokenizer(), ["What is 7"], [["So"]])
    text = models.word_piece_tokenizer().decode(encoded.token_ids.tolist())
    assert r"\boxed{}, \frac{a}{b}: What is 7 Step 1: So ки" in text.replace("  ", " ")


def test_what_only_a_tokenizer_can_tell_is_an_error_at_loading(tmp_path: Path) -> None:
    tiny = models.shepherd_prm(tmp_path / "prm")
    for fields, message in (
        ({"tag": "eggs per"}, "'eggs per' to be one token, the same alone and after a step"),
        ({"head": {"words": ["good", "-"]}}, "the word 'good' to be one token"),
        ({"added_tokens": ["ки"]}, "'ки' to be one added token"),
    ):
        with pytest.raises(InputError, match=message):
            stepscore.load(tiny.folder, recipe=changed(TAGGED, **fields))
    words = {"words": ["good", "bad"], "token": "first"}
    with pytest.raises(InputError, match=r"words with tokens of their own .*'good', 'bad'"):
        stepscore.load(tiny.folder, recipe=changed(TAGGED, head=words))


@pytest.mark.parametrize(
    ("description", "fields", "tokenizer"),
    [
        (TAGGED, {"prompt": "Is every ки right? {problem} "}, models.word_piece_tokenizer),
        (TAGGED, {"after": " ки"}, models.word_piece_tokenizer),
        (TAGGED, {"step": "ки Step {number}: {step} "}, models.word_piece_tokenizer),
        (CHAT, {"user": "Mind <extra_0>: {problem}"}, models.byte_level_tokenizer),
        (CHAT, {"system": "Mind <extra_0>."}, models.byte_level_tokenizer),
        # A newline merges with the full stop before it, and so the one behind the problem makes
        # "a." and "b" two tags again, of which the first ends no step.
        (
            TAGGED,
            {"prompt": "{problem}\n", "tag": "\n", "step": "{step}", "joiner": ""},
            models.byte_level_tokenizer,
        ),
    ],
    ids=["prompt", "after", "step", "user", "system", "merged"],
)
def test_a_tag_that_ends_no_step_is_no_part_of_a_layout(
    description: dict[str, Any], fields: dict[str, Any], tokenizer: Any
) -> None:
    recipe = user_defined(changed(description, **fields))
    with pytest.raises(InputError, match=r"behind every step and nowhere else .* [34] of it"):
        recipe.check_tokenizer(tokenizer())


def test_ranges_follow_from_the_weights() -> None:
    def of(activation: str, **fields: Any) -> tuple[float, float]:
        head = {"layers": ["score"], "outputs": 3}
        readings = [{"activation": activation, **fields}]
        return user_defined(changed(PARTS, head=head, readings=readings)).score_range

    assert of("softmax", weights=[-1, 0, 1]) == (-1, 1)
    assert of("softmax", weights=[0, 0.5, 1]) == (0, 1)
    assert of("sigmoid", weights=[1, 1, -1]) == (-1, 2)
    assert of("tanh", output=1) == (-1, 1)
    assert of("softplus", output=1) == (0, math.inf)
    assert of("identity", output=1) == (-math.inf, math.inf)
    assert of("identity", output=1, range=[0, 10]) == (0, 10)


# --- files ----------------------------------------------------------------------------------


def test_files_that_hold_no_recipe(tmp_path: Path) -> None:
    path = tmp_path / "my.json"
    with pytest.raises(InputError, match=r"my.json: expected a file .*; got No such file"):
        recipe_from(path)
    path.write_text('{"name": "a",\n "name": ]')
    with pytest.raises(InputError, match=r"my.json:2: expected JSON; got Expecting value"):
        recipe_from(path)
    path.write_text('{"name": "a", "name": "b"}')
    with pytest.raises(InputError, match="every field once; got 'name' twice"):
        recipe_from(path)
    path.write_text("[]")
    with pytest.raises(InputError, match=r"my.json: expected the fields of a recipe .*; got list"):
        recipe_from(path)
    path.write_bytes(b"\xff")
    with pytest.raises(InputError, match="in UTF-8"):
        recipe_from(path)


def test_files_of_yaml_that_hold_none(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    path = tmp_path / "my.yaml"
    path.write_text("name: a\nlayout: [chat\n")
    with pytest.raises(InputError, match=r"my.yaml:3: expected YAML; got expected ',' or '\]'"):
        recipe_from(path)
    path.write_text("name: a\nhead:\n  layers: [a]\n  layers: [b]\n")
    with pytest.raises(InputError, match="every field once; got 'layers' twice"):
        recipe_from(path)
    path.write_text("name: on\n" + yaml.safe_dump(changed(PARTS, name=...)))
    with pytest.raises(InputError, match="for name, a text; got True; put it into quotes"):
        recipe_from(path)
    path.write_text("")
    with pytest.raises(InputError, match="the fields of a recipe"):
        recipe_from(path)


def test_without_yaml_json_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    path = tmp_path / "my.yaml"
    path.write_text("name: a\n")
    with pytest.raises(InputError, match=r"PyYAML.*the same fields as JSON into a file"):
        recipe_from(path)


def test_what_names_no_recipe() -> None:
    with pytest.raises(TypeError, match="recipe: expected a name, a file, a mapping"):
        recipe_from(5)
    with pytest.raises(ValueError, match=r"load: recipe: expected one of .*math-shepherd"):
        stepscore.load("lab", recipe="trl")


def test_the_command_line_takes_a_file(tmp_path: Path, write: Any, capsys: Any) -> None:
    from stepscore.cli.main import main

    path, out = tmp_path / "my.json", tmp_path / "out.jsonl"
    path.write_text(json.dumps(PARTS))
    source = write({"id": 1, "problem": "85+95-16+20+11-30=?", "candidates": ["85+95=180"]})
    line = ["score", source, "-o", str(out), "--model", "lab", "--recipe", str(path)]
    assert main(line) == 0
    provenance = json.loads(out.read_text())["stepscore"]["provenance"]
    assert provenance["recipe"] == {"name": "my-prm", "description": PARTS}
    path.write_text(json.dumps(changed(PARTS, bos="ids")))
    assert main([*line, "--overwrite"]) == 2
    assert f"error: {path}: expected for bos, one of id, text" in capsys.readouterr().err


# --- the page -------------------------------------------------------------------------------

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text()


def test_the_examples_of_the_page_are_recipes_and_the_first_passes_a_check(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == len(LAYOUTS)
    assert {yaml.safe_load(block)["layout"] for block in blocks} == set(LAYOUTS)
    for number, block in enumerate(blocks):
        assert len(block.splitlines()) < 20
        path = tmp_path / f"{number}.yaml"
        path.write_text(block)
        assert recipe_from(path).confidence == "user"
    report = stepscore.check_model("lab", recipe=tmp_path / "0.yaml")
    assert report.agrees
    assert {finding.kind for finding in report.warnings} <= {"recipe", "tokenizer"}


def test_the_page_names_every_field() -> None:
    for layout in LAYOUTS.values():
        for field in layout.fields:
            assert f"`{field}`" in PAGE or f"{field}:" in PAGE, field
