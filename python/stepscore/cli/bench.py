"""``stepscore bench``."""

from __future__ import annotations

import argparse
import json

from stepscore.cli import options
from stepscore.cli.models import add_model, load_prm
from stepscore.cli.terminal import say
from stepscore.cli.verdict_models import refuse_verdicts
from stepscore.jobs.bench import bench_forward

SUMMARY = "time the forward passes of your own file"
HELP = """\
input: that of stepscore score. Nothing is written.

Tokenising, planning, the forward passes and reading the head are timed one after the other, warm,
and compared with the bare forward: the same backbone over as many random tokens as the traces have
unique ones, in rows of one length, without padding, repeats or a head. Tokenising is given for a
core, too, for beside a GPU it takes cores of its own; where its share of the time is above 5 %, the
table says what helps.

examples:
  stepscore bench forward in.jsonl --model Qwen/Qwen2.5-Math-PRM-7B --limit 20
  stepscore bench forward in.jsonl --model ./my-prm --token-budget 4096 --json
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("what", choices=("forward",), help="the forward passes")
    options.add_input(parser)
    options.add_limit(parser, "the first N records alone")
    options.add_json(parser)
    options.add_fields(parser, ("id", "problem", "candidates"))
    add_model(parser)


def run(arguments: argparse.Namespace) -> None:
    """Time a file."""
    refuse_verdicts(arguments, "no forward pass of it is timed")
    cost = bench_forward(
        arguments.input,
        lambda: load_prm(arguments),
        limit=arguments.limit,
        fields=options.fields_of(arguments),
        truncation=options.truncation_of(arguments),
    )
    say([json.dumps(cost.as_json())] if arguments.json else cost.lines())
