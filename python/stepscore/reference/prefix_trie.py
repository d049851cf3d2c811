"""The trie of the unique prefixes of traces, by nested dictionaries."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np


class PrefixTrie:
    """One node per distinct prefix of the traces of a group, numbered as they are first seen.

    Args:
        token_ids: packed ids ``[tokens]``.
        offsets: ``[traces + 1]``.
        groups: ``[groups + 1]`` over traces; None: all traces in one group.

    Attributes: those of ``stepscore.PrefixTrie``.
    """

    def __init__(self, token_ids: Any, offsets: Any, *, groups: Any = None) -> None:
        token_ids = np.asarray(token_ids)
        traces = [token_ids[begin:end].tolist() for begin, end in pairwise(offsets)]
        token: list[int] = []
        parent: list[int] = []
        depth: list[int] = []
        passing: list[set[int]] = []  # the traces that pass each node
        children: list[list[int]] = []
        node_of_token: list[int] = []
        last_node: list[int] = []
        group_offsets = [0]
        for first, last in pairwise([0, len(traces)] if groups is None else groups):
            root: dict[int, Any] = {}  # token -> (node, the dictionary below it)
            for trace in range(first, last):
                below, node = root, -1
                for position, id_ in enumerate(traces[trace]):
                    if id_ not in below:
                        below[id_] = len(token), {}
                        if node >= 0:
                            children[node].append(len(token))
                        token.append(id_)
                        parent.append(node)
                        depth.append(position)
                        passing.append(set())
                        children.append([])
                    node, below = below[id_]
                    passing[node].add(trace)
                    node_of_token.append(node)
                last_node.append(node)
            group_offsets.append(len(token))

        # A run goes on while the same traces do.
        runs: list[list[int]] = []
        run_of: list[int] = []
        for node, up in enumerate(parent):
            if up >= 0 and passing[up] == passing[node]:
                run_of.append(run_of[up])
            else:
                run_of.append(len(runs))
                runs.append([])
            runs[run_of[node]].append(node)
        assert [node for run in runs for node in run] == list(range(len(token)))

        self.token = np.array(token, token_ids.dtype)
        self.parent = _int64(parent)
        self.depth = _int64(depth)
        self.count = _int64([len(traces) for traces in passing])
        self.node_of_token = _int64(node_of_token)
        self.last_node = _int64(last_node)
        self.group_offsets = _int64(group_offsets)
        self.run_offsets = _int64(np.cumsum([0, *map(len, runs)]))
        self.run_parent = _int64(
            [run_of[parent[run[0]]] if parent[run[0]] >= 0 else -1 for run in runs]
        )
        self.child_offsets = _int64(np.cumsum([0, *map(len, children)]))
        self.children = _int64([child for siblings in children for child in siblings])
        self.forks = _int64([v for v, siblings in enumerate(children) if len(siblings) > 1])
        self.token_weights = np.array([1 / len(passing[node]) for node in node_of_token], float)
        self.num_tokens = len(node_of_token)

    def __len__(self) -> int:
        return len(self.token)

    def children_of(self, node: int) -> Any:
        """The children of one node, ascending."""
        return self.children[self.child_offsets[node] : self.child_offsets[node + 1]]


def _int64(values: Any) -> Any:
    return np.array(values, dtype=np.int64)
