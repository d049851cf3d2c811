"""Problems that one run of a strategy goes through: what they ask for, and what they are told."""

from __future__ import annotations

import numpy as np

from stepscore.ragged import offsets_of
from stepscore.search.driver.batches import RequestBatch, evaluate_batch, expand_batch
from stepscore.search.driver.calls import Failure
from stepscore.search.driver.journal import Journal
from stepscore.search.driver.split import split_steps
from stepscore.search.tree import Ids, PendingNodes, Tree

_ALL = 2**31 - 1


class Group:
    """Problems that one run of a strategy goes through.

    Args:
        tree: of the problems.
        members: their places among all problems of the search, ``[problems]``.
        run: the strategy at work.
        has_outcome: whether there is a second scorer.
        may_fill_up: whether a tree may be full before its problem's budget is spent.

    Attributes:
        candidates: of the strategy, once it has ended.
        reasons: problem of the group -> why its first request failed.
        seconds: that the models took for each problem, ``[problems]``.
        open_calls: how many models have not answered yet.
        waiting: problems that something was asked for in the last round; the others have ended.
    """

    def __init__(
        self, tree: Tree, members: Ids, run: PendingNodes, *, has_outcome: bool, may_fill_up: bool
    ) -> None:
        self.tree, self.members = tree, members
        self.candidates = np.empty(0, np.int64)
        self.reasons: dict[int, str] = {}
        self.seconds = np.zeros(len(members))
        self.open_calls = 0
        self.waiting = len(members)
        self._run, self._has_outcome, self._may_fill_up = run, has_outcome, may_fill_up
        self._batches: list[RequestBatch] = []
        self._next_sample = tree.roots + 1

    def resume(self) -> bool:
        """Let the strategy go on; False: it has ended."""
        try:
            next(self._run)
        except StopIteration as end:
            self.candidates = np.asarray(end.value, np.int64)
            self.waiting = 0
            return False
        return True

    def status(self, problem: int) -> str:
        """What `ProblemResult.status` says."""
        engine = self.tree.engine
        if problem in self.reasons:
            return f"failed: {self.reasons[problem]}"
        if self._may_fill_up and engine.node_count[problem] == engine.max_nodes:
            return f"cut: its tree has {engine.max_nodes} nodes; pass a larger max_nodes"
        return "done"

    def ask(self, journal: Journal | None) -> list[RequestBatch]:
        """Take what the trees ask for; answers that are known stand there already."""
        tree = self.tree
        expand, score, judge = tree.engine.ask(_ALL, _ALL, max_judge=_ALL)
        batches = []
        if len(expand.tickets):
            batches.append(expand_batch(tree, expand, self._next_sample))
        if len(score.tickets):
            batches.append(evaluate_batch(tree, "scorer", score, tree.engine.value))
            if self._has_outcome:
                batches.append(evaluate_batch(tree, "value", score, tree.outcome))
        if len(judge.tickets):
            batches.append(evaluate_batch(tree, "judge", judge, None))
        if journal is not None:
            for batch in batches:
                for i in batch.missing():
                    batch.answers[i] = journal.get(batch.places[i])
        self._batches = batches
        if batches:
            self.waiting = len(np.unique(np.concatenate([b.problems for b in batches])))
        return batches

    def tell(self) -> None:
        """Give the trees the answers to all that was asked."""
        batches = {batch.model: batch for batch in self._batches}
        self._batches = []
        for batch in batches.values():
            np.add.at(self.seconds, batch.problems, batch.seconds / max(len(batch.requests), 1))
            for problem, answer in zip(batch.problems.tolist(), batch.answers, strict=True):
                if isinstance(answer, Failure):
                    self.reasons.setdefault(problem, answer.reason)
        if "policy" in batches:
            self._tell_samples(batches["policy"])
        if "scorer" in batches:
            self._tell_scores(batches["scorer"], batches.get("value"))
        if "judge" in batches:
            self._tell_judgements(batches["judge"])

    def _tell_samples(self, batch: RequestBatch) -> None:
        tree, engine = self.tree, self.tree.engine
        answered = self._close_failures(batch)
        samples = [sample for i in answered for sample in batch.answers[i]]
        modes = [batch.requests[i].mode for i in answered for _ in batch.answers[i]]
        offsets = offsets_of([len(batch.answers[i]) for i in answered])
        counts = np.array([sample.tokens for sample in samples], np.int64)
        ended = np.array([sample.terminal for sample in samples], bool)
        before = np.repeat(engine.path_tokens[batch.nodes[answered]], np.diff(offsets))
        children = engine.tell_expand(
            batch.tickets[answered],
            offsets,
            texts=[sample.text for sample in samples],
            token_counts=counts,
            logprob=np.array([sample.logprob for sample in samples], float),
            terminal=ended | (before + counts >= tree.sampling.max_tokens),
        ).tolist()
        for node, sample, mode in zip(children, samples, modes, strict=True):
            tree.own_text[node] = sample.text
            if mode == "rollout" or not sample.text:
                tree.own_steps[node] = split_steps(sample.text, tree.sampling.stop)
            if sample.answer is not None:
                tree.policy_answers[node] = sample.answer

    def _tell_scores(self, batch: RequestBatch, outcome: RequestBatch | None) -> None:
        tree = self.tree
        if outcome is not None:  # both answer the same requests: one that failed closes them
            for i, answer in enumerate(outcome.answers):
                if isinstance(answer, Failure):
                    batch.answers[i] = answer
        answered = self._close_failures(batch)
        nodes = batch.nodes[answered]
        self._squash(batch, answered)
        last = np.array([batch.answers[i][-1] for i in answered], float)
        ends = None
        if outcome is not None:
            self._squash(outcome, answered)
            ends = np.array([outcome.answers[i][-1] for i in answered], float)
            tree.outcome[nodes] = ends
        tree.engine.tell_score(batch.tickets[answered], last, outcomes=ends)
        for i, node in zip(answered.tolist(), nodes.tolist(), strict=True):
            if node in tree.own_steps:
                scores, steps = batch.answers[i], len(tree.own_steps[node])
                of_each_step = len(scores) == len(batch.requests[i].steps)
                new = steps if of_each_step else min(steps, 1)
                tree.own_scores[node] = scores[len(scores) - new :]

    def _squash(self, batch: RequestBatch, answered: Ids) -> None:
        """What the strategy makes of the scores; that of an end without words is one already."""
        squash = self.tree.squash
        if squash is None:
            return
        for i in answered.tolist():
            if self.tree.own_text.get(int(batch.nodes[i])):
                batch.answers[i] = [squash(score) for score in batch.answers[i]]

    def _tell_judgements(self, batch: RequestBatch) -> None:
        answered = self._close_failures(batch)
        correct = np.array([batch.answers[i] for i in answered], bool)
        self.tree.engine.tell_judge(batch.tickets[answered], correct)

    def _close_failures(self, batch: RequestBatch) -> Ids:
        """Close the requests without an answer; gives the places of the others."""
        failed = batch.failed()
        if failed.any():
            self.tree.engine.fail(batch.tickets[failed], retry=False)
        return np.flatnonzero(~failed)
