"""Rewards of steps as training signals.

- ``credit``: the published methods by name; ``methods``: their functions, one file a family
- ``step_map``: steps <-> tokens, padded and packed
- ``inputs``: the arguments that all of them read
"""

from stepscore.rewards.step_map import broadcast, place, spread

__all__ = ["broadcast", "place", "spread"]
