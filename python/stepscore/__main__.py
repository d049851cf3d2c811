"""``python -m stepscore``: the command line."""

from stepscore.cli.main import run_process

run_process()
