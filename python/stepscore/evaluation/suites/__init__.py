"""Published benchmarks, a file each: what is compared, by which rule, from whose code.

- ``labelled_traces``: traces with labels, and the predictions that belong to them
- ``processbench``, ``prmbench``: the suites
"""

from stepscore.evaluation.suites.labelled_traces import LabelledTraces, Predictions
from stepscore.evaluation.suites.prmbench import PrmBenchRow, prmbench
from stepscore.evaluation.suites.processbench import ProcessBenchRow, processbench

__all__ = [
    "LabelledTraces",
    "Predictions",
    "PrmBenchRow",
    "ProcessBenchRow",
    "prmbench",
    "processbench",
]
