"""The folder of journals beside an output, by which a search that was ended goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from stepscore.errors import InputError

_NAMES = f"{'[0-9a-f]' * 8}-*.jsonl"


class Journals:
    """The journals of a search, one for each chunk of problems.

    A journal does not know the models: a hash of what they were loaded by is in its name, so that
    the answers of other models, or to other settings, are never taken for those of this search.

    Args:
        target: the output; the folder is ``TARGET.journal``.
        provenance: what the search depends on.
        restart: whether to forget what an earlier run has kept.

    Raises:
        InputError: a folder that cannot be made.
    """

    def __init__(self, target: str, provenance: Mapping[str, Any], *, restart: bool) -> None:
        self.folder = Path(f"{target}.journal")
        content = json.dumps(provenance, sort_keys=True, default=repr).encode()
        self._models = hashlib.blake2b(content, digest_size=4).hexdigest()
        self._begun: list[Path] = []
        try:
            if restart:
                self.remove()
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(
                "a folder to keep the models' answers in",
                got=error.strerror or str(error),
                advice="choose another output",
                where=str(self.folder),
            ) from error

    def of_chunk(self, number: int) -> Path:
        """Give the journal of a chunk of problems."""
        self._begun.append(self.folder / f"{self._models}-{number:05}.jsonl")
        return self._begun[-1]

    def forget(self, number: int) -> None:
        """Remove the journal of a chunk whose results are kept."""
        (self.folder / f"{self._models}-{number:05}.jsonl").unlink(missing_ok=True)

    def keeps_answers(self) -> bool:
        """Say whether there are answers of this search, from which it would go on."""
        return any(map(_has_answers, self._begun))

    def remove(self) -> None:
        """Forget all; files of anybody else stay."""
        for journal in self.folder.glob(_NAMES):
            journal.unlink()
        self.leave()

    def leave(self) -> None:
        """Remove what keeps nothing: journals without an answer, and then the folder."""
        for journal in self.folder.glob(_NAMES):
            if not _has_answers(journal):
                journal.unlink()
        with suppress(OSError):
            self.folder.rmdir()


def _has_answers(journal: Path) -> bool:
    """Say whether a journal has more than its first line, which tells the search."""
    try:
        with journal.open("rb") as file:
            return len(list(islice(file, 2))) == 2
    except OSError:  # gone meanwhile, or another's
        return False
