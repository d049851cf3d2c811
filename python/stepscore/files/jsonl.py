"""The names of `stepscore.files`, where the jobs still look for them."""

from stepscore.files import LineReader, WholeFile, check_different

__all__ = ["LineReader", "WholeFile", "check_different"]
