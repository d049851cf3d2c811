"""Files: lines read one after the other, and output that appears whole or not at all."""

from stepscore.files.lines import LineReader
from stepscore.files.parts import discard_parts
from stepscore.files.signatures import command_for, convert_command
from stepscore.files.streams import is_standard_output, is_stream
from stepscore.files.whole import WholeFile, check_different

__all__ = [
    "LineReader",
    "WholeFile",
    "check_different",
    "command_for",
    "convert_command",
    "discard_parts",
    "is_standard_output",
    "is_stream",
]
