"""A few steps through the real training, and what its data look like."""

import json
from random import Random

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from stepscore.lab import tasks, train  # noqa: E402
from stepscore.lab.policy import load_policy  # noqa: E402
from stepscore.lab.prm import lay_out, load_prm, read_steps  # noqa: E402
from stepscore.lab.rows import written_rows  # noqa: E402

TINY = train.Recipe(
    width=16,
    layers=1,
    heads=2,
    feed_forward=32,
    policy_problems=200,
    policy_steps=6,
    policy_batch=16,
    first_samples=((8, 2, 1.0), (4, 2, 1.5)),
    written_problems=50,
    mined_problems=4,
    mined_samples=3,
    mined_again=40,
    prm_batch=16,
    first_steps=4,
    mined_steps=3,
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_tiny_training_goes_all_the_way(tmp_path):
    lines: list[str] = []
    policy, prm = train.train(TINY, seed=3, report=lines.append)
    again = train.train(TINY, seed=3, report=lambda line: None)
    for model, twin in zip((policy, prm), again, strict=True):
        for name, tensor in model.state_dict().items():
            assert torch.isfinite(tensor).all()
            assert torch.equal(tensor, twin.state_dict()[name]), name
    assert prm.config.num_hidden_layers == TINY.layers + TINY.prm_more_layers
    assert any("mined round 2" in line for line in lines)

    for _ in range(2):  # the second save replaces the first
        train.save(tmp_path, policy, prm, {"seed": 3})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["policy", "prm", "training.json"]
    assert json.loads((tmp_path / "training.json").read_text()) == {"seed": 3}
    problem = tasks.generate(1, seed=1, split="eval")
    sampled = load_policy(tmp_path / "policy").sample(problem, 2, seed=0, max_new_tokens=9)
    assert [len(row) for row in sampled] == [2]
    layout = lay_out(problem[0], tasks.true_steps(problem[0]))
    read = [read_steps(model, [layout])[0] for model in (prm, load_prm(tmp_path / "prm"))]
    assert read[0] == pytest.approx(read[1], abs=1e-6)


def test_token_labels_at_the_newlines_are_the_step_labels():
    rows = written_rows(TINY, 0, Random(0))
    assert len(rows) > 150
    for row in rows.values():
        assert [row.token_labels[end] == 1 for end in row.layout.ends] == row.labels
        assert len(row.token_labels) == len(row.layout.ids)


def test_no_evaluation_problem_is_trained_on():
    rows = written_rows(TINY, 0, Random(0))
    problems = {key[: key.index("?") + 1] for key in rows}
    problems |= set(tasks.generate(200, seed=0, split="train"))
    assert {tasks.split_of(problem) for problem in problems} == {"train"}
    assert not problems & set(tasks.generate(500, seed=1, split="eval"))


def test_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train, "Recipe", lambda: TINY)
    train.main(["--seed", "1", "--threads", "1", "--out", str(tmp_path / "lab")])
    about = json.loads((tmp_path / "lab" / "training.json").read_text())
    assert (about["seed"], about["threads"]) == (1, 1)
    assert about["recipe"]["width"] == TINY.width
    assert "written to" in capsys.readouterr().out
