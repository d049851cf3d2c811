"""Votes: several rules over several scores and several N, in one call.

A rule is a value that carries its parameters, so that one rule may stand in the list twice. Scores
have a column for each way to make one number of a candidate's steps.
"""

from __future__ import annotations

import numpy as np

import stepscore
from stepscore import Rule, lab

problems = lab.generate(20, seed=5, split="eval")
texts = [text for row in lab.load_policy().sample(problems, 16, seed=0) for text in row]
owners = [problem for problem in problems for _ in range(16)]
offsets = np.arange(0, len(texts) + 1, 16)  # where the candidates of each problem begin and end

answers = stepscore.group_answers(texts, offsets)
columns = ["min", "prod", "last"]
scores = stepscore.load("lab").score(owners, texts).aggregate(columns)  # [candidates, columns]

rules = [
    "majority",
    "weighted",
    Rule("softmax_weighted", temperature=0.1),
    Rule("softmax_weighted", temperature=1.0),
    "best_of_n",
]
prefixes = [1, 4, 16]
result = stepscore.vote(answers, scores, offsets, rules, prefixes=prefixes)

# winner: [problems, rules, columns, prefixes], the index of a candidate; -1 = no answer.
right = np.array([lab.is_correct(*pair) for pair in zip(owners, texts, strict=True)])
accuracy = np.where(result.winner >= 0, right[result.winner], False).mean(axis=0)
print(f"{'accuracy':42} of" + "".join(f"{column:>7}" for column in columns))
for rule, of_rule in zip(rules, accuracy, strict=True):
    for size, of_size in zip(prefixes, of_rule.T, strict=True):
        print(f"{rule!s:42}{size:3}" + "".join(f"{share:7.2f}" for share in of_size))
