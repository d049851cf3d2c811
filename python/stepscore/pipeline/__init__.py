"""Files in, files out: JSONL records -> step scores, aggregations, ranks and votes.

- ``records``: what a line must hold; ``jsonl``: lazy reading, whole writing; ``skips``: bad records
- ``step_scores``: candidates -> scores; ``votes``: scores -> winners
- ``rerank``: the stream through all of these; ``summary``: the table at its end; ``progress``
- ``run``: the three jobs over files; ``convert``: other layouts into ours; ``demo``

NumPy is all that is imported here, but for ``demo``; a model is handed in.
"""
