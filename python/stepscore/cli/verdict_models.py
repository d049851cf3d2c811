"""Generative PRMs on the command line: a policy, and a family that writes its verdicts."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from stepscore.cli.families import typed_family
from stepscore.cli.options import model_argument
from stepscore.cli.policy_options import is_url
from stepscore.errors import Argument, InputError
from stepscore.progress import named_when_long

if TYPE_CHECKING:
    from stepscore.scoring.verdicts import GenerativeRewardModel

# Options that mean nothing to a model that writes its verdicts.
_OTHERS = (
    "base",
    "adapter",
    "device_map",
    "offload_folder",
    "reference_device",
    "max_length",
    "token_budget",
    "separator",
    "numbering",
    "reference",
    "coef",
    "truncate",
)
# Those that a server decides itself.
_HERE = ("device", "dtype", "revision")


def add_served_as(parser: argparse._ActionsContainer) -> None:
    """How a server calls a model."""
    parser.add_argument(
        "--served-as",
        metavar="NAME",
        help="with a --model that is the URL of an OpenAI-compatible server, and a --recipe that "
        "writes its verdicts (the second table of stepscore recipes): the model's name there",
    )


def writes_verdicts(recipe: str | None) -> bool:
    """Tell whether ``--recipe`` names a family that writes its verdicts.

    Raises:
        InputError: a file that cannot be read.
    """
    from stepscore.recipes.registry import WRITTEN_VERDICTS

    return recipe is not None and typed_family(recipe, "recipe").name in WRITTEN_VERDICTS


def refuse_judges(recipe: str | None) -> None:
    """Refuse a family that compares solutions where each has a score."""
    from stepscore.recipes.registry import COMPARISONS

    if recipe is None:
        return
    for option in ("recipe", "judge"):
        typed = typed_family(recipe, option)
        if typed.name in COMPARISONS and (option == "recipe" or typed.fields is not None):
            named = typed.name if typed.fields is None or option == "recipe" else recipe
            raise InputError(
                "a recipe, by which a step or a solution has a score",
                got=f"{typed.name}, which compares two solutions and scores none",
                advice=f"type stepscore judge IN -o OUT --judge {named} --policy MODEL",
                argument=Argument("recipe", recipe),
            )


def refuse_verdicts(arguments: argparse.Namespace, command: str) -> None:
    """Refuse a family that writes its verdicts, or compares, where hidden states are read."""
    refuse_judges(arguments.recipe)
    if writes_verdicts(arguments.recipe):
        name = typed_family(arguments.recipe, "recipe").name
        raise InputError(
            "a recipe that reads hidden states",
            got=f"{name}, a family that writes its verdicts: {command}",
            advice=f"its scores come from stepscore score IN -o OUT --recipe {name} "
            f"--model MODEL; stepscore recipes show {name} says what it needs",
            argument=Argument("recipe", arguments.recipe),
        )


def refuse_server(arguments: argparse.Namespace) -> None:
    """Refuse a server where a model is read that is here."""
    if is_url(arguments.model):
        raise InputError(
            'a folder, the name of a Hugging Face repository, or "lab"; or a URL with a --recipe '
            "that writes its verdicts",
            got="a URL without a --recipe"
            if arguments.recipe is None
            else f"a URL with --recipe {arguments.recipe}, which reads hidden states",
            advice="add --recipe NAME, such as r-prm, and --served-as NAME; the second table of "
            "stepscore recipes lists them",
            argument=model_argument(arguments),
        )


def load_verdict_prm(arguments: argparse.Namespace) -> GenerativeRewardModel:
    """Make what ``--recipe`` and ``--model`` name.

    Raises:
        InputError: options that do not fit together, what the family refuses.
        Exception: what the libraries say of a model that they cannot load.
    """
    from stepscore.scoring.generative import VERDICTS, SilentPolicy

    family = typed_family(arguments.recipe, "recipe")
    _check_options(arguments, family.name)
    function = VERDICTS[family.name]
    if not is_url(arguments.model):
        family.make(
            function, SilentPolicy()
        )  # what is wrong with it is said before a model is read
    from stepscore import policies

    with named_when_long(f"loading the PRM {arguments.model}"):
        policy = (
            policies.EndpointPolicy(arguments.model, arguments.served_as)
            if is_url(arguments.model)
            else policies.HuggingFacePolicy.load(
                arguments.model,
                device=arguments.device,
                dtype=arguments.dtype,
                revision=arguments.revision,
            )
        )
    model: GenerativeRewardModel = family.make(function, policy)
    return model


def _check_options(arguments: argparse.Namespace, name: str) -> None:
    served = is_url(arguments.model)
    if served and arguments.served_as is None:
        raise InputError(
            "the name of the model at the server",
            got=("none beside ", model_argument(arguments)),
            advice="add --served-as NAME",
            argument="served_as",
        )
    if arguments.served_as is not None and not served:
        raise InputError(
            "a --model that is a URL beside it, and no other",
            got=(model_argument(arguments),),
            advice="leave it out",
            argument="served_as",
        )
    refused = [(each, f"--recipe {name}, which writes its verdicts") for each in _OTHERS]
    refused += [(each, "a URL, whose server decides that") for each in _HERE if served]
    for option, why in refused:
        value = getattr(arguments, option, None)
        if value is not None and value is not False:
            raise InputError(
                f"no such option with {why}",
                got="it" if value is True else str(value),
                advice="leave it out",
                argument=option,
            )
