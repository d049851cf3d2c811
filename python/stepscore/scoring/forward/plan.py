"""Traces -> a forward plan: which tokens are forwarded once, for which traces, in which batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stepscore.ops import PrefixTrie
from stepscore.ragged import offsets_of, segment_of
from stepscore.scoring.forward.machine_rates import MachineRates

NOTHING = -1


@dataclass(frozen=True)
class ForwardCosts:
    """What a plan weighs against each other, in seconds on the device at hand.

    Attributes:
        token: to forward one more token.
        fork: to share one more run of tokens: it becomes a piece of its own, and the pieces that
            continue it read its keys and values by one more attention call in every layer.
        continued: for a token that continues a shared run: its attention has two parts, merged.
        piece: to forward one more piece, which is attended to by itself, beside its tokens.
        batch: to forward one more batch, beside its tokens.
        pads: whether traces may go through the model whole, as rows of one length, where that
            costs least.
        rates: the rates of the machine that this was reckoned from; None where it was not.
    """

    token: float
    fork: float
    continued: float = 0.0
    piece: float = 0.0
    batch: float = 0.0
    pads: bool = False
    rates: MachineRates | None = None

    def worth_sharing(self, length: int, copies: int, continuing: int = 0) -> bool:
        """Say whether a run costs less shared than forwarded once for each of its copies.

        Args:
            length: its tokens.
            copies: the pieces that would each need one.
            continuing: the tokens of these pieces.
        """
        dearer = self.fork + self.piece + continuing * self.continued
        return (copies - 1) * length * self.token > dearer


@dataclass(frozen=True)
class Plan:
    """What is forwarded: pieces of traces, each once, cut into batches.

    Attributes:
        token_ids: the tokens of all pieces, in the order in which they are forwarded ``[tokens]``.
        offsets: where each piece begins and ends in them, int64 ``[pieces + 1]``.
        parent: the piece that each one continues, at its end; -1 at a root ``[pieces]``.
        group: the group of each piece's traces ``[pieces]``.
        start: the position of its first token in its traces ``[pieces]``.
        run: pieces of one run of tokens are one behind the other in it ``[pieces]``.
        within: where in its run a piece begins ``[pieces]``.
        batches: the pieces of each batch, int64 ``[batches + 1]``.
        last_piece: the piece that holds the last token of each trace; -1 for none ``[traces]``.
        padded: whether the pieces of a batch are rows of equal length, instead of packed.
        given: tokens of all traces.
        unique: distinct prefixes among them; no plan can forward fewer tokens.
    """

    token_ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    parent: NDArray[np.int64]
    group: NDArray[np.int64]
    start: NDArray[np.int64]
    run: NDArray[np.int64]
    within: NDArray[np.int64]
    batches: NDArray[np.int64]
    last_piece: NDArray[np.int64]
    padded: bool
    given: int
    unique: int

    def __len__(self) -> int:
        return len(self.batches) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each piece."""
        return np.diff(self.offsets)

    def pieces(self, batch: int) -> range:
        """The pieces of a batch."""
        return range(int(self.batches[batch]), int(self.batches[batch + 1]))

    @property
    def widths(self) -> NDArray[np.int64]:
        """Rows that each piece takes in its batch, padding included."""
        lengths = self.lengths
        if not self.padded:
            return lengths
        counts = np.diff(self.batches)
        return np.repeat(np.maximum.reduceat(lengths, self.batches[:-1]), counts)

    @property
    def forwarded(self) -> int:
        """Tokens that go through the model, padding included."""
        return int(self.widths.sum())

    def rows(self, traces: NDArray[np.int64], positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the tokens at some positions of some traces are, among all rows of all batches."""
        piece = self.last_piece[traces]
        while (before := self.start[piece] > positions).any():
            piece = np.where(before, self.parent[piece], piece)
        first_row = offsets_of(self.widths)
        rows: NDArray[np.int64] = first_row[piece] + positions - self.start[piece]
        return rows

    def batch_rows(self) -> NDArray[np.int64]:
        """Where the rows of each batch begin and end, int64 ``[batches + 1]``."""
        bounds: NDArray[np.int64] = offsets_of(self.widths)[self.batches]
        return bounds


def plan(
    token_ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
    *,
    token_budget: int,
    costs: ForwardCosts,
    groups: NDArray[np.int64] | None = None,
    starts: Sequence[int] = (0,),
    cache_limit: int | None = None,
) -> Plan:
    """Plan forward passes in which traces share their prefixes.

    The traces are a trie of runs: tokens without a fork between them. A run that several branches
    continue is forwarded once, and its keys and values are kept for them, where that costs less
    than forwarding a copy of it in each branch. If no run is worth sharing, each distinct trace is
    a piece, packed; if only the problem is, it is a shared prefix of its candidates; if all are,
    the plan is a full trie.

    The order of the traces of a group does not change the plan.

    Args:
        token_ids: packed ids ``[tokens]``.
        offsets: where each trace begins and ends ``[traces + 1]``.
        token_budget: the most tokens of a batch; a longer run is cut.
        costs: what sharing saves and costs.
        groups: the traces of each group ``[groups + 1]``; those of one group continue the same
            prefix, and share nothing with another group. None for one group.
        starts: the position of the first tokens of each group.
        cache_limit: beyond this position nothing is shared, and nothing is cut: then no more than
            this many tokens of a trace are ever kept.
    """
    order = _sorted(token_ids, offsets, groups)
    lengths = np.diff(offsets)
    sources = [token_ids[offsets[trace] : offsets[trace + 1]] for trace in order]
    trie = PrefixTrie(
        np.concatenate([token_ids[:0], *sources]), offsets_of(lengths[order]), groups=groups
    )
    begins, parents = trie.run_offsets, trie.run_parent
    group = np.searchsorted(trie.group_offsets, begins[:-1], side="right") - 1
    first = trie.depth[begins[:-1]] + np.asarray(starts, dtype=np.int64)[group]
    shared = _worth_sharing(np.diff(begins), parents, first, costs, cache_limit)

    pieces: list[_Piece] = []
    last = np.full(len(parents), NOTHING, dtype=np.int64)  # the last piece of each run
    for run in np.flatnonzero(shared).tolist():
        # A run that is not shared is copied into what hangs on it.
        chain, above = [run], int(parents[run])
        while above >= 0 and not shared[above]:
            chain.append(above)
            above = int(parents[above])
        nodes = [np.arange(begins[part], begins[part + 1]) for part in reversed(chain)]
        tokens = trie.token[np.concatenate(nodes)]
        parent = NOTHING if above < 0 else int(last[above])
        start = int(first[chain[-1]])
        cut = len(tokens)
        if cache_limit is None or start + len(tokens) <= cache_limit:
            cut = token_budget
        for within in range(0, len(tokens), cut):
            part = tokens[within : within + cut]
            pieces.append(_Piece(part, parent, int(group[run]), start + within, run, within))
            parent = len(pieces) - 1
        last[run] = parent
    # Copies of a run that is not shared are in its branches; the first of them is the next run.
    for run in reversed(range(len(parents) - 1)):
        if not shared[run]:
            last[run] = last[run + 1]
    last_piece = np.full(len(order), NOTHING, dtype=np.int64)
    some = trie.last_node >= 0
    last_run = np.searchsorted(begins, trie.last_node[some], side="right") - 1
    last_piece[order[some]] = last[last_run]
    return _batched(pieces, last_piece, token_budget, int(lengths.sum()), len(trie))


def plan_padded(
    token_ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
    *,
    token_budget: int,
    rope_switch_length: int | None = None,
) -> Plan:
    """Plan forward passes of whole traces, padded to the longest of their batch.

    For models that cannot share. Equal traces are forwarded once, longest first; the order of the
    traces does not change the plan.

    Args:
        token_ids: packed ids ``[tokens]``.
        offsets: where each trace begins and ends ``[traces + 1]``.
        token_budget: the most tokens of a batch, padding included; a longer trace is a batch alone.
        rope_switch_length: a length at which the model changes its rotary frequencies for the
            whole batch; traces of at most this length and longer ones are not mixed.
    """
    first: dict[bytes, int] = {}
    same = np.empty(len(offsets) - 1, dtype=np.int64)
    for trace in range(len(same)):
        tokens = token_ids[offsets[trace] : offsets[trace + 1]].tobytes()
        same[trace] = first.setdefault(tokens, trace)
    order = [first[tokens] for tokens in sorted(first, key=lambda key: (-len(key), key)) if tokens]
    lengths = np.diff(offsets)
    batches = [0]
    while batches[-1] < len(order):
        begin = batches[-1]
        longest = int(lengths[order[begin]])
        end = min(begin + max(1, token_budget // longest), len(order))
        if rope_switch_length is not None and longest > rope_switch_length:
            end = min(end, int(np.count_nonzero(lengths[order] > rope_switch_length)))
        batches.append(end)
    piece = np.full(len(lengths), NOTHING, dtype=np.int64)
    piece[order] = np.arange(len(order))
    return Plan(
        np.concatenate([token_ids[:0], *(token_ids[offsets[i] : offsets[i + 1]] for i in order)]),
        offsets_of(lengths[order]),
        parent=np.full(len(order), NOTHING, dtype=np.int64),
        group=np.zeros(len(order), dtype=np.int64),
        start=np.zeros(len(order), dtype=np.int64),
        run=np.arange(len(order)),
        within=np.zeros(len(order), dtype=np.int64),
        batches=np.array(batches, dtype=np.int64),
        last_piece=piece[same],
        padded=True,
        given=int(lengths.sum()),
        unique=len(PrefixTrie(token_ids, offsets)),
    )


@dataclass(frozen=True)
class _Piece:
    tokens: NDArray[np.int32]
    parent: int
    group: int
    start: int
    run: int
    within: int


def _sorted(
    token_ids: NDArray[np.int32], offsets: NDArray[np.int64], groups: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """Traces by group, and within a group by their tokens: the trie's nodes come depth first."""
    traces = len(offsets) - 1
    group = np.zeros(traces, dtype=np.int64)
    if groups is not None:
        group = segment_of(groups)
    keys = [token_ids[offsets[i] : offsets[i + 1]].tobytes() for i in range(traces)]
    return np.array(sorted(range(traces), key=lambda i: (group[i], keys[i])), dtype=np.int64)


def _worth_sharing(
    lengths: NDArray[np.int64],
    parents: NDArray[np.int64],
    starts: NDArray[np.int64],
    costs: ForwardCosts,
    cache_limit: int | None,
) -> NDArray[np.bool_]:
    """Say which runs are pieces of their own; a run that nothing continues always is."""
    shared = np.full(len(parents), True)
    # The pieces below a run that would each need a copy of it.
    copies = np.zeros(len(parents), dtype=np.int64)
    continuing = np.zeros(len(parents), dtype=np.int64)  # their tokens
    for run in reversed(range(len(parents))):
        length, count = int(lengths[run]), int(copies[run])
        if count:
            fits = cache_limit is None or starts[run] + length <= cache_limit
            shared[run] = fits and costs.worth_sharing(length, count, int(continuing[run]))
        if parents[run] >= 0:
            copies[parents[run]] += 1 if shared[run] else count
            continuing[parents[run]] += length if shared[run] else continuing[run] + length * count
    return shared


def _batched(
    pieces: list[_Piece], last_piece: NDArray[np.int64], token_budget: int, given: int, unique: int
) -> Plan:
    """Cut pieces, given depth first, into batches; in a batch, siblings stand together."""
    batch_of: list[int] = []
    batch, room = 0, token_budget
    for piece in pieces:
        if len(piece.tokens) > room and room < token_budget:
            batch, room = batch + 1, token_budget
        room -= len(piece.tokens)
        batch_of.append(batch)

    def key(index: int) -> tuple[int, bool, int, int, int]:
        # What continues nothing comes first; what continues the same follows each other.
        piece = pieces[index]
        return batch_of[index], piece.start > 0, piece.parent, piece.group, index

    order = sorted(range(len(pieces)), key=key)
    place = np.full(len(pieces) + 1, NOTHING, dtype=np.int64)  # place[NOTHING] is NOTHING
    place[order] = np.arange(len(pieces))
    made = [pieces[i] for i in order]
    return Plan(
        np.concatenate([np.zeros(0, dtype=np.int32), *(piece.tokens for piece in made)]),
        offsets_of(np.array([len(piece.tokens) for piece in made], dtype=np.int64)),
        parent=place[_integers(piece.parent for piece in made)],
        group=_integers(piece.group for piece in made),
        start=_integers(piece.start for piece in made),
        run=_integers(piece.run for piece in made),
        within=_integers(piece.within for piece in made),
        batches=offsets_of(np.bincount(_integers(batch_of), minlength=0)),
        last_piece=place[last_piece],
        padded=False,
        given=given,
        unique=unique,
    )


def _integers(values: Iterable[int]) -> NDArray[np.int64]:
    return np.array(list(values), dtype=np.int64)
