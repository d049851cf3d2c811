"""How published process reward models are laid out and read."""

from stepscore.recipes.catalog.eurus_implicit_prm import eurus_implicit_prm
from stepscore.recipes.catalog.math_shepherd import math_shepherd
from stepscore.recipes.catalog.qwen_math_prm import qwen_math_prm
from stepscore.recipes.catalog.skywork_o1_prm import skywork_o1_prm
from stepscore.recipes.catalog.step_likelihood import step_likelihood
from stepscore.recipes.catalog.trl_prm import trl_prm
from stepscore.recipes.likelihood import Likelihood
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
from stepscore.recipes.registry import Evidence, detect, recipe_by_name, recipe_names

__all__ = [
    "Encoded",
    "Evidence",
    "Head",
    "Layer",
    "Layout",
    "Likelihood",
    "Published",
    "Reading",
    "Readout",
    "Recipe",
    "Tokenizer",
    "detect",
    "eurus_implicit_prm",
    "math_shepherd",
    "qwen_math_prm",
    "recipe_by_name",
    "recipe_names",
    "skywork_o1_prm",
    "step_likelihood",
    "trl_prm",
]
