"""``stepscore vote``."""

from __future__ import annotations

import argparse

import stepscore
from stepscore.cli import options, vote_options
from stepscore.cli.terminal import say, tell
from stepscore.jobs.explain import explain_vote
from stepscore.jobs.run import CHUNK_OF_SCORES, vote_file
from stepscore.ops.aggregate import AGGREGATIONS
from stepscore.voting.columns import GIVEN

SUMMARY = "rank and vote on scores that are in the file"
HELP = (
    """\
input: one JSON object per line (JSONL; .gz and "-" for standard input work too)
  {"id": 1, "candidates": [{"answer": "42", "score": 0.9}, {"answer": "41", "score": 0.2}]}
  {"id": 1, "candidates": [{"text": "...", "step_scores": [0.9, 0.2]}], "answer": "the known one"}
Every candidate carries "score" (one number) or "step_scores" (a list), the same of the two in the
whole file; or the file was written by stepscore score or rerank, and its step scores are used, or
by stepscore search, whose traces are the candidates. Without any scores answers are counted:
majority and pass@k. The result takes the place of an earlier one.
"""
    + options.RESUME_HELP
    + options.RULES_HELP
    + """
examples:
  stepscore vote scored.jsonl                           the table alone
  stepscore vote scored.jsonl -o voted.jsonl --how min
  zcat scored.jsonl.gz | stepscore vote - --id-field uid
  stepscore vote scored.jsonl --rule majority --rule softmax_weighted:temperature=0.1
  stepscore vote scored.jsonl --rule pareto --objectives min,last,mean
  stepscore vote scored.jsonl --prefixes 1,2,4,8        what more candidates are worth
  stepscore vote scored.jsonl --explain 17              why each rule chooses what it does
  stepscore vote scored.jsonl --ties lose               a tie counts as wrong, as in RewardMATH
  stepscore vote samples.jsonl --group-by problem       a line per sample, in any order
  stepscore vote found.jsonl                            what stepscore search has found
"""
)
_RANGES = {"auto": None, "probability": True, "any": False}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_files(
        parser,
        "the JSONL file to write (default: only the table)",
        required=False,
        chunk_size=CHUNK_OF_SCORES,
    )
    options.add_how(
        parser,
        (*AGGREGATIONS, GIVEN),
        "the aggregation that ranks (default: the one that rerank used, else the file's score, "
        "else last)",
    )
    parser.add_argument(
        "--score-range",
        choices=tuple(_RANGES),
        default="auto",
        help="whether step scores lie in [0, 1], which prod, geometric_mean, logit_mean and "
        "odds_mean need (default: auto, the first record tells)",
    )
    vote_options.add_explain(vote_options.add_votes(parser))


def run(arguments: argparse.Namespace) -> None:
    """Vote over a file, or explain one of its problems."""
    bounded = _RANGES[arguments.score_range]
    settings = vote_options.votes_of(arguments)
    if arguments.explain is not None:
        say(
            explain_vote(
                options.files_to_explain(arguments),
                arguments.explain,
                how=arguments.how,
                bounded=bounded,
                settings=settings,
            )
        )
        return
    report = vote_file(
        options.files_of(arguments),
        how=arguments.how,
        settings=settings,
        prefixes=vote_options.prefixes_of(arguments),
        bounded=bounded,
        version=stepscore.__version__,
    )
    tell(report, arguments)
