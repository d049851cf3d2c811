"""Trees of reasoning steps over many problems, searched in batches."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from stepscore import _core
from stepscore.arrays import Call, host_bools, host_counts, host_integers, host_reals
from stepscore.ops.tree_search_nodes import TreeNodes
from stepscore.ops.tree_search_requests import (
    NO_EVALUATIONS,
    NO_SAMPLES,
    EvaluateRequests,
    ExpandRequests,
    Ids,
    Requests,
)
from stepscore.ops.tree_search_rules import Parameters, SelectionRule, selection

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["EvaluateRequests", "ExpandRequests", "Requests", "TreeSearch"]

Mode: TypeAlias = Literal["step", "block", "partial", "rollout"]


class TreeSearch(TreeNodes):
    r"""Search trees of many problems: asks for samples and scores in batches, takes the answers.

    A node is a step; its number is ``problem * max_nodes + number in the problem``, the root's
    ``problem * max_nodes``. Numbers are given when samples are requested, so that they, like every
    other result, do not depend on the order in which answers arrive.

    The verbs:

    - `request_expand`, `request_score`, `request_judge` queue requests for nodes (beams,
      particles); `select` queues them for the leaves that Monte Carlo tree search comes to.
    - `ask` hands queued requests out, `tell_expand`, `tell_score` and `tell_judge` take the answers
      in any order and any subset, `fail` gives requests back. A call is taken as a whole or, when
      it raises, not at all.
    - `best`, `frontier`, `prune`, `path`, `text` and the fields say where the search stands;
      `save` and `load` keep it.

    Args:
        problems: their number.
        max_nodes: nodes of a problem at most, the root included; one is taken for every sample that
            is requested. All memory (about 130 bytes a node) is taken at once.
        seed: of the random numbers, which are functions of (seed, key, number of the node in its
            problem, draw): Philox4x32-10.
        keys: key of each problem for its random numbers, int64 ``[problems]``; None: 0, 1, 2, ...
        samples: budget of samples, one number or ``[problems]``; granted up to it, never beyond.
        tokens: budget of generated tokens. A problem that has reached it draws no more samples.
        prm_tokens: budget of tokens that the scorer reads, each node counted with its own step's.
        deterministic: several simulations of a problem are backed up together, in the order of
            their selection, when all have their answers; then results do not depend on the order
            of the answers. False: each as soon as it can be, and `select` fills up at once.
        duplicates: ``"merge"`` marks a child whose payload repeats an earlier sibling's of the same
            expansion; it is neither scored nor selected. ``"keep"`` keeps all.

    Attributes:
        parent, depth, visits, value: and the other fields of all nodes; see
            `stepscore.ops.tree_search_nodes.TreeNodes`.

    Raises:
        ValueError: sizes or budgets below 1, lengths that do not fit.

    Examples:
        >>> tree = TreeSearch(1, max_nodes=100)
        >>> while tree.select("puct", simulations=3, samples=2):
        ...     tickets = tree.ask().expand.tickets
        ...     offsets = np.arange(0, 2 * len(tickets) + 1, 2)
        ...     children = tree.tell_expand(tickets, offsets, texts=["a", "b"])
        ...     tree.tell_score(tree.ask().score.tickets, [0.25, 0.75])
        >>> tree.best(), tree.visits[:7]
        (array([2]), array([4, 1, 2, 0, 0, 1, 0], dtype=int32))

    Source: trees of flat arrays as in mctx; tickets as in Optuna; simulations in flight that count
    in exploration alone as in WU-UCT (arXiv 1810.11755).
    """

    def __init__(
        self,
        problems: int,
        *,
        max_nodes: int,
        seed: int = 0,
        keys: Any = None,
        samples: Any = None,
        tokens: Any = None,
        prm_tokens: Any = None,
        deterministic: bool = True,
        duplicates: Literal["keep", "merge"] = "keep",
    ) -> None:
        call = Call("TreeSearch")
        merge = call.choice("duplicates", duplicates, ("keep", "merge")) == "merge"

        def budget(argument: str, value: Any) -> Ids | None:
            if value is None:
                return None
            return host_counts("TreeSearch", argument, value, (problems,))

        core = _core.TreeSearch(
            problems,
            max_nodes,
            seed,
            None if keys is None else host_integers("TreeSearch", "keys", keys),
            budget("samples", samples),
            budget("tokens", tokens),
            budget("prm_tokens", prm_tokens),
            deterministic,
            merge,
        )
        super().__init__(core, problems)

    # --- requests ---------------------------------------------------------------------------

    def request_expand(self, nodes: Any, samples: Any = 1, *, mode: Mode = "step") -> Ids:
        """Ask the policy to continue nodes.

        Args:
            nodes: int64 ``[n]``; a node may be expanded several times.
            samples: continuations of each, one number or int64 ``[n]``.
            mode: ``"step"``, ``"block"`` (of tokens), ``"partial"`` (the beginning of a step) or
                ``"rollout"`` (to the end).

        Returns:
            The samples that were granted, int64 ``[n]``: fewer, down to 0, where a budget or
            `max_nodes` ends; nodes are served in the order given.

        Raises:
            ValueError: a node that does not exist, is terminal or pruned; samples below 1.
        """
        nodes = host_integers("request_expand", "nodes", nodes)
        samples = host_counts("request_expand", "samples", samples, nodes.shape)
        return self._core.request_expand(nodes, samples, mode)

    def request_score(self, nodes: Any) -> None:
        """Ask the scorer for the values of nodes, int64 ``[n]``.

        Raises:
            ValueError: a node that does not exist, or that is asked for already.
        """
        self._core.request_score(host_integers("request_score", "nodes", nodes))

    def request_judge(self, nodes: Any) -> None:
        """Ask the verifier whether nodes, int64 ``[n]``, are correct; errors as `request_score`."""
        self._core.request_judge(host_integers("request_judge", "nodes", nodes))

    def ask(
        self,
        max_expand: int = 256,
        max_score: int = 1024,
        *,
        max_judge: int = 1024,
        per_problem: int | None = None,
    ) -> Requests:
        """Hand out the next requests: first in, first out within a problem.

        Args:
            max_expand: requests for samples at most.
            max_score: requests for scores at most.
            max_judge: requests for judgements at most.
            per_problem: requests of each kind and problem at most; None: no limit.

        Returns:
            `Requests`, those of one problem next to each other. When they are not all handed out,
            problems share evenly, and the next call begins with the first that got less.
        """
        each = 2**62 if per_problem is None else per_problem
        expand, score, judge = self._core.ask(max_expand, max_score, max_judge, each)
        return Requests(
            ExpandRequests(*expand) if expand else NO_SAMPLES,
            EvaluateRequests(*score) if score else NO_EVALUATIONS,
            EvaluateRequests(*judge) if judge else NO_EVALUATIONS,
        )

    # --- answers ----------------------------------------------------------------------------

    def tell_expand(
        self,
        tickets: Any,
        child_offsets: Any,
        *,
        texts: list[str] | None = None,
        tokens: Any = None,
        token_offsets: Any = None,
        token_counts: Any = None,
        logprob: Any = None,
        terminal: Any = None,
        answer_id: Any = None,
    ) -> Ids:
        """Answer requests for samples.

        Args:
            tickets: int64 ``[n]``, in any order.
            child_offsets: where the children of each ticket begin and end, int64 ``[n + 1]``; as
                many as were asked for, or fewer. A node whose last expansion brings no child, and
                that has none, becomes terminal.
            texts: the step of each child, for `text`.
            tokens: or the token ids of all children, int32, for `tokens`, with
            token_offsets: where those of each child begin and end, int64 ``[children + 1]``.
            token_counts: tokens of each child for the budgets, int64 ``[children]``; None: those of
                `token_offsets`, else 0.
            logprob: what priors are computed from, ``[children]``: log-probability or logit.
            terminal: children that nothing follows, bool ``[children]``.
            answer_id: class of each child's answer, int64 ``[children]``; -1: none.

        Returns:
            The nodes of the children, int64 ``[children]``.

        Raises:
            ValueError: a ticket that was not asked, was told before, was closed, or is for another
                verb; more children than were asked for; lengths that do not fit; a log-probability
                that is not finite; no counts of tokens where they have a budget.
        """
        verb = "tell_expand"
        if tokens is not None:
            wide = host_integers(verb, "tokens", tokens)
            tokens = wide.astype(np.int32)
            if not np.array_equal(tokens, wide):
                raise ValueError(f"{verb}: tokens must fit int32; got {wide[tokens != wide][0]}")
            token_offsets = host_integers(verb, "token_offsets", token_offsets)
            if token_counts is None:
                token_counts = np.diff(token_offsets)
        return self._core.tell_expand(
            host_integers(verb, "tickets", tickets),
            host_integers(verb, "child_offsets", child_offsets),
            None if logprob is None else host_reals(verb, "logprob", logprob),
            None if terminal is None else host_bools(verb, "terminal", terminal),
            None if answer_id is None else host_integers(verb, "answer_id", answer_id),
            None if token_counts is None else host_integers(verb, "token_counts", token_counts),
            None if texts is None else list(texts),
            tokens,
            token_offsets,
        )

    def tell_score(
        self, tickets: Any, values: Any, rewards: Any = None, *, outcomes: Any = None
    ) -> None:
        r"""Answer requests for scores.

        Args:
            tickets: int64 ``[n]``, in any order.
            values: what the node is worth, ``[n]``: a step score, or a value :math:`V`.
            rewards: what the step itself brings, ``[n]``, for returns
                :math:`r + \gamma V`; None: 0.
            outcomes: what a second scorer says of the node, ``[n]``, for rules that give it back
                from a terminal; None: nothing.

        Raises:
            ValueError: tickets as in `tell_expand`; values that are not finite.
        """
        self._core.tell_score(
            host_integers("tell_score", "tickets", tickets),
            host_reals("tell_score", "values", values),
            None if rewards is None else host_reals("tell_score", "rewards", rewards),
            None if outcomes is None else host_reals("tell_score", "outcomes", outcomes),
        )

    def tell_judge(self, tickets: Any, correct: Any) -> None:
        """Answer requests for judgements: tickets int64 ``[n]``, correct bool ``[n]``.

        Raises:
            ValueError: tickets as in `tell_expand`.
        """
        verb = "tell_judge"
        self._core.tell_judge(
            host_integers(verb, "tickets", tickets), host_bools(verb, "correct", correct)
        )

    def fail(self, tickets: Any, *, retry: bool = True) -> None:
        """Give requests back that found no answer.

        Args:
            tickets: int64 ``[n]``.
            retry: the same tickets are asked again. False: they are closed; a node whose score
                failed, or that has no children because its expansions failed, is pruned, and the
                simulation that waits for it ends without a trace.

        Raises:
            ValueError: tickets as in `tell_expand`.
        """
        self._core.fail(host_integers("fail", "tickets", tickets), retry)

    # --- where to go ------------------------------------------------------------------------

    def select(
        self,
        rule: SelectionRule,
        *,
        simulations: int,
        samples: int,
        leaves: int = 1,
        **parameters: Unpack[Parameters],
    ) -> int:
        r"""Begin simulations of Monte Carlo tree search and request what they need.

        A simulation goes from the root to the child with the greatest score until it comes to a
        leaf: a node without children, a terminal, or one at `max_depth`. With :math:`N` the visits
        of the node and :math:`n` of the child, both with the simulations in flight, :math:`P` the
        child's prior, :math:`Q = r + \gamma V` and :math:`V = W / n`, formula ``rule`` is

        - ``puct``: :math:`Q + P \left(c + \ln\frac{N + c_{base} + 1}{c_{base}}\right)
          \frac{\sqrt N}{1 + n}`
        - ``muzero``: the same with :math:`Q` scaled to [0, 1] by the least and the greatest of the
          node's value and its visited children's; an unvisited child has 0
        - ``uct``: :math:`Q + c \sqrt{f \ln (N + k) / (n + k)}`, both at least 1
        - ``gumbel``: at the root sequential halving over the `considered` greatest
          :math:`g + l + s(q)`; below :math:`\arg\max\ \mathrm{softmax}(l + s(q)) - n / (1 + \sum
          n)`; :math:`l` is the log-probability, :math:`s(q) = (v_0 + \max n)\, v_s\, q'` with
          :math:`q'` scaled to [0, 1] and the mixed value for unvisited children

        Ties go to the lowest number. The leaf is expanded; then, under ``evaluate="children"`` all
        its children are scored, under ``"leaf"`` the leaf itself is, and :math:`G = r + \gamma G`
        is backed up. The expansion of the root comes before the first simulation, or counts as it;
        a root that was expanded and scored by hand, with a width of its own, is searched as it is.
        :math:`\bar l` is the log-probability of a step over its tokens.

        ================= =========================================================================
        ``puct``          AlphaZero's rule over softmax priors
        ``uct``           :math:`Q + \sqrt{2 \ln N / n}`, unvisited first
        ``muzero``        mctx ``muzero_policy`` without noise; leaves are scored
        ``gumbel``        mctx ``gumbel_muzero_policy``; leaves are scored
        ``openr``         ``puct``, :math:`P = e^{\bar l} / \sum e^{\bar l}`; unvisited children
                          have their own score; simulations go on to an end along the best children
                          (compute-optimal-tts does not normalise: ``prior="exp_of_mean"``)
        ``alphamath``     :math:`Q + 1.5 P \sqrt N / (1 + n)`, :math:`P = e^{\bar l}`; an end is
                          visited once, and gives -1 at `max_depth`, which is Super_MARIO's + 1; the
                          search ends where nothing is left below the node that was selected
        ``rest_mcts``     :math:`V + 0.4 \sqrt{2 \ln N / n}`, unvisited :math:`V + 1`; a leaf's best
                          child rolls forward by 2 steps, :math:`V \leftarrow V / 2 + \max V' / 2`;
                          inner V average the children by visits; a leaf of 0.9 ends it: `found`
        ``masprm``        :math:`Q + 2 \sqrt{\ln (N + 1) / (n + 1)}`, :math:`Q = (W + v) / (n + 1)`
                          with the score v; simulations go on to a terminal, which gives its outcome
        ``usail``         ``puct`` without prior, :math:`V = W / (n + 10^{-6})`
        ``llm_reasoners`` :math:`Q + \sqrt{\ln N / \max(1, n)}`, unvisited children have their own
                          score; a leaf is followed to the end along the best children
        ================= =========================================================================

        Args:
            rule: a name of the table.
            simulations: per problem in all; calls of one search repeat the same number.
            samples: continuations of a leaf.
            leaves: simulations in flight per problem. More than one: `virtual_loss` sends them to
                different leaves, ``"count"`` by counting those in flight in :math:`N` and :math:`n`
                of the exploration (WU-UCT), ``"constant"`` also in :math:`V = (W - loss\, O) / (n +
                O)`; a leaf that waits is passed over for the next best sibling.
            parameters: what the name of the rule stands for, to change it: ``c=2.0``, ...; see
                `stepscore.ops.tree_search_rules.Parameters`.

        Returns:
            How many simulations were begun, those that needed nothing included; 0 when every
            problem waits for answers or is at its end.

        Raises:
            ValueError: an unknown rule or parameter; another rule than before while simulations
                wait.

        Source: AlphaZero; MuZero (arXiv 1911.08265, appendix B); Gumbel MuZero (ICLR 2022);
        UCB1; the repositories openreasoner/openr, MARIO-Math-Reasoning/Super_MARIO,
        THUDM/ReST-MCTS, milad1378yz/MASPRM,
        usail-hkust/benchmark_inference_time_computation_LLM and maitrix-org/llm-reasoners.
        """
        return self._core.select(selection(rule, simulations, samples, **parameters), leaves)

    def prune(self, nodes: Any) -> None:
        """Take nodes, int64 ``[n]``, out of the frontier and of selection."""
        self._core.prune(host_integers("prune", "nodes", nodes))

    # --- files ------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the whole search to a file: beside it first, then in its place."""
        partial = f"{os.fspath(path)}.partial"
        with open(partial, "wb") as file:
            file.write(self._core.snapshot())
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TreeSearch:
        """The search that `save` wrote. Requests without an answer are asked again.

        Raises:
            ValueError: a file that is not of `save`, is truncated or damaged, or of another
                version.
        """
        search = cls.__new__(cls)
        try:
            with open(path, "rb") as file:
                core = _core.TreeSearch.restore(file.read())
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        TreeNodes.__init__(search, core, len(core.counts()[0]))
        return search
