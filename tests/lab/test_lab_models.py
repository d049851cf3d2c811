"""The shipped weights: size, loading, sampling, and quality on held-out problems."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from stepscore.lab import evaluate, tasks  # noqa: E402
from stepscore.lab.policy import SHIPPED as POLICY  # noqa: E402
from stepscore.lab.policy import load_policy  # noqa: E402
from stepscore.lab.prm import SHIPPED as PRM  # noqa: E402
from stepscore.lab.prm import lay_out, load_prm, read_steps  # noqa: E402
from stepscore.lab.tokenizer import NEWLINE_ID, encode  # noqa: E402


@pytest.fixture(scope="module")
def policy():
    return load_policy()


@pytest.fixture(scope="module")
def problems():
    return tasks.generate(12, seed=77, split="eval")


def test_sizes(policy):
    for model in (policy.model, load_prm()):
        assert sum(parameter.numel() for parameter in model.parameters()) <= 3_000_000
        assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    files = [path for folder in (POLICY, PRM) for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 8_000_000
    assert {path.name for path in files} >= {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_configurations():
    policy = json.loads((POLICY / "config.json").read_text())
    prm = json.loads((PRM / "config.json").read_text())
    assert policy["architectures"] == ["Qwen2ForCausalLM"]
    assert prm["architectures"] == ["Qwen2ForTokenClassification"]
    assert prm["stepscore"] == {"recipe": "trl-prm", "separator": "\n"}
    assert load_prm().config.num_labels == 2


def test_layout():
    layout = lay_out("20+11=?", ["20+11=31"])
    assert layout.ids == encode("20+11=?20+11=31\n")
    assert [layout.ids[end] for end in layout.ends] == [NEWLINE_ID]


def test_scores_do_not_depend_on_the_batch(policy, problems):
    prm = load_prm()
    layouts = [
        lay_out(problem, tasks.split_steps(text))
        for problem, texts in zip(problems, policy.sample(problems, 4, seed=5), strict=True)
        for text in texts
    ]
    together = read_steps(prm, layouts)
    alone = read_steps(prm, layouts, batch_size=1)
    for first, second in zip(together, alone, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-4)


def test_sampling_follows_the_seed_alone(policy, problems):
    wanted = policy.sample(problems, 6, seed=1)
    assert policy.sample(problems, 6, seed=1) == wanted
    assert policy.sample(problems, 6, seed=1, batch_size=5) == wanted
    assert policy.sample(problems[3:5], 6, seed=1) == wanted[3:5]
    assert [row[:2] for row in wanted] == policy.sample(problems, 2, seed=1)
    assert policy.sample(problems, 6, seed=2) != wanted


def test_a_repeated_problem_gets_samples_of_its_own(policy, problems):
    first, second = policy.sample(problems[:1] * 2, 8, seed=1)
    assert first != second
    assert [first] == policy.sample(problems[:1], 8, seed=1)


def test_temperature_zero_repeats_itself(policy, problems):
    for row in policy.sample(problems, 3, temperature=0, seed=1):
        assert len(set(row)) == 1


def test_sampling_agrees_with_generate(policy, problems):
    """The likeliest tokens, from the sampler with its cache and from transformers without one."""
    greedy = policy.sample(problems[:4], 1, temperature=0, seed=0)
    for problem, (text,) in zip(problems, greedy, strict=False):
        ids = torch.tensor([encode(problem)])
        output = policy.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=80,
            use_cache=False,
        )
        assert encode(text) == output[0, ids.shape[1] : -1].tolist()


def test_prompts_of_different_lengths(policy):
    mixed = tasks.generate(2, seed=1, split="eval", operations=4)
    mixed += tasks.generate(2, seed=1, split="eval")
    wanted = [policy.sample([problem], 3, seed=0)[0] for problem in mixed]
    assert policy.sample(mixed, 3, seed=0) == wanted


def test_solutions_are_cut_at_max_new_tokens(policy, problems):
    for row in policy.sample(problems, 2, seed=0, max_new_tokens=7):
        assert [len(text) for text in row] == [7, 7]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": -1.0}, "temperature must be 0 or more"),
        ({"max_new_tokens": 0}, "must be at least 1"),
        ({"max_new_tokens": 1000}, "must fit 128 tokens"),
    ],
)
def test_sample_refuses(policy, problems, arguments, message):
    with pytest.raises(ValueError, match=message):
        policy.sample(problems, 2, seed=0, **arguments)


def test_no_problems(policy):
    assert policy.sample([], 4, seed=0) == []


def test_quality_on_held_out_problems():
    """The bars of the card, with room for 60 problems and 16 samples instead of 500 and 64."""
    samples = evaluate.draw(tasks.generate(60, seed=9, split="eval"), 16, seed=9)
    figures = {name: figure["mean"] for name, figure in evaluate.summarise(samples).items()}
    assert 0.3 < figures["pass@1"] < 0.7
    assert figures["pass@16"] > 0.9
    assert figures["step_auroc"] > 0.93
    assert figures["vote_min@16"] > figures["majority@16"]
    for how in evaluate.AGGREGATIONS:
        assert figures[f"best_of_n_{how}@16"] > figures["majority@16"]
        assert figures[f"best_of_n_{how}@16"] > figures[f"best_of_n_{how}@4"] - 0.05


def test_the_command_line_of_the_evaluation(tmp_path, capsys):
    out = tmp_path / "figures.json"
    evaluate.main(["--problems", "6", "--samples", "4", "--seeds", "2", "--out", str(out)])
    report = json.loads(out.read_text())
    assert set(report) == {"problems", "samples", "seed 1", "seed 2", "all seeds"}
    assert set(report["all seeds"]["vote_min_minus_majority@4"]) == {"mean", "low", "high"}
    assert "| best of n prod |" in capsys.readouterr().out
