"""The reference: signatures in one form, and `Name` in a docstring as a link to its entry."""

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging
from sphinx.util.nodes import make_refnode

import stepscore

_log = logging.getLogger(__name__)
_SOURCES = Path(stepscore.__file__).parent
# What a signature says shorter. `Any | None` stays: that None may be passed is worth a word.
_SHORTER = [
    (re.compile(r": ~?(?:typing\.)?Any\b(?! \|)"), ""),
    (re.compile(r"(?<=\w)\[(?:~?typing\.Any(?:, )?)+\]"), ""),
    (re.compile(r"'\w+'(?: \| '\w+'){5,}"), "str"),
    (re.compile(r"<function (\w+)>"), r"\1"),
    (re.compile(r"<factory>"), "..."),
    (
        re.compile(r"~numpy\.ndarray\[tuple\[[^\]]*\], ~numpy\.dtype\[~numpy\.(\w+)\]\]"),
        r"NDArray[\1]",
    ),
]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register what is done to signatures, docstrings and references."""
    app.connect("builder-inited", _leave_overloads_out)
    app.connect("autodoc-process-signature", _shorten)
    app.connect("autodoc-process-docstring", _leave_plans_of_files_out)
    app.connect("doctree-read", _write_dashes)
    app.connect("missing-reference", _link_of_a_short_name)
    return {"parallel_read_safe": False}


def _leave_overloads_out(_app: Sphinx) -> None:
    """Show a function once, with all that it takes; its overloads are for type checkers."""
    for path in sorted(_SOURCES.rglob("*.py")):
        if "@overload" in path.read_text():
            inside = path.relative_to(_SOURCES.parent).with_suffix("")
            analyzer = ModuleAnalyzer.for_module(".".join(inside.parts))
            analyzer.analyze()
            analyzer.overloads.clear()


def _shorten(
    _app: Sphinx,
    _what: str,
    _name: str,
    _object: Any,
    _options: Any,
    arguments: str | None,
    returned: str | None,
) -> tuple[str | None, str | None]:
    """Write no type that says nothing, and no list of words: the docstring has shapes and names."""
    for long, short in _SHORTER:
        arguments = arguments and long.sub(short, arguments)
        returned = returned and long.sub(short, returned)
    return arguments, None if (returned or "").endswith("Any") else returned


def _leave_plans_of_files_out(
    _app: Sphinx, _what: str, _name: str, shown: Any, _options: Any, lines: list[str]
) -> None:
    """Leave out what a package says of its files; the page says what it is for."""
    if hasattr(shown, "__path__"):
        lines.clear()


def _write_dashes(_app: Sphinx, page: nodes.document) -> None:
    """Put a dash between an argument and what it is; everywhere else ``--`` begins an option."""
    for text in list(page.findall(nodes.Text)):
        if text.startswith(" -- "):
            text.parent.replace(text, nodes.Text(text.replace(" -- ", " \N{EN DASH} ", 1)))


def _link_of_a_short_name(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.Element
) -> nodes.reference | None:
    """Find `StepScores.aggregate` wherever it is; warn of a `stepscore.` name that is nowhere."""
    if node.get("refdomain") != "py":
        return None
    domain, target = env.domains.python_domain, node["reftarget"]
    if not (target[:1].isupper() or "." in target):
        return None  # an argument, or a value
    short = target.removeprefix("stepscore.")
    found = {
        (entry.docname, entry.node_id)
        for name, entry in domain.objects.items()
        if name.endswith(f".{short}") and not entry.aliased
    }
    if len(found) == 1:
        [(docname, anchor)] = found
        return make_refnode(app.builder, node["refdoc"], docname, anchor, content, target)
    if target.startswith("stepscore.") and node["reftype"] == "obj":
        why = "stands nowhere in the reference" if not found else "stands in several places"
        _log.warning("%s %s", target, why, location=node)
    return None
