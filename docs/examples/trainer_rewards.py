"""Rewards for a trainer: step scores of sampled traces as one number per token.

A step's score belongs to its last token; a trace's, an aggregate of its steps, to the last token of
the trace. Everything is ragged: flat arrays, and offsets that say where each trace begins.
"""

from __future__ import annotations

import numpy as np

import stepscore
from stepscore import lab

problems = lab.generate(2, seed=7, split="eval")
texts = [text for row in lab.load_policy().sample(problems, 3, seed=0) for text in row]
owners = [problem for problem in problems for _ in range(3)]
scores = stepscore.load("lab").score(owners, texts)  # .values [steps], .offsets [traces + 1]

# What the trainer has: the packed tokens of all traces. A newline ends each step.
tokenizer = lab.build_tokenizer()
newline = tokenizer.encode("\n")[0]
tokens = [tokenizer.encode(text.rstrip("\n") + "\n") for text in texts]
token_ids = np.concatenate(tokens)
token_offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in tokens])])

ends, step_offsets = stepscore.find_steps(token_ids, token_offsets, newline)
assert step_offsets.tolist() == scores.offsets.tolist()  # a score for every step

per_step = np.zeros(len(token_ids), np.float32)
per_step[ends] = scores.values  # process reward: each step's own

per_trace = np.zeros(len(token_ids), np.float32)
per_trace[token_offsets[1:] - 1] = scores.aggregate("min")  # as good as its weakest step

for trace, text in enumerate(texts):
    rewards = per_step[token_offsets[trace] : token_offsets[trace + 1]]
    shown = " ".join(f"{reward:.2f}" for reward in rewards[rewards > 0])
    total = per_trace[token_offsets[trace + 1] - 1]
    verdict = "right" if lab.is_correct(owners[trace], text) else "wrong"
    print(f"{verdict}: {len(rewards)} tokens, steps {shown}, trace {total:.2f}")
