"""Files in, files out: JSONL records -> step scores, aggregations, ranks and votes.

- ``records``: what a line must hold; ``jsonl``: lazy reading, whole writing; ``skips``: bad records
- ``step_scores``: candidates -> scores; ``votes``: scores -> winners, by the ``rules`` as typed
- ``rerank``: the stream through all of these; ``progress``
- ``summary``: the tables at its end, from ``tally``, ``prefixes`` and ``table``
- ``run``: the three jobs over files; ``explain``: one problem of them
- ``search``: the job of search, with a policy and a model
- ``convert``: other layouts into ours; ``demo``; ``bench``

NumPy is all that is imported here, but for ``demo``; a model is handed in.
"""
