"""The options of a model, and the models that they name, loaded.

Errors of every library become errors of the input.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import stepscore
from stepscore.cli.options import model_argument, positive, refuse_any, unescaped
from stepscore.cli.policy_options import is_url
from stepscore.cli.ray_options import add_engine, on_cluster, ray_workers, refuse_cluster
from stepscore.cli.recipe_options import add_recipe, names_recipe_argument, recipe_of
from stepscore.cli.spelling import flag_of
from stepscore.cli.verdict_models import (
    add_served_as,
    load_verdict_prm,
    refuse_judges,
    refuse_server,
    writes_verdicts,
)
from stepscore.credentials import described, masked, text_of
from stepscore.errors import Argument, InputError
from stepscore.jobs.provenance import describe
from stepscore.jobs.scorers import ModelSource
from stepscore.jobs.search import Models
from stepscore.jobs.workers import Workers
from stepscore.progress import named_when_long
from stepscore.search.strategies import REGISTRY
from stepscore.search.strategies.parameters import model_missing

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel

# The arguments of a policy's class -> the options that give them.
_POLICY_OPTIONS = {"model": "policy", "revision": "policy_revision"}
_ENDPOINT_OPTIONS = {"url": "policy", "model": "policy_model"}
# Options of `stepscore.load` that are passed on only where they are given.
_GIVEN = ("base", "adapter", "device_map", "offload_folder", "reference_device")


def add_model(
    parser: argparse.ArgumentParser, *, required: bool = True, several_devices: bool = False
) -> None:
    """The PRM, and how it is run; on one device, or on several at once."""
    model = parser.add_argument_group("model")
    add_model_name(
        model,
        'a folder, a Hugging Face repository, or "lab", the built-in miniature, which knows '
        "the sums of stepscore demo and nothing else",
        required=required,
    )
    add_loading(model, several_devices=several_devices)
    if several_devices:
        add_engine(parser)
    add_device_map(model)
    add_served_as(model)
    add_token_budget(model, "the most tokens of a batch")
    model.add_argument(
        "--truncate",
        action="store_true",
        help="score the steps that fit of a trace that is too long; the others get null",
    )


def add_model_name(
    parser: argparse._ActionsContainer, what: str, *, required: bool = False
) -> None:
    """What is loaded."""
    parser.add_argument("--model", required=required, help=what)


def add_token_budget(parser: argparse._ActionsContainer, what: str) -> None:
    """How much goes through the model together."""
    parser.add_argument("--token-budget", type=positive, metavar="B", help=what)


def add_loading(parser: argparse._ActionsContainer, *, several_devices: bool = False) -> None:
    """How the weights of a model are read, and where they run."""
    add_recipe(parser)
    add_base(parser)
    parser.add_argument(
        "--adapter",
        choices=("merge", "ignore"),
        help="of a folder with an adapter and full weights: merge it, or load the weights alone",
    )
    add_placement(parser, several_devices=several_devices)
    add_revision(parser)
    parser.add_argument(
        "--max-length", type=positive, metavar="L", help="the most tokens of a trace"
    )


def add_placement(parser: argparse._ActionsContainer, *, several_devices: bool = False) -> None:
    """Where weights run, and in which number format."""
    one = "such as cpu or cuda:0 (default: cuda where it is usable)"
    several = (
        "; or several, as cuda:0,cuda:1: a process with the model on each, and the output that the "
        "first alone would give (on cpu,cpu the processes share the cores)"
    )
    parser.add_argument("--device", help=one + several if several_devices else one)
    parser.add_argument("--dtype", help="float32, float16, bfloat16, or auto for its own")


def add_device_map(parser: argparse._ActionsContainer) -> None:
    """Where the parts of a model run that are not in one place."""
    parser.add_argument(
        "--device-map",
        choices=("auto", "balanced", "balanced_low_0", "sequential"),
        help="place the model on all GPUs, the memory and a disk, as accelerate does",
    )
    parser.add_argument(
        "--offload-folder", metavar="DIR", help="with --device-map: for weights that wait on a disk"
    )
    parser.add_argument(
        "--reference-device",
        metavar="DEVICE",
        help="with --reference: where that model runs (default: as --device)",
    )


def add_base(parser: argparse._ActionsContainer) -> None:
    """What an adapter is merged into."""
    parser.add_argument(
        "--base",
        metavar="MODEL",
        help="what an adapter is merged into (default: what its adapter_config.json names)",
    )


def add_revision(parser: argparse._ActionsContainer) -> None:
    """Which version of a repository."""
    parser.add_argument("--revision", help="branch, tag or commit of a Hugging Face repository")


def load_prm(arguments: argparse.Namespace) -> ProcessRewardModel:
    """Load what the options of `add_model` describe.

    Raises:
        InputError: options that do not fit together, or a model that cannot be loaded.
    """
    refuse_judges(arguments.recipe)
    refuse_cluster(arguments)
    if "," in (arguments.device or ""):
        raise InputError(
            "one device; stepscore score and stepscore rerank take several",
            got=arguments.device,
            advice="name one of them",
            argument="device",
        )
    if writes_verdicts(arguments.recipe):
        generative: ProcessRewardModel = _load_verdict_prm(arguments)
        return generative
    refuse_server(arguments)
    if arguments.served_as is not None:
        raise InputError(
            "a model that is a URL beside it, with a --recipe that writes its verdicts",
            got=(model_argument(arguments),),
            advice="leave it out",
            argument="served_as",
        )
    given = {name: getattr(arguments, name) for name in _GIVEN}
    return load_named_prm(
        arguments.model,
        model_argument(arguments),
        recipe=recipe_of(arguments),
        device=arguments.device,
        dtype=arguments.dtype,
        revision=arguments.revision,
        max_length=arguments.max_length,
        token_budget=arguments.token_budget,
        **{name: value for name, value in given.items() if value is not None},
    )


def load_prm_on_devices(arguments: argparse.Namespace) -> ProcessRewardModel | ModelSource:
    """Load what the options of `add_model` describe, or say how processes load it.

    Raises:
        InputError: as `load_prm`, or several devices or a cluster for what runs on none of them.
    """
    if on_cluster(arguments):
        generative = writes_verdicts(arguments.recipe)
        return ray_workers(arguments, partial(_load_on, arguments), generative=generative)
    devices = (arguments.device or "").split(",")
    if len(devices) == 1:
        return load_prm(arguments)
    refused = {
        "a device map beside it, which places one model": arguments.device_map is not None,
        "a model that writes its verdicts, at a server or on one device": writes_verdicts(
            arguments.recipe
        ),
        "an empty name among them": not all(devices),
    }
    refuse_any(
        refused,
        expected="one device, or several with a model that a process can load on each",
        advice="name one device, or leave that out",
        argument=Argument("device", arguments.device),
    )
    return Workers(partial(_load_on, arguments), tuple(devices))


def _load_on(arguments: argparse.Namespace, device: str) -> ProcessRewardModel:
    alone = {"device": device, "engine": "local"}
    return load_prm(argparse.Namespace(**{**vars(arguments), **alone}))


def _load_verdict_prm(arguments: argparse.Namespace) -> Any:
    """Make a generative PRM, which has what jobs and searches use of a `ProcessRewardModel`."""
    option = model_argument(arguments)
    try:
        return load_verdict_prm(arguments)
    except InputError as error:
        if error.argument != Argument("model"):
            raise
        raise not_loaded(error, option) from error
    except Exception as error:
        raise not_loaded(error, option, {"url": option.name}) from error


def load_named_prm(
    model: str, option: Argument | None = None, **options: Any
) -> ProcessRewardModel:
    """Load a PRM by its name, with the options of `stepscore.load`; `option` is where it stands.

    Raises:
        InputError: a model that cannot be loaded.
    """
    try:
        with named_when_long(f"loading the PRM {model}"):
            loaded: ProcessRewardModel = stepscore.load(model, **options)
    except Exception as error:
        option = Argument("model", model) if option is None else option
        raise not_loaded(error, option) from error
    # A download shows its own bar; after that there is one bar, over the file.
    return dataclasses.replace(loaded, show_progress=False)


def load_models(arguments: argparse.Namespace) -> Models:
    """Load the policy of a search and, where one is named, the PRM that guides it.

    Raises:
        InputError: options that do not fit together, or a model that cannot be loaded.
    """
    asks = REGISTRY[arguments.strategy].asks
    if "value" in asks:
        raise InputError(
            "a strategy of one scorer, because no option names a second one",
            got=arguments.strategy,
            advice="choose another, or call stepscore.search.search with value",
            argument="strategy",
        )
    if "scorer" in asks and arguments.model is None:
        raise model_missing("scorer").at(where="")
    check_policy(arguments)
    name = arguments.policy
    named = {"policy": name, "policy_model": arguments.policy_model, "top_p": arguments.top_p}
    described = {key: value for key, value in named.items() if value is not None}
    scorer = None
    if arguments.model is not None:
        # Only here: scorers are for those who search.
        from stepscore.search.scorers import PrmScorer

        prm = load_prm(arguments)
        scorer = PrmScorer(prm)
        described |= describe(prm, stepscore.__version__)
        del described["aggregation"]
    policy = load_policy(arguments)
    return Models(policy, scorer, described, None if scorer is None else scorer.release)


def check_policy(arguments: argparse.Namespace) -> None:
    """Refuse a --policy and a --policy-model that do not fit together."""
    name = arguments.policy
    if is_url(name) and arguments.policy_model is None:
        raise InputError(
            "the name of the model at the server",
            got=f"none beside --policy {name}",
            advice="add --policy-model NAME",
            argument="policy_model",
        )
    if arguments.policy_model is not None and not is_url(name):
        raise InputError(
            "a --policy that is a URL beside it, and no other",
            got=f"--policy {name}",
            advice="leave it out",
            argument="policy_model",
        )


def load_policy(arguments: argparse.Namespace) -> Any:
    """Load what --policy names.

    Raises:
        InputError: it cannot be loaded.
    """
    name = arguments.policy
    try:
        with named_when_long(masked(f"loading the policy {name}")):
            return _load_policy(arguments, name)
    except Exception as error:
        options = _ENDPOINT_OPTIONS if is_url(name) else _POLICY_OPTIONS
        raise not_loaded(error, Argument("policy", name), options) from error


def _load_policy(arguments: argparse.Namespace, name: str) -> Any:
    from stepscore import policies

    if is_url(name):
        stops = [unescaped(text) for text in arguments.stop]
        stop: dict[str, Any] = {"stop": stops} if stops else {}
        return policies.EndpointPolicy(
            name,
            arguments.policy_model,
            concurrency=arguments.concurrency,
            **({} if arguments.retries is None else {"retries": arguments.retries}),
            **({} if arguments.timeout is None else {"timeout": arguments.timeout}),
            extra={} if arguments.top_p is None else {"top_p": arguments.top_p},
            **stop,
        )
    if name == "lab":
        from stepscore.lab import LabContinuationPolicy

        return LabContinuationPolicy()
    return policies.HuggingFacePolicy.load(
        name,
        device=arguments.device,
        dtype=arguments.dtype,
        revision=arguments.policy_revision,
        top_p=1.0 if arguments.top_p is None else arguments.top_p,
    )


def not_loaded(
    error: Exception, option: Argument, options: Mapping[str, str] | None = None
) -> InputError:
    """Say which option a model was not loaded for.

    A damaged checkpoint fails in whichever library reads it, each with classes of its own.

    Args:
        error: of the call that loads.
        option: names the model.
        options: argument of that call -> the option that gives it, where the two differ; `model` is
            that which names the model unless another is named here.
    """
    if isinstance(error, ModuleNotFoundError):
        return torch_missing(error)
    if not isinstance(error, InputError):
        plain = isinstance(error, (ValueError, TypeError))
        got = text_of(error) if plain else described(error)
        return InputError("a model that can be loaded", got=got, argument=option)
    options = {"model": option.name, **(options or {})}
    name = "" if error.argument is None else error.argument.name
    if names_recipe_argument(error):
        # It has no flag of its own; the advice says how it is typed.
        return InputError(error.expected, got=error.got, advice=error.advice, where=flag_of(option))
    if options.get(name, name) == option.name:
        return error.at(where="", argument=option)
    place = error.at(where=flag_of(option))
    return place.at(argument=options[name]) if name in options else place


def torch_missing(error: ModuleNotFoundError) -> InputError:
    """Say that the models' libraries are not installed."""
    return InputError(
        "torch and transformers, which run the models",
        got=str(error),
        advice='type: pip install "stepscore[hf]"',
    )
