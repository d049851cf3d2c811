"""Every published checkpoint, by its name: detected, or refused with what to pass."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from test_detection import evidence

from stepscore.errors import InputError
from stepscore.recipes import Recipe, detect, recipe_by_name
from stepscore.recipes.recipe_arguments import RecipeCall
from stepscore.recipes.registry import WRITTEN_VERDICTS

H = 8
# As they are called where they are downloaded -> the recipe, or what the refusal says.
NAMES = {
    "Qwen/Qwen2.5-Math-PRM-7B": "qwen2.5-math-prm",
    "Qwen/Qwen2.5-Math-PRM-72B": "qwen2.5-math-prm",
    "Qwen/Qwen2.5-Math-7B-PRM800K": "qwen2.5-math-prm",
    "Qwen/Qwen2.5-Math-RM-72B": "qwen2.5-math-rm",
    "peiyi9979/math-shepherd-mistral-7b-prm": "math-shepherd",
    "RLHFlow/Llama3.1-8B-PRM-Mistral-Data": "rlhflow-prm",
    "RLHFlow/Llama3.1-8B-PRM-Deepseek-Data": "rlhflow-prm",
    "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-1.5B": "skywork-o1-prm",
    "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-7B": "skywork-o1-prm",
    "PRIME-RL/EurusPRM-Stage1": "pass recipe=eurus-implicit-prm:reference=...,coef=...",
    "PRIME-RL/EurusPRM-Stage2": "pass recipe=eurus-implicit-prm:reference=...,coef=...",
    "Windy0822/ImplicitPRM_DPO": "pass recipe=eurus-implicit-prm:reference=...,coef=...",
    "Windy0822/ImplicitPRM_CE": "pass recipe=eurus-implicit-prm:reference=...,coef=...",
    "Gen-Verse/ReasonFlux-PRM-7B": "pass recipe=reasonflux-prm-7b:system=...",
    "Gen-Verse/ReasonFlux-PRM-1.5B": "reasonflux-prm-1.5b",
    "infly/Universal-PRM-7B": "pass recipe=universal-prm:weight=...",
    "declare-lab/PathFinder-PRM-7B": "pathfinder-prm",
    "ryokamoi/Llama-3.1-8B-FoVer-PRM": "fover-prm",
    "ryokamoi/Qwen-2.5-7B-FoVer-PRM": "fover-prm",
    "UW-Madison-Lee-Lab/Llama-PRM800K": "versa-prm",
    "UW-Madison-Lee-Lab/VersaPRM": "versa-prm",
    "UW-Madison-Lee-Lab/Qwen-PRM800K": "versa-prm",
    "dmis-lab/llama-3.1-medprm-reward-v1.0": "med-prm",
    "HanningZhang/Llama3.1-Math-PRM": "er-prm",
    "openreasoner/Math-psa": "math-psa",
    "Windy0822/PQM": "pqm",
    "OpenGVLab/VisualPRM-8B": "pass recipe=visual-prm for that; no image is read",
    "OpenGVLab/VisualPRM-8B-v1.1": "pass recipe=visual-prm for that; no image is read",
    "HuggingFaceH4/Qwen2.5-Math-1.5B-Instruct-PRM-0.2": "h4-trl-prm",
    "HuggingFaceH4/Qwen2.5-Math-7B-Instruct-PRM-0.2": "h4-trl-prm",
    "jinachris/Qwen2.5-Math-7B-PRM800K": "pure-prm",
    "GAIR/ReasonEval-7B": "reasoneval-7b",
    "GAIR/ReasonEval-34B": "reasoneval-34b",
    "GenPRM/GenPRM-1.5B": "the command line does so with recipe=genprm",
    "GenPRM/GenPRM-7B": "the command line does so with recipe=genprm",
    "GenPRM/GenPRM-32B": "the command line does so with recipe=genprm",
    "launch/ThinkPRM-1.5B": "the command line does so with recipe=thinkprm",
    "launch/ThinkPRM-7B": "the command line does so with recipe=thinkprm",
    "launch/ThinkPRM-14B": "make it with stepscore.scoring.verdicts.think_prm(policy)",
    "kevinpro/R-PRM-7B-DPO": "the command line does so with recipe=r-prm",
    "DORAEMONG/PRO-STEP-PRM-8B": "the command line does so with recipe=pro-step",
    "VGS-AI/DeepSeek-VM-1.5B": "vgs-value",
    "MetaStoneTec/MetaStone-S1-1.5B": "metastone-sprm",
    "MetaStoneTec/MetaStone-S1-32B": "metastone-sprm",
    "IINemo/llm-uncertainty-head": "run it where its authors do",
    "llm-uncertainty-head/uhead_claim_Mistral-7B-Instruct-v0.2": "run it where its authors do",
    "nvidia/AceMath-7B-RM": "acemath-rm",
    "nvidia/AceMath-72B-RM": "acemath-rm",
    "internlm/internlm2-7b-reward": "internlm2-reward",
    "ScalableMath/llemma-7b-prm-prm800k-level-1to3-hf": "llemma-prm",
    "Babelscape/Llama-3.1-8B-PRM800k-r": "pass recipe=babelscape-prm:head=...,activation=...",
}


def spelled(fault: InputError) -> str:
    return fault.told(
        lambda argument: argument.name + ("" if argument.value is None else f"={argument.value}")
    )


@pytest.mark.parametrize("name", NAMES)
def test_it_is_read_or_the_refusal_says_what_to_pass(name: str) -> None:
    checkpoint = evidence("LlamaForCausalLM", {}, name=name)
    expected = NAMES[name]
    if " " not in expected:
        assert detect(checkpoint).name == expected
    else:
        with pytest.raises(InputError) as caught:
            detect(checkpoint)
        assert expected in spelled(caught.value)


V_HEAD = {"v_head.summary.weight": (1, H), "v_head.summary.bias": (1,)}
SCORE = {"score.weight": (1, H), "score.bias": (1,)}


@pytest.mark.parametrize(
    ("architecture", "shapes", "file", "recipe"),
    [
        # No repository of these is known; the files say what they may be.
        ("Qwen2VLForConditionalGeneration", {}, "LN.pt", "dream-prm if LN.pt beside"),
        ("LlamaForCausalLM", {}, "verifier.pth", "birm if verifier.pth beside its weights"),
        ("Qwen2ForCausalLM", {}, "score_module.pt", "metastone-sprm if score_module.pt beside"),
        ("Qwen2ForCausalLM", {}, "reward_head.pt", "reasonflux-prm-1.5b if reward_head.pt beside"),
        ("MistralForTokenClassification", SCORE, "", "mathminos if that is the model, whose head"),
        ("LlamaForCausalLM", V_HEAD, "", "skywork-o1-prm if that is the model, whose head"),
    ],
)
def test_without_a_name_its_files_say_what_it_may_be(
    architecture: str, shapes: dict[str, tuple[int, ...]], file: str, recipe: str, tmp_path: Path
) -> None:
    if file:
        (tmp_path / file).touch()
    checkpoint = replace(evidence(architecture, shapes), folder=tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError) as caught:
            detect(checkpoint)
    assert f"recipe={recipe}" in spelled(caught.value)


@pytest.mark.parametrize("name", WRITTEN_VERDICTS)
def test_a_recipe_of_written_verdicts_is_refused_by_what_it_is(name: str) -> None:
    with pytest.raises(
        InputError, match=re.escape(f"stepscore.scoring.{WRITTEN_VERDICTS[name]}(policy)")
    ):
        recipe_by_name(name)


def test_a_call_is_spelled_in_both_ways() -> None:
    call = RecipeCall("fover-prm", "recipes.fover_prm", {"model": "qwen"})
    assert (str(call), repr(call)) == (
        "fover-prm:model=qwen",
        "stepscore.recipes.fover_prm(model='qwen')",
    )
    assert isinstance(eval(repr(call), {"stepscore": __import__("stepscore")}), Recipe)
