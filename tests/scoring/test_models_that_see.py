"""Checkpoints of models that also see, as their stock classes write them: over text alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
import torch
from tokenizers import AddedToken
from transformers import (
    CLIPVisionConfig,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3TextConfig,
    InternVLConfig,
    InternVLForConditionalGeneration,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    MistralConfig,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Config,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    SiglipVisionConfig,
)

import stepscore
from stepscore.recipes import dream_prm, step_likelihood, visual_prm

PROBLEM = "What is half of 10 + 6?"
SOLUTIONS = [["We add 3 and 4.", "The sum is 7."], ["We add 3 and 4.", "So the answer is 7"]]
IMAGE = 700  # no token of the tokenizers here, but where a test says so
ROTARY = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 2, 2]}
SEES = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
SEES |= {"num_attention_heads": 2, "image_size": 28, "patch_size": 14}


def sizes(tied: bool) -> dict[str, Any]:
    return models._sizes(tie_word_embeddings=tied)


def qwen2_vl(tied: bool, **more: Any) -> torch.nn.Module:
    vision = {"depth": 1, "embed_dim": 32, "hidden_size": models.HIDDEN, "num_heads": 2}
    text = {**sizes(tied), "rope_parameters": ROTARY}
    given = {"image_token_id": IMAGE, "video_token_id": 699, **more}
    config = Qwen2VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=tied, **given
    )
    return Qwen2VLForConditionalGeneration(config)


def qwen2_5_vl(tied: bool) -> torch.nn.Module:
    vision = {"depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2}
    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            text_config={**sizes(tied), "rope_parameters": ROTARY},
            vision_config={**vision, "out_hidden_size": models.HIDDEN},
            tie_word_embeddings=tied,
            image_token_id=IMAGE,
        )
    )


def internvl(tied: bool, **more: Any) -> torch.nn.Module:
    vision = {**SEES, "image_size": [28, 28], "patch_size": [14, 14]}
    text = Qwen2Config(**sizes(tied)).to_dict()
    given = {"image_token_id": IMAGE, **more}
    config = InternVLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=tied, **given
    )
    return InternVLForConditionalGeneration(config)


def llava(tied: bool) -> torch.nn.Module:
    return LlavaForConditionalGeneration(
        LlavaConfig(
            text_config=MistralConfig(**sizes(tied)).to_dict(),
            vision_config=CLIPVisionConfig(**SEES).to_dict(),
            image_token_index=IMAGE,
            tie_word_embeddings=tied,
        )
    )


def llava_onevision(tied: bool) -> torch.nn.Module:
    return LlavaOnevisionForConditionalGeneration(
        LlavaOnevisionConfig(
            text_config=Qwen2Config(**sizes(tied)).to_dict(),
            vision_config=SiglipVisionConfig(**SEES).to_dict(),
            image_token_index=IMAGE,
            tie_word_embeddings=tied,
        )
    )


def mistral3(tied: bool) -> torch.nn.Module:
    return Mistral3ForConditionalGeneration(
        Mistral3Config(
            text_config=MistralConfig(**sizes(tied)).to_dict(),
            vision_config={**SEES, "model_type": "pixtral", "head_dim": 16},
            image_token_index=IMAGE,
            tie_word_embeddings=tied,
        )
    )


def gemma3(tied: bool) -> torch.nn.Module:
    kinds = ["sliding_attention", "full_attention"]
    text = Gemma3TextConfig(**sizes(tied), head_dim=16, sliding_window=24, layer_types=kinds)
    return Gemma3ForConditionalGeneration(
        Gemma3Config(
            text_config=text.to_dict(),
            vision_config=SiglipVisionConfig(**SEES).to_dict(),
            mm_tokens_per_image=4,
            tie_word_embeddings=tied,
        )
    )


CLASSES: dict[str, Callable[[bool], torch.nn.Module]] = {
    each.__name__: each
    for each in (qwen2_vl, qwen2_5_vl, internvl, llava, llava_onevision, mistral3, gemma3)
}


@torch.no_grad()
def written(folder: Path, model: torch.nn.Module, tokenizer: Any) -> Callable[..., torch.Tensor]:
    """A folder as save_pretrained writes it; the stock model's logits of token ids, in float64."""
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    model.double()

    @torch.no_grad()
    def logits(ids: Sequence[int]) -> torch.Tensor:
        given: torch.Tensor = model(input_ids=torch.tensor([list(ids)])).logits[0]
        return given

    return logits


