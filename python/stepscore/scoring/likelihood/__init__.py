"""Recipes that read how likely a language model finds every token of a trace."""
