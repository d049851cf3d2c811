"""The ops in plain NumPy float64: the specification, to be checked by eye, not for speed.

``stepscore.reference.X`` holds the op of ``stepscore.ops.X`` with the same names and arguments.
"""

from stepscore.reference.aggregate import aggregate
from stepscore.reference.answer_key import AnswerGroups, answer_keys, extract_answers, group_answers
from stepscore.reference.frontier import (
    drop_duplicates,
    effective_sample_size,
    rebase_allotment,
    replicate,
    resample,
    tempering,
    top_k,
)
from stepscore.reference.gated_activation import gated_activation
from stepscore.reference.group_advantage import group_advantage
from stepscore.reference.path_attention import path_attention
from stepscore.reference.prefix_trie import PrefixTrie
from stepscore.reference.record_scan import scan_records
from stepscore.reference.result_lines import result_lines
from stepscore.reference.returns import discounted_return, gae, min_return, td_targets
from stepscore.reference.reward_shaping import (
    gate_rewards,
    shape_rewards,
    softmin_weights,
    step_group_advantage,
    whiten,
)
from stepscore.reference.step_boundary import find_steps
from stepscore.reference.token_logprob import TokenLogprob, token_logprob
from stepscore.reference.tree_search import TreeSearch
from stepscore.reference.value_head import mlp_head, value_head
from stepscore.reference.vote import VoteResult, vote

__all__ = [
    "AnswerGroups",
    "PrefixTrie",
    "TokenLogprob",
    "TreeSearch",
    "VoteResult",
    "aggregate",
    "answer_keys",
    "discounted_return",
    "drop_duplicates",
    "effective_sample_size",
    "extract_answers",
    "find_steps",
    "gae",
    "gate_rewards",
    "gated_activation",
    "group_advantage",
    "group_answers",
    "min_return",
    "mlp_head",
    "path_attention",
    "rebase_allotment",
    "replicate",
    "resample",
    "result_lines",
    "scan_records",
    "shape_rewards",
    "softmin_weights",
    "step_group_advantage",
    "td_targets",
    "tempering",
    "token_logprob",
    "top_k",
    "value_head",
    "vote",
    "whiten",
]
