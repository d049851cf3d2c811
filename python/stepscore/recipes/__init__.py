"""How published process reward models are laid out and read."""

from stepscore.recipes.catalog.math_shepherd import math_shepherd
from stepscore.recipes.catalog.qwen_math_prm import qwen_math_prm
from stepscore.recipes.catalog.skywork_o1_prm import skywork_o1_prm
from stepscore.recipes.catalog.trl_prm import trl_prm
from stepscore.recipes.recipe import (
    Encoded,
    Head,
    Layer,
    Layout,
    Published,
    Reading,
    Readout,
    Recipe,
    Tokenizer,
)
from stepscore.recipes.recipe_files import recipe_from
from stepscore.recipes.registry import Evidence, detect, recipe_by_name, recipe_names
from stepscore.recipes.rendered import RenderedTrace, render
from stepscore.recipes.summaries import RecipeSummary, summaries
from stepscore.recipes.user_defined import user_defined

__all__ = [
    "Encoded",
    "Evidence",
    "Head",
    "Layer",
    "Layout",
    "Published",
    "Reading",
    "Readout",
    "Recipe",
    "RecipeSummary",
    "RenderedTrace",
    "Tokenizer",
    "detect",
    "math_shepherd",
    "qwen_math_prm",
    "recipe_by_name",
    "recipe_from",
    "recipe_names",
    "render",
    "skywork_o1_prm",
    "summaries",
    "trl_prm",
    "user_defined",
]
