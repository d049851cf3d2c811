"""``stepscore score``."""

from __future__ import annotations

import argparse

import stepscore
from stepscore.cli import options
from stepscore.cli.models import add_model, load_prm_on_devices
from stepscore.cli.terminal import tell
from stepscore.jobs.run import CHUNK_WITH_MODEL, score_file

SUMMARY = "write the step scores and all aggregations"
HELP = (
    options.INPUT_HELP
    + """
examples:
  stepscore score in.jsonl -o scored.jsonl --model Qwen/Qwen2.5-Math-PRM-7B
  stepscore score in.jsonl -o scored.jsonl --model ./my-prm --recipe trl-prm --on-error skip
  stepscore score in.jsonl -o scored.jsonl --model ./my-prm --device cuda:0,cuda:1
  stepscore score in.jsonl -o scored.jsonl --model PRM --engine ray   on a Ray cluster
  stepscore vote scored.jsonl                           votes and table, later, without a model
"""
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_files(parser, chunk_size=CHUNK_WITH_MODEL)
    options.add_bad_candidates(parser)
    add_model(parser, several_devices=True)


def run(arguments: argparse.Namespace) -> None:
    """Score a file."""
    report = score_file(
        options.files_of(arguments),
        lambda: load_prm_on_devices(arguments),
        truncation=options.truncation_of(arguments),
        on_bad=arguments.on_bad_candidate,
        special_tokens=arguments.special_tokens,
        version=stepscore.__version__,
    )
    tell(report, arguments)
