"""Where to spend samples: when to stop, how many to draw, and from which step.

- ``budget``: stop rules of sequential sampling, samples per problem, the first wrong step
"""

from stepscore.search.budget import (
    adaptive_k,
    adaptive_m,
    first_error,
    leader_probability,
    next_samples,
    samples_needed,
    should_stop,
)

__all__ = [
    "adaptive_k",
    "adaptive_m",
    "first_error",
    "leader_probability",
    "next_samples",
    "samples_needed",
    "should_stop",
]
