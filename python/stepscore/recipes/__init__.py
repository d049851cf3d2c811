"""How published process reward models are laid out and read."""

from stepscore.recipes.catalog.fover_prm import fover_prm
from stepscore.recipes.catalog.math_shepherd import math_shepherd
from stepscore.recipes.catalog.pathfinder_prm import pathfinder_prm
from stepscore.recipes.catalog.qwen_math_prm import qwen_math_prm
from stepscore.recipes.catalog.rlhflow_prm import rlhflow_prm
from stepscore.recipes.catalog.skywork_o1_prm import skywork_o1_prm
from stepscore.recipes.catalog.trl_prm import trl_prm
from stepscore.recipes.catalog.universal_prm import universal_prm
from stepscore.recipes.catalog.visual_prm import visual_prm
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
    "detect",
    "fover_prm",
    "math_shepherd",
    "pathfinder_prm",
    "qwen_math_prm",
    "recipe_by_name",
    "recipe_names",
    "rlhflow_prm",
    "skywork_o1_prm",
    "trl_prm",
    "universal_prm",
    "visual_prm",
]
