"""Log-ratios of two language models against two dense log-softmaxes in float64."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import models
import numpy as np
import pytest
import rows
import rows_ratio
import torch
from models import PROBLEMS, STEPS
from sweep import SWEEP
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

import stepscore
from stepscore.recipes import Encoded, Recipe, eurus_implicit_prm, step_likelihood

COEF = 0.25
SETTINGS = [
    ("card", False),
    ("processbench", False),
    ("best_of_n", False),
    ("card", True),
    ("best_of_n", True),
]
WRITTEN: dict[str, Callable[[Sequence[str]], list[str]]] = {
    "card": rows_ratio.as_on_the_card,
    "processbench": rows_ratio.as_in_processbench,
    "best_of_n": rows_ratio.as_in_best_of_n,
}
PAIRS = [
    (PROBLEMS[0], STEPS),
    (PROBLEMS[0], STEPS[:2]),
    (PROBLEMS[0], [STEPS[0], "Step 2: No. Step by Step.", "7"]),
    (PROBLEMS[1], ["7"]),
    ("  What?\n", ["a.\n\nb.", " c "]),
]


@torch.no_grad()
def write_model(folder: Path, *, llama: bool, tied: bool, seed: int) -> torch.nn.Module:
    """A tiny language model; the very model in float64."""
    torch.manual_seed(seed)
    make_config, make_model = (
        (LlamaConfig, LlamaForCausalLM) if llama else (Qwen2Config, Qwen2ForCausalLM)
    )
    config = make_config(**models._sizes(tie_word_embeddings=tied))
    model = make_model(config).eval()
    tensors = dict(model.state_dict())
    if tied:
        del tensors["lm_head.weight"]
    tokenizer = rows_ratio.llama_tokenizer() if llama else models.byte_level_tokenizer()
    entry = {**config.to_dict(), "architectures": [make_model.__name__]}
    models.write_checkpoint(folder, tokenizer, tensors, entry)
    return model.double()


@pytest.fixture(scope="session")
def pair(tmp_path_factory):
    """The folders of a model and its reference, and both in float64."""

    @cache
    def make(llama: bool):
        root = tmp_path_factory.mktemp("llama" if llama else "qwen")
        folders = [root / "model", root / "reference"]
        built = [
            write_model(folder, llama=llama, tied=bool(seed), seed=seed)
            for seed, folder in enumerate(folders)
        ]
        return (*folders, *built)

    return make


@torch.no_grad()
def dense_sums(
    variant: str, llama: bool, models_in_float64: Sequence[torch.nn.Module]
) -> list[list[float]]:
    """The author's arithmetic, one trace at a time, over the logits of the whole vocabulary."""
    tokenizer = rows_ratio.llama_tokenizer() if llama else models.byte_level_tokenizer()
    chat = rows_ratio.LLAMA if llama else rows_ratio.QWEN
    expected = []
    for problem, steps in PAIRS:
        ids, ends = rows_ratio.bounds(
            tokenizer,
            problem,
            WRITTEN[variant](steps),
            chat=chat,
            bare_ends=llama and variant == "best_of_n",
        )
        tokens = torch.tensor([ids])
        logps = [
            model(tokens).logits[0, :-1].log_softmax(-1).gather(1, tokens[0, 1:, None])[:, 0]
            for model in models_in_float64
        ]
        ratio = logps[0] - logps[1] if len(logps) == 2 else logps[0]
        mask = torch.zeros(len(ids))
        mask[ends[0] :] = 1.0
        # The card drops the mask's first entry; the ProcessBench code applies it as it stands.
        mask = mask[:-1] if variant == "processbench" else mask[1:]
        expected.append((COEF * ratio * mask).cumsum(-1)[ends[1:]].tolist())
    return expected


def recipe(variant: str, llama: bool, reference: Path | None, **more: str) -> Recipe:
    return eurus_implicit_prm(
        reference=None if reference is None else str(reference),
        coef=COEF,
        variant=variant,
        template="llama-3" if llama else "qwen2.5",
        system=rows_ratio.SYSTEM,
        **more,
    )


def score(prm: stepscore.ProcessRewardModel) -> stepscore.StepScores:
    return prm.score(*map(list, zip(*PAIRS, strict=True)))


