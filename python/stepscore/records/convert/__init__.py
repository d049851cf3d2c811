"""Published layouts turned into records, one file per layout."""

from stepscore.records.convert.file import Conversion, convert
from stepscore.records.convert.layout import Layout
from stepscore.records.convert.registry import LAYOUTS, layout_of

__all__ = ["LAYOUTS", "Conversion", "Layout", "convert", "layout_of"]
