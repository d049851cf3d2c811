"""The options of a policy, declared once for the commands that have one."""

from __future__ import annotations

import argparse

from stepscore.cli.options import positive, zero_or_more


def add_policy(group: argparse._ActionsContainer, what: str) -> None:
    """What writes texts, and how a server is called."""
    group.add_argument("--policy", required=True, help=what)
    group.add_argument("--policy-model", metavar="NAME", help="with a URL: the model's name there")
    group.add_argument("--policy-revision", metavar="REV", help="of a Hugging Face repository")
    group.add_argument(
        "--concurrency",
        type=positive,
        default=32,
        metavar="N",
        help="with a URL: requests at the same time (default: 32)",
    )


def add_temperature(group: argparse._ActionsContainer, what: str) -> None:
    """How a policy draws."""
    group.add_argument("--temperature", type=float, metavar="T", help=what)


def add_attempts(group: argparse._ActionsContainer, retries: str, timeout: str) -> None:
    """How often a call that fails is repeated, and when it is given up."""
    group.add_argument("--retries", type=zero_or_more, metavar="N", help=retries)
    group.add_argument("--timeout", type=float, metavar="S", help=timeout)


def is_url(model: str) -> bool:
    """Tell whether a policy or a model is one behind a server."""
    return model.startswith(("http://", "https://"))