@pytest.mark.parametrize(("variant", "llama"), SETTINGS)
def test_sums_are_those_of_two_dense_log_softmaxes(variant, llama, pair):
    model, reference, *both = pair(llama)
    prm = stepscore.load(model, recipe=recipe(variant, llama, reference))
    scores = score(prm)
    expected = dense_sums(variant, llama, both)
    np.testing.assert_allclose(scores.values, np.concatenate(expected), rtol=0, atol=1e-5)
    single = np.concatenate([np.diff(sums, prepend=0.0) for sums in expected])
    np.testing.assert_allclose(scores.readings["single"], single, rtol=0, atol=1e-5)
    assert np.std(scores.values) > 0.1, "else this test shows nothing"
    assert prm.sharing is not None
    assert prm.sharing.shared


def test_the_variants_give_other_sums(pair):
    sums = [
        np.concatenate(dense_sums(variant, llama, pair(llama)[2:])) for variant, llama in SETTINGS
    ]
    for first in range(len(sums)):
        for second in range(first):
            assert np.abs(sums[first] - sums[second]).max() > 1e-3


def test_either_sum_can_be_the_score(pair):
    model, reference, *_ = pair(False)
    first = score(stepscore.load(model, recipe=recipe("card", False, reference)))
    chosen = recipe("card", False, reference, reading="single")
    second = score(stepscore.load(model, recipe=chosen))
    assert np.array_equal(first.values, second.readings["accumulative"])
    assert np.array_equal(second.values, first.readings["single"])
    assert chosen.as_config()["reading"] == "single"


def test_without_a_reference_it_is_the_likelihood_alone(pair):
    model, _, alone, _ = pair(False)
    scores = score(stepscore.load(model, recipe=recipe("card", False, None)))
    expected = np.concatenate(dense_sums("card", False, [alone]))
    np.testing.assert_allclose(scores.values, expected, rtol=0, atol=1e-4)


def test_a_trace_scores_alike_in_any_company(pair):
    model, reference, *_ = pair(False)
    prm = stepscore.load(model, recipe=recipe("card", False, reference))
    together = score(prm)
    small = stepscore.load(
        model, recipe=recipe("card", False, reference), token_budget=40, share=False
    )
    for index, (problem, steps) in enumerate(PAIRS):
        assert np.array_equal(prm.score(problem, [steps]).values, together[index])
    assert np.array_equal(score(small).values, together.values)


def test_what_candidates_share_goes_through_each_model_once(pair):
    model, reference, *_ = pair(False)
    prm = stepscore.load(model, recipe=recipe("card", False, reference))
    assert prm.reference is not None
    engines = {"model": prm.backbone, "reference": prm.reference.engine.backbone}
    forwarded = dict.fromkeys(engines, 0)

    def count(name):
        def hook(_, __, options):
            forwarded[name] += options["input_ids"].numel()

        return hook

    hooks = [
        backbone.register_forward_pre_hook(count(name), with_kwargs=True)
        for name, backbone in engines.items()
    ]
    same = [STEPS] * 6
    prm.score(PROBLEMS[0], same)
    for hook in hooks:
        hook.remove()
    tokens = len(prm.recipe.encode(prm.tokenizer, PROBLEMS[:1], same[:1]).token_ids)
    assert 0 < forwarded["model"] <= tokens
    assert forwarded["reference"] == forwarded["model"]


def test_ranking_and_the_default_aggregate(pair):
    model, reference, *_ = pair(False)
    prm = stepscore.load(model, recipe=recipe("card", False, reference))
    ranked = prm.rank(PROBLEMS[0], [STEPS, STEPS[:2]])
    scores = prm.score(PROBLEMS[0], [STEPS, STEPS[:2]])
    least = [min(values) for values in scores.to_list()]
    assert [each.index for each in ranked] == np.argsort(-np.array(least)).tolist()
    assert prm.recipe.default_aggregate == "min"


def test_a_trace_past_either_models_positions_is_refused_or_cut(pair, tmp_path):
    model, reference, *_ = pair(False)
    config = json.loads((reference / "config.json").read_text())
    short = tmp_path / "short"
    short.mkdir()
    for file in reference.iterdir():
        (short / file.name).write_bytes(file.read_bytes())
    config["max_position_embeddings"] = 60
    (short / "config.json").write_text(json.dumps(config))
    prm = stepscore.load(model, recipe=recipe("card", False, short))
    assert prm.max_length == 60
    with pytest.raises(ValueError, match="at most 60 tokens"):
        prm.score(PROBLEMS[0], [STEPS])
    with pytest.warns(UserWarning, match="were not scored"):
        cut = prm.score(PROBLEMS[0], [STEPS], truncation="steps")
    whole = stepscore.load(model, recipe=recipe("card", False, reference)).score(
        PROBLEMS[0], [STEPS]
    )
    read = np.isfinite(cut.values)
    assert 0 < read.sum() < len(STEPS)
    np.testing.assert_allclose(cut.values[read], whole.values[read], atol=1e-5)


