"""Options from a file: ``--config FILE.yaml``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stepscore.errors import Argument, InputError
from stepscore.files.settings_file import read_yaml

COMMANDS = ("search",)  # that have the option


def with_config(argv: Sequence[str]) -> list[str]:
    """Put what the file of --config says before the other options.

    Raises:
        InputError: a file that cannot be read, or that holds something else.
    """
    given = list(argv)
    if not given or given[0] not in COMMANDS:
        return given
    scout = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    scout.add_argument("--config")
    path = scout.parse_known_args(given[1:])[0].config
    if path is None:
        return given
    return [given[0], *_as_options(_read(path)), *given[1:]]


def _read(path: str) -> dict[Any, Any]:
    try:
        content = read_yaml(Path(path))
    except InputError as error:
        raise error.at(where="", argument=Argument("config", error.where)) from error
    if not isinstance(content, dict):
        raise InputError(
            "names of options with their values",
            got=type(content).__name__,
            advice="write lines such as 'strategy: beam'",
            argument=Argument("config", path),
        )
    return content


def _as_options(content: dict[Any, Any]) -> list[str]:
    options: list[str] = []
    for key, value in content.items():
        name = f"--{str(key).replace('_', '-')}"
        values = value if isinstance(value, list) else [value]
        if isinstance(value, dict):
            sign = ":" if name == "--tree" else "="
            values = [f"{left}{sign}{right}" for left, right in value.items()]
        for item in values:
            if item is True:
                options.append(name)
            elif item is not None and item is not False:
                options.append(f"{name}={item}")
    return options
