"""``stepscore demo``."""

from __future__ import annotations

import argparse

from stepscore.cli import options
from stepscore.cli.models import load_named_prm, torch_missing
from stepscore.cli.terminal import say
from stepscore.errors import InputError
from stepscore.files import WholeFile

SUMMARY = "watch a PRM at work, live"
HELP = """\
A tiny language model that is part of the package solves arithmetic problems that neither it nor
the PRM has seen. It was taught to forget carries now and then, so that its wrong answers agree with
each other and mislead a majority. A tiny PRM, also part of the package, scores every step.

examples:
  stepscore demo
  stepscore demo --problems 100 --samples 64 --seed 1
  stepscore demo --save lab.jsonl                       keep the samples, as an input of rerank
  stepscore demo --picture demo.svg                     the problem in detail, as a picture
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--problems", type=options.positive, default=100, help="how many problems (default: 100)"
    )
    parser.add_argument(
        "--samples",
        type=options.positive,
        default=16,
        help="solutions of each problem (default: 16)",
    )
    options.add_seed(parser, int)
    parser.add_argument("--save", metavar="FILE", help="write the samples as an input of rerank")
    parser.add_argument(
        "--picture", metavar="FILE.svg", help="draw the problem that is shown in detail"
    )
    options.add_overwrite(parser, "an existing FILE")


def run(arguments: argparse.Namespace) -> None:
    """Sample, score, show, save, draw."""
    # Only here: the lab's policy needs torch.
    try:
        from stepscore.hub import silenced_hub
        from stepscore.jobs.demo import draw, run_demo, save, show
        from stepscore.lab.policy import load_policy
    except ModuleNotFoundError as error:
        raise torch_missing(error) from error

    # A file that may not be written is found out before the sampling.
    saved, picture = (
        path and WholeFile(path, overwrite=arguments.overwrite)
        for path in (arguments.save, arguments.picture)
    )
    try:
        with silenced_hub():
            policy = load_policy()
    except (ValueError, OSError) as error:
        raise InputError(
            "the built-in policy beside the package", got=str(error), advice="install it again"
        ) from error
    demo = run_demo(
        policy,
        load_named_prm("lab"),
        problems=arguments.problems,
        samples=arguments.samples,
        seed=arguments.seed,
    )
    say(show(demo))
    if saved:
        save(demo, saved)
    if picture:
        with picture as file:
            file.write(draw(demo))
    say(_what_next(arguments.save))


def _what_next(saved: str | None) -> list[str]:
    name = saved or "lab.jsonl"
    return [
        "",
        "How to read it: every row turns a solution's step scores into one number, and every",
        "column chooses an answer with it; where a figure beats majority, the PRM knows what",
        "counting does not.",
        "",
        "What to type next:",
        *([] if saved else [f"  stepscore demo --save {name}"]),
        f"  stepscore rerank {name} -o ranked.jsonl --model lab",
        "  stepscore rerank --help        the same for your own samples and a published PRM",
    ]
