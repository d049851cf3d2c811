"""How often rules are right, and how often two of them agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stepscore.tallies import Tally
from stepscore.voting.rules import TypedRule

_MOST_COMPARED = 3


class AccuracyCounts(Tally):
    """Counts over the votes of some rules, each under some settings.

    A setting is what the rows of a table are: an aggregation, or a number of candidates.

    Args:
        rules: in the order of the table's columns.
        settings: how many settings there are.

    Attributes:
        right: how often the winner is right, float64 ``[rules, settings]``: problems, and the
            shares of those in which the order of the candidates decides.
        pairs: the rules that are compared: up to three each with each, and more each with the
            first.
        equal: how often both choose the same answer, float64 ``[pairs, settings]``.
        unfit: where a rule had scores before it that it does not read, bool ``[rules, settings]``.
    """

    def __init__(self, rules: Sequence[TypedRule], settings: int) -> None:
        others = range(len(rules)) if len(rules) <= _MOST_COMPARED else range(1)
        self.pairs = tuple((a, b) for b in others for a in range(b + 1, len(rules)))
        shape, compared = (len(rules), settings), (len(self.pairs), settings)
        self.right = np.zeros(shape)
        self.equal = np.zeros(compared)
        self.unfit = np.zeros(shape, np.bool_)
        self._reads_scores = np.array([rule.reads_scores for rule in rules], np.bool_)
        self._reads_columns = np.array([rule.reads_columns for rule in rules], np.bool_)
        self._judged = np.zeros(shape, np.int64)
        self._compared = np.zeros(compared, np.int64)
        self._scored = np.zeros(settings, np.bool_)

    def add(
        self,
        credit: NDArray[np.float64],
        exists: NDArray[np.bool_],
        unfit: NDArray[np.bool_],
        scored: NDArray[np.bool_],
        known: NDArray[np.bool_],
    ) -> None:
        """Count how right the rules are in some problems.

        Args:
            credit: see `credits_of`, ``[problems, rules, settings]``.
            exists, unfit: as in `Elections`, ``[problems, rules, settings]``.
            scored: under which settings there are any scores, ``[settings]``.
            known: of which problems it is known who is right, ``[problems]``.
        """
        self.unfit |= unfit.any(axis=0)
        self._scored |= scored
        self.right += credit[known].sum(axis=0)
        self._judged += exists[known].sum(axis=0)

    def compare(self, agreed: NDArray[np.float64], exists: NDArray[np.bool_]) -> None:
        """Count how often the rules agree in some problems, which are added as well.

        Args:
            agreed: see `agreements_of`, ``[problems, pairs, settings]``.
            exists: as in `Elections`, ``[problems, rules, settings]``.
        """
        for pair, (a, b) in enumerate(self.pairs):
            both = exists[:, a] & exists[:, b]
            self._compared[pair] += both.sum(axis=0)
            self.equal[pair] += (both * agreed[:, pair]).sum(axis=0)

    @property
    def judged(self) -> NDArray[np.int64]:
        """Problems that `right` is a share of, ``[rules, settings]``; 0 where it means nothing."""
        return np.where(self._means_something, self._judged, 0)

    @property
    def compared(self) -> NDArray[np.int64]:
        """Problems that `equal` is a share of, ``[pairs, settings]``; 0 where it means nothing."""
        means = self._means_something
        both = [means[a] & means[b] for a, b in self.pairs]
        return np.where(np.array(both, np.bool_).reshape(self._compared.shape), self._compared, 0)

    @property
    def _means_something(self) -> NDArray[np.bool_]:
        reads_scores, reads_columns = self._reads_scores[:, None], self._reads_columns[:, None]
        scored = np.where(reads_columns, self._scored.any(), self._scored | ~reads_scores)
        # A share over the problems whose scores fit would be one over other problems in each row.
        return np.asarray(scored & ~self.unfit)
