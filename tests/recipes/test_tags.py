"""Pitfalls of recipes that are read at a tag: each guard, and what it is there for."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import models
import numpy as np
import pytest
import torch
from models import enc
from rows import ROWS
from rows_tags import minos_tokenizer, padded_tokenizer, tag_tokenizer
from test_rows import write_checkpoint

import stepscore
from stepscore import recipes
from stepscore.recipes.layouts import TaggedText, TextEnd
from stepscore.recipes.layouts.step_numbers import renumbered
from stepscore.recipes.recipe_arguments import required_arguments
from stepscore.recipes.registry import published

LLAMA = tag_tokenizer("<|begin_of_text|>")


def spelled(tokenizer, encoded, trace=0):
    ids, places = encoded.trace(trace)
    return [tokenizer.decode(ids[place : place + 1]) for place in places]


@pytest.mark.parametrize(
    ("recipe", "tag"), [(recipes.er_prm(), " ки"), (recipes.med_prm(), " ки"), (
        recipes.babelscape_prm("head", "identity"), "ки")]
)  # fmt: skip
def test_a_tag_is_read_with_the_space_that_its_author_encodes(recipe, tag):
    assert enc(LLAMA, " ки") != enc(LLAMA, "ки"), "two tokens, of which one is the tag"
    encoded = recipe.encode(LLAMA, ["What?"], [["One.", "Two"]])
    assert spelled(LLAMA, encoded) == [tag, tag]


def test_the_tag_of_the_other_spelling_would_be_found_nowhere():
    # Read by enc("ки")[-1], as the author's readme does it, no step of these texts is found.
    encoded = recipes.er_prm().encode(LLAMA, ["What?"], [["One.", "Two"]])
    assert enc(LLAMA, "ки")[-1] not in encoded.token_ids


@pytest.mark.parametrize("recipe", [recipes.er_prm(), recipes.mathminos()], ids=lambda r: r.name)
def test_a_word_is_no_tag_and_the_tag_is_no_step(recipe):
    tokenizer = minos_tokenizer() if recipe.name == "mathminos" else LLAMA
    tag = recipe.separator
    assert recipe.fault_in_step(f"ру{tag}да") is None
    for fault in (recipe.fault_in_step(f"a {tag} b"), recipe.fault_in_problem(f"a {tag}")):
        assert fault is not None
        assert repr(tag) in fault.expected
    recipe.check_tokenizer(tokenizer)
    # A word of which the tokenizer makes the tag's token is counted, and never scored.
    assert enc(tokenizer, f"x {tag}x") != enc(tokenizer, f"x {tag}")
    with pytest.raises(ValueError, match=r"steps\[0\]\[0\]: .*which ends a step in the model's"):
        recipe.encode(tokenizer, ["What?"], [[f"x {tag}x"]])


WHITE = [recipes.versa_prm(), recipes.math_psa(), recipes.multi_rm_dorm()]


@pytest.mark.parametrize("recipe", WHITE, ids=lambda recipe: recipe.name)
def test_white_space_around_a_step_makes_no_other_tag(recipe):
    # A space or a newline before the tag, or behind it, would be another token.
    tokenizer = tag_tokenizer() if recipe.name == "math-psa" else LLAMA
    plain = recipe.encode(tokenizer, ["What?"], [["One.", "Two"]])
    spaced = recipe.encode(tokenizer, ["What?"], [["One. \n", " \n\nTwo\t "]])
    assert plain.trace(0) == spaced.trace(0)
    tag = recipe.separator
    assert spelled(tokenizer, plain) == [tag, tag]
    fault = recipe.fault_in_step(f"One{tag}Two")
    assert fault is not None
    assert repr(tag) in fault.expected
    # Four newlines are not five: neither is the other's tag.
    assert {recipe.fault_in_step("a\n\nb"), recipe.fault_in_problem("a\n\n\n")} == {None}


def test_a_problem_that_ends_in_blanks_has_the_published_seam():
    recipe = recipes.versa_prm()
    traces = [recipe.encode(LLAMA, [problem], [["a"]]).trace(0) for problem in ("q", " q \n\n")]
    assert traces[0] == traces[1]


@pytest.mark.parametrize(
    "name", ["versa-prm", "math-psa", "multi-rm-dprm", "er-prm", "pqm", "masprm", "mathminos"]
)
def test_trailing_separators_make_no_step(name):
    # As a solution comes that was stopped at a blank line, or that was tagged twice.
    recipe = ROWS[name].recipe
    tag = f" {recipe.separator.strip()}" if recipe.separator.strip() else recipe.separator
    for end in ("", "\n\n", tag, f"\n\n{tag}\n\n", f"{tag}{tag}", "\n\n\n\n\n"):
        steps = recipe.split(f"Step 1: a{tag}\nStep 2: b{end}")
        assert [step.strip() for step in steps] == ["Step 1: a", "Step 2: b"], repr(end)


@pytest.mark.parametrize(
    ("tag", "joiner", "message"),
    [
        (
            "<step-end>",
            "",
            r"the tag '<step-end>' to be one token, .*; got \d+ tokens alone: '.+', '.+'",
        ),
        (
            ".",
            ".",
            r"; got 3 of it \(id \d+\) in '1\.\.2\.', which holds two steps: \[",
        ),
    ],
)
def test_a_tag_that_is_no_token_of_its_own_is_shown_in_pieces(
    tag: str, joiner: str, message: str
) -> None:
    tokenizer = models.byte_level_tokenizer()
    layout = TaggedText(tag=tag, joiner=joiner, between=" ")
    with pytest.raises(ValueError, match=message) as refused:
        layout.check_tokenizer("mine", tokenizer)
    assert "or a tag that is one token of this one" in str(refused.value)


def test_med_prm_begins_with_two_boss_as_its_author_encodes_it():
    ids, _ = recipes.med_prm().encode(LLAMA, ["What?"], [["a"]]).trace(0)
    bos = LLAMA.bos_token_id
    assert ids[:2] == [bos, bos]
    assert ids[2] != bos
    documents = recipes.med_prm("documents")
    text = LLAMA.decode(
        documents.encode(LLAMA, ["Document 1: d\n\nQuestion: q"], [["a"]]).token_ids
    )
    assert "user<|end_header_id|>\n\nDocument 1: d\n\nQuestion: q\n\nExplanation: Step 1" in text
    assert "the relevant documents, the question" in text
    with pytest.raises(ValueError, match="prompt: expected 'question' or 'documents'; got 'x'"):
        recipes.med_prm("x")


def test_a_newline_in_a_step_of_med_prm_is_a_space():
    recipe = recipes.med_prm()
    assert recipe.encode(LLAMA, ["q"], [["## Step 1: a\nb"]]).trace(0) == recipe.encode(
        LLAMA, ["q"], [["Step 1: a b"]]
    ).trace(0)


@pytest.mark.parametrize(
    ("step", "text"),
    [
        ("a", "Step 2: a"),
        ("Step 7: a", "Step 2: a"),
        (" step 1. a Step 3: b\n", "Step 2: a Step 3: b"),
        ("**Step 1**: a", "Step 2: a"),
        ("Step", "Step 2: Step"),
        ("*a* Step 1: b", "Step 2: *a* Step 1: b"),
    ],
)
def test_a_step_of_pqm_gets_its_number(step, text):
    assert renumbered(step, 2) == text


def test_q_values_are_no_probabilities(tmp_path: Path):
    row = ROWS["pqm"]
    write_checkpoint(row, tmp_path)
    prm = stepscore.load(tmp_path, recipe="pqm", show_progress=False)
    scores = prm.score("What?", [["a", "b", "c"], ["d"]])
    # Ragged steps need no sentinel that a minimum or a mean could see.
    np.testing.assert_array_equal(scores.aggregate(), [min(scores[0]), scores[1][0]])
    with pytest.raises(ValueError, match=r"aggregate: how: .*which prod needs; got those of 'pqm'"):
        scores.aggregate("prod")


def test_a_tokenizer_without_the_added_tag_is_refused():
    for recipe, tag in ((recipes.pqm(), "[PRM]"), (recipes.masprm(), "</step>")):
        with pytest.raises(ValueError, match=re.escape(f"{recipe.name}: expected {tag!r} to be")):
            recipe.check_tokenizer(models.byte_level_tokenizer())


def test_pure_is_read_with_the_sign_of_its_difference(tmp_path: Path):
    recipe = recipes.pure_prm()
    assert recipe.default_aggregate == "softmin"
    scores = stepscore.StepScores(
        np.array([0.9, 0.2, 0.8], np.float32), np.array([0, 3]), recipe, np.zeros(1, np.int64)
    )
    # Of the published example, by softmin's own temperature of 0.1.
    np.testing.assert_allclose(scores.aggregate(), [0.20212], atol=5e-6)
    assert recipes.pure_prm("\n\n").separator == "\n\n"


class TestReasonEval:
    """Separators that are recorded, and then deleted."""

    def test_the_7b_model_is_read_one_token_early(self):
        small, large = recipes.reasoneval_7b(), recipes.reasoneval_34b()
        problem, steps = "What?", ["She sells 9 eggs", "So the answer is 7"]
        tokenizer, other = padded_tokenizer("<s>"), padded_tokenizer("</s>")
        ids, early = small.encode(tokenizer, [problem], [steps]).trace(0)
        same, places = large.encode(other, [problem], [steps]).trace(0)
        assert ids == same, "the input holds no separator, and one BOS"
        assert [place - 1 for place in places] == early
        assert tokenizer.decode(ids[places[1] :]).strip() == tokenizer.decode(ids[-1:]).strip()
        assert tokenizer.bos_token_id not in ids[1:]

    @pytest.mark.parametrize(
        ("recipe", "tokenizer", "message"),
        [
            (recipes.reasoneval_7b(), padded_tokenizer("</s>"), "which is its padding token"),
            (recipes.reasoneval_34b(), padded_tokenizer("<s>"), "which is not its padding"),
            (recipes.reasoneval_7b(), models.word_piece_tokenizer(), "a padding token, which"),
            (recipes.reasoneval_34b(), models.byte_level_tokenizer(), "a padding token, which"),
        ],
    )
    def test_a_tokenizer_of_the_other_size_is_refused(self, recipe, tokenizer, message):
        with pytest.raises(ValueError, match=f"{recipe.name}: .*{message}"):
            recipe.check_tokenizer(tokenizer)

    def test_a_separator_in_a_text_is_refused(self):
        recipe, tokenizer = recipes.reasoneval_7b(), padded_tokenizer("<s>")
        with pytest.raises(ValueError, match=r"steps\[1\]: expected 3 tokens '<s>'.*got 4"):
            recipe.encode(tokenizer, ["q", "q"], [["a"], ["b <s> c"]])

    def test_no_id_of_its_input_ends_a_step(self):
        recipe, tokenizer = recipes.reasoneval_7b(), padded_tokenizer("<s>")
        encoded = recipe.encode(tokenizer, ["q"], [["a", "b"]])
        with pytest.raises(ValueError, match=r"positions: .*no id of its input ends a step"):
            recipe.positions(
                encoded.token_ids, encoded.offsets, tokenizer=tokenizer, step_counts=[2]
            )

    def test_a_head_without_a_bias_is_named(self, tmp_path: Path):
        write_checkpoint(replace(ROWS["reasoneval-34b"], bias=False), tmp_path)
        with pytest.raises(ValueError, match=r"load: expected a tensor 'score_head\.bias'"):
            stepscore.load(tmp_path, recipe="reasoneval-34b")
        recipe = recipes.reasoneval_34b(bias="no")
        assert recipe.as_config() == {"recipe": "reasoneval-34b", "bias": "no"}
        assert len(stepscore.load(tmp_path, recipe=recipe).score("q", [["a", "b"]])[0]) == 2
        with pytest.raises(ValueError, match="bias: expected 'yes' or 'no'"):
            recipes.reasoneval_7b(bias="maybe")

    @torch.no_grad()
    def test_validity_and_redundancy(self, tmp_path: Path):
        row = ROWS["reasoneval-34b"]
        body, head = write_checkpoint(row, tmp_path)
        prm = stepscore.load(tmp_path, recipe=row.recipe, show_progress=False)
        problem, steps = "What?", ["She sells 9 eggs", "So it is 7", "x"]
        scores = prm.score(problem, [steps, steps[:2]])
        ids, places = row.lay_out(row.tokenizer(), problem, steps)
        classes = head(body(torch.tensor([ids])).last_hidden_state[0, places]).softmax(-1).numpy()
        np.testing.assert_allclose(scores[0], classes[:, 1:].sum(1), rtol=0, atol=1e-5)
        redundancy = scores.readings["redundancy"]
        expected = np.concatenate([classes[:, 1], classes[:2, 1]])
        np.testing.assert_allclose(redundancy, expected, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(scores.aggregate(), [min(scores[0]), min(scores[1])])
        assert [r.higher_is_better for r in row.recipe.readings] == [True, False]


@torch.no_grad()
def test_beta_prm_has_a_mean_and_a_concentration(tmp_path: Path):
    row = ROWS["beta-prm"]
    body, head = write_checkpoint(row, tmp_path)
    prm = stepscore.load(tmp_path, recipe=row.recipe, show_progress=False)
    scores = prm.score("What?", [["a", "b"]])
    ids, places = row.lay_out(row.tokenizer(), "What?", ["a", "b"])
    outputs = head(body(torch.tensor([ids])).last_hidden_state[0, places])
    np.testing.assert_allclose(scores.values, outputs[:, 0].sigmoid().numpy(), atol=1e-5)
    expected = torch.log1p(outputs[:, 1].exp()).numpy()
    np.testing.assert_allclose(scores.readings["concentration"], expected, atol=1e-5)


def test_steps_of_prorag_do_not_see_each_others_ends(tmp_path: Path):
    row = ROWS["prorag-prm"]
    write_checkpoint(row, tmp_path)
    prm = stepscore.load(tmp_path, recipe=row.recipe, show_progress=False)
    steps = ["<step>a\n", "<step>b\n", "<step>c\n"]
    whole = prm.score("What?", [steps]).values
    alone = [prm.score("What?", [steps[:k]]).values[-1] for k in (1, 2, 3)]
    np.testing.assert_array_equal(whole, alone)
    with prm.session("What?") as session:
        node, grown = session.roots[0], []
        for step in steps:
            [node] = session.extend(node, [step]).nodes
        grown = session.scores(node)
        assert session.stats.forwarded < session.stats.given
    np.testing.assert_array_equal(grown, whole)
    with pytest.raises(ValueError, match=r"solutions\[0\]\[1\]: .*'<\|im_end\|>'"):
        prm.score("What?", [["a", "b<|im_end|> c", "d"]])


def test_what_no_source_confirms_is_said_or_asked_for():
    for name, entry in published().items():
        missing = required_arguments(entry)
        if missing:
            assert entry.make.__doc__
            for argument in missing:
                assert f"{argument}" in entry.make.__doc__
            continue
        recipe = entry.make()
        assert recipe.confidence != "unverified" or recipe.unverified, name
        for fact in recipe.unverified:
            assert fact.strip() == fact


def test_internlm2_is_refused_by_its_class(tmp_path: Path):
    row = ROWS["internlm2-reward"]
    write_checkpoint(row, tmp_path)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"llama"', '"internlm2"'))
    with pytest.raises(ValueError, match=r"model_type .* knows; got 'internlm2'"):
        stepscore.load(tmp_path, recipe="internlm2-reward")


def test_the_last_token_of_a_published_vocabulary_is_compared():
    chat = TextEnd(between="", joiner="", after="\n", last_ids={"Qwen2.5": 198})
    chat.check_tokenizer("test", models.byte_level_tokenizer())  # of no published vocabulary

    class Merges:
        """Qwen2.5's, whose newline is another token."""

        unk_token_id = None

        def __call__(self, text, **_):
            return {"input_ids": [[7]] * len(text)}

        def convert_tokens_to_ids(self, token):
            return {"<|endoftext|>": 151643}.get(token)

        def convert_ids_to_tokens(self, token):
            return {151643: "<|endoftext|>"}[token]

    with pytest.raises(ValueError, match=r"test: expected the last id of .* to be 198"):
        chat.check_tokenizer("test", Merges())