def tag_scores(logits: Callable[..., torch.Tensor], steps: Sequence[str]) -> list[float]:
    tokenizer = models.word_piece_tokenizer()
    text = f"{PROBLEM} " + "\n".join(f"Step {k}: {step} ки" for k, step in enumerate(steps, 1))
    ids = models.enc(tokenizer, text, special=True)
    tag = models.enc(tokenizer, "ки", special=True)[-1]
    words = models.enc(tokenizer, "+ -", special=True)[1:]
    read = logits(ids)[:, words].softmax(-1)[:, 0]
    return read[[place for place, token in enumerate(ids) if token == tag]].tolist()


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("name", CLASSES)
def test_rows_of_the_output_matrix_of_a_model_that_also_sees(
    name: str, tied: bool, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    logits = written(tmp_path, CLASSES[name](tied), models.word_piece_tokenizer())
    prm = stepscore.load(tmp_path, recipe="math-shepherd")
    scores = prm.score(PROBLEM, SOLUTIONS).values
    expected = np.concatenate([tag_scores(logits, steps) for steps in SOLUTIONS])
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)
    assert np.std(scores) > 1e-3, "else this test shows nothing"
    assert prm.sharing is not None
    assert prm.sharing.shared
    assert "vis" not in str(prm.backbone)
    report = stepscore.check_model(prm, PROBLEM, SOLUTIONS)
    assert report.agrees, report.differences


def test_what_the_whole_says_of_tied_matrices_counts(tmp_path: Path) -> None:
    logits = written(tmp_path, internvl(True), models.word_piece_tokenizer())
    entry = json.loads((tmp_path / "config.json").read_text())

    def load(whole: bool, part: bool) -> stepscore.ProcessRewardModel:
        entry["tie_word_embeddings"] = whole
        entry["text_config"]["tie_word_embeddings"] = part
        (tmp_path / "config.json").write_text(json.dumps(entry))
        return stepscore.load(tmp_path, recipe="math-shepherd")

    scores = load(True, False).score(PROBLEM, SOLUTIONS[:1]).values
    np.testing.assert_allclose(scores, tag_scores(logits, SOLUTIONS[0]), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="the output matrix of a causal language model"):
        load(False, True)


@pytest.mark.parametrize("tied", [False, True])
def test_the_likelihood_of_steps_by_a_model_that_also_sees(tied: bool, tmp_path: Path) -> None:
    logits = written(tmp_path, internvl(tied), models.byte_level_tokenizer())
    prm = stepscore.load(tmp_path, recipe=step_likelihood(reading="single"))
    scores = prm.score("Why?", [["So 7."]])
    ids = models.enc(models.byte_level_tokenizer(), "Why?")
    step = models.enc(models.byte_level_tokenizer(), "\nSo 7.")
    rows = logits([*ids, *step]).log_softmax(-1)[len(ids) - 1 : -1]
    expected = float(rows.gather(1, torch.tensor(step)[:, None]).sum())
    np.testing.assert_allclose(scores.values, [expected], rtol=1e-5)
    assert stepscore.check_model(prm).agrees


# --- the published ones ---------------------------------------------------------------------


def chat_tokenizer(*tokens: str, special: bool = True) -> Any:
    tokenizer = models.byte_level_tokenizer()
    tokenizer.add_tokens([AddedToken(token, special=special) for token in tokens])
    return tokenizer


