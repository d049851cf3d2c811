"""``stepscore convert-checkpoint``."""

from __future__ import annotations

import argparse

import stepscore
from stepscore.cli import options
from stepscore.cli.models import add_base, add_revision, not_loaded
from stepscore.cli.recipe_options import add_recipe, recipe_of
from stepscore.cli.terminal import say
from stepscore.cli.verdict_models import refuse_verdicts
from stepscore.errors import Argument, InputError
from stepscore.progress import named_when_long

SUMMARY = "write a checkpoint as safetensors, ready to load"
HELP = """\
The weights of backbone and head keep their number formats. The tokenizer comes along as
tokenizer.json, and config.json gets the name of the recipe, so that the copy loads without
--recipe. What was written is loaded again: every tensor and the scores of some traces must have the
same bits as before, or nothing is written. Nothing in a pickle is executed. An adapter is merged
into its base; a head in a file of its own goes among the weights.

examples:
  stepscore convert-checkpoint math-shepherd-mistral-7b-prm shepherd --recipe math-shepherd
  stepscore convert-checkpoint Skywork/Skywork-o1-Open-PRM-Qwen-2.5-1.5B skywork
  stepscore score in.jsonl -o out.jsonl --model skywork
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", metavar="FOLDER", help="a folder, or a Hugging Face repository")
    parser.add_argument("output", metavar="OUT", help="the folder to write")
    add_recipe(parser)
    add_revision(parser)
    add_base(parser)
    options.add_overwrite(parser, "an existing OUT")


def run(arguments: argparse.Namespace) -> None:
    """Convert a checkpoint."""
    refuse_verdicts(arguments, "its checkpoint is any causal language model, which loads as it is")
    recipe = recipe_of(arguments)
    try:
        with named_when_long(f"converting {arguments.model}"):
            converted = stepscore.convert_checkpoint(
                arguments.model,
                arguments.output,
                recipe=recipe,
                revision=arguments.revision,
                overwrite=arguments.overwrite,
                base=arguments.base,
            )
    except Exception as error:
        of_output = isinstance(error, InputError) and error.argument == Argument("output")
        if isinstance(error, InputError) and of_output:
            fault = InputError(error.expected, got=error.got, advice=error.advice, where="OUT")
            raise fault from error
        raise not_loaded(error, Argument("folder", arguments.model)) from error
    say([f"written to {converted}", f"next: stepscore score IN -o OUT --model {converted.folder}"])
