"""``stepscore recipes``: the list, and a trace with the places that are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import models
import pytest

from stepscore import recipes
from stepscore.cli.main import main
from stepscore.recipes import recipe_by_name, render

Write = Callable[..., str]
STEPS = ["We add 3 and 4.", "The sum is 7."]
# What each layout makes of a trace, by hand.
RENDERED = {
    "qwen2.5-math-prm": (
        models.byte_level_tokenizer,
        r"""<|im_start|>system⏎
Please reason step by step, and put your final answer within \boxed{}.<|im_end|>⏎
<|im_start|>user⏎
What is 7?<|im_end|>⏎
<|im_start|>assistant⏎
We add 3 and 4.⟦1:<extra_0>⟧The sum is 7.⟦2:<extra_0>⟧<|im_end|>⏎""",
    ),
    "math-shepherd": (
        models.word_piece_tokenizer,
        "<s> What is 7? Step 1: We add 3 and 4.⟦1: ки⟧⏎\nStep 2: The sum is 7.⟦2: ки⟧",
    ),
    "skywork-o1-prm": (
        lambda: models.byte_level_tokenizer("<|endoftext|>"),
        "<|endoftext|>What is 7?⏎\nWe add 3 and 4.⟦1:⏎⟧\nThe sum is 7.⟦2:⏎⟧",
    ),
    "trl-prm": (
        models.byte_level_tokenizer,
        "What is 7?We add 3 and 4.⟦1:⏎⟧\nThe sum is 7.⟦2:⏎⟧",
    ),
}


@pytest.mark.parametrize("name", RENDERED)
def test_the_text_of_a_recipe_with_its_marks(name: str) -> None:
    make, expected = RENDERED[name]
    trace = render(recipe_by_name(name), make(), "What is 7?", STEPS)
    assert trace.marked() == expected.split("\n")
    [sequence] = trace.sequences
    assert sequence.text == make().decode(list(sequence.token_ids))
    assert len(sequence.positions) == 2


def test_colours_mark_the_same_places() -> None:
    trace = render(recipe_by_name("trl-prm"), models.byte_level_tokenizer(), "What is 7?", STEPS)
    assert trace.marked(color=True) == [
        "What is 7?We add 3 and 4.\x1b[1;30;42m⏎ 1\x1b[0m",
        "The sum is 7.\x1b[1;30;42m⏎ 2\x1b[0m",
    ]


def test_characters_of_several_tokens_are_written_whole() -> None:
    trace = render(
        recipe_by_name("trl-prm"), models.byte_level_tokenizer(), "7€ 漢字?", ["√16 = 4 🙂"]
    )
    assert trace.marked() == ["7€ 漢字?√16 = 4 🙂⟦1:⏎⟧"]


def test_a_trace_of_several_sequences() -> None:
    import numpy as np

    from stepscore.recipes import Encoded, trl_prm

    def apart(*_: object) -> Encoded:
        ends = np.array([3, 8])
        ids = tokenizer.backend_tokenizer.encode("7\n7 7\n", add_special_tokens=False).ids
        ids = [*ids[:2], ids[0], ids[1], *ids[:2], ids[0], *ids[:2]]
        return Encoded(
            np.array(ids, np.int32),
            np.array([0, 4, 9]),
            ends,
            np.array([0, 1, 2]),
            np.array([0, 2]),
        )

    tokenizer = models.byte_level_tokenizer()
    trace = render(replace(trl_prm(), encode=apart), tokenizer, "7", ["7", "7"])
    assert [(each.first_step, each.positions) for each in trace.sequences] == [
        (1, (3,)),
        (2, (4,)),
    ]
    lines = trace.marked()
    assert lines[0] == "sequence 1 of 2:"
    assert any("⟦2:" in line for line in lines)


def test_what_cannot_be_rendered_is_named() -> None:
    shepherd, tokenizer = recipe_by_name("math-shepherd"), models.word_piece_tokenizer()
    with pytest.raises(ValueError, match=r"render: solution\[1\]: expected a step without 'ки'"):
        render(shepherd, tokenizer, "What?", ["7", "ки 7"])
    with pytest.raises(ValueError, match="render: problem: expected a problem without 'ки'"):
        render(shepherd, tokenizer, "ки", ["7"])
    with pytest.raises(ValueError, match="render: solution: expected at least one step"):
        render(shepherd, tokenizer, "What?", "")


# --- the command ----------------------------------------------------------------------------


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    text = capsys.readouterr().out
    for name in recipes.recipe_names():
        assert f"\n  {name} " in text
    assert "huggingface/trl, PRMTrainer" in text
    assert all(len(line) <= 200 for line in text.splitlines())
    assert main(["recipes", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert {name for name, row in rows.items() if "kind" not in row} == set(recipes.recipe_names())
    shepherd = rows["math-shepherd"]
    assert (shepherd["confidence"], shepherd["unit"]) == ("third-party", "step")
    assert (shepherd["score_range"], shepherd["default_aggregate"]) == ([0.0, 1.0], None)
    assert "openreasoner/openr" in shepherd["source"]


def test_models_that_write_their_verdicts_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    from stepscore.cli.judge import _JUDGES, _PROMPTED

    assert main(["recipes"]) == 0
    text = capsys.readouterr().out
    assert main(["recipes", "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in written}
    assert len(rows) == len(written)
    for name, row in rows.items():
        if "kind" in row:
            assert f"\n  {name} " in text
            assert row["source"] in text
            assert row["confidence"] == "author" or row["unverified"], name
    needless: dict[str, set[str]] = {"verdicts": set(), "comparisons": set()}
    for name, row in rows.items():
        if "kind" in row and not row["required"]:
            needless[row["kind"]].add(name)
    assert needless["verdicts"] == {"genprm", "natural-program", "pro-step", "r-prm", "thinkprm"}
    # The help of judge says which of them need a prompt.
    assert needless["comparisons"] == set(_JUDGES)
    assert set(_JUDGES + _PROMPTED) == {
        name for name, row in rows.items() if row.get("kind") == "comparisons"
    }
    [votes] = [each for each in rows["r-prm"]["arguments"] if each["name"] == "votes"]
    assert (votes["default"], votes["takes"]) == (10, "a whole number")
    assert rows["dyve"]["required"] == ["unsure"]
    assert rows["spark"]["required"] == ["prompt"]
    assert rows["web-shepherd"]["required"] == ["checklist", "state"]
    assert rows["likert"]["unit"] == "solution"
    assert rows["s2j"]["kind"] == "comparisons"


def test_a_recipe_with_required_arguments_is_listed() -> None:
    from stepscore.errors import InputError
    from stepscore.recipes.recipe import Recipe
    from stepscore.recipes.summaries import _summary

    def needs(model: str, task: str, *, separator: str = "\n") -> Recipe:
        if model not in ("llama", "qwen"):
            raise InputError("'llama' or 'qwen'", got=repr(model), argument="model")
        how = "min" if model == "llama" else "last"
        return replace(recipe_by_name("trl-prm", separator=separator), default_aggregate=how)

    row = _summary("needs", needs, ())
    assert (row.required, row.optional) == (("model", "task"), ("separator",))
    assert (row.confidence, row.unit, row.score_range) == ("author", "step", (0.0, 1.0))
    assert row.default_aggregate is None, "it depends on the model"

    def refuses(coef: float) -> Recipe:
        raise InputError("a number", got=repr(coef), argument="coef")

    row = _summary("refuses", refuses, ())
    assert (row.required, row.confidence, row.as_json()["score_range"]) == (("coef",), None, None)


def test_confidence_and_source_of_every_recipe_are_listed() -> None:
    for row in recipes.summaries():
        assert row.confidence is not None, row.name
        assert row.source, row.name
        # It may depend on what is given, as where another recipe's layout is named.
        assert row.unit is not None or row.required, row.name


def test_show(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["recipes", "show", "trl-prm", "--model", "lab"]
    assert main([*line, "--problem", "1+1=?", "--step", "1+1=2"]) == 0
    assert "  1 step, 11 tokens\n" in capsys.readouterr().out
    assert main([*line, "--problem", "1+1=?", "--step", "1+1=2", "--step", "2+3=5"]) == 0
    text = capsys.readouterr().out
    assert "\n1+1=?1+1=2⟦1:⏎⟧\n2+3=5⟦2:⏎⟧\n" in text
    assert "1     10        17  '\\n'   12 3 15 4 [17] 4 12 5 15" in text
    source = write({"id": 1, "problem": "1+1=?", "candidates": ["1+1=2", "1+1=2\n2+3=5"]})
    assert main([*line, source]) == 0  # IN may stand behind the options
    assert "candidate 1\n1+1=?1+1=2⟦1:⏎⟧\n" in capsys.readouterr().out
    assert main([*line, source, "--limit", "5", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["sequences"][0]["text"] == "1+1=?1+1=2\n"
    assert second["sequences"][0]["positions"] == [10, 16]
    assert main([*line, "--color", "always"]) == 0
    assert "\x1b[1;30;42m⏎ 1\x1b[0m" in capsys.readouterr().out


def test_show_needs_a_recipe_and_a_tokenizer(
    tmp_path: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*line: str) -> str:
        assert main(["recipes", "show", *line]) == 2
        return capsys.readouterr().err

    assert "NAME: expected the recipe to show" in refused()
    assert "--model: expected a folder or a repository" in refused("trl-prm", "--problem", "1")
    assert "did you mean 'trl-prm'?" in refused("trl-pm", "--model", "lab")
    assert "--step: expected both" in refused("trl-prm", "--model", "lab", "--problem", "1")
    source = write({"id": 1, "problem": "1", "candidates": ["1", {"steps": ["1", "x"]}]})
    message = refused("trl-prm", source, "--model", "lab", "--limit", "2")
    assert "in.jsonl:1: id 1: candidates[1].steps[1]: expected text" in message
    both = refused("trl-prm", source, "--model", "lab", "--problem", "1")
    assert "expected a file, or a problem with steps; got both" in both
    assert "a tokenizer beside the weights" in refused("trl-prm", "--model", str(tmp_path))


def test_show_takes_a_folder_with_a_tokenizer_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models.byte_level_tokenizer().save_pretrained(tmp_path / "tokenizer")
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"recipe": "trl-prm", "separator": "\n\n"}))
    assert main(["recipes", "show", str(own), "--model", str(tmp_path / "tokenizer")]) == 0
    assert "85+95=180⏎\n⟦1:⏎⟧\n180-16=164" in capsys.readouterr().out
