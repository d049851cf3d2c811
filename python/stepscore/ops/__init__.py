"""The compiled operations, one file each."""

from stepscore.ops.aggregate import aggregate
from stepscore.ops.prefix_trie import PrefixTrie
from stepscore.ops.step_boundary import find_steps
from stepscore.ops.value_head import mlp_head, value_head
from stepscore.ops.vote import VoteResult, vote

__all__ = [
    "PrefixTrie",
    "VoteResult",
    "aggregate",
    "find_steps",
    "mlp_head",
    "value_head",
    "vote",
]
