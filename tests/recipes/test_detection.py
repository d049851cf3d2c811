"""Which recipe a checkpoint gets, and why some get none."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import models
import pytest

from stepscore.recipes import Evidence, detect
from stepscore.recipes.config_sizes import hidden_size, positions
from stepscore.recipes.detection import _NOT_OFFERED

H = 8
QWEN_HEAD = {"score.0.weight": (H, H), "score.0.bias": (H,), "score.2.weight": (2, H), "score.2.bias": (2,)}  # fmt: skip # noqa: E501
QWEN_RM_HEAD = {**QWEN_HEAD, "score.2.weight": (1, H), "score.2.bias": (1,)}
SKYWORK_HEAD = {"v_head.summary.weight": (1, H), "v_head.summary.bias": (1,)}
TRL_HEAD = {"score.weight": (2, H), "score.bias": (2,)}
LM_HEAD = {"lm_head.weight": (100, H)}


def evidence(architecture, shapes, *, name="here", tokenizer=None, **config):
    return Evidence(
        name,
        {"architectures": [architecture], "hidden_size": H, **config},
        shapes,
        tokenizer or models.byte_level_tokenizer(),
    )


@pytest.mark.parametrize(
    ("checkpoint", "recipe", "separator"),
    [
        (evidence("Qwen2ForProcessRewardModel", QWEN_HEAD), "qwen2.5-math-prm", "<extra_0>"),
        (evidence("Qwen2ForPrmModel", SKYWORK_HEAD), "skywork-o1-prm", "\n"),
        (
            evidence("Anything", {}, stepscore={"recipe": "trl-prm", "separator": "\n\n"}),
            "trl-prm",
            "\n\n",
        ),
        (evidence("Anything", {}, stepscore={"recipe": "math-shepherd"}), "math-shepherd", "ки"),
        (evidence("X", {}, name="Qwen/Qwen2.5-Math-PRM-72B"), "qwen2.5-math-prm", "<extra_0>"),
        (evidence("X", {}, name="qwen/qwen2.5-math-7b-prm800k"), "qwen2.5-math-prm", "<extra_0>"),
        (evidence("X", {}, name="peiyi9979/math-shepherd-mistral-7b-prm"), "math-shepherd", "ки"),
        (evidence("X", {}, name="Skywork/Skywork-o1-Open-PRM-Qwen-2.5-7B"), "skywork-o1-prm", "\n"),
        (
            evidence("X", {}, name="Babelscape/Qwen2.5-Math-PRM-7B-PDDL-r"),
            "qwen2.5-math-prm",
            "<extra_0>",
        ),
        (evidence("X", {}, name="jinachris/PURE-PRM-7B"), "pure-prm", "\n"),
        (evidence("Qwen2ForRewardModel", QWEN_RM_HEAD), "qwen2.5-math-rm", "<|im_end|>"),
        (
            evidence("X", {}, name="HuggingFaceH4/Qwen2.5-Math-7B-Instruct-PRM-0.2"),
            "h4-trl-prm",
            "\n\n",
        ),
        (
            evidence(
                "LlamaForCausalLM", LM_HEAD, _name_or_path="peiyi9979/math-shepherd-mistral-7b-prm"
            ),
            "math-shepherd",
            "ки",
        ),
    ],
)
def test_the_recipe_is_found_without_a_word(checkpoint, recipe, separator):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detected = detect(checkpoint)
    assert (detected.name, detected.separator) == (recipe, separator)


@pytest.mark.parametrize(
    ("repository", "entry"),
    [
        ("RLHFlow/Llama3.1-8B-PRM-Deepseek-Data", {"recipe": "rlhflow-prm", "data": "deepseek"}),
        ("RLHFlow/Llama3.1-8B-PRM-Mistral-Data", {"recipe": "rlhflow-prm", "data": "mistral"}),
        ("ryokamoi/Llama-3.1-8B-FoVer-PRM", {"recipe": "fover-prm", "model": "llama"}),
        ("ryokamoi/Llama-3.1-8B-FoVer-PRM-2026", {"recipe": "fover-prm", "model": "llama"}),
        ("ryokamoi/Qwen-2.5-7B-FoVer-PRM", {"recipe": "fover-prm", "model": "qwen"}),
        ("declare-lab/PathFinder-PRM-7B", {"recipe": "pathfinder-prm", "variant": "card"}),
    ],
)
def test_repositories_tell_the_arguments(repository, entry):
    assert detect(evidence("X", {}, name=repository)).as_config().items() >= entry.items()


def test_the_config_entry_wins_over_the_name():
    checkpoint = evidence(
        "X", {}, name="Qwen/Qwen2.5-Math-PRM-7B", stepscore={"recipe": "skywork-o1-prm"}
    )
    assert detect(checkpoint).name == "skywork-o1-prm"


@pytest.mark.parametrize(
    "architecture", ["Qwen2ForTokenClassification", "LlamaForTokenClassification"]
)
def test_a_two_label_classifier_is_trls_with_a_warning(architecture):
    with pytest.warns(UserWarning, match=r"separator it was trained with.*recipe="):
        assert detect(evidence(architecture, TRL_HEAD)).as_config() == {
            "recipe": "trl-prm",
            "separator": "\n",
        }


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        (evidence("LlamaForCausalLM", LM_HEAD), r"'LlamaForCausalLM'.*recipe='math-sheph"),
        (
            evidence("Qwen2ForProcessRewardModel", LM_HEAD),
            "pass the recipe that .* one of .*math-shepherd, .*qwen2.5-math-prm",
        ),
        (
            # PURE's models: the same class and head without the tag.
            evidence(
                "Qwen2ForProcessRewardModel", QWEN_HEAD, tokenizer=models.word_piece_tokenizer()
            ),
            r"'<extra_0>' in the tokenizer \(no added token\)",
        ),
        (
            # What no source states is asked for, before anything is loaded.
            evidence("Qwen2ForProcessRewardModel", QWEN_HEAD, name="Gen-Verse/ReasonFlux-PRM-7B"),
            r"load: system: .* of 'reasonflux-prm-7b'.*recipe=.*recipes\.reasonflux_prm_7b\(",
        ),
        (
            evidence("X", {}, _name_or_path="OpenGVLab/VisualPRM-8B"),
            "a copy of OpenGVLab/VisualPRM-8B, whose recipe is .*pass recipe='visual-prm' for that",
        ),
        (
            evidence("X", {}, name="infly/Universal-PRM-7B"),
            r"load: weight: expected the weight of 'universal-prm', which no source states; .*pass "
            r"recipe=stepscore\.recipes\.universal_prm\(weight=\.\.\.\)",
        ),
        (
            evidence("Qwen2ForTokenClassification", {"score.weight": (5, H), "score.bias": (5,)}),
            r"head tensors \['score.weight \[5, 8\]', 'score.bias \[5\]'\]",
        ),
        (
            evidence("Qwen2ForPrmModel", TRL_HEAD),
            "a checkpoint whose recipe can be detected",
        ),
        (
            evidence("X", {}, stepscore="trl-prm"),
            'an entry "stepscore" of config.json like',
        ),
        *(
            (
                evidence("X", {}, stepscore=entry),
                f"^load: expected {expected}.* in the entry .stepscore. of the config.json of "
                "here; (.*; )?correct it, or pass recipe$",
            )
            for entry, expected in (
                ({"recipe": "no-such"}, "one of .*; got 'no-such'"),
                ({"recipe": "trl-prm", "seperator": "x"}, "a field of trl-prm.*'seperator'"),
                ({"recipe": "trl-prm", "name": "x"}, "a field of trl-prm.*'name'"),
                ({"recipe": "trl-prm", "separator": 5}, 'a text; got 5 as "separator"'),
                ({"recipe": "math-shepherd", "numbering": "x"}, '.*; got .x. as "numbering"'),
            )
        ),
    ],
)
def test_what_cannot_be_told_is_an_error(checkpoint, message):
    with pytest.raises(ValueError, match=message):
        detect(checkpoint)


H4_COPIES = [
    "models/HuggingFaceH4/Qwen2.5-Math-7B-Instruct-PRM-0.2",
    "/data/qwen2.5-math-7b-instruct-prm-0.2",
    "/hf/hub/models--HuggingFaceH4--Qwen2.5-Math-7B-Instruct-PRM-0.2/snapshots/0123abcd",
]


@pytest.mark.parametrize("path", H4_COPIES)
@pytest.mark.parametrize("remembered", [False, True])
def test_a_copy_is_read_as_its_repository_is(path, remembered):
    # By its class alone it would be read with TRL's own separator, which is not H4's.
    found = evidence("Qwen2ForTokenClassification", TRL_HEAD, name="copy", _name_or_path=path)
    if not remembered:
        found = replace(found, config={**found.config, "_name_or_path": None}, folder=Path(path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert detect(found).separator == "\n\n"


@pytest.mark.parametrize("repository", _NOT_OFFERED)
def test_a_copy_of_what_is_not_offered_is_not_guessed(repository):
    owner, name = repository.split("/")
    message = f"a copy of {repository}, wh.*; (make it with|write its language model|run it where)"
    for folder in (repository, name, f"hub/models--{owner}--{name}/snapshots/0123abcd"):
        if folder == "Qwen2.5-Math-7B-PRM800K":
            continue  # Qwen's has the same name
        for kind in (("Qwen2ForTokenClassification", TRL_HEAD), ("X", QWEN_HEAD)):
            with pytest.raises(ValueError, match=message):
                detect(replace(evidence(*kind, name="copy"), folder=Path("/models") / folder))


def test_a_name_that_two_owners_have_is_told_by_class_and_tokenizer():
    qwen = evidence("Qwen2ForProcessRewardModel", QWEN_HEAD)
    folder = Path("/models/Qwen2.5-Math-7B-PRM800K")
    assert detect(replace(qwen, folder=folder)).name == "qwen2.5-math-prm"
    pure = replace(qwen, tokenizer=models.word_piece_tokenizer())
    with pytest.raises(ValueError, match="no added token"):
        detect(replace(pure, folder=folder))


def test_another_owner_s_repository_is_no_copy():
    found = evidence(
        "Qwen2ForTokenClassification", TRL_HEAD, name="x", _name_or_path="me/PURE-PRM-7B"
    )
    with pytest.warns(UserWarning, match="separator"):
        assert detect(found).separator == "\n"


@pytest.mark.parametrize(
    ("config", "size", "length"),
    [
        ({"hidden_size": 8, "max_position_embeddings": 9}, 8, 9),
        ({"n_embd": 8, "n_positions": 9, "n_ctx": 9}, 8, 9),
        ({"d_model": 8, "max_seq_len": 9}, 8, 9),
        ({"text_config": {"hidden_size": 8, "max_position_embeddings": 9}, "hidden_size": 3}, 8, 9),
        ({"text_config": {"hidden_size": 8}}, 8, None),
        ({"hidden_size": True}, None, None),
        ({}, None, None),
    ],
)
def test_sizes_under_the_names_of_other_families(config, size, length):
    assert (hidden_size(config), positions(config)) == (size, length)
