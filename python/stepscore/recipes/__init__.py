"""How published process reward models are laid out and read."""

from stepscore.recipes.catalog.birm import birm
from stepscore.recipes.catalog.llemma_prm import llemma_prm
from stepscore.recipes.catalog.math_shepherd import math_shepherd
from stepscore.recipes.catalog.metastone_sprm import metastone_sprm
from stepscore.recipes.catalog.qwen_math_prm import qwen_math_prm
from stepscore.recipes.catalog.skywork_o1_prm import skywork_o1_prm
from stepscore.recipes.catalog.trl_prm import trl_prm
from stepscore.recipes.catalog.vgs_value import vgs_value
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
    "Published",
    "Reading",
    "Readout",
    "Recipe",
    "Tokenizer",
    "birm",
    "detect",
    "llemma_prm",
    "math_shepherd",
    "metastone_sprm",
    "qwen_math_prm",
    "recipe_by_name",
    "recipe_names",
    "skywork_o1_prm",
    "trl_prm",
    "vgs_value",
]
