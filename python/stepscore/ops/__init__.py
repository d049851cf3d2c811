"""The compiled operations, one file each."""

from stepscore.ops.aggregate import aggregate
from stepscore.ops.answer_key import AnswerGroups, answer_keys, extract_answers, group_answers
from stepscore.ops.frontier import (
    drop_duplicates,
    effective_sample_size,
    rebase_allotment,
    replicate,
    resample,
    tempering,
    top_k,
)
from stepscore.ops.gated_activation import gated_activation
from stepscore.ops.group_advantage import group_advantage
from stepscore.ops.path_attention import path_attention
from stepscore.ops.prefix_trie import PrefixTrie
from stepscore.ops.record_scan import scan_records
from stepscore.ops.result_lines import result_lines
from stepscore.ops.returns import discounted_return, gae, min_return, td_targets
from stepscore.ops.reward_shaping import (
    gate_rewards,
    shape_rewards,
    softmin_weights,
    step_group_advantage,
    whiten,
)
from stepscore.ops.step_boundary import find_steps
from stepscore.ops.token_logprob import token_logprob
from stepscore.ops.token_logprob_states import TokenLogprob
from stepscore.ops.tree_search import TreeSearch
from stepscore.ops.value_head import mlp_head, value_head
from stepscore.ops.vote import Rule, VoteResult, vote

__all__ = [
    "AnswerGroups",
    "PrefixTrie",
    "Rule",
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
