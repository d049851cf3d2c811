"""Models that give a solution one score: lists of steps, sessions, searches, files."""

from __future__ import annotations

import json
from dataclasses import replace

import models
import numpy as np
import pytest
import torch
from models import HIDDEN, PROBLEMS, STEPS, enc
from transformers import Qwen2Config, Qwen2Model

import stepscore
from stepscore.jobs.files import Files
from stepscore.jobs.run import rerank_file, score_file
from stepscore.search.requests import ScoreRequest
from stepscore.search.scorers import PrmScorer

EXACT = 1e-5


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """A tiny Qwen2.5-Math-RM, and a reading of it in float64 that shares no code with it."""
    folder = tmp_path_factory.mktemp("outcome")
    torch.manual_seed(6)
    tokenizer = models.byte_level_tokenizer()
    config = Qwen2Config(**models._sizes())
    body = Qwen2Model(config).double().eval()
    layers = [torch.nn.Linear(HIDDEN, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 1)]
    head = torch.nn.Sequential(*layers).double()
    tensors = {f"model.{key}": tensor for key, tensor in body.state_dict().items()}
    tensors |= {f"score.{key}": tensor for key, tensor in head.state_dict().items()}
    entry = {**config.to_dict(), "architectures": ["Qwen2ForRewardModel"]}
    models.write_checkpoint(folder, tokenizer, tensors, entry)

    @torch.no_grad()
    def read(problem: str, response: str) -> float:
        text = (
            "<|im_start|>system\nPlease reason step by step, and put your final answer within "
            r"\boxed{}." + f"<|im_end|>\n<|im_start|>user\n{problem}<|im_end|>\n"
            f"<|im_start|>assistant\n{response}<|im_end|>\n"
        )
        return float(head(body(torch.tensor([enc(tokenizer, text)])).last_hidden_state)[0, -1, 0])

    return stepscore.load(folder, show_progress=False), read


def test_a_list_of_steps_is_one_text_with_one_score(outcome) -> None:
    prm, read = outcome
    solutions = [STEPS[:3], "\n\n".join(STEPS[:3]), STEPS[:1], ["a\r\nb", "c"]]
    scores = prm.score(PROBLEMS[0], solutions)
    assert np.diff(scores.offsets).tolist() == [1] * 4
    texts = ["\n\n".join(STEPS[:3])] * 2 + [STEPS[0], "a\nb\n\nc"]
    expected = [read(PROBLEMS[0], text) for text in texts]
    np.testing.assert_allclose(scores.values, expected, rtol=0, atol=EXACT)
    assert scores.values[0] == scores.values[1]
    assert np.ptp(scores.values) > 0.01, "else this test shows nothing"
    # Every aggregation of one score is that score.
    many = scores.aggregate(["last", "min", "mean", "sum", "max"])
    np.testing.assert_array_equal(many, np.repeat(scores.values[:, None].astype(float), 5, 1))


def test_trailing_blank_lines_of_a_text_are_no_part_of_it(outcome) -> None:
    prm, _ = outcome
    bare, behind = prm.score("What?", ["a.\n\nb.", "\n\na.\n\nb.\n\n"])
    assert bare == behind


def test_a_growing_trace_has_the_score_of_the_solution_so_far(outcome) -> None:
    prm, _ = outcome
    whole = prm.score(PROBLEMS[1], [STEPS[:k] for k in range(1, 6)]).values
    with prm.session(PROBLEMS[1]) as session:
        first = session.extend(session.roots[0], [STEPS[:2], [STEPS[1]]])
        assert [len(values) for values in first.scores] == [2, 1]
        rest = session.extend(first.nodes[0], [STEPS[2:5]])
        grown = session.scores(rest.nodes[0])
        assert session.steps(rest.nodes[0]) == STEPS[:5]
        assert session.stats.forwarded < session.stats.given, "what prefixes share is kept"
    np.testing.assert_array_equal(grown, whole)  # float32 on a CPU: bit for bit


def test_a_search_compares_what_stands_there_so_far(outcome) -> None:
    prm, _ = outcome
    scorer = PrmScorer(prm)
    traces = [["a.\n\n"], ["a.\n\n", "b."], ["a.\n\n", "c."], ["a.\n\n", "b."]]
    requests = [ScoreRequest("What?", steps, k, -1) for k, steps in enumerate(traces)]
    answers = scorer(requests)
    expected = prm.score("What?", ["".join(steps) for steps in traces])
    assert answers == [float(values[0]) for values in expected]
    assert scorer([ScoreRequest("What?", [" \n"], 9, -1), requests[0]])[1] == answers[0]
    scorer.release(["What?"])
    assert len(scorer.session) == 0


