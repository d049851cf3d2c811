"""Every recipe of the catalog against its row: layout, steps, detection, scores."""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from collections.abc import Callable
from pathlib import Path

import models
import numpy as np
import pytest
import torch
from models import PROBLEMS, STEPS
from rows import ROWS, Row
from transformers import AutoModel

import stepscore
from stepscore.recipes import catalog, recipe_by_name, recipe_names
from stepscore.recipes.recipe_arguments import required_arguments
from stepscore.recipes.registry import published

TRACES = [
    ("What?", ["It is 7 x"]),
    ("How many eggs?", ["x"] * 7),
    ("What?", ["It is 7 x", "Step 2: Yes", "No"]),
    ("", ["a . b"]),
    (PROBLEMS[0], [step.rstrip(".") for step in STEPS]),
]


def traces_of(row: Row) -> list[tuple[str, list[str]]]:
    return TRACES if row.traces is None else list(row.traces)


each_row = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)


def test_every_recipe_has_a_row() -> None:
    assert {row.recipe.name for row in ROWS.values()} == set(recipe_names())


@each_row
def test_its_tokens_are_those_of_the_row(row: Row) -> None:
    tokenizer = row.tokenizer()
    row.recipe.check_tokenizer(tokenizer)
    for problem, steps in traces_of(row):
        encoded = row.recipe.encode(tokenizer, [problem], [steps])
        sequences = row.sequences(tokenizer, problem, steps)
        assert [encoded.trace(i) for i in range(len(encoded.offsets) - 1)] == sequences
        assert encoded.sequences().tolist() == [0, len(sequences)]
        steps_read = 1 if row.recipe.unit == "solution" else len(steps)
        assert len(encoded.positions) == steps_read * row.recipe.positions_per_step


@each_row
def test_what_is_left_of_a_line_end_is_no_text(row: Row) -> None:
    """Steps of a Windows file that was cut at newlines end in a carriage return."""
    tokenizer = row.tokenizer()
    for index, (problem, steps) in enumerate(traces_of(row)):
        end = "\r" if index % 2 else "\r\r"
        cut = [step.replace("\n", f"{end}\n") + end for step in steps]
        expected = row.recipe.encode(tokenizer, [problem], [steps])
        encoded = row.recipe.encode(tokenizer, [problem + end], [cut])
        assert encoded.token_ids.tolist() == expected.token_ids.tolist()
        assert encoded.positions.tolist() == expected.positions.tolist()
        if row.recipe.whole is not None:  # joined before the layout joins it
            joined = row.recipe.whole.join(cut)
            again = row.recipe.encode(tokenizer, [problem], [[joined]])
            assert again.token_ids.tolist() == expected.token_ids.tolist()


@each_row
def test_many_traces_encode_as_each_alone(row: Row) -> None:
    tokenizer = row.tokenizer()
    traces = traces_of(row)
    together = row.recipe.encode(tokenizer, *map(list, zip(*traces, strict=True)))
    assert together.token_ids.dtype == np.int32
    for array in (together.offsets, together.positions, together.step_offsets):
        assert array.dtype == np.int64
    for index, (problem, steps) in enumerate(traces):
        alone = row.recipe.encode(tokenizer, [problem], [steps])
        first, last = together.sequences()[index : index + 2]
        sequences = [alone.trace(i) for i in range(len(alone.offsets) - 1)]
        assert [together.trace(i) for i in range(first, last)] == sequences
    nothing = row.recipe.encode(tokenizer, [], [])
    assert len(nothing.token_ids) == len(nothing.positions) == 0
    assert nothing.offsets.tolist() == nothing.step_offsets.tolist() == [0]


@each_row
def test_texts_are_split(row: Row) -> None:
    for text, steps in row.splits.items():
        assert row.recipe.split(text) == steps
        assert row.recipe.split(text.replace("\n", "\r\n")) == steps, "Windows line ends"
        assert [row.recipe.fault_in_step(step) for step in steps] == [None] * len(steps)


@each_row
def test_a_step_with_the_separator_is_at_fault_where_it_would_be_read(row: Row) -> None:
    fault = row.recipe.fault_in_step(f"one {row.recipe.separator} two")
    if row.takes_separator:
        assert fault is None
    else:
        assert fault is not None
        assert fault.argument is None, "who asked knows the place"
        # Of several marks behind a text, the first one is named.
        named = fault.expected.split("'")[1]
        assert repr(row.recipe.separator) in fault.expected or named in row.recipe.separator
    fault = row.recipe.fault_in_step(" \n")
    assert fault is not None
    assert fault.expected == "a step with text"


