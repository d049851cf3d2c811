"""Files or tables in, the same out: score, rerank, judge, vote and search over records.

- ``files``: what a job reads and writes; ``skips``: bad records; ``stream``: records in chunks
- ``scored``: records with their scores, by a model (``model_scores``, ``model_faults``) or from the
  file itself (``file_scores``), or a judge of pairs (``judged``); ``votes``: answers and winners
- ``scorers``: a model or a judge in this process; ``workers``: a process for each of many devices
- ``run``: the jobs over candidates; ``results``, ``ranking``, ``provenance``: what they write
- ``tables``: the same over rows in memory; ``table_kinds``: of which libraries; ``table_rows``,
  ``table_results``: what is read and added
- ``search``: the job of search; ``search_parameters``, ``search_journals``, ``search_results``
- ``explain``: one problem of a file; ``demo``; ``bench``

NumPy is all that is imported here, but for ``demo``; a model is handed in, or loaded by its name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stepscore.jobs.tables import rerank, score, vote

__all__ = ["rerank", "score", "vote"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # most who come here want one job over files
        return getattr(import_module("stepscore.jobs.tables"), name)
    raise AttributeError(f"module 'stepscore.jobs' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
