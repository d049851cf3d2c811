"""Rewards of steps as training signals.

- ``credit``: the published methods by name; ``methods``: their functions, one file a family
- ``step_map``: steps <-> tokens, padded and packed
- ``inputs``: the arguments that all of them read; ``statistics``: what several of them compute
"""

from stepscore.rewards.credit import METHODS, Method, method, method_names
from stepscore.rewards.step_map import broadcast, place, spread

__all__ = ["METHODS", "Method", "broadcast", "method", "method_names", "place", "spread"]
