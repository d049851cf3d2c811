"""A line of a file as problem, candidates, scores and answers; and published layouts turned into it."""