def test_dreamprm_over_its_own_class(tmp_path: Path) -> None:
    tokenizer = chat_tokenizer("<|image_pad|>")
    image = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    logits = written(tmp_path, qwen2_vl(True, image_token_id=image), tokenizer)
    layer = torch.nn.Linear(models.VOCABULARY, 1)
    torch.save(layer.state_dict(), tmp_path / "LN.pt")
    prm = stepscore.load(tmp_path, recipe=dream_prm())
    scores = prm.score(PROBLEM, SOLUTIONS[:1])
    expected = []
    for count in (1, 2):
        text = (
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
            f"{PROBLEM}\n\n" + "\n\n".join(SOLUTIONS[0][:count]) + "<|im_end|>\n"
            "<|im_start|>assistant\n"
        )
        last = logits(models.enc(tokenizer, text))[-1]
        expected.append(layer.double()(last).sigmoid().item())
    np.testing.assert_allclose(scores.values, expected, rtol=0, atol=1e-5)
    assert stepscore.check_model(prm).agrees
    with pytest.raises(ValueError, match=r"problems\[0\]: expected a problem of text alone"):
        prm.score(["What is <|image_pad|>?"], SOLUTIONS[:1])


def test_visualprm_over_a_stock_class(tmp_path: Path) -> None:
    tokenizer = chat_tokenizer("<IMG_CONTEXT>", special=False)
    image = tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>")
    logits = written(tmp_path, internvl(False, image_token_id=image), tokenizer)
    recipe = visual_prm(system="You judge.")
    prm = stepscore.load(tmp_path, recipe=recipe)
    scores = prm.score(PROBLEM, SOLUTIONS[:1])
    first, second = SOLUTIONS[0]
    turn = "<|im_start|>assistant\n"
    begin = (
        f"<|im_start|>system\nYou judge.<|im_end|>\n<|im_start|>user\n### Question:\n{PROBLEM}\n\n"
        f"### Solution Process:\n{first}<|im_end|>\n{turn}"
    )
    whole = f"{begin}+<|im_end|>\n<|im_start|>user\n{second}<|im_end|>\n{turn}"
    words = [tokenizer.convert_tokens_to_ids(word) for word in "+-"]
    expected = [
        float(logits(models.enc(tokenizer, text))[-1, words].softmax(-1)[0])
        for text in (begin, whole)
    ]
    np.testing.assert_allclose(scores.values, expected, rtol=0, atol=1e-5)
    assert stepscore.check_model(prm).agrees


# --- images -----------------------------------------------------------------------------------


@pytest.mark.parametrize("special", [True, False])
def test_the_mark_of_an_image_is_refused_by_name(special: bool, tmp_path: Path) -> None:
    tokenizer = models.word_piece_tokenizer()
    tokenizer.add_tokens([AddedToken("<picture>", special=special)])
    image = tokenizer.convert_tokens_to_ids("<picture>")
    written(tmp_path, internvl(False, image_token_id=image), tokenizer)
    prm = stepscore.load(tmp_path, recipe="math-shepherd")
    said = "of text alone, because images are not offered.*leave '<picture>' and its image out"
    with pytest.raises(ValueError, match=rf"score: problems: expected a problem {said}"):
        prm.score("What is <picture>?", SOLUTIONS)
    with pytest.raises(ValueError, match=rf"solutions\[0\]\[1\]: expected a step {said}"):
        prm.score(PROBLEM, [["So", "as <picture> shows"]])
    with pytest.raises(ValueError, match=said), prm.session([PROBLEM]) as session:
        session.extend(session.roots, ["as <picture> shows"])
    head = stepscore.load_head(tmp_path, recipe="math-shepherd")
    assert head.recipe.fault_in_step("as <picture> shows") is not None
    assert prm.score(PROBLEM, SOLUTIONS).values.shape == (4,)


def test_a_model_that_reads_alone_takes_such_words_for_text(tmp_path: Path) -> None:
    tiny = models.shepherd_prm(tmp_path / "prm")
    entry = json.loads((tiny.folder / "config.json").read_text())
    (tiny.folder / "config.json").write_text(json.dumps({**entry, "image_token_id": 5}))
    prm = stepscore.load(tiny.folder, recipe="math-shepherd")
    word = prm.tokenizer.convert_ids_to_tokens(5)
    assert prm.recipe.fault_in_problem(f"Is it {word}?") is None
