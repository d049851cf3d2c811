"""Step scores from hidden states in NumPy or JAX, with a head of your own: torch is not needed.

`stepscore.read_steps` takes a recipe, the layers of a head as arrays, and the states. Arrays of JAX
are read where they are on a CPU, and through DLPack on a GPU.
"""

from __future__ import annotations

import numpy as np

import stepscore

try:
    import jax.numpy as xp
except ModuleNotFoundError:
    import numpy as xp

recipe = stepscore.recipes.qwen_math_prm()  # a chat whose steps end in <extra_0>
TURN, STEP_END, H = 151644, 151651, 64  # <|im_start|> and <extra_0> of Qwen2.5, hidden size

# Two traces one behind the other: a turn for the problem, a turn with the steps.
first = [TURN, 872, 198, 15, 16, TURN, 77091, 198, 20, 21, STEP_END, 22, STEP_END]
second = [TURN, 872, 198, 17, TURN, 77091, 198, 23, STEP_END]
token_ids, offsets = first + second, [0, len(first), len(first) + len(second)]

draw = np.random.default_rng(0)
hidden = xp.asarray(draw.standard_normal((len(token_ids), H)), dtype=xp.float32)
layers = [  # score.0 and score.2 of the checkpoint: weight, bias
    (draw.standard_normal((H, H)) / 8, np.zeros(H)),
    (draw.standard_normal((2, H)) / 8, np.zeros(2)),
]
norm = np.ones(H, np.float32), 1e-6  # weight and epsilon of the final norm, which these states lack

positions, step_offsets = recipe.positions(token_ids, offsets)
print("read at", positions.tolist(), "steps of the traces", np.diff(step_offsets).tolist())

scores = stepscore.read_steps(recipe, layers, hidden, token_ids, offsets, norm=norm)
for trace, values in enumerate(scores):
    print(f"trace {trace}: " + " ".join(f"{value:.3f}" for value in values))

# By hand: the norm, two layers with a ReLU between them, the softmax, and the class "right".
rows = np.asarray(hidden)[positions].astype(np.float64)
rows /= np.sqrt((rows**2).mean(1, keepdims=True) + 1e-6)
(inner, _), (outer, _) = layers
logits = np.maximum(rows @ inner.T, 0) @ outer.T
expected = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
assert np.allclose(scores.values, expected, atol=1e-5)
