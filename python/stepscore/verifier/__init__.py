"""Whether two answers are equal, asked of math-verify in processes that can be killed.

- ``questions``: what it may be asked, and in which words
- ``worker``: the process; it runs as a script and knows nothing of this package
- ``pool``: the processes, their time limits, and the verdicts on disk
"""

from stepscore.verifier.pool import Comparison, MathVerify, installed
from stepscore.verifier.questions import question

__all__ = ["Comparison", "MathVerify", "installed", "question"]
