"""How published process reward models are laid out and read."""

from stepscore.recipes.catalog.acemath_rm import acemath_rm
from stepscore.recipes.catalog.babelscape_prm import babelscape_prm
from stepscore.recipes.catalog.beta_prm import beta_prm
from stepscore.recipes.catalog.birm import birm
from stepscore.recipes.catalog.dream_prm import dream_prm
from stepscore.recipes.catalog.er_prm import er_prm
from stepscore.recipes.catalog.eurus_implicit_prm import eurus_implicit_prm
from stepscore.recipes.catalog.fover_prm import fover_prm
from stepscore.recipes.catalog.h4_trl_prm import h4_trl_prm
from stepscore.recipes.catalog.internlm2_reward import internlm2_reward
from stepscore.recipes.catalog.llemma_prm import llemma_prm
from stepscore.recipes.catalog.masprm import masprm
from stepscore.recipes.catalog.math_psa import math_psa
from stepscore.recipes.catalog.math_shepherd import math_shepherd
from stepscore.recipes.catalog.mathminos import mathminos
from stepscore.recipes.catalog.med_prm import med_prm
from stepscore.recipes.catalog.metastone_sprm import metastone_sprm
from stepscore.recipes.catalog.multi_rm_dorm import multi_rm_dorm
from stepscore.recipes.catalog.multi_rm_dprm import multi_rm_dprm
from stepscore.recipes.catalog.pathfinder_prm import pathfinder_prm
from stepscore.recipes.catalog.pqm import pqm
from stepscore.recipes.catalog.prorag_prm import prorag_prm
from stepscore.recipes.catalog.pure_prm import pure_prm
from stepscore.recipes.catalog.qwen_math_prm import qwen_math_prm
from stepscore.recipes.catalog.qwen_math_rm import qwen_math_rm
from stepscore.recipes.catalog.reasoneval_7b import reasoneval_7b
from stepscore.recipes.catalog.reasoneval_34b import reasoneval_34b
from stepscore.recipes.catalog.reasonflux_prm_1_5b import reasonflux_prm_1_5b
from stepscore.recipes.catalog.reasonflux_prm_7b import reasonflux_prm_7b
from stepscore.recipes.catalog.rest_mcts_value import rest_mcts_value
from stepscore.recipes.catalog.rlhflow_prm import rlhflow_prm
from stepscore.recipes.catalog.skywork_o1_prm import skywork_o1_prm
from stepscore.recipes.catalog.step_likelihood import step_likelihood
from stepscore.recipes.catalog.trl_prm import trl_prm
from stepscore.recipes.catalog.universal_prm import universal_prm
from stepscore.recipes.catalog.versa_prm import versa_prm
from stepscore.recipes.catalog.vgs_value import vgs_value
from stepscore.recipes.catalog.visual_prm import visual_prm
from stepscore.recipes.detection import Evidence, detect
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
from stepscore.recipes.recipe_arguments import RecipeArgument
from stepscore.recipes.recipe_files import recipe_from
from stepscore.recipes.registry import recipe_by_name, recipe_names
from stepscore.recipes.rendered import RenderedTrace, render
from stepscore.recipes.summaries import RecipeSummary, summaries
from stepscore.recipes.user_defined import user_defined

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
    "RecipeArgument",
    "RecipeSummary",
    "RenderedTrace",
    "Tokenizer",
    "acemath_rm",
    "babelscape_prm",
    "beta_prm",
    "birm",
    "detect",
    "dream_prm",
    "er_prm",
    "eurus_implicit_prm",
    "fover_prm",
    "h4_trl_prm",
    "internlm2_reward",
    "llemma_prm",
    "masprm",
    "math_psa",
    "math_shepherd",
    "mathminos",
    "med_prm",
    "metastone_sprm",
    "multi_rm_dorm",
    "multi_rm_dprm",
    "pathfinder_prm",
    "pqm",
    "prorag_prm",
    "pure_prm",
    "qwen_math_prm",
    "qwen_math_rm",
    "reasoneval_7b",
    "reasoneval_34b",
    "reasonflux_prm_1_5b",
    "reasonflux_prm_7b",
    "recipe_by_name",
    "recipe_from",
    "recipe_names",
    "render",
    "rest_mcts_value",
    "rlhflow_prm",
    "skywork_o1_prm",
    "step_likelihood",
    "summaries",
    "trl_prm",
    "universal_prm",
    "user_defined",
    "versa_prm",
    "vgs_value",
    "visual_prm",
]
