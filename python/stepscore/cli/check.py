"""``stepscore check``."""

from __future__ import annotations

import argparse
import json
from typing import Any

from stepscore.cli import options
from stepscore.cli.models import add_loading, load_prm, not_loaded
from stepscore.cli.recipe_options import recipe_of
from stepscore.cli.terminal import DifferError, say
from stepscore.cli.verdict_models import (
    add_served_as,
    refuse_judges,
    refuse_server,
    writes_verdicts,
)
from stepscore.errors import InputError
from stepscore.jobs.check import DEFAULT_LIMIT, check_file, check_verdict_file
from stepscore.progress import named_when_long
from stepscore.report.check import check_lines, verdict_check_lines
from stepscore.report.table import counted

SUMMARY = "prove on your own weights that a model is read right"
HELP = """\
The model scores all traces in one call. Then its checkpoint is loaded again as a stock model of
transformers, which forwards every trace alone in float32; full logits, or the head in float64, give
the scores a second time. Scores, token ids and positions must agree. Warnings name what makes
scores wrong or worthless although they agree: two BOS, another chat template, another recipe than
the checkpoint's, truncation, special tokens in texts, scores that tie at 0 or 1, constant or
reversed ones. One model is in memory at a time, the second in float32.

Of a model that writes its verdicts the prompt and the answer are shown. The log-probabilities that
it tells, and its scores, are read again from full logits; a server is asked about one step.

exit code: 0 they agree, 1 they differ (with --strict: or there are warnings), 2 bad input

examples:
  stepscore check ./my-prm
  stepscore check Qwen/Qwen2.5-Math-PRM-7B samples.jsonl --dtype bfloat16
  stepscore check ./my-prm --recipe my.yaml --strict --json
  stepscore check http://localhost:8000/v1 --served-as R-PRM-7B-DPO --recipe r-prm
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
    model = parser.add_argument_group("model")
    add_loading(model)
    add_served_as(model)


def run(arguments: argparse.Namespace) -> None:
    """Check a model."""
    refuse_judges(arguments.recipe)
    written = writes_verdicts(arguments.recipe)
    if not written:
        refuse_server(arguments)
    model: Any = load_prm(arguments) if written else arguments.model
    loading = {} if written else {"recipe": recipe_of(arguments), **_given(arguments)}
    file = {"limit": arguments.limit, "fields": options.fields_of(arguments)}
    report: Any
    try:
        with named_when_long(f"checking {arguments.model}"):
            check = check_verdict_file if written else check_file
            report = check(model, arguments.input, **file, **loading)
    except InputError as error:
        if error.where in ("load", ""):
            raise not_loaded(error, options.model_argument(arguments)) from error
        raise
    except Exception as error:
        raise not_loaded(error, options.model_argument(arguments)) from error
    if arguments.json:
        say([json.dumps(report.as_json(), ensure_ascii=False)])
    else:
        say(verdict_check_lines(report) if written else check_lines(report))
    if not report.agrees:
        raise DifferError(counted(len(report.differences), "difference"))
    if arguments.strict and report.warnings:
        raise DifferError(f"{counted(len(report.warnings), 'warning')}, and --strict")


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Give the options of `stepscore.load` that were typed."""
    names = ("base", "adapter", "device", "dtype", "revision", "max_length")
    values = {name: getattr(arguments, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}
