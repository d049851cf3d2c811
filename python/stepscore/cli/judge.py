"""``stepscore judge``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import stepscore
from stepscore.cli import models, options, vote_options
from stepscore.cli.families import typed_family
from stepscore.cli.policy_options import add_attempts, add_policy, add_temperature
from stepscore.cli.terminal import tell
from stepscore.errors import Argument, InputError, did_you_mean
from stepscore.jobs.run import CHUNK_WITH_MODEL, judge_file
from stepscore.voting import RATINGS

if TYPE_CHECKING:
    from stepscore.scoring.pairs import PairVerifier, PairwiseJudge

SUMMARY = "compare candidates two by two; rank and vote"
HELP = (
    options.INPUT_HELP
    + options.RULES_HELP
    + """
judges: every pair is shown in both orders. A verdict that does not come counts for nobody, and the
table says how many there were.

policies: a folder or a Hugging Face repository of a causal language model; or the URL of an
OpenAI-compatible server with --policy-model NAME (its key is taken from OPENAI_API_KEY).

examples:
  stepscore judge in.jsonl -o out.jsonl --judge rrm --how knockout \\
      --policy http://localhost:8000/v1 --policy-model Reward-Reasoning/RRM-7B
  stepscore judge in.jsonl -o out.jsonl --judge rm-r1 --policy gaotang/RM-R1-Qwen2.5-Instruct-7B
  stepscore judge in.jsonl -o out.jsonl --judge my-judge.yaml --policy MODEL
  stepscore vote out.jsonl                              vote again on what it wrote
"""
)
# The families that can be named: those that need nothing more, and those that need a prompt.
_JUDGES = ("j1", "j1-scores", "r1-reward", "rm-r1", "rm-r1-distilled", "rrm")
_PROMPTED = ("pair-judge-rm", "s2j", "web-arbiter")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_files(parser, chunk_size=CHUNK_WITH_MODEL)
    judge = parser.add_argument_group("judge")
    judge.add_argument(
        "--judge",
        required=True,
        metavar="NAME",
        help="the family, with its prompt and its verdict: "
        f"{', '.join(_JUDGES)}; with arguments as NAME:ARG=VALUE,ARG=VALUE, or a file of YAML or "
        f"JSON with judge: NAME and its arguments, as {', '.join(_PROMPTED)} need them "
        "(stepscore recipes show NAME lists them)",
    )
    options.add_how(
        judge,
        (*RATINGS, "knockout"),
        "the rating of a round robin, or a knockout (default: win_rate)",
        metavar="RATING",
        default="win_rate",
    )
    judge.add_argument(
        "--votes",
        type=options.positive,
        default=1,
        metavar="N",
        help="verdicts for each order of a pair (default: 1)",
    )
    judge.add_argument(
        "--vote",
        choices=("share", "majority"),
        default="share",
        help="what the verdicts of one order give (default: share)",
    )
    judge.add_argument(
        "--orders",
        choices=("average", "agree"),
        default="average",
        help="what both orders give: their average (default), or a win only where they agree",
    )
    judge.add_argument(
        "--budget", type=options.positive, metavar="N", help="the most matches of a problem"
    )
    options.add_seed(judge, options.seed)
    _add_policy(parser.add_argument_group("policy"))
    vote_options.add_votes(parser)


def _add_policy(group: argparse._ArgumentGroup) -> None:
    add_policy(group, "a folder, a repository, or a URL")
    models.add_placement(group)
    add_temperature(group, "of its verdicts (default: the family's)")
    group.add_argument(
        "--max-tokens",
        type=options.positive,
        metavar="N",
        help="at most so many tokens of a verdict with its reasoning (default: the family's)",
    )
    group.add_argument(
        "--batch-size",
        type=options.positive,
        metavar="N",
        help="requests in one call of the policy (default: a whole round of a chunk)",
    )
    add_attempts(
        group,
        "with a URL: how often a request is repeated (default: 4)",
        "with a URL: seconds of one attempt",
    )
    group.set_defaults(stop=[], top_p=None)


def run(arguments: argparse.Namespace) -> None:
    """Judge a file."""
    models.check_policy(arguments)
    report = judge_file(
        options.files_of(arguments),
        lambda: _load(arguments),
        settings=vote_options.votes_of(arguments),
        prefixes=vote_options.prefixes_of(arguments),
        version=stepscore.__version__,
    )
    tell(report, arguments)


def _load(arguments: argparse.Namespace) -> PairwiseJudge:
    family = _family(arguments)
    if arguments.policy == "lab":
        raise InputError(
            "a policy that writes texts",
            got="lab, which knows sums alone",
            advice="name a language model",
            argument="policy",
        )
    from stepscore.scoring.pairs import PairwiseJudge

    return PairwiseJudge(
        models.load_policy(arguments),
        family,
        arguments.how,
        arguments.votes,
        arguments.vote,
        arguments.orders,
        arguments.budget,
        arguments.batch_size,
        arguments.seed,
    )


def _family(arguments: argparse.Namespace) -> PairVerifier:
    try:
        from stepscore.scoring.generative import JUDGES, VERDICTS
    except ModuleNotFoundError as error:
        raise models.torch_missing(error) from error
    from stepscore.recipes import recipe_names

    typed = typed_family(arguments.judge, "judge")
    if not typed.name:
        raise InputError(
            "a field judge with the name of a family",
            got="none",
            advice=f"add judge: NAME, one of {', '.join(JUDGES)}",
            where=arguments.judge,
        )
    if typed.name not in JUDGES:
        other = typed.name in VERDICTS or typed.name in recipe_names()
        raise InputError(
            f"one of {', '.join(JUDGES)}",
            got=f"{typed.name!r}, which scores solutions one by one" if other else repr(typed.name),
            advice=f"type stepscore score IN -o OUT --recipe {typed.name} --model MODEL"
            if other
            else did_you_mean(typed.name, JUDGES),
            argument=Argument("judge", arguments.judge),
        )
    given = {name: getattr(arguments, name) for name in ("temperature", "max_tokens")}
    options = {name: value for name, value in given.items() if value is not None}
    family: PairVerifier = typed.make(JUDGES[typed.name], options=options)
    return family
