"""The examples that authors publish beside their weights, read as their scripts read them.

The texts are told in fewer words, with what matters in them: numbered lists, indented formulas,
dollars, boxes, curly apostrophes. The scripts are written down once more from what they do.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import vocabularies
from test_recipes_on_vocabularies import CASES, write_checkpoint

import stepscore

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

EGGS = (
    "Janet\u2019s ducks lay 16 eggs per day. She eats three for breakfast and bakes muffins with "
    "four. She sells the rest at the market for $2 per egg. How much does she make every day?"
)
# Of Skywork's repository: one that gets 18, and one that does not.
LISTS = [
    "To see what Janet makes, we follow these steps:\n1. The ducks lay 16 eggs per day.\n"
    "2. She uses eggs:\n   \\[\n   3 + 4 = 7\n   \\]\n3. She sells the rest:\n   16 - 7 = 9.\n"
    "4. At $2 per egg:\n   9 * $2 = $18\n\nThe answer is \\boxed{18}.",
    "To see what Janet makes, we follow these steps:\n1. The ducks lay 16 eggs per day.\n"
    "2. She eats three.\n   16 - 3 = 13.\nSo she makes \\(13 \\times 2 = 26\\).\n\\boxed{26}",
]
# Of Math-Shepherd's card, likewise.
STEPS = [
    "Step 1: Janet's ducks lay 16 eggs per day. ки\nStep 2: She eats three, so she has 16 - 3 = 13 "
    "eggs left. ки\nStep 3: She bakes with four, so she has 13 - 4 = 9 left. ки\nStep 4: She makes "
    f"9 * $2 = ${dollars} every day. The answer is: {dollars} ки"
    for dollars in (18, 17)
]
# Of Qwen's card.
FLAMINGOS = "Sue\u2019s neighbors put 18 pink flamingos out on Friday morning. How many are white?"
BIRDS = [
    "To find how many more pink flamingos there were, we follow these steps:\n\n1. **Count.**",
    "On Saturday they take back one third:\n\\[\n\\frac{1}{3} \\times 18 = 6\n\\]\nso 12 remain.",
    "On Sunday there are \\(12 + 18 = 30\\) in all.",
    "Therefore, at noon on Sunday there were \\(\\boxed{6}\\) white ones.",
]


def checkpoint(name: str, folder: Path, **settings: str):
    """A tiny model of the case's class, its head, and its tokenizer as a script loads them."""
    case = CASES[name]
    if (reason := vocabularies.missing(case.vocabulary)) is not None:
        pytest.skip(reason)
    body, head = write_checkpoint(case, folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return body, head, transformers.AutoTokenizer.from_pretrained(folder)


@torch.no_grad()
def test_skyworks_two_examples(tmp_path):
    body, head, tokenizer = checkpoint("skywork-o1-prm", tmp_path / "prm")
    prm = stepscore.load(tmp_path / "prm")
    for response in LISTS:
        ids, flags = tokenizer.encode(tokenizer.bos_token + EGGS + "\n"), []
        for line in response.split("\n"):
            ids = ids + (tokenizer.encode(line) if line else []) + [tokenizer.encode("\n")[-1]]
            flags.append((len(ids) - 1, bool(line)))
        places = [place for place, has_text in flags if has_text]
        rewards = head(body(torch.tensor([ids])).last_hidden_state[0]).sigmoid()[:, 0]
        encoded = prm.recipe.encode(prm.tokenizer, [EGGS], [prm.recipe.split(response)])
        assert encoded.trace(0) == (ids, places)
        [scores] = prm.score(EGGS, [response])
        assert len(scores) == sum(has_text for _, has_text in flags)
        np.testing.assert_allclose(scores, rewards[places], rtol=0, atol=1e-5)
    assert "\n\n" in LISTS[0], "a blank line, of which the script has a score, too"


@torch.no_grad()
def test_math_shepherds_two_examples(tmp_path):
    body, head, tokenizer = checkpoint("math-shepherd", tmp_path / "prm")
    prm = stepscore.load(tmp_path / "prm")
    candidates = tokenizer.encode("+ -")[1:]
    tag = tokenizer.encode("ки")[-1]
    assert (candidates, tag) == ([648, 387], 12902)
    for output in STEPS:
        ids = torch.tensor([tokenizer.encode(f"{EGGS} {output}")])
        pair = head(body(ids).last_hidden_state)[:, :, candidates].softmax(-1)[:, :, 0]
        read = pair[ids == tag]
        encoded = prm.recipe.encode(prm.tokenizer, [EGGS], [prm.recipe.split(output)])
        assert encoded.trace(0) == (ids[0].tolist(), (ids[0] == tag).nonzero()[:, 0].tolist())
        [scores] = prm.score(EGGS, [output])
        assert len(scores) == len(read) == 4
        np.testing.assert_allclose(scores, read, rtol=0, atol=1e-5)


@torch.no_grad()
def test_qwens_example(tmp_path):
    template = (
        "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + "
        "'<|im_end|>' + '\n' }}{% endfor %}"
    )
    body, head, tokenizer = checkpoint("qwen2.5-math-prm", tmp_path / "prm", chat_template=template)
    prm = stepscore.load(tmp_path / "prm")
    messages = [
        {
            "role": "system",
            "content": "Please reason step by step, and put your final answer within \\boxed{}.",
        },
        {"role": "user", "content": FLAMINGOS},
        {"role": "assistant", "content": "<extra_0>".join(BIRDS) + "<extra_0>"},
    ]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=False)
    ids = torch.tensor([tokenizer.encode(text)])
    mask = ids == tokenizer.encode("<extra_0>")[0]
    probabilities = head(body(ids).last_hidden_state).softmax(-1) * mask.unsqueeze(-1)
    [sample] = probabilities
    read = sample[sample != 0].view(-1, 2)[:, 1]  # as long as no probability is 0 itself
    encoded = prm.recipe.encode(prm.tokenizer, [FLAMINGOS], [BIRDS])
    assert encoded.trace(0) == (ids[0].tolist(), mask[0].nonzero()[:, 0].tolist())
    [scores] = prm.score(FLAMINGOS, [BIRDS])
    assert len(scores) == len(read) == 4
    np.testing.assert_allclose(scores, read, rtol=0, atol=1e-5)
