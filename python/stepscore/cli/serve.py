"""``stepscore serve``."""

from __future__ import annotations

import argparse
import math
import os
import socket
from collections.abc import Sequence
from importlib.util import find_spec

from stepscore.cli.models import add_device_map, add_loading, add_token_budget, load_prm
from stepscore.cli.options import add_how, positive
from stepscore.cli.terminal import say
from stepscore.cli.verdict_models import add_served_as
from stepscore.errors import Argument, InputError
from stepscore.ops.aggregate import AGGREGATIONS

SUMMARY = "answer requests for scores over HTTP"
HELP = """\
Routes: POST /v1/step_scores, /v1/rank, /v1/vote, /v1/sessions; GET / (a page to look at scores),
/health, /v1/models, /metrics. In the shapes of other servers: POST /pooling, /classify, /score
(vLLM), /rerank, /v1/rerank, /v2/rerank (Cohere, LiteLLM), /rerank, /predict (TEI),
/infinity/rerank, /sglang/v1/score, /get_reward (OpenRLHF), /slime/reward, /v1/embeddings (verl).
Requests of different clients go through the model together, and what they share once. Ctrl-C and
SIGTERM finish what was accepted.

Only this machine can ask, unless --host names another address; then a key is required, from
--api-key-file or the variable STEPSCORE_API_KEY, as "Authorization: Bearer KEY", "X-API-Key: KEY",
or in front of the path, /k/KEY/v1/rank, for clients that send no header. Prompts are never logged.

examples:
  stepscore serve lab
  stepscore serve Qwen/Qwen2.5-Math-PRM-7B --dtype bfloat16 --port 8100
  stepscore serve ./my-prm --host 0.0.0.0 --api-key-file keys.txt
"""
KEY_VARIABLE = "STEPSCORE_API_KEY"
LOOPBACK = "127.0.0.1"
# Limits of `server.Settings` that are options: (name, default, what it is).
LIMITS = (
    ("max_requests", 2048, "requests accepted and not yet answered; more get 429"),
    ("max_waiting_tokens", 4194304, "tokens of these requests"),
    ("max_body_bytes", 8388608, "bytes of a request"),
    ("max_candidates", 1024, "solutions of a request"),
    ("max_request_tokens", 1048576, "tokens of a request; what its solutions share counts once"),
    ("max_sessions", 64, "sessions that are open at the same time"),
    ("session_memory", 4294967296, "bytes of keys and values of all sessions"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", metavar="MODEL", help='a folder, a repository, or "lab"')
    where = parser.add_argument_group("who may ask")
    where.add_argument(
        "--host",
        default=LOOPBACK,
        metavar="ADDRESS",
        help=f"where to listen (default: {LOOPBACK}, which this machine alone reaches)",
    )
    where.add_argument(
        "--port", type=port, default=8000, metavar="N", help="default: 8000; 0 takes a free one"
    )
    where.add_argument(
        "--api-key-file",
        metavar="FILE",
        help=f"the keys that are taken, one a line (or one in the variable {KEY_VARIABLE})",
    )
    where.add_argument(
        "--no-key", action="store_true", help="with --host: let everybody ask who reaches it"
    )
    _add_shapes(parser)
    limits = parser.add_argument_group("limits")
    add_token_budget(
        limits,
        "the most tokens that go through the model together (default: as the model's batches, "
        "four of them at a time)",
    )
    limits.add_argument(
        "--latency-ms",
        type=milliseconds,
        default=5.0,
        metavar="T",
        help="milliseconds that a request waits for others to go with (default: 5)",
    )
    for name, default, what in LIMITS:
        limits.add_argument(
            f"--{name.replace('_', '-')}",
            type=positive,
            default=default,
            metavar="N",
            help=f"{what} (default: {default})",
        )
    model = parser.add_argument_group("model")
    model.add_argument("--name", metavar="NAME", help="what clients call it (default: MODEL)")
    add_loading(model)
    add_device_map(model)
    add_served_as(model)


def _add_shapes(parser: argparse.ArgumentParser) -> None:
    """Declare what is asked in the place of another server."""
    shapes = parser.add_argument_group("in the place of another server")
    add_how(
        shapes,
        AGGREGATIONS,
        "how a solution gets one number, unless a request says ?how=AGG (default: the "
        "recipe's own)",
    )
    shapes.add_argument(
        "--template",
        type=lines,
        metavar="TEXT",
        help="what stands around {problem} and {solution} in the texts that trainers send, \\n for "
        "a newline (default: the chat template of the model's tokenizer)",
    )
    shapes.add_argument(
        "--bad-reward",
        type=reward,
        metavar="VALUE",
        help="what trainers (/get_reward, /slime/reward, /classify, /v1/embeddings) get for a "
        "solution that cannot be scored, such as an empty one (default: an error, after which "
        "OpenRLHF trains on None)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Load a model, and answer requests for it until a signal comes."""
    check_installed()
    # Only here: they need fastapi and uvicorn.
    from stepscore.server import Settings, create_app
    from stepscore.server.listening import listening, serve

    settings = Settings(
        token_budget=arguments.token_budget,
        latency=arguments.latency_ms / 1e3,
        how=arguments.how,
        bad_reward=arguments.bad_reward,
        template=arguments.template,
        **{name: getattr(arguments, name) for name, _, _ in LIMITS},
    )
    keys = keys_of(arguments)
    with listening(arguments.host, arguments.port) as sockets:
        app = create_app(load_prm(arguments), settings, keys=keys, name=arguments.name)
        serve(app, sockets, lambda: say(_how_to_ask(arguments, sockets, keys)))


def keys_of(arguments: argparse.Namespace) -> Sequence[str]:
    """Give the keys that are taken; none where everybody may ask.

    Raises:
        InputError: no key where others than this machine can ask; two sources of keys.
    """
    from stepscore.server.security import keys_in

    typed, variable = arguments.api_key_file, os.environ.get(KEY_VARIABLE)
    if arguments.no_key:
        if typed is not None:
            raise InputError("no file of keys beside it", got=typed, argument="no_key")
        return ()
    if typed is not None:
        return keys_in(typed)
    if variable:
        return (variable,)
    if arguments.host == LOOPBACK:
        return ()
    raise InputError(
        "a key for a server that others can reach",
        got="none",
        advice=(
            "pass ",
            Argument("api_key_file", "FILE"),
            f", set the variable {KEY_VARIABLE}, or pass ",
            Argument("no_key", True),
        ),
        argument=Argument("host", arguments.host),
    )


def port(text: str) -> int:
    """Read a port, as the type of an option."""
    if not (text.isascii() and text.isdigit()) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 65535; got {text!r}")
    return int(text)


def milliseconds(text: str) -> float:
    """Read a time, as the type of an option."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 60_000:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 60000; got {text!r}")
    return number


def reward(text: str) -> float:
    """Read a reward, as the type of an option."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"must be a finite number; got {text!r}")
    return number


def lines(text: str) -> str:
    r"""Read a text in which ``\n`` is a newline, as the type of an option."""
    return text.replace("\\n", "\n")


def _how_to_ask(
    arguments: argparse.Namespace, sockets: Sequence[socket.socket], keys: Sequence[str]
) -> list[str]:
    """Say where the server listens, and what asks it."""
    host, number = sockets[0].getsockname()[:2]
    url = f"http://[{host}]:{number}" if ":" in host else f"http://{host}:{number}"
    key = ' -H "X-API-Key: $KEY"' if keys else ""
    body = '{"problems": "1+2+3=?", "solutions": ["1+2=3\\n3+3=6"]}'
    return [
        f"{arguments.model} is served at {url}",
        f"try: curl {url}/v1/step_scores{key} -H 'Content-Type: application/json' -d '{body}'",
    ]


def check_installed() -> None:
    """Refuse where the server's packages are missing."""
    missing = [name for name in ("fastapi", "uvicorn", "prometheus_client") if not find_spec(name)]
    if missing:
        raise InputError(
            "fastapi, uvicorn and prometheus-client, which serve",
            got=f"no {missing[0]}",
            advice='type: pip install "stepscore[serve]"',
        )
