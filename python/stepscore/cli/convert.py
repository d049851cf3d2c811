"""``stepscore convert``."""

from __future__ import annotations

import argparse

from stepscore.cli import options
from stepscore.cli.terminal import complain, say
from stepscore.errors import InputError
from stepscore.records.convert import LAYOUTS, Conversion, convert

SUMMARY = "turn a file of a published layout into records"
_SOURCES = "".join(f"  {layout.name:<18}{layout.source}\n" for layout in LAYOUTS.values())
HELP = f"""\
layouts, each recognised by its fields:
{_SOURCES}
What a layout says of the steps is kept in every candidate: "first_error" (from 0, -1 where no step
is wrong), "step_labels", "correct", "generator".

examples:
  stepscore convert math_cot_100.jsonl qwen.jsonl
  stepscore convert test-00000-of-00001.parquet records.jsonl
  stepscore convert Math_Shepherd_reward.json rewardmath.jsonl --from rewardmath
  stepscore vote qwen.jsonl
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "input",
        metavar="IN",
        help='a JSON or JSONL file, also .gz or .zst, a Parquet file, or "-" for standard input',
    )
    parser.add_argument(
        "output",
        metavar="OUT",
        nargs="?",
        help="the JSONL file to write; a table where it ends in .parquet",
    )
    options.add_output(parser, "the same as OUT", required=False, dest="target")
    parser.add_argument(
        "--from",
        dest="layout",
        choices=tuple(LAYOUTS),
        metavar="LAYOUT",
        help="read the file as this layout (default: recognised): " + ", ".join(LAYOUTS),
    )
    options.add_overwrite(parser, "an existing OUT")


def run(arguments: argparse.Namespace) -> None:
    """Convert a file."""
    source, target, layout = arguments.input, arguments.output, arguments.layout
    if arguments.target is not None and target is not None:
        # Until 0.1 the layout stood in front: convert LAYOUT IN -o OUT.
        if source not in LAYOUTS or layout is not None:
            raise InputError(
                "one output", got="OUT and -o", advice="leave one of them out", argument="target"
            )
        complain(f"stepscore convert: the layout is recognised; else say --from {source}")
        source, layout = target, source
    target = arguments.target or target
    if target is None:
        raise InputError("OUT, where the records are written", got="none", advice="add it")
    conversion = convert(source, target, layout=layout, overwrite=arguments.overwrite)
    say([*conversion.lines(), f"written to {target}; next: {_follow(conversion, target)}"])


def _follow(conversion: Conversion, name: str) -> str:
    if conversion.scored or not conversion.stated:
        return f"stepscore vote {name}"
    return f"stepscore rerank {name} -o OUT --model MODEL"
