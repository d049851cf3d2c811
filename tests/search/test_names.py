"""Names that have moved: the old ones lead to the new ones, and say so."""

from __future__ import annotations

import warnings
from importlib import import_module

import pytest

# Where a name was -> where it is now; the last part of each is the name.
RENAMED = {
    "stepscore.search.Costs": "stepscore.search.ProblemCosts",
    "stepscore.search.Expand": "stepscore.search.ExpandRequest",
    "stepscore.search.Found": "stepscore.search.ProblemResult",
    "stepscore.search.Score": "stepscore.search.ScoreRequest",
    "stepscore.search.Steps": "stepscore.search.PendingNodes",
    "stepscore.search.policies.EndpointPolicy": "stepscore.policies.EndpointPolicy",
    "stepscore.search.policies.HuggingFacePolicy": "stepscore.policies.HuggingFacePolicy",
    "stepscore.search.policies.LabPolicy": "stepscore.lab.LabContinuationPolicy",
    "stepscore.search.requests.Continuation": "stepscore.policies.requests.Continuation",
    "stepscore.search.requests.Expand": "stepscore.policies.requests.ExpandRequest",
    "stepscore.search.requests.Policy": "stepscore.policies.requests.Policy",
    "stepscore.search.requests.Score": "stepscore.search.requests.ScoreRequest",
    "stepscore.policies.LabPolicy": "stepscore.lab.LabContinuationPolicy",
    "stepscore.policies.requests.Expand": "stepscore.policies.requests.ExpandRequest",
    "stepscore.policies.requests.Score": "stepscore.search.requests.ScoreRequest",
    "stepscore.policies.requests.Scorer": "stepscore.search.requests.Scorer",
}
NEEDS = {"HuggingFacePolicy": "transformers", "LabPolicy": "transformers"}


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_name_works_and_says_the_new_one(old: str) -> None:
    module, _, name = old.rpartition(".")
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    home, _, new = RENAMED[old].rpartition(".")
    expected = getattr(import_module(home), new)
    with pytest.warns(DeprecationWarning, match=f"^{old} is {RENAMED[old]} now") as caught:
        assert getattr(import_module(module), name) is expected
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings(record=True) as imported:
        warnings.simplefilter("always")
        exec(compile(f"from {module} import {name}", "user.py", "exec"), {})
    assert [warning.filename for warning in imported] == ["user.py"]


def test_a_name_that_never_was() -> None:
    for module in ("search", "search.policies", "search.requests", "policies", "policies.requests"):
        with pytest.raises(
            AttributeError, match=f"'stepscore.{module}' has no attribute 'Nothing'"
        ):
            _ = import_module(f"stepscore.{module}").Nothing
