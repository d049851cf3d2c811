"""The libraries of the Hugging Face hub: kept from printing while a checkpoint is loaded."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR, getLogger


@contextmanager
def silenced_hub(*, progress: bool = False) -> Iterator[None]:
    """Keep transformers, accelerate and huggingface_hub from printing, and restore their settings.

    What matters in their reports, above all missing weights, is raised as an error by the caller.

    Args:
        progress: let the bars of downloads be shown.
    """
    # They cost seconds to import, and who only asks for a terminal needs neither.
    from huggingface_hub import utils as hub
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    loading_bars = logging.is_progress_bar_enabled()
    download_bars = not hub.are_progress_bars_disabled()
    placing = getLogger("accelerate")
    level = placing.level
    placing.setLevel(ERROR)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if download_bars and not progress:
        hub.disable_progress_bars()
    try:
        yield
    finally:
        placing.setLevel(level)
        logging.set_verbosity(verbosity)
        if loading_bars:
            logging.enable_progress_bar()
        if download_bars and not progress:
            hub.enable_progress_bars()


def stderr_is_terminal() -> bool:
    """Say whether a person may be watching: standard error is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()
