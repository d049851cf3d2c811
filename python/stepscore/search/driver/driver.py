"""Takes requests from groups to models and answers back; a model answers one call at a time."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from queue import SimpleQueue
from typing import Any

from stepscore.search.driver.batches import RequestBatch
from stepscore.search.driver.calls import call_model, check_expand, check_judge, check_score
from stepscore.search.driver.groups import Group
from stepscore.search.driver.journal import Journal
from stepscore.search.driver.threads import start_thread
from stepscore.search.strategies.parameters import model_missing

_CHECKS: dict[str, Callable[[Any, Any], Any]] = {
    "policy": check_expand,
    "scorer": check_score,
    "value": check_score,
    "judge": check_judge,
}


class Driver:
    """Runs strategies and asks models for them.

    Args:
        models: ``policy``, ``scorer``, ``value`` and ``judge``; None for one that there is not.
        journal: keeps every answer; None keeps none.
        retries, timeout: of a call, see `call_model`.
        progress: is told the counts of calls and answers after every call, and how many problems
            had a request in the last round.

    Attributes:
        calls: of each model, those that failed among them.
        answered: requests of each model.
    """

    def __init__(
        self,
        models: Mapping[str, Any],
        journal: Journal | None,
        *,
        retries: int,
        timeout: float | None,
        progress: Callable[[dict[str, int]], None] | None,
    ) -> None:
        self.calls: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self._models, self._journal, self._progress = models, journal, progress
        self._retries, self._timeout = retries, timeout
        self._waiting: dict[str, deque[tuple[Group, RequestBatch]]] = {
            model: deque() for model in models
        }
        self._busy: set[str] = set()
        self._done: SimpleQueue[tuple[Group, RequestBatch, BaseException | None]] = SimpleQueue()
        self._stopped = False

    def run(self, groups: Sequence[Group]) -> None:
        """Run the strategies of all groups to their ends.

        A model that is at a call when an exception ends this goes on in its thread, to the end of
        that call; nothing is asked or kept any more.
        """
        try:
            self._run(groups)
        finally:
            self._stopped = True

    def _run(self, groups: Sequence[Group]) -> None:
        for group in groups:
            self._go_on(group)
        while self._busy:
            group, batch, error = self._done.get()
            self._busy.remove(batch.model)
            if error is not None:
                raise error
            self.answered[batch.model] += len(batch.requests)
            if self._progress is not None:
                counts = {f"{model}_calls": count for model, count in self.calls.items()}
                left = sum(group.waiting for group in groups)
                self._progress({**counts, **self.answered, "problems_left": left})
            self._begin_call(batch.model)
            group.open_calls -= 1
            if not group.open_calls:
                group.tell()
                self._go_on(group)

    def _go_on(self, group: Group) -> None:
        """Run a group until it waits for a model, or has ended."""
        while True:
            batches = group.ask(self._journal)
            if not batches and not group.resume():
                return
            unanswered = [batch for batch in batches if batch.missing()]
            if unanswered:
                break
            group.tell()
        group.open_calls = len(unanswered)
        for batch in unanswered:
            self._waiting[batch.model].append((group, batch))
            self._begin_call(batch.model)

    def _begin_call(self, model: str) -> None:
        """Begin the next call of a model, unless it is at one."""
        if self._waiting[model] and model not in self._busy:
            if self._models[model] is None:
                raise model_missing(model)
            self._busy.add(model)
            group, batch = self._waiting[model].popleft()
            start_thread(self._call, group, batch)

    def _call(self, group: Group, batch: RequestBatch) -> None:
        try:
            began = time.monotonic()
            missing = batch.missing()

            def record(which: list[int], answers: list[Any]) -> None:
                self._check_running()
                places = [missing[i] for i in which]
                if self._journal is not None:
                    self._journal.write([batch.places[place] for place in places], answers)
                for place, answer in zip(places, answers, strict=True):
                    batch.answers[place] = answer

            def count() -> None:
                self._check_running()
                self.calls.update([batch.model])

            call_model(
                "second scorer" if batch.model == "value" else batch.model,
                self._models[batch.model],
                [batch.requests[i] for i in missing],
                _CHECKS[batch.model],
                retries=self._retries,
                timeout=self._timeout,
                record=record,
                count=count,
            )
            batch.seconds = time.monotonic() - began
            self._done.put((group, batch, None))
        except BaseException as error:  # raised where the search was called
            self._done.put((group, batch, error))

    def _check_running(self) -> None:
        if self._stopped:
            raise RuntimeError("the search has ended")
