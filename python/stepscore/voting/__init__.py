"""Elect, rank, break ties: for search, jobs, evaluation and server alike."""
