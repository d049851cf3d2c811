"""The models that options name, loaded: errors of every library become errors of the input."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

import stepscore
from stepscore.cli.options import unescaped
from stepscore.jobs.rerank import describe
from stepscore.jobs.search import Models
from stepscore.records.records import InputError

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel


def load_prm(arguments: argparse.Namespace) -> ProcessRewardModel:
    """Load what the options of `options.add_model` describe.

    Raises:
        InputError: options that do not fit together, or a model that cannot be loaded.
    """
    recipe: Any = arguments.recipe
    if arguments.separator is not None:
        if recipe != "trl-prm":
            raise InputError(
                "--separator: expected --recipe trl-prm, the one recipe that has a choice; "
                f"got --recipe {recipe}; leave --separator out"
            )
        from stepscore.recipes import trl_prm

        recipe = trl_prm(unescaped(arguments.separator))
    return load_named_prm(
        arguments.model,
        recipe=recipe,
        device=arguments.device,
        dtype=arguments.dtype,
        revision=arguments.revision,
        max_length=arguments.max_length,
        token_budget=arguments.token_budget,
    )


def load_named_prm(model: str, **options: Any) -> ProcessRewardModel:
    """Load a PRM by its name, with the options of `stepscore.load`.

    Raises:
        InputError: a model that cannot be loaded.
    """
    try:
        loaded: ProcessRewardModel = stepscore.load(model, **options)
    except ModuleNotFoundError as error:
        raise torch_missing(error) from error
    # A damaged checkpoint fails in whichever library reads it, each with classes of its own.
    except Exception as error:
        kind = "" if isinstance(error, (ValueError, TypeError)) else f"{type(error).__name__}: "
        raise InputError(f"--model {model}: {kind}{error}") from error
    # A download shows its own bar; after that there is one bar, over the file.
    return dataclasses.replace(loaded, show_progress=False)


def load_models(arguments: argparse.Namespace) -> Models:
    """Load the policy of a search and, where one is named, the PRM that guides it.

    Raises:
        InputError: options that do not fit together, or a model that cannot be loaded.
    """
    name = arguments.policy
    is_url = name.startswith(("http://", "https://"))
    if is_url != (arguments.policy_model is not None):
        raise InputError(
            "--policy-model: expected it with a --policy that is a URL, and with no other; got "
            f"--policy {name}; {'add --policy-model NAME' if is_url else 'leave it out'}"
        )
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
    try:
        policy = _load_policy(arguments, name, is_url=is_url)
    except ModuleNotFoundError as error:
        raise torch_missing(error) from error
    except Exception as error:  # as in load_named_prm
        kind = "" if isinstance(error, (ValueError, TypeError)) else f"{type(error).__name__}: "
        raise InputError(f"--policy {name}: {kind}{error}") from error
    return Models(policy, scorer, described, None if scorer is None else scorer.release)


def _load_policy(arguments: argparse.Namespace, name: str, *, is_url: bool) -> Any:
    from stepscore import policies

    if is_url:
        stop = [unescaped(text) for text in arguments.stop]
        return policies.EndpointPolicy(
            name,
            arguments.policy_model,
            concurrency=arguments.concurrency,
            extra={} if arguments.top_p is None else {"top_p": arguments.top_p},
            **({"stop": stop} if stop else {}),
        )
    if name == "lab":
        return policies.LabPolicy()
    return policies.HuggingFacePolicy.load(
        name,
        device=arguments.device,
        dtype=arguments.dtype,
        revision=arguments.policy_revision,
        top_p=1.0 if arguments.top_p is None else arguments.top_p,
    )


def torch_missing(error: ModuleNotFoundError) -> InputError:
    """Say that the models' libraries are not installed."""
    return InputError(
        f"expected torch and transformers, which run the models; got: {error}; type: pip install "
        '"stepscore[hf]"'
    )
