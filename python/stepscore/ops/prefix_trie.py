"""The flat trie of the unique prefixes of traces."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepscore import _core
from stepscore.arrays import Call, DeviceError, dtype_name, length
from stepscore.ragged import offsets_of


class PrefixTrie:
    r"""The unique prefixes of traces, as flat arrays: traces share the nodes of common prefixes.

    Node :math:`v` is a distinct prefix of the traces of one group, and :math:`S_v` the traces that
    begin with it: ``count[v]`` :math:`= |S_v|`, equal traces counted each. Nodes are numbered in
    the order in which the traces, one after the other, reach them, so ``parent[v] < v``.

    Args:
        token_ids: packed ids ``[tokens]``, int32 or int64, any values.
        offsets: where each trace begins and ends, int64 ``[traces + 1]``.
        groups: where the traces of each group (problem) begin and end, int64 ``[groups + 1]`` over
            traces; groups share no node, and their nodes follow each other. None: one group.

    Attributes:
        token: the id of the node's last token ``[nodes]``, of the dtype of `token_ids`.
        parent: the node without its last token, int64 ``[nodes]``; -1 at a first token.
        depth: position of the node's last token in its traces, int64 ``[nodes]``.
        count: traces that pass through the node, int64 ``[nodes]``.
        node_of_token: the node of every input token, int64 ``[tokens]``.
        last_node: the node of each trace's last token, int64 ``[traces]``; -1 for an empty trace.
        group_offsets: where the nodes of each group begin and end, int64 ``[groups + 1]``.

    All arrays are NumPy's and read-only.

    Raises:
        ValueError: offsets or groups that do not fit.
        TypeError: ids that are not integers.

    Examples:
        >>> trie = PrefixTrie([5, 6, 7, 5, 6, 8, 9, 5, 6, 8], [0, 3, 7, 10])
        >>> trie
        PrefixTrie(tokens=10, traces=3, groups=1, nodes=5)
        >>> trie.token.tolist(), trie.parent.tolist(), trie.count.tolist()
        ([5, 6, 7, 8, 9], [-1, 0, 1, 1, 3], [3, 3, 1, 2, 1])

        Each token's share of a loss over unique prefixes, 1 / count (lambda-GRPO):

        >>> (1 / trie.count[trie.node_of_token]).round(2).tolist()
        [0.33, 0.33, 1.0, 0.33, 0.33, 0.5, 1.0, 0.33, 0.33, 0.5]

        What a branch is worth beside its siblings at the same fork (PORTool):

        >>> rewards, passed = np.array([0.0, 1.0, 0.5]), trie.node_of_token
        >>> value = np.bincount(passed, np.repeat(rewards, [3, 4, 3])) / trie.count
        >>> siblings = [trie.children_of(v) for v in trie.forks]
        >>> [(value[s] - value[s].mean()).tolist() for s in siblings]
        [[-0.375, 0.375]]

        The runs, which every trace passes as a whole:

        >>> [run.tolist() for run in np.split(trie.token, trie.run_offsets[1:-1])]
        [[5, 6], [7], [8], [9]]
        >>> trie.run_parent.tolist()
        [-1, 0, 0, 2]

    Source: prefix trees of sampled traces, as in lambda-GRPO (arXiv 2509.21154) and PORTool
    (arXiv 2510.26020).
    """

    token: NDArray[np.integer[Any]]
    parent: NDArray[np.int64]
    depth: NDArray[np.int64]
    count: NDArray[np.int64]
    node_of_token: NDArray[np.int64]
    last_node: NDArray[np.int64]
    group_offsets: NDArray[np.int64]

    def __init__(self, token_ids: Any, offsets: Any, *, groups: Any = None) -> None:
        call = Call("PrefixTrie")
        token_ids = call.array("token_ids", token_ids)
        if call.on_cuda:
            raise DeviceError("PrefixTrie: token_ids is on a GPU; pass it on the CPU")
        if dtype_name(token_ids) == "int32":
            token_ids = call.contiguous("token_ids", token_ids, "int32")
        else:
            token_ids = call.integers("token_ids", token_ids)
        offsets = call.integers("offsets", offsets)
        if groups is not None:
            groups = call.integers("groups", groups)
        traces = max(length(offsets) - 1, 0)
        node_offsets, stem = np.empty(traces + 1, np.int64), np.empty(traces, np.int64)
        request = (
            call.view("token_ids", token_ids),
            call.view("offsets", offsets),
            call.optional_view("groups", groups),
            call.view("node_offsets", node_offsets),
            call.view("stem", stem),
        )
        nodes = _core.share_prefixes(*request)
        self.token = np.empty(nodes, dtype_name(token_ids))
        self.parent = np.empty(nodes, np.int64)
        self.depth = np.empty(nodes, np.int64)
        self.count = np.empty(nodes, np.int64)
        self.node_of_token = np.empty(length(token_ids), np.int64)
        self.last_node = np.empty(traces, np.int64)
        of_nodes = (self.token, self.parent, self.depth, self.count)
        fields = (*of_nodes, self.node_of_token, self.last_node)
        _core.prefix_trie(*request, *(_core.TensorView.of_numpy(field) for field in fields))
        self.group_offsets = node_offsets[[0, -1] if groups is None else np.asarray(groups)]
        for field in (*fields, self.group_offsets):
            field.setflags(write=False)

    def __len__(self) -> int:
        return len(self.parent)

    def __repr__(self) -> str:
        return (
            f"PrefixTrie(tokens={self.num_tokens}, traces={len(self.last_node)}, "
            f"groups={len(self.group_offsets) - 1}, nodes={len(self)})"
        )

    @property
    def num_tokens(self) -> int:
        """Tokens of all traces; ``len(trie) / trie.num_tokens`` of them are unique."""
        return len(self.node_of_token)

    @cached_property
    def token_weights(self) -> NDArray[np.float64]:
        """One over the number of traces that share the prefix up to each token, ``[tokens]``.

        The weights of the token losses of lambda-GRPO (arXiv 2509.21154): what several traces of a
        group have in common counts once in it.
        """
        weights: NDArray[np.float64] = (1.0 / self.count)[self.node_of_token]
        weights.setflags(write=False)
        return weights

    @cached_property
    def run_offsets(self) -> NDArray[np.int64]:
        """Where the runs begin and end, int64 ``[runs + 1]`` over nodes.

        A run is a chain of nodes that the same traces pass, as long as it can be: no trace leaves
        or ends before its last node.
        """
        # The traces of a child are among those of its parent, so equally many are the same. And
        # where they are the same, the trace that was the first to reach the parent went on to the
        # child, whose number is then the next one: no run is torn.
        same = self.parent[1:] == np.arange(len(self) - 1)
        same &= self.count[1:] == self.count[:-1]
        begins = np.flatnonzero(~same) + 1
        ends = [0, len(self)] if len(self) else [0]
        return _read_only(np.concatenate([ends[:1], begins, ends[1:]]))

    @cached_property
    def run_parent(self) -> NDArray[np.int64]:
        """The run on whose last node each run hangs, int64 ``[runs]``; -1 for none."""
        hangs_on = self.parent[self.run_offsets[:-1]]
        return _read_only(np.searchsorted(self.run_offsets, hangs_on, side="right") - 1)

    @cached_property
    def child_offsets(self) -> NDArray[np.int64]:
        """Where the children of each node begin and end in `children`, int64 ``[nodes + 1]``."""
        sizes = np.bincount(self.parent[self.parent >= 0], minlength=len(self))
        return _read_only(offsets_of(sizes))

    @cached_property
    def children(self) -> NDArray[np.int64]:
        """The children of all nodes, int64, ascending within a node; no parent names the roots."""
        order = np.argsort(self.parent, kind="stable")
        return _read_only(order[np.count_nonzero(self.parent < 0) :])

    @cached_property
    def forks(self) -> NDArray[np.int64]:
        """The nodes with more than one child, int64, ascending."""
        return _read_only(np.flatnonzero(np.diff(self.child_offsets) > 1))

    def children_of(self, node: int) -> NDArray[np.int64]:
        """The children of one node, ascending."""
        return self.children[self.child_offsets[node] : self.child_offsets[node + 1]]


def _read_only(array: NDArray[Any]) -> NDArray[np.int64]:
    array = array.astype(np.int64, copy=False)
    array.setflags(write=False)
    return array
