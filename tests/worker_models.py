"""Models for processes of their own, which find them by this name."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import Any

from fake_model import FakeModel

import stepscore


@dataclass(frozen=True)
class Mortal(FakeModel):
    """Ends its process at a solution that says so, and writes down which process scores."""

    log: str = ""

    def score(self, problems: list[str], solutions: list[Any], **options: Any) -> Any:
        """Score, or end."""
        with open(self.log, "a") as file:
            file.write(f"{os.getpid()} {self.device} {len(solutions)}\n")
        for solution in solutions:
            if "sleep" in str(solution):
                time.sleep(60)
            if "killed once" in str(solution):
                if first_time(f"{self.log}.killed"):
                    os.kill(os.getpid(), signal.SIGKILL)
            elif "killed" in str(solution):
                os.kill(os.getpid(), signal.SIGKILL)
            if "exit" in str(solution):
                os._exit(7)
        return super().score(problems, solutions, **options)


def first_time(mark: str) -> bool:
    """Say whether nobody has asked before for this mark."""
    try:
        open(mark, "x").close()
    except FileExistsError:
        return False
    return True


class MortalLab:
    """The lab model, which ends its process at the second chunk of all that it is given."""

    def __init__(self, log: str, device: str) -> None:
        self._log = log
        self._model = stepscore.load("lab", device=device)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def score(self, *inputs: Any, **options: Any) -> Any:
        """Score, or end."""
        with open(self._log, "a") as file:
            file.write(f"{os.getpid()}\n")
        if not first_time(f"{self._log}.chunk") and first_time(f"{self._log}.killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        return self._model.score(*inputs, **options)


def load_mortal_lab(log: str, device: str) -> MortalLab:
    """Load it on a device."""
    return MortalLab(log, device)


def load_mortal(log: str, device: str) -> Mortal:
    """Load it on a device."""
    if device == "broken":
        raise ValueError("no such device")
    if device == "gone":
        os.kill(os.getpid(), signal.SIGKILL)
    return Mortal(log=log)


CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")


def load_noting_caches(log: str, device: str) -> Mortal:
    """Load it, and write down how many kernels torch would keep in this process."""
    with open(f"{log}.caches", "a") as file:
        file.write(" ".join(os.environ.get(name, "unset") for name in CACHES) + "\n")
    return load_mortal(log, device)


def records(count: int, **special: str) -> list[dict[str, Any]]:
    """Problems of two candidates; some say what a number of theirs is told."""
    return [
        {
            "id": at,
            "problem": f"problem {at}",
            "candidates": [special.get(f"at_{at}", f"step {at} @0.{at % 9}"), "A: 1 @0.5"],
        }
        for at in range(count)
    ]
