"""Asks strategies and models in turn; models that fail, searches that are taken up again."""

from stepscore.search.driver.driver import Driver
from stepscore.search.driver.groups import Group
from stepscore.search.driver.journal import Journal
from stepscore.search.driver.seeds import problem_keys

__all__ = ["Driver", "Group", "Journal", "problem_keys"]
