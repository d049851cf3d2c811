"""Published layouts turned into records, one file per layout."""

from stepscore.records.convert.file import convert
from stepscore.records.convert.layout import Layout
from stepscore.records.convert.registry import LAYOUTS

__all__ = ["LAYOUTS", "Layout", "convert"]
