"""One file for each published PRM: which layout it has, how it is read, how it is recognised."""
