"""Python that a model wrote, run in a process of its own: only where the caller asks for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Blocks of code, oldest first -> what the last one prints, or why it fails. The names that earlier
# blocks define are there.
RunCode = Callable[[Sequence[str]], str]

# The child reads the blocks from its standard input, so that none is cut by a limit of the system.
_CHILD = """
import contextlib, io, json, sys
blocks = json.load(sys.stdin)
names = {"__name__": "__main__"}
for block in blocks[:-1]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):
        exec(block, names)
printed = io.StringIO()
try:
    with contextlib.redirect_stdout(printed):
        exec(blocks[-1], names)
    said = printed.getvalue().strip()
except Exception as error:
    said = f"Code execute Error: {type(error).__name__}: {error}"
sys.stdout.write(said)
"""


@dataclass(frozen=True)
class PythonRunner:
    """Runs blocks of Python in a new process, in an empty folder, and gives what they print.

    It limits time, memory and output, and passes no environment on. It is no sandbox: the code can
    read what the user can read, and reach the network. Run models that you trust, or the whole of
    stepscore in a container.

    Attributes:
        time_limit: seconds; GenPRM's authors give 5.
        memory_limit: bytes of address space, where the system can limit it.
        most_output: characters that are kept.

    Examples:
        >>> from stepscore.scoring.verdicts import PythonRunner
        >>> run = PythonRunner()
        >>> run(["x = 6", "print(x * 7)"])
        '42'
        >>> run(["1 / 0"])
        'Code execute Error: ZeroDivisionError: division by zero'
    """

    time_limit: float = 5.0
    memory_limit: int = 1 << 31
    most_output: int = 4000

    def __call__(self, blocks: Sequence[str]) -> str:
        """Run the last block, after those before it."""
        with tempfile.TemporaryDirectory() as folder:
            environment = {"PATH": os.defpath, "HOME": folder, "TMPDIR": folder}
            child = subprocess.Popen(
                [sys.executable, "-I", "-c", self._limits() + _CHILD],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )
            with child:
                try:
                    said, _ = child.communicate(json.dumps(list(blocks)).encode(), self.time_limit)
                except subprocess.TimeoutExpired:
                    return "Code execute time out: Code execution timed out"
                finally:
                    _end(child)
        text = said.decode("utf-8", "replace")[: self.most_output]
        if child.returncode != 0:
            return f"Code execute Error: the process ended with {child.returncode}"
        return text

    def _limits(self) -> str:
        """The lines that limit a child's memory from inside, before any block runs."""
        return (
            "try:\n"
            "    import resource\n"
            f"    resource.setrlimit(resource.RLIMIT_AS, ({self.memory_limit},) * 2)\n"
            "except Exception:\n"
            "    pass\n"
        )


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child and whatever it has started."""
    try:
        os.killpg(child.pid, 9)
    except (ProcessLookupError, PermissionError, AttributeError):
        child.kill()
