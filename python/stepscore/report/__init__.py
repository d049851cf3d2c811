"""What people look at: HTML without anything from elsewhere."""

from stepscore.report.tree_html import tree_html

__all__ = ["tree_html"]
