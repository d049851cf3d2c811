"""``stepscore check``."""

from __future__ import annotations

import argparse
import json

from stepscore.cli import options
from stepscore.cli.models import add_loading, not_loaded
from stepscore.cli.recipe_options import recipe_of
from stepscore.cli.terminal import DifferError, say
from stepscore.cli.verdict_models import refuse_verdicts
from stepscore.errors import Argument, InputError
from stepscore.jobs.check import DEFAULT_LIMIT, check_file
from stepscore.progress import named_when_long
from stepscore.report.check import check_lines
from stepscore.report.table import counted

SUMMARY = "prove on your own weights that a model is read right"
HELP = """\
The model scores all traces in one call. Then its checkpoint is loaded again as a stock model of
transformers, which forwards every trace alone in float32; full logits, or the head in float64, give
the scores a second time. Scores, token ids and positions must agree. Warnings name what makes
scores wrong or worthless although they agree: two BOS, another chat template, another recipe than
the checkpoint's, truncation, special tokens in texts, scores that tie at 0 or 1, constant or
reversed ones. One model is in memory at a time, the second in float32.

exit code: 0 they agree, 1 they differ (with --strict: or there are warnings), 2 bad input

examples:
  stepscore check ./my-prm
  stepscore check Qwen/Qwen2.5-Math-PRM-7B samples.jsonl --dtype bfloat16
  stepscore check ./my-prm --recipe my.yaml --strict --json
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", metavar="MODEL", help='a folder, a repository, or "lab"')
    parser.add_argument(
        "input",
        metavar="FILE",
        nargs="?",
        help="a JSONL file, as for score (default: built-in traces that provoke pitfalls)",
    )
    options.add_limit(parser, "the first N candidates of the file", DEFAULT_LIMIT)
    parser.add_argument("--strict", action="store_true", help="exit with 1 for warnings, too")
    options.add_json(parser)
    options.add_fields(parser, ("id", "problem", "candidates"))
    add_loading(parser.add_argument_group("model"))


def run(arguments: argparse.Namespace) -> None:
    """Check a model."""
    given = ("base", "adapter", "device", "dtype", "revision", "max_length")
    chosen = {name: getattr(arguments, name) for name in given}
    refuse_verdicts(arguments, "there is no slow reading of texts to compare it with")
    recipe = recipe_of(arguments)
    try:
        with named_when_long(f"checking {arguments.model}"):
            report = check_file(
                arguments.model,
                arguments.input,
                limit=arguments.limit,
                fields=options.fields_of(arguments),
                recipe=recipe,
                **{name: value for name, value in chosen.items() if value is not None},
            )
    except InputError as error:
        if error.where in ("load", ""):
            raise not_loaded(error, Argument("model", arguments.model), {}) from error
        raise
    except Exception as error:
        raise not_loaded(error, Argument("model", arguments.model), {}) from error
    if arguments.json:
        say([json.dumps(report.as_json(), ensure_ascii=False)])
    else:
        say(check_lines(report))
    if not report.agrees:
        raise DifferError(counted(len(report.differences), "difference"))
    if arguments.strict and report.warnings:
        raise DifferError(f"{counted(len(report.warnings), 'warning')}, and --strict")
