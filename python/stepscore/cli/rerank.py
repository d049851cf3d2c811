"""``stepscore rerank``."""

from __future__ import annotations

import argparse

import stepscore
from stepscore.cli import options, vote_options
from stepscore.cli.models import add_model, load_prm, load_prm_on_devices
from stepscore.cli.terminal import say, tell
from stepscore.errors import InputError
from stepscore.jobs.explain import explain_rerank
from stepscore.jobs.run import CHUNK_WITH_MODEL, rerank_file
from stepscore.ops.aggregate import AGGREGATIONS

SUMMARY = "score, rank, group answers and vote; then a table"
HELP = (
    options.INPUT_HELP
    + options.RULES_HELP
    + """
examples:
  stepscore demo --save lab.jsonl                       an input to try it with
  stepscore rerank lab.jsonl -o out.jsonl --model lab
  stepscore rerank in.jsonl -o out.jsonl --model Qwen/Qwen2.5-Math-PRM-7B --how prod
  stepscore rerank lab.jsonl -o out.jsonl --model lab --rule majority --rule borda
  stepscore rerank lab.jsonl --model lab --explain lab-7     why, of one problem
  stepscore rerank samples.jsonl -o out.jsonl --model lab --group-by problem     a line per sample
  stepscore rerank in.jsonl -o out.jsonl --model ./my-prm --device cuda:0,cuda:1   a process each
  stepscore rerank in.jsonl -o out.jsonl --model PRM --engine ray   on a Ray cluster
  stepscore rerank found.jsonl -o out.jsonl --model lab      what stepscore search has found
"""
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_files(
        parser,
        "the JSONL file to write; required unless --explain is given",
        required=False,
        chunk_size=CHUNK_WITH_MODEL,
    )
    options.add_bad_candidates(parser)
    options.add_how(
        parser,
        AGGREGATIONS,
        "the aggregation that ranks (default: the model author's, else last)",
    )
    vote_options.add_explain(vote_options.add_votes(parser))
    add_model(parser, several_devices=True)


def run(arguments: argparse.Namespace) -> None:
    """Rerank a file, or explain one of its problems."""
    settings = vote_options.votes_of(arguments)
    truncation = options.truncation_of(arguments)

    if arguments.explain is not None:
        say(
            explain_rerank(
                options.files_to_explain(arguments),
                arguments.explain,
                lambda: load_prm(arguments),
                how=arguments.how,
                truncation=truncation,
                on_bad=arguments.on_bad_candidate,
                special_tokens=arguments.special_tokens,
                settings=settings,
            )
        )
        return
    if arguments.output is None:
        raise InputError(
            "-o OUT, where the result is written, or --explain ID", got="neither", advice="add one"
        )
    report = rerank_file(
        options.files_of(arguments),
        lambda: load_prm_on_devices(arguments),
        how=arguments.how,
        settings=settings,
        prefixes=vote_options.prefixes_of(arguments),
        truncation=truncation,
        on_bad=arguments.on_bad_candidate,
        special_tokens=arguments.special_tokens,
        version=stepscore.__version__,
    )
    tell(report, arguments)
