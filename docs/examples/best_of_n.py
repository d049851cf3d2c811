"""Best of N: sample solutions, score their steps, take the one that the PRM likes best.

The policy and the PRM are those inside the package. With models of your own, `candidates` come from
any sampler and the PRM from ``stepscore.load("Qwen/Qwen2.5-Math-PRM-7B")`` or a local folder.
"""

from __future__ import annotations

import stepscore
from stepscore import lab

problems = lab.generate(5, seed=3, split="eval")
candidates = lab.load_policy().sample(problems, 16, seed=0)  # 16 texts for each problem
prm = stepscore.load("lab")

print(f"{'problem':26} first of 16   best of 16   its weakest step")
ranked = prm.rank_many(problems, candidates, how="min")
for problem, texts, (best, *_) in zip(problems, candidates, ranked, strict=True):
    first, chosen = (
        "right" if lab.is_correct(problem, text) else "wrong"
        for text in (texts[0], texts[best.index])
    )
    print(f"{problem:26} {first:13} {chosen:12} {min(best.step_scores):.3f}")
