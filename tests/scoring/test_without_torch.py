"""What a user holds after scoring costs no import of torch, and needs none."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "tokenizers", "safetensors", "huggingface_hub")

WITHOUT_FRAMEWORKS = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HEAVY}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""


def fresh(code: str) -> str:
    """What a new interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "statement",
    [
        "import stepscore; stepscore.StepScores",
        "import stepscore; stepscore.Ranked",
        "import stepscore; stepscore.recipes.trl_prm()",
        "from stepscore.scoring import StepScores, Ranked",
        "from stepscore.scoring.scores import StepScores, default_aggregate",
        "from stepscore.scoring.truncation import Truncation, check_truncation",
        "from stepscore.scoring.render import Renderer",
        "from stepscore.scoring import pairs, rubrics, verdicts",
        "from stepscore.scoring.session import Session",
        "import stepscore.hub; stepscore.hub.stderr_is_terminal()",
    ],
)
def test_no_framework_is_imported(statement):
    assert (
        fresh(f"import sys; {statement}; print([m for m in {HEAVY} if m in sys.modules])") == "[]"
    )


def test_step_scores_work_where_torch_is_absent():
    code = """
import numpy as np, stepscore
scores = stepscore.StepScores(
    np.array([0.5, 0.25], np.float32),
    np.array([0, 2]),
    stepscore.recipes.trl_prm(),
    np.zeros(1, int),
)
print(scores.to_list(), scores.aggregate().tolist(), scores.aggregate("min").tolist())
"""
    assert fresh(WITHOUT_FRAMEWORKS + code) == "[[0.5, 0.25]] [0.25] [0.25]"


def test_a_judge_behind_an_endpoint_scores_and_searches_where_torch_is_absent():
    code = """
from stepscore.policies import GeneratedText
from stepscore.scoring import pairs, rubrics, verdicts
from stepscore.search.requests import ScoreRequest
from stepscore.search.scorers import PrmScorer

class Served:
    name = "served"
    def generate(self, requests):
        return [GeneratedText("Fine. \\\\boxed{Yes}") for _ in requests]
    def check_logprobs(self, count, prompt): pass

prm = verdicts.prompted(Served(), prompt="{problem}|{step}", by="text")
print(prm.score("p", [["a", "b"]]).to_list(), prm.rank("p", [["a"]])[0].score)
with prm.session("p") as session:
    print(session.extend(session.roots[0], ["a"]).scores.to_list())
print(PrmScorer(prm)([ScoreRequest("p", ["a"], 1, 0)]))
"""
    assert fresh(WITHOUT_FRAMEWORKS + code).splitlines() == [
        "[[1.0, 1.0]] 1.0", "[[1.0]]", "[[1.0]]",
    ]  # fmt: skip


def test_an_unknown_name_is_an_attribute_error():
    from stepscore import scoring

    with pytest.raises(AttributeError, match=r"'stepscore\.scoring' has no attribute 'Sesion'"):
        scoring.Sesion  # noqa: B018
    assert dir(scoring) == sorted(scoring.__all__)


def test_the_old_name_of_the_rope_switch_length_works_until_0_3(loaded):
    prm = loaded("trl")
    with pytest.warns(DeprecationWarning, match="rope_switch_length"):
        assert prm.turn == prm.rope_switch_length
