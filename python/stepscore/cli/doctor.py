"""``stepscore doctor``."""

from __future__ import annotations

import argparse
import json

from stepscore.cli import options
from stepscore.cli.models import add_loading, not_loaded
from stepscore.cli.recipe_options import recipe_of
from stepscore.cli.terminal import DifferError, say
from stepscore.jobs.doctor import examine, examine_model
from stepscore.progress import named_when_long
from stepscore.report.doctor import doctor_lines, model_lines

SUMMARY = "say what is installed, and test this machine"
HELP = """\
What stepscore uses, with what to type for what is missing; the instruction level, the threads and
the GPU, or why there is none; and every op against its specification in NumPy, on small inputs.
With MODEL, which is loaded: the recipe that it gets and who confirms it, the number format, whether
traces share what they have in common, and what it has been checked for.

exit code: 0 all ops agree, 1 one does not, 2 a model that cannot be loaded

examples:
  stepscore doctor
  stepscore doctor ./my-prm --dtype bfloat16
  stepscore doctor lab --json
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", help='a folder, a repository, or "lab"'
    )
    options.add_json(parser)
    add_loading(parser.add_argument_group("model"))


def run(arguments: argparse.Namespace) -> None:
    """Examine this machine, and a model."""
    with named_when_long("testing every op"):
        found = examine()
    if not arguments.json:
        say(doctor_lines(found))
    facts = None
    if arguments.model is not None:
        recipe = recipe_of(arguments)
        given = ("base", "adapter", "device", "dtype", "revision", "max_length")
        chosen = {name: getattr(arguments, name) for name in given}
        try:
            with named_when_long(f"loading {arguments.model}"):
                facts = examine_model(
                    arguments.model,
                    recipe=recipe,
                    **{name: value for name, value in chosen.items() if value is not None},
                )
        except Exception as error:
            raise not_loaded(error, options.model_argument(arguments)) from error
    if arguments.json:
        told = {**found.as_json(), "model": None if facts is None else facts.as_json()}
        say([json.dumps(told, ensure_ascii=False)])
    elif facts is not None:
        say([*model_lines(facts), f"  next: stepscore check {arguments.model}"])
    if found.faults:
        raise DifferError(f"wrong on this machine: {', '.join(each.op for each in found.faults)}")
