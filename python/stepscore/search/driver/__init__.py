"""Asks strategies and models in turn; models that fail, searches that are taken up again."""
