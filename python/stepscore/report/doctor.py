"""What is installed, what this machine computes with, and whether it computes right, in lines."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stepscore.report.table import WIDTH, counted

_NAME = 12


@dataclass(frozen=True)
class Package:
    """A package that stepscore uses.

    Attributes:
        name: as the index calls it.
        extra: what installs it; empty for what is always needed.
        wanted: the versions that stepscore takes, such as ``>=2.3``.
        version: the one that is installed; None where there is none.
        fits: whether it is one of these.
    """

    name: str
    extra: str
    wanted: str
    version: str | None
    fits: bool


@dataclass(frozen=True)
class Tested:
    """An op beside its specification.

    Attributes:
        op: its name.
        seconds: that both took.
        fault: the first difference, or what it raised; None where there is none.
    """

    op: str
    seconds: float
    fault: str | None


@dataclass(frozen=True)
class Examination:
    """What a machine was found to be.

    Attributes:
        version: of stepscore.
        python: its version and its kind.
        system: the operating system and the processor's kind.
        packages: what stepscore uses, in the order of its extras.
        cpu_level: the instruction level in force.
        threads: of the CPU ops.
        gpu: whether the CUDA ops can run.
        gpu_reason: the devices, or why they cannot.
        tested: a row for each op.
    """

    version: str
    python: str
    system: str
    packages: Sequence[Package]
    cpu_level: str
    threads: int
    gpu: bool
    gpu_reason: str
    tested: Sequence[Tested]

    @property
    def faults(self) -> list[Tested]:
        """The ops that differ."""
        return [each for each in self.tested if each.fault is not None]

    def as_json(self) -> dict[str, Any]:
        """Give it as data."""
        return {**asdict(self), "computes_right": not self.faults}


@dataclass(frozen=True)
class ModelFacts:
    """How a model would be scored.

    Attributes:
        model: its name.
        recipe: how its steps are read.
        of_recipe: who confirms it, and what is unverified.
        dtype: the number format that it runs in.
        device: where.
        weights: what they are made of.
        shares: whether traces share what they have in common, and why.
        passed: what loading has checked.
    """

    model: str
    recipe: str
    of_recipe: Sequence[str]
    dtype: str
    device: str
    weights: str
    shares: str
    passed: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        """Give it as data."""
        return asdict(self)


def doctor_lines(found: Examination) -> list[str]:
    """Say what is installed, what is missing with what to type, and whether the ops are right."""
    lines = [f"stepscore {found.version}, {found.python}, {found.system}"]
    extras = list(dict.fromkeys(package.extra for package in found.packages))
    for extra in extras:
        lines += _extra_lines(extra, [each for each in found.packages if each.extra == extra])
    threads = counted(found.threads, "thread")
    lines += _line("processor", f"{found.cpu_level}, {threads}; the same bits at every level")
    lines += _line("GPU", found.gpu_reason if found.gpu else f"none: {found.gpu_reason}")
    seconds = sum(each.seconds for each in found.tested)
    right = len(found.tested) - len(found.faults)
    told = f"{right} of {counted(len(found.tested), 'op')} agree with their specification"
    lines += _line("self-test", f"{told} ({seconds:.1f} s)")
    for each in found.faults:
        lines += _line("WRONG", f"{each.op}: {each.fault}")
    return lines


def model_lines(facts: ModelFacts) -> list[str]:
    """Say how a model would be scored, and what has been checked."""
    lines = ["", facts.model, *_line("recipe", facts.recipe)]
    for fact in facts.of_recipe:
        lines += _line("", fact)
    lines += _line("format", f"{facts.dtype} on {facts.device}")
    lines += _line("weights", facts.weights)
    lines += _line("shares", facts.shares)
    for check in facts.passed:
        lines += _line("passed", check)
    return lines


def _extra_lines(extra: str, packages: Sequence[Package]) -> list[str]:
    here = [f"{each.name} {each.version}" for each in packages if each.version is not None]
    absent = [each.name for each in packages if each.version is None]
    misfits = [f"{each.name}{each.wanted}" for each in packages if each.version and not each.fits]
    told = [", ".join(here)] if here else []
    told += [f"missing: {', '.join(absent)}"] if absent else []
    told += [f"unfit: needs {', '.join(misfits)}"] if misfits else []
    if absent or misfits:
        told.append(f'type: pip install "stepscore{f"[{extra}]" if extra else ""}"')
    return _line(extra or "needed", "; ".join(told))


def _line(name: str, text: str) -> list[str]:
    indent = " " * (2 + _NAME)
    wrapped = textwrap.wrap(text, WIDTH - len(indent), break_on_hyphens=False) or [""]
    return [f"  {name:<{_NAME}}{wrapped[0]}".rstrip(), *(indent + line for line in wrapped[1:])]