# --- templates ------------------------------------------------------------------------------

TEMPLATE = (
    "{{ '<|im_start|>system\nYou are here.<|im_end|>\n' }}{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}{% endfor %}"
)


def test_the_system_turn_is_that_of_the_tokenizers_own_template():
    tokenizer = models.byte_level_tokenizer()
    made = eurus_implicit_prm(reference=None, coef=1)
    with pytest.raises(ValueError, match="system: expected a tokenizer with a chat template"):
        made.check_tokenizer(tokenizer)
    templated = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer)
    templated.chat_template = TEMPLATE
    made.check_tokenizer(templated)
    turns = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Step 1: So."}]
    text = templated.apply_chat_template(turns, tokenize=False)
    assert made.encode(templated, ["Why?"], [["So."]]).trace(0)[0] == models.enc(tokenizer, text)
    templated.chat_template = TEMPLATE.replace("message.role + '\n'", "message.role + ' says\n'")
    with pytest.raises(ValueError, match="template: expected a tokenizer whose chat template is"):
        made.check_tokenizer(templated)


def test_the_template_is_the_one_whose_marks_the_tokenizer_has():
    made, named = (
        eurus_implicit_prm(reference=None, coef=1, system="", template=template)
        for template in (None, "qwen2.5")
    )
    tokenizer, trace = models.byte_level_tokenizer(), (["Why?"], [["a", "b"]])
    assert made.encode(tokenizer, *trace).trace(0) == named.encode(tokenizer, *trace).trace(0)
    # The made-up vocabulary for Llama has the marks of both.
    with pytest.raises(ValueError, match="template: expected a tokenizer with the added tokens"):
        made.check_tokenizer(rows_ratio.llama_tokenizer())


def test_a_chat_that_the_tokenizer_has_no_marks_for_is_refused():
    made = eurus_implicit_prm(reference=None, coef=1, template="llama-3", system="")
    with pytest.raises(ValueError, match=r"chat of llama-3; got one that lacks"):
        made.check_tokenizer(models.byte_level_tokenizer())


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"coef": "much"}, TypeError, "coef: expected a number; got 'much'"),
        ({"coef": 0}, ValueError, "coef: expected a finite number other than 0"),
        ({"coef": float("nan")}, ValueError, "coef: expected a finite number"),
        ({"coef": True}, ValueError, "coef: expected a finite number"),
        ({"reference": ""}, ValueError, "reference: expected a folder"),
        ({"reference": 3}, TypeError, "reference: expected a folder"),
        ({"variant": "other"}, ValueError, "variant: expected one of card, processbench"),
        ({"template": "chatml"}, ValueError, "template: expected one of qwen2.5, llama-3"),
        ({"reading": "sum"}, ValueError, "reading: expected one of accumulative, single"),
    ],
)
def test_arguments_are_checked(options, error, message):
    with pytest.raises(error, match=f"eurus-implicit-prm: {message}"):
        eurus_implicit_prm(**{"reference": None, "coef": 1, **options})


def test_the_required_arguments_are_named(pair):
    with pytest.raises(TypeError, match="'reference' and 'coef'"):
        eurus_implicit_prm()
    expected = r"the reference and the coef of 'eurus-implicit-prm'.*_prm\(reference=\.\.\., coef"
    with pytest.raises(ValueError, match=expected):
        stepscore.load(pair(False)[0], recipe="eurus-implicit-prm")


def test_a_reference_with_another_vocabulary_is_refused(pair, tmp_path):
    model, *_ = pair(False)
    write_model(tmp_path, llama=False, tied=False, seed=2)
    vocabulary = json.loads((tmp_path / "tokenizer.json").read_text())
    names = vocabulary["model"]["vocab"]
    names["a"], names["b"] = names["b"], names["a"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(vocabulary))
    with pytest.raises(ValueError, match="reference: expected a reference with the model's own"):
        stepscore.load(model, recipe=recipe("card", False, tmp_path))