def test_faults_name_the_step_of_the_list(outcome) -> None:
    prm, _ = outcome
    with pytest.raises(ValueError, match=r"solutions\[1\]\[1\]: expected a step with text"):
        prm.score("What?", [["a"], ["a", " ", "b"]])
    with pytest.raises(ValueError, match=r"solutions\[0\]\[1\]: .*'<\|im_start\|>'"):
        prm.score("What?", [["a", "b <|im_start|>"]])
    kept = prm.score("What?", [["a", ""], ["a", "b<|im_end|>"]], on_bad="keep")
    assert (list(kept.skipped), kept.stripped) == ([0], {1: 1})
    assert kept.values.tolist() == prm.score("What?", [["a", "b"]]).values.tolist()
    with pytest.raises(ValueError, match="at most 512 tokens"):
        prm.score("What?", [["x " * 600]])
    with pytest.warns(UserWarning, match="1 steps of 1 solutions end past"):
        cut = prm.score("What?", [["a"], ["b", "x " * 600]], truncation="steps")
    assert np.isfinite(cut.values).tolist() == [True, False]


def test_products_are_refused_before_anything_is_forwarded(outcome) -> None:
    prm, _ = outcome
    loses = replace(prm, backbone=torch.nn.Identity())  # could not forward anything
    for how in ("prod", "geometric_mean", "logit_mean", "odds_mean"):
        message = rf"how: expected scores in \[0, 1\], which {how} needs; got those of 'qwen2"
        with pytest.raises(ValueError, match=f"rank: {message}"):
            loses.rank("What?", ["a", "b"], how=how)
        with pytest.raises(ValueError, match=f"rank_many: {message}"):
            loses.rank_many(["What?"], [["a", "b"]], how=how)
        # Whatever the values are: these would pass by chance.
        scores = replace(prm.score("What?", ["a"]), values=np.array([0.5], np.float32))
        with pytest.raises(ValueError, match=f"aggregate: {message}"):
            scores.aggregate(["last", how])
        with pytest.raises(ValueError, match=message):
            scores.totals(how)
    best, worst = prm.rank("What?", ["a", ["b", "c"]], how="min")
    assert best.score > worst.score


def test_files_with_steps_get_one_score_a_candidate(outcome, tmp_path) -> None:
    prm, _ = outcome
    record = {
        "id": "1",
        "problem": PROBLEMS[0],
        "candidates": [{"steps": STEPS[:3]}, {"text": "\n\n".join(STEPS[:3])}, {"steps": ["b"]}],
    }
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(json.dumps(record) + "\n")
    score_file(Files(str(source), str(target)), lambda: prm, version="0")
    [*_, line] = map(json.loads, target.read_text().splitlines())
    scored = line["stepscore"]["candidates"]
    joined = "\n\n".join(STEPS[:3])
    assert [candidate["step_scores"] for candidate in scored] == [
        [float(value)] for value in prm.score(PROBLEMS[0], [joined, joined, "b"]).values
    ]
    assert [candidate.get("steps") for candidate in scored] == [[joined], [joined], ["b"]]
    files = Files(str(source), str(tmp_path / "ranked.jsonl"))
    with pytest.raises(ValueError, match="which prod needs"):
        rerank_file(files, lambda: prm, how="prod", version="0")


def test_hidden_states_are_read_at_the_end(outcome) -> None:
    prm, _ = outcome
    encoded = prm.recipe.encode(prm.tokenizer, PROBLEMS, [STEPS[:2]] * 3)
    with torch.no_grad():
        parts = [
            prm.backbone(input_ids=torch.tensor([encoded.trace(i)[0]])).last_hidden_state[0]
            for i in range(3)
        ]
    read = prm.read(torch.cat(parts), encoded.token_ids, encoded.offsets)
    known = prm.score(PROBLEMS, [STEPS[:2]] * 3)
    np.testing.assert_allclose(read.values, known.values, rtol=0, atol=EXACT)
    np.testing.assert_array_equal(read.offsets, known.offsets)
    with pytest.raises(ValueError, match=r"step_counts\[1\]: .*one score for each solution"):
        prm.recipe.positions(encoded.token_ids, encoded.offsets, step_counts=[1, 2, 1])
    with pytest.raises(ValueError, match="tokens in every trace"):
        prm.recipe.positions([1, 2], [0, 2, 2])


def test_scores_that_are_better_the_lower_are_not_ranked(outcome, tmp_path) -> None:
    prm, _ = outcome
    [reading] = prm.recipe.readings
    lower = replace(reading, higher_is_better=False)
    turned = replace(prm, recipe=replace(prm.recipe, readings=(lower,)))
    message = "of 'qwen2.5-math-rm', which are better the lower they are"
    with pytest.raises(ValueError, match=f"rank: .*{message}"):
        turned.rank("What?", ["a", "b"])
    with pytest.raises(ValueError, match=f"rank_many: .*{message}"):
        turned.rank_many(["What?"], [["a", "b"]])
    scores = turned.score("What?", ["a", "b"])
    with pytest.raises(ValueError, match=f"totals: .*{message}"):
        stepscore.vote(np.array([0, 1]), scores, np.array([0, 2]), "weighted")
    with pytest.raises(ValueError, match=f"PrmScorer: .*{message}"):
        PrmScorer(turned)
    assert len(scores.aggregate("last")) == 2, "a number is a number"
    source = tmp_path / "in.jsonl"
    source.write_text('{"id": "1", "problem": "What?", "candidates": ["a", "b"]}\n')
    files = Files(str(source), str(tmp_path / "out.jsonl"))
    with pytest.raises(ValueError, match=r"recipe: .*'qwen2.5-math-rm', of which the lower are"):
        rerank_file(files, lambda: turned, version="0")
