"""The options of a Ray cluster, on which the models of a job run."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from stepscore.cli.options import positive, refuse_any
from stepscore.errors import Argument, InputError
from stepscore.jobs.ray import RayWorkers

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel

_OPTIONS = ("ray_address", "ray_actors", "ray_cpus", "ray_gpus")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Where a job runs, and what it takes there."""
    group = parser.add_argument_group("cluster")
    group.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="score on this machine (default), or on a Ray cluster: workers load the model once "
        "and score chunks, and the output is the one that this machine alone would give",
    )
    group.add_argument(
        "--ray-address",
        metavar="HOST:PORT",
        help="the cluster (default: that of RAY_ADDRESS, else the one of this machine, which is "
        "started where there is none)",
    )
    group.add_argument(
        "--ray-actors",
        type=positive,
        metavar="N",
        help="how many workers (default: as many as the machines of the cluster hold, other jobs "
        "not counted)",
    )
    group.add_argument(
        "--ray-cpus",
        type=_share,
        metavar="C",
        help="CPUs of a worker, and its threads where it has no GPU (default: 1)",
    )
    group.add_argument(
        "--ray-gpus",
        type=_share,
        metavar="G",
        help="GPUs of a worker, such as 0.5 for two on each (default: 1, or 0 where the cluster "
        "has none)",
    )


def on_cluster(arguments: argparse.Namespace) -> bool:
    """Say whether a job runs on a cluster.

    Raises:
        InputError: options of a cluster for a job on this machine.
    """
    if arguments.engine == "ray":
        return True
    for name in _OPTIONS:
        if getattr(arguments, name) is not None:
            raise InputError(
                ("", Argument("engine", "ray"), " beside it"),
                got=("", Argument("engine", arguments.engine)),
                advice="add it, or leave this out",
                argument=name,
            )
    return False


def refuse_cluster(arguments: argparse.Namespace) -> None:
    """Refuse a cluster for what one model on this machine does."""
    if getattr(arguments, "engine", "local") != "local":
        raise InputError(
            "local for what one model on this machine does, such as an explanation",
            got=arguments.engine,
            advice="leave it out",
            argument="engine",
        )


def ray_workers(
    arguments: argparse.Namespace,
    load: Callable[[str], ProcessRewardModel],
    *,
    generative: bool,
) -> RayWorkers:
    """Say how the workers of a cluster load a model.

    Args:
        arguments: of the command.
        load: loads the model on a device.
        generative: whether it writes verdicts.

    Raises:
        InputError: options that do not fit a cluster.
    """
    refused = {
        f"the device {arguments.device}; a worker takes the GPUs that Ray gives it": (
            arguments.device is not None
        ),
        "a device map, which places one model": arguments.device_map is not None,
        "a model that writes its verdicts, at a server or on one device": generative,
    }
    refuse_any(
        refused,
        expected="a model that a worker can load on what Ray gives it",
        advice="leave that out",
        argument=Argument("engine", arguments.engine),
    )
    names = {"model": arguments.model, "base": arguments.base}
    return RayWorkers(
        load,
        address=arguments.ray_address,
        actors=arguments.ray_actors,
        cpus=1.0 if arguments.ray_cpus is None else arguments.ray_cpus,
        gpus=arguments.ray_gpus,
        paths={name: path for name, path in names.items() if path and os.path.exists(path)},
    )


def _share(text: str) -> float:
    """Read a number of at least 0."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of at least 0; got {text!r}")
    return number
