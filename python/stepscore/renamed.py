"""Public names that have moved: the old ones work, with a DeprecationWarning, until 0.3."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def renamed(module: str, names: Mapping[str, str], *, stacklevel: int = 2) -> Callable[[str], Any]:
    """Make the ``__getattr__`` of a module some of whose names stand elsewhere now.

    Nothing is imported until such a name is asked for.

    Args:
        module: its ``__name__``.
        names: the old name -> the new one with its module, ``stepscore.room.module.name``.
        stacklevel: of the warning; 3 where a ``__getattr__`` of the module's own calls this one.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home, _, new = names[name].rpartition(".")
        # `from package import name` asks twice: first the import system, whether there is one.
        if sys._getframe(stacklevel - 1).f_code.co_name != "_handle_fromlist":
            warnings.warn(
                f"{module}.{name} is {names[name]} now, and only there from 0.3 on",
                DeprecationWarning,
                stacklevel=stacklevel,
            )
        return getattr(import_module(home), new)

    return find
