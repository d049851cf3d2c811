"""Formulas as MathML, which browsers show by themselves: no script, no font from elsewhere."""

from typing import Any

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

_log = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer that ``html_math_renderer`` names."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True}


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(_mathml(node, inline=True))
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="math">{_mathml(node, inline=False)}</div>')
    raise nodes.SkipNode


def _mathml(node: nodes.Element, *, inline: bool) -> str:
    try:
        return latex2mathml.tex2mathml(node.astext(), as_block=not inline)
    except (MathError, AttributeError) as error:  # the latter where it loses its place
        _log.warning("formula %r: %s", node.astext(), error, location=node)
        return ""
