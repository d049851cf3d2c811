"""The command line: which command runs, its exit code, and how a signal ends it."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn, Protocol

import stepscore
from stepscore.arrays import check_environment
from stepscore.cli import bench, convert, demo, rerank, score, search, vote
from stepscore.cli.config import with_config
from stepscore.cli.spelling import flag_of
from stepscore.cli.terminal import OutputError, complain, silence_output
from stepscore.errors import InputError

BAD_INPUT = 2
UNWRITABLE = 1
INTERRUPTED = 130  # as a shell reports Ctrl-C


class Command(Protocol):
    """What the file of a command defines.

    Attributes:
        SUMMARY: one line of help.
        HELP: what stands below the options: input, output and examples.
    """

    SUMMARY: str
    HELP: str

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""

    def run(self, arguments: argparse.Namespace) -> None:
        """Do the work; what goes wrong is an InputError."""


COMMANDS: dict[str, Command] = {
    "demo": demo,
    "score": score,
    "rerank": rerank,
    "vote": vote,
    "search": search,
    "convert": convert,
    "bench": bench,
}
_DESCRIPTION = """\
Score the reasoning steps of language models with process reward models (PRMs), rerank
candidate solutions, and vote on their answers.
"""
_EXAMPLES = """\
examples:
  stepscore demo                                        see it work; nothing to prepare
  stepscore rerank in.jsonl -o out.jsonl --model lab    score, rank and vote
  stepscore vote scored.jsonl                           vote on scores that are in the file
  stepscore search in.jsonl -o out.jsonl --policy lab --model lab --strategy beam

Every command has its own help: stepscore rerank --help
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments; None takes those of the process.

    Returns:
        The exit code: 0, 1 where standard output cannot be written, 2 for bad input or arguments,
        130 after Ctrl-C.
    """
    parser = _parser()
    given = sys.argv[1:] if argv is None else argv
    try:
        arguments = parser.parse_args(with_config(given))
    except InputError as error:
        complain(f"stepscore {given[0]}: error: {error.told(flag_of)}")
        return BAD_INPUT
    if arguments.command is None:
        parser.print_help()
        return BAD_INPUT
    name = f"stepscore {arguments.command}"
    try:
        check_environment()
        with _unwinding_on_termination():
            COMMANDS[arguments.command].run(arguments)
    except OutputError as error:
        complain(f"{name}: error: {error}")
        return UNWRITABLE
    except InputError as error:
        complain(f"{name}: error: {error.told(flag_of)}")
        return BAD_INPUT
    except KeyboardInterrupt:
        complain(f"{name}: stopped; no output was written")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of the table has gone, as after "| head"; Python would complain at its exit.
        silence_output()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stepscore",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"stepscore {stepscore.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, command in COMMANDS.items():
        summary = command.SUMMARY
        command.add_options(
            commands.add_parser(
                name,
                help=summary,
                description=summary[0].upper() + summary[1:] + ".",
                epilog=command.HELP,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
        )
    return parser


@contextmanager
def _unwinding_on_termination() -> Iterator[None]:
    """Let SIGTERM and SIGHUP remove half-written files on their way, as Ctrl-C does."""
    # Only the main thread may set handlers.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    earlier = {name: signal.signal(getattr(signal, name), _leave) for name in names}
    try:
        yield
    finally:
        for name, handler in earlier.items():
            signal.signal(getattr(signal, name), handler)


def _leave(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)
