"""Files in, files out: score, rerank, judge, vote and search over JSONL records.

- ``files``: what a job reads and writes; ``skips``: bad records; ``stream``: records in chunks
- ``scored``: records with their scores, by a model (``model_scores``, ``model_faults``) or from the
  file itself (``file_scores``), or a judge of pairs (``judged``); ``votes``: answers and winners
- ``run``: the jobs over candidates; ``results``, ``ranking``, ``provenance``: what they write
- ``search``: the job of search; ``search_parameters``, ``search_journals``, ``search_results``
- ``explain``: one problem of a file; ``demo``; ``bench``

NumPy is all that is imported here, but for ``demo``; a model is handed in.
"""
