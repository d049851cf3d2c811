"""Seeds from seeds: SplitMix64, the one generator of this package outside the compiled core.

Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix(state: Any) -> NDArray[np.uint64]:
    """Give the next output of SplitMix64 for every state: 64 bits that depend on all 64.

    Args:
        state: whole numbers in [0, 2^64), any shape.
    """
    with np.errstate(over="ignore"):  # modulo 2^64 is meant
        return finalize(np.asarray(state, np.uint64) + GOLDEN)


def finalize(state: Any) -> NDArray[np.uint64]:
    """Give the output of SplitMix64 for states that have been moved on already: a bijection.

    Args:
        state: whole numbers in [0, 2^64), any shape.
    """
    with np.errstate(over="ignore"):
        z = np.asarray(state, np.uint64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)))
