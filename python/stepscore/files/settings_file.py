"""Files of YAML or JSON that people write: recipes, judges, options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stepscore.errors import InputError

YAML = (".yaml", ".yml")


def read_settings(path: Path) -> Any:
    """Read what a file of JSON holds, or of YAML where its name ends so.

    Raises:
        ValueError: as `read_yaml`.
    """
    return read_yaml(path) if path.suffix.lower() in YAML else _json(path, _text(path))


def read_yaml(path: Path) -> Any:
    """Read what a file of YAML holds.

    Raises:
        ValueError: no such file, one of another format, a field twice, an alias, with which a file
            of a kilobyte can stand for any number of values; no PyYAML. The error names the file.
    """
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise _wrong(
            path,
            "PyYAML, which reads it",
            str(error),
            'type: pip install pyyaml, or write the same fields as JSON into a file ".json"',
        ) from error
    text = _text(path)
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise _wrong(
                    Path(f"{path}:{event.start_mark.line + 1}"),
                    "no aliases of YAML",
                    f"*{event.anchor}",
                    "write out there what it stands for",
                )
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = Path(path if mark is None else f"{path}:{mark.line + 1}")
        reason = getattr(error, "problem", None) or " ".join(str(error).split())
        raise _wrong(where, "YAML", reason, "repair it there") from error
    except InputError:
        raise
    except (ValueError, RecursionError) as error:  # a date that there is not; brackets in brackets
        raise _wrong(path, "YAML", str(error), "repair it") from error
    # The library takes the last of several equal names, and says nothing.
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.MappingNode):
            _refuse_twice(path, [str(key.value) for key, _ in node.value])
            nodes += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            nodes += node.value
    return content


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _wrong(path, "a file of YAML or JSON in UTF-8", reason, "check the path") from error


def _json(path: Path, text: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _refuse_twice(path, [name for name, _ in pairs])
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        where = Path(f"{path}:{error.lineno}")
        raise _wrong(where, "JSON", error.msg, "repair it there") from error
    except InputError:
        raise
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits; brackets in brackets
        raise _wrong(path, "JSON", str(error), "repair it") from error


def _refuse_twice(path: Path, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _wrong(path, "every field once", f"{twice[0]!r} twice", "remove one of them")


def _wrong(where: Path, expected: str, got: str, advice: str) -> InputError:
    return InputError(expected, got=got, advice=advice, where=str(where))
