"""Tables: rerank the rows of a pandas DataFrame, one sample each, and take the best of a problem.

The same calls take a ``datasets.Dataset``, a pyarrow table, a list of dicts or a dict of columns.
The policy and the PRM are those inside the package; ``"Qwen/Qwen2.5-Math-PRM-7B"`` or a folder
stands for one of your own.
"""

from __future__ import annotations

from typing import Any

from stepscore import jobs, lab

problems = lab.generate(4, seed=5, split="eval")
texts = lab.load_policy().sample(problems, 8, seed=0)  # 8 texts for each problem
samples: Any = {  # rows of a problem need not stand together
    "problem": [problem for _ in range(8) for problem in problems],
    "text": [texts[at][number] for number in range(8) for at in range(len(problems))],
}
try:
    import pandas
except ModuleNotFoundError:
    print("without pandas: a dict of columns")
else:
    samples = pandas.DataFrame(samples)

ranked = jobs.rerank(samples, "lab", how="min", group_by="problem")

columns = ("problem", "text", "stepscore_answer", "stepscore_chosen", "stepscore_min")
for problem, text, answer, is_best, score in zip(*(ranked[name] for name in columns), strict=True):
    if is_best:
        right = "right" if lab.is_correct(problem, text) else "wrong"
        print(f"{problem:26} {answer:>6}  its weakest step {score:.3f}  {right}")