def test_a_reference_that_is_none_is_named(pair, tmp_path):
    with pytest.raises(ValueError, match=r"load: reference: expected a folder with a config\.json"):
        stepscore.load(pair(False)[0], recipe=recipe("card", False, tmp_path))


def test_bounded_logits_are_refused_by_name(pair, tmp_path):
    sizes = {**models._sizes(), "head_dim": 12, "final_logit_softcapping": 30.0}
    config = Gemma2Config(**sizes)
    entry = {**config.to_dict(), "architectures": ["Gemma2ForCausalLM"]}
    tensors = dict(Gemma2ForCausalLM(config).state_dict())
    models.write_checkpoint(tmp_path, models.byte_level_tokenizer(), tensors, entry)
    for model, reference in ((tmp_path, None), (pair(False)[0], tmp_path)):
        with pytest.raises(ValueError, match=r"final_logit_softcapping 30\.0"):
            stepscore.load(model, recipe=recipe("card", False, reference))


def test_what_needs_one_place_for_a_step_is_refused(pair):
    model, reference, *_ = pair(False)
    chosen = recipe("card", False, reference)
    prm = stepscore.load(model, recipe=chosen)
    with pytest.raises(ValueError, match="session: expected a recipe that is read at one token"):
        prm.session(PROBLEMS)
    hidden = torch.zeros(1, 4, models.HIDDEN)
    with pytest.raises(ValueError, match="read: expected a recipe that is read at one token"):
        prm.read(hidden, torch.zeros(1, 4, dtype=torch.int64), lengths=[4])
    with pytest.raises(ValueError, match="load_head: expected a recipe that is read at one token"):
        stepscore.load_head(model, recipe=chosen)
    with pytest.raises(ValueError, match="positions: expected a recipe that is read at one token"):
        chosen.positions([1, 2], [0, 2])


# --- the likelihood of steps ------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("llama", [False, True])
def test_the_likelihood_of_steps_is_that_of_a_dense_log_softmax(llama, pair):
    model, reference, alone, other = pair(llama)
    tokenizer = rows_ratio.llama_tokenizer() if llama else models.byte_level_tokenizer()
    pairs = [(problem, steps) for problem, steps in PAIRS if problem.strip()]
    for compared in (None, str(reference)):
        made = step_likelihood(joiner=" ", reading="mean", reference=compared)
        scores = stepscore.load(model, recipe=made).score(*map(list, zip(*pairs, strict=True)))
        means, sums = [], []
        for problem, steps in pairs:
            ids, ends = rows_ratio.plain(tokenizer, problem, steps, joiner=" ")
            tokens = torch.tensor([ids])
            logps = [
                each(tokens).logits[0, :-1].log_softmax(-1).gather(1, tokens[0, 1:, None])[:, 0]
                for each in (alone, other)[: 1 if compared is None else 2]
            ]
            ratio = logps[0] - logps[1] if len(logps) == 2 else logps[0]
            begin = len(ids) - sum(len(models.enc(tokenizer, " " + step)) for step in steps)
            for end in ends:
                means.append(float(ratio[begin - 1 : end].mean()))
                sums.append(float(ratio[begin - 1 : end].sum()))
                begin = end + 1
        np.testing.assert_allclose(scores.values, means, rtol=0, atol=1e-5)
        np.testing.assert_allclose(scores.readings["single"], sums, rtol=0, atol=1e-4)
        assert np.std(scores.values) > 0.01


def test_a_first_step_must_follow_something(pair):
    prm = stepscore.load(pair(False)[0], recipe=step_likelihood())
    with pytest.raises(ValueError, match=r"score: problems\[1\]: expected a problem of at least"):
        prm.score(["Why?", ""], [["a"], ["b"]])


# --- the recipe in a checkpoint -------------------------------------------------------------


def test_config_json_can_name_both_models(pair, tmp_path):
    model, reference, *_ = pair(False)
    chosen = recipe("processbench", False, reference)
    for file in model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((model / "config.json").read_text())
    entry = json.dumps({**config, "stepscore": chosen.as_config()})
    (tmp_path / "config.json").write_text(entry)
    prm = stepscore.load(tmp_path)
    assert prm.recipe.as_config() == chosen.as_config()
    assert np.array_equal(score(prm).values, score(stepscore.load(model, recipe=chosen)).values)
    assert prm.weights.as_json() == {"reference": str(reference)}
    assert f"reference={str(reference)!r}" in repr(prm)


