"""Generative PRMs on the command line: those whose authors leave nothing open to their user."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from stepscore.cli.recipe_options import name_of
from stepscore.errors import Argument, InputError
from stepscore.progress import named_when_long

if TYPE_CHECKING:
    from stepscore.scoring.verdicts import GenerativeRewardModel

# --recipe -> its function in stepscore.scoring.verdicts; the others need arguments of Python.
VERDICTS = {
    "genprm": "genprm",
    "natural-program": "natural_program",
    "pro-step": "pro_step",
    "r-prm": "r_prm",
    "thinkprm": "think_prm",
}
# Options that mean nothing to a model that writes its verdicts.
_OTHERS = ("base", "adapter", "device_map", "offload_folder", "max_length", "token_budget")


def add_served_as(parser: argparse._ActionsContainer) -> None:
    """How a server calls a model."""
    parser.add_argument(
        "--served-as",
        metavar="NAME",
        help="with a --model that is the URL of an OpenAI-compatible server: the model's name "
        f"there; for --recipe {', '.join(VERDICTS)}",
    )


def is_verdict(arguments: argparse.Namespace) -> bool:
    """Tell whether the recipe is one of a generative PRM."""
    return arguments.recipe is not None and name_of(arguments.recipe) in VERDICTS


def refuse_verdicts(arguments: argparse.Namespace) -> None:
    """Refuse a generative PRM where hidden states are measured."""
    if is_verdict(arguments):
        raise InputError(
            "a recipe that reads hidden states",
            got=f"{arguments.recipe}, which writes its verdicts",
            argument=Argument("recipe", arguments.recipe),
        )


def load_verdict_prm(arguments: argparse.Namespace) -> GenerativeRewardModel:
    """Make what ``--recipe`` and ``--model`` name.

    Raises:
        InputError: options that do not fit together.
        Exception: what the libraries say of a model that they cannot load.
    """
    if arguments.recipe not in VERDICTS:
        name = name_of(arguments.recipe)
        raise InputError(
            f"{name} without arguments: on the command line its model is run as its authors do",
            got=arguments.recipe,
            advice=f"leave them out; in Python, stepscore.scoring.verdicts.{VERDICTS[name]} "
            "takes them",
            argument="recipe",
        )
    served = arguments.model.startswith(("http://", "https://"))
    if served != (arguments.served_as is not None):
        raise InputError(
            "a --model that is a URL beside it, and no other",
            got=f"--model {arguments.model}",
            advice="add --served-as NAME" if served else "leave it out",
            argument="served_as",
        )
    given = [name for name in _OTHERS if getattr(arguments, name, None) is not None]
    if given:
        raise InputError(
            f"no such option with --recipe {arguments.recipe}, which writes its verdicts",
            got=str(getattr(arguments, given[0])),
            advice="leave it out",
            argument=given[0],
        )
    from stepscore import policies
    from stepscore.scoring import verdicts

    make: Any = getattr(verdicts, VERDICTS[arguments.recipe])
    with named_when_long(f"loading the PRM {arguments.model}"):
        policy = (
            policies.EndpointPolicy(arguments.model, arguments.served_as)
            if served
            else policies.HuggingFacePolicy.load(
                arguments.model,
                device=arguments.device,
                dtype=arguments.dtype,
                revision=arguments.revision,
            )
        )
    model: GenerativeRewardModel = make(policy)
    return model
