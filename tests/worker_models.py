"""Models for processes of their own, which find them by this name."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import Any

from fake_model import FakeModel


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
            if "killed" in str(solution):
                os.kill(os.getpid(), signal.SIGKILL)
            if "exit" in str(solution):
                os._exit(7)
        return super().score(problems, solutions, **options)


def load_mortal(log: str, device: str) -> Mortal:
    """Load it on a device."""
    if device == "broken":
        raise ValueError("no such device")
    if device == "gone":
        os.kill(os.getpid(), signal.SIGKILL)
    return Mortal(log=log)