def test_published_repositories_ask_for_what_nothing_decides(pair, tmp_path):
    folder = tmp_path / "PRIME-RL" / "EurusPRM-Stage2"
    folder.mkdir(parents=True)
    for file in pair(False)[0].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ValueError, match="the reference and the coef of 'eurus-implicit-prm'"):
        stepscore.load(folder)


def test_a_file_of_scores_names_both_models(pair, tmp_path):
    from stepscore.jobs.files import Files
    from stepscore.jobs.run import score_file

    model, reference, *_ = pair(False)
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    candidates = [{"steps": STEPS}, {"steps": STEPS[:1]}]
    source.write_text(json.dumps({"id": 1, "problem": PROBLEMS[0], "candidates": candidates}))
    prm = stepscore.load(model, recipe=recipe("card", False, reference), reference_device="cpu")
    score_file(Files(source=str(source), target=str(target)), lambda: prm, version="0")
    written = json.loads(target.read_text())["stepscore"]
    expected = prm.score(PROBLEMS[0], [STEPS, STEPS[:1]]).to_list()
    assert [each["step_scores"] for each in written["candidates"]] == expected
    assert written["provenance"]["model"] == str(model)
    assert written["provenance"]["reference"] == str(reference)
    assert written["provenance"]["recipe"]["coef"] == str(COEF)


def test_rows_have_their_scores_here():
    tested = {recipe(variant, llama, None).as_config()["variant"] for variant, llama in SETTINGS}
    every = [row.recipe.as_config() for row in rows.ROWS.values() if row.every_token]
    assert tested == {entry["variant"] for entry in every if "variant" in entry}
    assert {entry["recipe"] for entry in every} == {"eurus-implicit-prm", "step-likelihood"}


def test_a_deep_copy_has_a_reference_of_its_own(pair):
    import copy
    import pickle

    model, reference, *_ = pair(False)
    prm = stepscore.load(model, recipe=recipe("card", False, reference))
    twin = copy.deepcopy(prm)
    assert twin.reference is not prm.reference
    again = pickle.loads(pickle.dumps(prm))
    for other in (twin, again, replace(prm, token_budget=64)):
        assert np.array_equal(score(other).values, score(prm).values)


# --- the slow reading -------------------------------------------------------------------------


def check(model, chosen: Recipe | stepscore.ProcessRewardModel, **more) -> stepscore.CheckReport:
    if isinstance(chosen, Recipe):
        return stepscore.check_model(model, recipe=chosen, **more)
    return stepscore.check_model(chosen, **more)


def found(report: stepscore.CheckReport) -> set[str]:
    return {difference.what for difference in report.differences}


@pytest.mark.parametrize(("variant", "llama"), SETTINGS)
def test_the_check_agrees_with_both_models(variant, llama, pair):
    model, reference, *both = pair(llama)
    made = recipe(variant, llama, reference)
    report = check(model, made)
    assert report.agrees, report.differences
    assert report.largest < 1e-5
    assert (report.traces, report.refused) == (21, ())
    assert "positions" not in {finding.kind for finding in report.findings}
    # And its slow reading is that of the tests.
    from stepscore.scoring.checking.check import _Engine, _read, open_model
    from stepscore.scoring.checking.traces import CheckTrace

    prm = stepscore.load(model, recipe=made)
    engine = _Engine.of(prm, [CheckTrace(str(index), *each) for index, each in enumerate(PAIRS)])
    slow = _read(engine, open_model(model), prm.tokenizer, torch.float32, torch.device("cpu"))
    expected = np.concatenate(dense_sums(variant, llama, both))
    np.testing.assert_allclose(slow[:, 0], expected, rtol=0, atol=1e-5)


def test_the_check_measures_half_precision_by_its_own_noise(pair):
    model, reference, *_ = pair(False)
    report = check(model, recipe("card", False, reference), dtype="bfloat16")
    assert report.agrees, report.differences
    assert report.noise is not None
    assert report.noise > 0


class Moved:
    """Encodes as a recipe does, but for the tokens that bound the sums."""

    def __init__(self, right: Callable[..., Encoded], first: int, ends: int) -> None:
        self.right, self.first, self.ends = right, first, ends

    def __call__(self, *given):
        encoded = self.right(*given)
        first, ends = encoded.first_tokens + self.first, encoded.positions + self.ends
        return replace(encoded, first_tokens=first, positions=ends)


