"""``python -m stepscore.cli``."""

from stepscore.cli.main import run_process

run_process()
