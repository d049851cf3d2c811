"""``stepscore convert``."""

from __future__ import annotations

import argparse

from stepscore.cli import options
from stepscore.cli.terminal import say
from stepscore.records.convert import LAYOUTS, convert

SUMMARY = "turn a published layout into the input of rerank"
_SOURCES = "".join(f"  {layout.name:<14}{layout.source}\n" for layout in LAYOUTS.values())
HELP = f"""\
layouts:
{_SOURCES}
examples:
  stepscore convert qwen_rm_maj math_cot_100.jsonl -o qwen.jsonl
  stepscore vote qwen.jsonl
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("layout", choices=tuple(LAYOUTS), metavar="LAYOUT", help=", ".join(LAYOUTS))
    parser.add_argument("input", metavar="IN", help="the file")
    options.add_output(parser)
    options.add_overwrite(parser, "an existing OUT")


def run(arguments: argparse.Namespace) -> None:
    """Convert a file."""
    counts = convert(
        arguments.layout, arguments.input, arguments.output, overwrite=arguments.overwrite
    )
    name = arguments.output
    follow = f"vote {name}"
    if not LAYOUTS[arguments.layout].has_scores:
        follow = f"rerank {name} -o OUT --model MODEL"
    say([*counts, f"written to {name}; next: stepscore {follow}"])