@each_row
def test_it_states_its_facts(row: Row) -> None:
    recipe = row.recipe
    assert recipe.confidence in ("author", "third-party", "unverified")
    assert recipe.confidence != "unverified" or recipe.unverified
    assert recipe.source
    low, high = recipe.score_range
    assert low < high
    entry = recipe.as_config()
    assert recipe_by_name(entry.pop("recipe"), **entry).separator == recipe.separator
    assert published()[recipe.name].make.__doc__


@torch.no_grad()
def write_checkpoint(row: Row, folder: Path) -> tuple[torch.nn.Module, torch.nn.Sequential]:
    """A tiny checkpoint of the row's class; its body and head in float64."""
    torch.manual_seed(0)
    config = row.config(**models._sizes(max_position_embeddings=2048))
    body = AutoModel.from_config(config).double().eval()
    words = row.head[0][0] == "lm_head"
    bias = row.bias and not words
    layers = [torch.nn.Linear(models.HIDDEN, outputs, bias=bias) for _, outputs in row.head]
    between = [layer for linear in layers for layer in (torch.nn.ReLU(), linear)][1:]
    tensors = {f"model.{key}": tensor for key, tensor in body.state_dict().items()}
    for (name, _), layer in zip(row.head, layers, strict=True):
        tensors |= {f"{name}.{key}": tensor for key, tensor in layer.state_dict().items()}
    entry = {**config.to_dict(), "architectures": [row.architecture]}
    models.write_checkpoint(folder, row.tokenizer(), tensors, entry)
    return body, torch.nn.Sequential(*between).double()


def written(row: Row, folder: Path) -> Callable[[list[int], list[int]], list[float]]:
    """A checkpoint of the row; ids and places -> scores, in float64."""
    if row.write is not None:
        return row.write(folder)
    body, head = write_checkpoint(row, folder)
    tokenizer = row.tokenizer()

    def read(ids: list[int], places: list[int]) -> list[float]:
        hidden = body(torch.tensor([ids])).last_hidden_state[0]
        return [float(row.score(tokenizer, head(hidden[place]))) for place in places]

    return read


@torch.no_grad()
@each_row
def test_its_scores_are_those_of_the_row(row: Row, tmp_path: Path) -> None:
    if row.every_token:
        return  # tests/recipes/test_log_ratio.py
    read = written(row, tmp_path)
    tokenizer = row.tokenizer()
    prm = stepscore.load(tmp_path, recipe=row.recipe)
    traces = traces_of(row)
    scores = prm.score(*map(list, zip(*traces, strict=True)))
    expected = []
    for problem, steps in traces:
        values = []
        for ids, places in row.sequences(tokenizer, problem, steps):
            values += read(ids, places)
        expected.append(row.joined(values))
    np.testing.assert_allclose(scores.values, np.concatenate(expected), rtol=0, atol=1e-5)
    assert np.std(scores.values) > 0.01, "else this test shows nothing"


@each_row
def test_class_and_head_tell_the_recipe_or_nothing_does(row: Row, tmp_path: Path) -> None:
    written(row, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an assumption
        if row.detected:
            assert stepscore.load(tmp_path).recipe.as_config() == row.recipe.as_config()
        elif row.recipe.head.kind == "lm_rows" and not published()[row.recipe.name].architectures:
            if required_arguments(published()[row.recipe.name]):
                return
            with pytest.raises(ValueError, match=f"pass .*recipe='{row.recipe.name}'"):
                stepscore.load(tmp_path)


# A recipe is data. What does not fit belongs into a layout, which others then share.
ENTRY_LINES = 25


def code_lines(source: str) -> int:
    """Lines that are neither blank nor comment nor docstring."""
    empty = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in empty | {tokenize.ENDMARKER}:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if text and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


@pytest.mark.parametrize(
    "path", sorted(Path(catalog.__path__[0]).glob("*.py")), ids=lambda p: p.stem
)
def test_an_entry_is_short(path: Path) -> None:
    assert code_lines(path.read_text()) <= ENTRY_LINES
