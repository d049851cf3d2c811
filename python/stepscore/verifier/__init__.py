"""Whether two answers are equal, asked of math-verify in processes that can be killed.

- ``worker``: the process; it runs as a script and knows nothing of this package
- ``pool``: the processes, their time limit, and the verdicts on disk
"""

from stepscore.verifier.pool import Comparison, MathVerify, installed

__all__ = ["Comparison", "MathVerify", "installed"]
