"""Hidden states of the user's own are read as `score` reads its own: bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from models import BUILDERS, HIDDEN, tensors_of, write_checkpoint

import stepscore
from stepscore.errors import Argument, InputError
from stepscore.ragged import offsets_of
from stepscore.scoring.arguments import TraceArguments, Traces
from stepscore.scoring.final_norm import final_norm
from stepscore.scoring.forward.forward_pass import hidden_states
from stepscore.scoring.forward.plan import plan_padded

FORMATS = ("float32", "bfloat16", "float16")
KINDS = ("qwen", "shepherd", "shepherd-tied", "skywork-wrapped", "trl", "trl-blank-line")


class Own:
    """What a user has: ids and hidden states of forward passes of each trace alone."""

    def __init__(self, prm, problems, solutions):
        self.prm = replace(prm, costs=None, token_budget=1)
        arguments = TraceArguments(
            "score", lambda t: Argument("p", index=(t,)), lambda t, *s: Argument("s", index=(t, *s))
        )
        traces = prm.renderer.render(arguments, Traces(problems, solutions), "error").traces
        self.ids, self.offsets = traces.token_ids.astype(np.int64), traces.offsets
        plan = plan_padded(traces.token_ids, traces.offsets, token_budget=1)
        states = {}
        for batch, hidden in enumerate(hidden_states(prm.backbone, plan)):
            [piece] = plan.pieces(batch)
            ids = plan.token_ids[plan.offsets[piece] : plan.offsets[piece + 1]]
            states[ids.tobytes()] = hidden[: len(ids)]
        self.each = [
            states[traces.token_ids[begin:end].tobytes()].clone()
            for begin, end in zip(self.offsets[:-1], self.offsets[1:], strict=True)
        ]
        self.hidden = torch.cat(self.each)
        self.ids_of = np.split(self.ids, self.offsets[1:-1])
        self.counts = [len(steps) for steps in solutions]
        empty = prm.recipe.encode(prm.tokenizer, problems, [["x"]] * len(problems))
        whole = np.split(empty.token_ids, empty.offsets[1:-1])
        self.prompts = [_shared(*pair) for pair in zip(self.ids_of, whole, strict=True)]
        self.expected = self.prm.score(problems, solutions)
        self.known = {"step_counts": self.counts}
        if prm.recipe.name == "skywork-o1-prm":
            self.known = {"prompt_lengths": self.prompts}

    def padded(self, side):
        """Ids, states and mask with padding on one side; what stands in it is no number."""
        longest = max(map(len, self.ids_of))
        shape = (len(self.each), longest)
        ids, mask = np.full(shape, 3), np.zeros(shape, np.int64)
        hidden = torch.full((*shape, HIDDEN), float("nan"), dtype=self.hidden.dtype)
        for row, (one, states) in enumerate(zip(self.ids_of, self.each, strict=True)):
            begin = longest - len(one) if side == "left" else 0
            place = slice(begin, begin + len(one))
            ids[row, place], mask[row, place], hidden[row, place] = one, 1, states
        return ids, hidden, mask


def _shared(first, second):
    """The ids that two sequences begin with."""
    length = min(len(first), len(second))
    differ = np.flatnonzero(first[:length] != second[:length])
    return int(differ[0]) if len(differ) else length


@pytest.fixture(scope="module")
def own(tiny, mixed_once):
    """Make it once for each checkpoint and number format: own(kind, dtype) -> Own."""
    kept = {}

    def make(kind, dtype="float32"):
        if (kind, dtype) not in kept:
            recipe = None if "shepherd" not in kind else "math-shepherd"
            prm = stepscore.load(tiny(kind).folder, recipe=recipe, dtype=dtype, share=False)
            kept[kind, dtype] = Own(prm, *mixed_once)
        return kept[kind, dtype]

    return make


@pytest.fixture(scope="module")
def mixed_once():
    from models import PROBLEMS, STEPS

    solutions = [[STEPS[(i + 2 * k + k * k) % 5] for k in range(1 + (5 * i) % 9)] for i in range(9)]
    return [PROBLEMS[i % 3] for i in range(9)], solutions


def same(scores, expected):
    assert scores.values.tobytes() == expected.values.tobytes()
    assert scores.offsets.tolist() == expected.offsets.tolist()
    assert scores.recipe.as_config() == expected.recipe.as_config()
    assert scores.to_list() == expected.to_list()
    assert scores.aggregate("min").tolist() == expected.aggregate("min").tolist()


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("kind", KINDS)
def test_packed_states_give_the_bits_of_score(kind, dtype, own):
    mine = own(kind, dtype)
    same(mine.prm.read(mine.hidden, mine.ids, mine.offsets, **mine.known), mine.expected)
    assert np.std(mine.expected.values) > 0.01


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("kind", KINDS)
def test_padded_states_give_the_same_bits(kind, dtype, side, own):
    mine = own(kind, dtype)
    ids, hidden, mask = mine.padded(side)
    same(mine.prm.read(hidden, ids, attention_mask=mask, **mine.known), mine.expected)
    by_tensors = mine.prm.read(
        hidden, torch.from_numpy(ids), attention_mask=torch.from_numpy(mask), **mine.known
    )
    same(by_tensors, mine.expected)
    if side == "right":
        lengths = np.diff(mine.offsets)
        same(mine.prm.read(hidden, ids, lengths=lengths, **mine.known), mine.expected)


@pytest.mark.parametrize("kind", KINDS)
def test_states_of_numpy_and_other_strides_give_the_same_bits(kind, own):
    mine = own(kind)
    for dtype in ("float32", "float16"):
        half = own(kind, dtype)
        same(
            half.prm.read(half.hidden.numpy(), half.ids, half.offsets, **half.known), half.expected
        )
    wide = torch.zeros(len(mine.hidden), 2 * HIDDEN)
    wide[:, 5 : 5 + HIDDEN] = mine.hidden
    strided = wide[:, 5 : 5 + HIDDEN]
    same(mine.prm.read(strided, mine.ids, mine.offsets, **mine.known), mine.expected)
    # As a trainer without padding passes it: one row.
    one_row = mine.prm.read(mine.hidden[None], mine.ids[None], mine.offsets, **mine.known)
    same(one_row, mine.expected)


def test_states_of_numpy_in_bfloat16(own):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    mine = own("qwen", "bfloat16")
    hidden = mine.hidden.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    same(mine.prm.read(hidden, mine.ids, mine.offsets), mine.expected)


@pytest.mark.parametrize("dtype", FORMATS)
def test_states_of_jax(dtype, own):
    jax = pytest.importorskip("jax")
    for kind in ("qwen", "trl"):
        mine = own(kind, dtype)
        hidden = jax.dlpack.from_dlpack(mine.hidden)
        ids, offsets = jax.numpy.asarray(mine.ids), jax.numpy.asarray(mine.offsets)
        same(mine.prm.read(hidden, ids, offsets, **mine.known), mine.expected)
        ids, hidden, mask = mine.padded("left")
        hidden = jax.dlpack.from_dlpack(hidden)
        mask = jax.numpy.asarray(mask)
        same(mine.prm.read(hidden, ids, attention_mask=mask, **mine.known), mine.expected)


def test_no_gradient_and_no_autocast_of_the_caller_matters(own):
    mine = own("qwen")
    hidden = mine.hidden.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        same(mine.prm.read(hidden * 1, mine.ids, mine.offsets), mine.expected)


# --- the head alone -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BUILDERS)
def test_a_head_alone_reads_as_the_whole_model(kind, tiny, own, monkeypatch):
    from stepscore.scoring.checkpoint.folder import Checkpoint

    mine = own(kind)
    read = []
    for name, stock in (("tensor", Checkpoint.tensor), ("rows", Checkpoint.rows)):

        def noted(checkpoint, key, *rest, stock=stock):
            read.append(key)
            return stock(checkpoint, key, *rest)

        monkeypatch.setattr(Checkpoint, name, noted)
    recipe = None if "shepherd" not in kind else "math-shepherd"
    head = stepscore.load_head(tiny(kind).folder, recipe=recipe)
    monkeypatch.undo()
    assert not any("layers." in key for key in read), "the backbone was read"
    assert any(key.endswith("norm.weight") for key in read)
    same(head.read(mine.hidden, mine.ids, mine.offsets, **mine.known), mine.expected)
    recipe = mine.prm.recipe
    arguments = mine.hidden, mine.ids, mine.offsets
    same(stepscore.read_steps(recipe, head, *arguments, **mine.known), mine.expected)
    options = {**mine.known, "tokenizer": mine.prm.tokenizer}
    same(stepscore.read_steps(recipe, head.head, *arguments, **options), mine.expected)
    pairs = [
        (weight.numpy(), None if bias is None else bias.numpy())
        for weight, bias in head.head.layers
    ]
    same(stepscore.read_steps(recipe, pairs, *arguments, **options), mine.expected)
    numpy = stepscore.read_steps(recipe, pairs, mine.hidden.numpy(), *arguments[1:], **options)
    same(numpy, mine.expected)
    found = head.positions(mine.ids, mine.offsets, **mine.known)
    same(head.read(mine.hidden, None, mine.offsets, positions=found), mine.expected)


def test_modules_of_a_trainer_are_heads(own):
    mine = own("trl")
    [(weight, bias)] = mine.prm.head.layers
    linear = torch.nn.Linear(HIDDEN, 2)
    linear.load_state_dict({"weight": weight, "bias": bias})
    arguments = mine.hidden, mine.ids, mine.offsets
    options = {**mine.known, "tokenizer": mine.prm.tokenizer}
    same(stepscore.read_steps(mine.prm.recipe, linear, *arguments, **options), mine.expected)
    mine = own("qwen")
    (inner, inner_bias), (outer, outer_bias) = mine.prm.head.layers
    mlp = torch.nn.Sequential(
        torch.nn.Linear(HIDDEN, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 2)
    )
    mlp.load_state_dict(
        {"0.weight": inner, "0.bias": inner_bias, "2.weight": outer, "2.bias": outer_bias}
    )
    arguments = mine.hidden, mine.ids, mine.offsets
    options = {"tokenizer": mine.prm.tokenizer}
    same(stepscore.read_steps(mine.prm.recipe, mlp, *arguments, **options), mine.expected)
    mlp[1] = torch.nn.GELU()
    with pytest.raises(TypeError, match=r"read_steps: head: .* got GELU"):
        stepscore.read_steps(mine.prm.recipe, mlp, *arguments, **options)


# --- the final norm -------------------------------------------------------------------------


def before_norm(prm, ids_of):
    """States as they leave the last layer, one trace after the other."""
    kept = []
    hook = prm.backbone.norm.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0][0]))
    with torch.inference_mode():
        for ids in ids_of:
            alone = plan_padded(ids.astype(np.int32), offsets_of([len(ids)]), token_budget=1)
            list(hidden_states(prm.backbone, alone))
    hook.remove()
    return torch.cat(kept)


@pytest.mark.parametrize("dtype", FORMATS)
def test_a_norm_is_applied_to_the_rows_as_the_backbone_applies_it(dtype, own, tiny):
    mine = own("trl", dtype)
    raw = before_norm(mine.prm, mine.ids_of).clone()
    head = stepscore.load_head(tiny("trl").folder)
    module = mine.prm.backbone.norm
    pair = module.weight.float().numpy(), module.variance_epsilon
    for norm in (mine.prm.norm, head.norm, module, pair, lambda rows: module(rows)):
        scores = mine.prm.read(raw, mine.ids, mine.offsets, norm=norm, **mine.known)
        same(scores, mine.expected)
    if dtype == "bfloat16":
        return
    numpy = head.read(raw.numpy(), mine.ids, mine.offsets, norm=head.norm, **mine.known)
    same(numpy, mine.expected)
    near = head.read(raw.numpy(), mine.ids, mine.offsets, norm=pair, **mine.known)
    tolerance = 2e-6 if dtype == "float32" else 2e-3
    np.testing.assert_allclose(near.values, mine.expected.values, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("kind", ["qwen", "shepherd", "skywork-wrapped", "trl-llama"])
def test_a_norm_that_is_missing_or_given_twice_is_an_error(kind, dtype, own):
    mine = own(kind, dtype)
    raw = before_norm(mine.prm, mine.ids_of).clone()
    read = mine.prm.read
    with pytest.raises(InputError, match=r"after the model's final norm.*pass norm="):
        read(raw, mine.ids, mine.offsets, **mine.known)
    with pytest.raises(InputError, match=r"before the model's final norm.*leave norm out"):
        read(mine.hidden, mine.ids, mine.offsets, norm=mine.prm.norm, **mine.known)
    # A trace has few steps, and all its tokens tell.
    one = slice(0, int(mine.offsets[1]))
    known = {name: counts[:1] for name, counts in mine.known.items()}
    with pytest.raises(InputError, match=r"before the model's final norm.*leave norm out"):
        read(mine.hidden[one], mine.ids[one], [0, one.stop], norm=mine.prm.norm, **known)
    read(raw[one], mine.ids[one], [0, one.stop], norm=mine.prm.norm, **known)


_SIZES = {
    "vocab_size": 99,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
}


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize(
    "config",
    [
        transformers.LlamaConfig(**_SIZES),
        transformers.Gemma2Config(**_SIZES, head_dim=8),
        transformers.Phi3Config(**_SIZES),
        transformers.GPT2Config(vocab_size=99, n_embd=32, n_layer=1, n_head=4),
        transformers.PhiConfig(**_SIZES),
    ],
    ids=lambda config: config.model_type,
)
def test_rows_tell_whether_they_are_normed_in_every_family(config, dtype):
    torch.manual_seed(0)
    body = transformers.AutoModel.from_config(config).eval()
    norm = final_norm(body)
    with torch.no_grad():  # trained weights are neither 1 nor 0
        for weight in norm.module.parameters():
            weight.add_(torch.randn_like(weight) * 0.3)
    norm = final_norm(body.to(getattr(torch, dtype)))
    kept = []
    norm.module.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0][0]))
    with torch.no_grad():
        normed = body(torch.arange(3, 40)[None]).last_hidden_state[0]
    [raw] = kept
    norm.check("read", normed, applied=False)
    norm.check("read", raw, applied=True)
    norm.check("read", normed[:2], applied=True)  # two rows may be of size 1 by chance
    with pytest.raises(InputError, match="after the model's final norm"):
        norm.check("read", raw, applied=False)
    with pytest.raises(InputError, match="before the model's final norm"):
        norm.check("read", normed, applied=True)


def test_a_head_without_the_norm_of_its_model_is_an_error(tiny, tmp_path):
    tensors = {k: v for k, v in tensors_of(tiny("trl").folder).items() if k != "model.norm.weight"}
    import json

    config = json.loads((tiny("trl").folder / "config.json").read_text())
    write_checkpoint(tmp_path, tiny("trl").tokenizer, tensors, config)
    with pytest.raises(InputError, match=r"load_head: expected one tensor norm\.weight"):
        stepscore.load_head(tmp_path)


# --- errors ---------------------------------------------------------------------------------


def test_what_does_not_fit_is_named(own):
    mine = own("trl")
    hidden, ids, offsets, known = mine.hidden, mine.ids, mine.offsets, mine.known
    padded_ids, padded, mask = mine.padded("left")
    torn = mask.copy()
    torn[:, -3] = 0
    read = mine.prm.read
    cases = [
        ({"hidden": hidden[:, :40]}, r"read: hidden: .*\[tokens, 48\].*got \[\d+, 40\]"),
        ({"hidden": torch.stack([hidden, hidden], 1)}, r"of several layers take the last one"),
        ({"hidden": hidden.double()}, "read: hidden: expected one of float32.*float64"),
        ({"token_ids": ids[:-1]}, r"read: token_ids: expected shape \[\d+\] to match hidden"),
        ({"token_ids": ids.astype(np.float32)}, "read: token_ids must hold integers"),
        ({"token_ids": None}, r"read: token_ids: .*got None; pass them, or positions"),
        ({"offsets": None}, r"read: offsets: .*pass offsets; \[0, tokens\] for one trace"),
        ({"offsets": [0, 5]}, "read: offsets must end at"),
        ({"attention_mask": mask}, "read: attention_mask: expected None for packed states"),
        ({"step_counts": [1, 2]}, r"read: step_counts must have shape \[9\]"),
        ({"step_counts": [99, *mine.counts[1:]]}, "expected for trl-prm, 99 of .*in trace 0"),
        ({"step_counts": None}, "read: step_counts: expected for trl-prm"),
        ({"nan": "drop"}, 'read: nan: expected "error" or "propagate"'),
        ({"positions": [3, 4, 5]}, "read: positions: expected a pair"),
        ({"positions": ([3], [0, 1])}, "read: positions: expected the steps of each of the 9"),
        (
            {"positions": ([len(ids) - 1], [0, 1, *[1] * 8])},
            r"read: positions: expected ascending tokens of their own trace, .*step 0 of trace 0",
        ),
        (
            {"positions": (offsets[:-1], np.arange(10))},
            r"read: step_counts: expected as many steps as the positions have; got",
        ),
        ({"norm": (np.ones(48), 1e-6, 3)}, r"read: norm: expected \(weight, eps\).*got"),
        ({"norm": (np.ones(48), -1e-6)}, r"read: norm: expected \(weight, eps\).*-1e-06"),
        ({"norm": (np.ones(48), "small")}, r"read: norm: expected \(weight, eps\).*small"),
        ({"norm": 3}, "read: norm: expected a module, a function of rows"),
        ({"norm": lambda rows: rows.double()}, "read: norm: expected rows of float32.*got float64"),
        ({"norm": lambda rows: None}, "read: norm: expected rows of float32.*got NoneType"),
        ({"norm": lambda rows: rows[:, :3]}, r"read: norm: expected rows of shape \[\d+, 48\]"),
    ]
    whole = dict(hidden=hidden, token_ids=ids, offsets=offsets, **known)
    for changed, message in cases:
        with pytest.raises((ValueError, TypeError), match=message):
            read(**{**whole, **changed})
    whole = dict(hidden=padded, token_ids=padded_ids, **known)
    for changed, message in [
        ({}, "read: attention_mask: expected either the mask or the lengths.*neither"),
        ({"attention_mask": mask, "lengths": mask.sum(1)}, "either the mask or the lengths.*both"),
        ({"attention_mask": mask[:, 1:]}, r"read: attention_mask: expected shape \[9, \d+\]"),
        ({"attention_mask": torn}, "in one run.*padding between them in row 0"),
        ({"attention_mask": mask * 2}, "1 for a token and 0 for padding; got values such as 2"),
        ({"lengths": [10**6] * 9}, r"read: lengths\[0\]: expected between 0 and"),
        ({"token_ids": ids, "attention_mask": mask}, r"token_ids: expected shape \[9, \d+\]"),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            read(**{**whole, **changed})


def test_a_head_of_another_recipe_or_shape_is_named(own):
    mine = own("trl")
    arguments = mine.hidden, mine.ids, mine.offsets
    read, recipe = stepscore.read_steps, mine.prm.recipe
    with pytest.raises(InputError, match=r"head: expected the head of the recipe 'qwen2\.5"):
        read(stepscore.recipes.qwen_math_prm(), mine.prm.head, *arguments)
    one = np.ones((1, HIDDEN), np.float32)
    with pytest.raises(InputError, match=r"weights \[2, H\], the head.*got weights of .*\[\[1"):
        read(recipe, [(one, None)], *arguments)
    with pytest.raises(TypeError, match="head: expected what load_head gives"):
        read(recipe, one[0], *arguments)
    with pytest.raises(TypeError, match="recipe: expected a value of the class Recipe; got str"):
        read("trl-prm", mine.prm.head, *arguments)
    with pytest.raises(TypeError, match="load_head: model: expected a folder or a name; got int"):
        stepscore.load_head(3)


def test_scores_that_are_no_numbers_are_named_by_trace_and_step(own):
    mine = own("trl")
    hidden = mine.hidden.clone()
    positions, step_offsets = mine.prm.recipe.positions(
        mine.ids, mine.offsets, tokenizer=mine.prm.tokenizer, **mine.known
    )
    hidden[positions[step_offsets[2] + 1]] = float("nan")
    with pytest.raises(InputError, match="got nan for step 1 of trace 2; the model that made"):
        mine.prm.read(hidden, mine.ids, mine.offsets, **mine.known)
    scores = mine.prm.read(hidden, mine.ids, mine.offsets, nan="propagate", **mine.known)
    assert np.isnan(scores.values).nonzero()[0].tolist() == [step_offsets[2] + 1]


def test_nothing_is_read_of_no_traces(own):
    mine = own("qwen")
    scores = mine.prm.read(mine.hidden[:0], mine.ids[:0], [0])
    assert len(scores) == 0
    assert scores.values.dtype == np.float32