MOVED = [(1, 0), (-1, 0), (0, -1)]


@pytest.mark.parametrize(
    ("variant", "llama", "first", "ends"),
    [
        (*setting, *moved)
        for i, setting in enumerate(SETTINGS)
        for j, moved in enumerate(MOVED)
        if SWEEP or i % 3 == j
    ],
)
def test_the_check_finds_sums_that_are_bounded_otherwise(variant, llama, first, ends, pair):
    made = recipe(variant, llama, None)
    report = check(pair(llama)[0], replace(made, encode=Moved(made.encode, first, ends)))
    assert found(report) == {"positions"}
    texts = [difference.slow for difference in report.differences]
    said = "where the sums begin" if first else "which ends the sum of step 1"
    assert sum(text.endswith(said) for text in texts) == report.traces


@pytest.mark.parametrize(("first", "ends"), [(1, 0), (0, -1), (0, 1)])
def test_the_check_finds_likelihoods_of_other_tokens(first, ends, pair):
    made = step_likelihood()
    solutions = [["a b.", "c d e."], ["It is 7 x"]]
    assert check(pair(False)[0], made, problems="Why?", solutions=solutions).agrees
    moved = replace(made, encode=Moved(made.encode, first, ends if ends < 0 else 0))
    if ends > 0:  # a step that takes a token of the next one
        solutions = solutions[:1]
        right = made.encode
        moved = replace(
            made,
            encode=lambda *given: replace(
                right(*given), positions=right(*given).positions + [1, 0][: len(given[1][0])]
            ),
        )
    report = check(pair(False)[0], moved, problems="Why?", solutions=solutions)
    assert found(report) == {"positions"}


def test_the_check_finds_a_model_a_reference_and_a_coefficient_that_differ(pair):
    model, reference, *_ = pair(False)
    prm = stepscore.load(model, recipe=recipe("card", False, reference))
    assert check(model, prm).agrees
    assert prm.reference is not None
    with torch.no_grad():
        weights = next(prm.reference.engine.backbone.parameters())
        weights.mul_(1.01)
        assert found(check(model, prm)) == {"score", "single"}
        weights.div_(1.01)
        next(prm.backbone.parameters()).mul_(1.01)
    assert found(check(model, prm)) == {"score", "single"}


@pytest.mark.parametrize("fault", ["coef", "reference", "single"])
def test_the_check_finds_a_fault_of_the_sums(fault, pair, monkeypatch):
    from stepscore.scoring.likelihood import engine

    right = engine.step_sums

    def wrong(likelihood, ratios, *rest):
        if fault == "coef":
            return right(replace(likelihood, coef=likelihood.coef * 1.01), ratios, *rest)
        if fault == "reference":
            return right(likelihood, -ratios, *rest)
        values = right(likelihood, ratios, *rest)
        values[:, 1] = values[:, 0]
        return values

    monkeypatch.setattr(engine, "step_sums", wrong)
    model, reference, *_ = pair(False)
    report = check(model, recipe("card", False, reference))
    assert found(report) == {"score", "single"} - ({"score"} if fault == "single" else set())


def test_the_check_says_of_which_texts_it_finds_no_bounds(pair):
    made = recipe("best_of_n", False, None)
    # In a step, the authors' way of writing makes one number of another.
    report = check(pair(False)[0], made, problems="Why?", solutions=[["Step 2:  Step 3: a", "b"]])
    assert report.agrees
    other = replace(made, parameters=())
    report = check(pair(False)[0], other, problems="Why?", solutions=[["a", "b"]])
    [note] = [finding for finding in report.findings if finding.kind == "positions"]
    assert (note.level, report.agrees) == ("note", True)
    assert "a chat of another kind" in note.text


def test_the_check_of_two_models_on_the_command_line(pair, capsys):
    from stepscore.cli.main import main

    model, reference, *_ = pair(False)
    arguments = f"reference={reference},coef={COEF},system=Reason,template=qwen2.5"
    assert main(["check", str(model), "--recipe", f"eurus-implicit-prm:{arguments}"]) == 0
    text = capsys.readouterr().out
    assert "recipe eurus-implicit-prm, float32: agrees\n  21 traces, 90 steps, " in text
