"""``stepscore convert``."""

from __future__ import annotations

import argparse

from stepscore.cli import options
from stepscore.cli.terminal import say
from stepscore.records.convert import LAYOUTS, convert

SUMMARY = "turn a published layout into the input of rerank"
HELP = """\
layouts:
  gsm8k         example_model_solutions.jsonl of openai/grade-school-math
  qwen_rm_maj   a rm_maj_eval file of QwenLM/Qwen2.5-Math: samples with reward-model scores
  rewardmath    a reward file of kimsh0507/RewardMATH_official: step scores without texts

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
    follow = "rerank" if arguments.layout == "gsm8k" else "vote"
    rest = " -o OUT --model MODEL" if follow == "rerank" else ""
    say(
        [
            *counts,
            f"written to {arguments.output}; next: stepscore {follow} {arguments.output}{rest}",
        ]
    )
