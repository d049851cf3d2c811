"""Asks a strategy, a policy and a scorer in turn; models that fail, and searches that are taken up again."""
