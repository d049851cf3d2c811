"""What is installed, what this machine computes with, and how a model would be scored."""

from __future__ import annotations

import platform
import re
from importlib import metadata
from typing import TYPE_CHECKING, Any

import stepscore
from stepscore.jobs.self_test import self_test
from stepscore.report.doctor import Examination, ModelFacts, Package

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel

_REQUIREMENT = re.compile(r"([\w.-]+)\s*([^;\s]*)\s*(?:;.*extra\s*==\s*['\"]([\w-]+)['\"])?")
_NUMBERS = re.compile(r"\d+")


def examine() -> Examination:
    """Examine this machine and what is installed; takes a few seconds."""
    gpu, reason = stepscore.cuda_available()
    return Examination(
        version=stepscore.__version__,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        system=f"{platform.system()} {platform.machine()}",
        packages=packages(metadata.requires("stepscore") or []),
        cpu_level=stepscore.cpu_level(),
        threads=stepscore.num_threads(),
        gpu=gpu,
        gpu_reason=reason,
        tested=self_test(),
    )


def packages(requirements: list[str]) -> list[Package]:
    """Look for what stepscore's own metadata requires."""
    found = []
    for requirement in requirements:
        parsed = _REQUIREMENT.match(requirement)
        if parsed is None or requirement.startswith("stepscore"):  # an extra that is made of others
            continue
        name, wanted, extra = parsed.group(1), parsed.group(2), parsed.group(3) or ""
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            version = None
        fits = version is not None and _reaches(version, wanted)
        found.append(Package(name, extra, wanted, version, fits))
    return found


def _reaches(version: str, wanted: str) -> bool:
    """Whether a version is at least the one of ``>=``, the only bound that stepscore sets."""
    least = [int(number) for number in _NUMBERS.findall(wanted)]
    have = [int(number) for number in _NUMBERS.findall(version.partition("+")[0])]
    return have >= least


def examine_model(model: str, **options: Any) -> ModelFacts:
    """Load a model, and say how it would be scored.

    Args:
        model: a folder, a repository, or ``lab``.
        options: those of `stepscore.load`.

    Raises:
        InputError: the check that the model does not pass.
    """
    prm = stepscore.load(model, **options)
    recipe, sharing = prm.recipe, prm.sharing
    confirmed = f"{recipe.confidence}; {recipe.source}" if recipe.source else recipe.confidence
    states = prm.weights.as_json() or {"full": "neither quantised nor merged"}
    return ModelFacts(
        model=prm.name,
        recipe=recipe.name,
        of_recipe=[
            *([confirmed] if confirmed else []),
            *(f"unverified: {fact}" for fact in recipe.unverified),
        ],
        dtype=str(prm.dtype).removeprefix("torch."),
        device=str(prm.device),
        weights="; ".join(f"{name}: {value}" for name, value in states.items()),
        shares="unknown" if sharing is None else str(sharing),
        passed=_passed(prm),
    )


def _passed(prm: ProcessRewardModel) -> list[str]:
    """What `stepscore.load` would have refused the model for."""
    head = ", ".join(layer.weight.removesuffix(".weight") for layer in prm.recipe.head.layers)
    return [
        "config.json: its numbers are those of a stock model, and it is causal",
        f"tokenizer: it has what {prm.recipe.name} reads, as tokens of their own",
        *([f"head: {head}, in the shape that {prm.recipe.name} reads"] if head else []),
        "weights: none is missing, damaged or left over",
    ]
