"""Step scores from a trainer's own forward pass: no second backbone, no second forward.

The model is a stock one of transformers, as a trainer holds it; `stepscore.load_head` reads the
PRM's head, recipe and tokenizer, and none of the backbone's weights. With a checkpoint of your own,
put its folder in place of the one inside the package.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel, logging

import stepscore
from stepscore import lab

logging.set_verbosity_error()  # it would tell that the PRM's head is not part of the backbone
logging.disable_progress_bar()
FOLDER = Path(lab.__file__).parent / "weights" / "prm"

problems = lab.generate(4, seed=11, split="eval")
solutions = [texts[0] for texts in lab.load_policy().sample(problems, 1, seed=0)]
steps = [lab.split_steps(text) for text in solutions]

# What the trainer has: padded ids, their mask, and the hidden states of its forward pass.
head = stepscore.load_head(FOLDER)
laid_out = head.recipe.encode(head.tokenizer, problems, steps)
rows = np.split(laid_out.token_ids, laid_out.offsets[1:-1])
longest = max(map(len, rows))
token_ids = torch.zeros(len(rows), longest, dtype=torch.long)
attention_mask = torch.zeros_like(token_ids)
for row, ids in enumerate(rows):  # padded on the left, as for generation
    token_ids[row, longest - len(ids) :] = torch.from_numpy(ids)
    attention_mask[row, longest - len(ids) :] = 1

model = AutoModel.from_pretrained(FOLDER).eval()
with torch.no_grad():
    out = model(token_ids, attention_mask=attention_mask, output_hidden_states=True)

scores = head.read(
    out.hidden_states[-1],  # of a stock model: after the final norm
    token_ids,
    attention_mask=attention_mask,
    step_counts=[len(each) for each in steps],  # a newline ends a step, and might stand in one
)
for problem, text, values in zip(problems, solutions, scores, strict=True):
    verdict = "right" if lab.is_correct(problem, text) else "wrong"
    print(f"{problem:28} {verdict}: steps " + " ".join(f"{value:.2f}" for value in values))

# The same as from a PRM that runs its own forward pass.
expected = stepscore.load("lab").score(problems, steps)
assert np.allclose(scores.values, expected.values, atol=1e-5)
