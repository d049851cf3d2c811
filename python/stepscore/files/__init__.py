"""Files: lines read one after the other, and output that appears whole or not at all."""

from stepscore.files.folder import PartFolder, names_folder
from stepscore.files.inputs import Inputs
from stepscore.files.lines import LineReader, number_in
from stepscore.files.parquet import batches, place_of, row_as_line, values_of
from stepscore.files.parts import discard_parts
from stepscore.files.shards import Shards, UnfitShardsError
from stepscore.files.signatures import command_for, convert_command
from stepscore.files.streams import is_standard_output, is_stream
from stepscore.files.whole import WholeFile, check_different, encoded

__all__ = [
    "Inputs",
    "LineReader",
    "PartFolder",
    "Shards",
    "UnfitShardsError",
    "WholeFile",
    "batches",
    "check_different",
    "command_for",
    "convert_command",
    "discard_parts",
    "encoded",
    "is_standard_output",
    "is_stream",
    "names_folder",
    "number_in",
    "place_of",
    "row_as_line",
    "values_of",
]
