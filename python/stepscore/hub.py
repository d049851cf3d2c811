"""Silence for the libraries below, and progress for a person who watches."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import utils as hub
from transformers.utils import logging


@contextmanager
def quiet(*, progress: bool = False) -> Iterator[None]:
    """Keep transformers and huggingface_hub from printing, and restore their settings.

    What matters of their reports, missing weights above all, is raised as an error here.
    """
    verbosity = logging.get_verbosity()
    loading_bars = logging.is_progress_bar_enabled()
    download_bars = not hub.are_progress_bars_disabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if download_bars and not progress:
        hub.disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if loading_bars:
            logging.enable_progress_bar()
        if download_bars and not progress:
            hub.enable_progress_bars()


def watched() -> bool:
    """Say whether a person reads standard error."""
    return sys.stderr is not None and sys.stderr.isatty()
