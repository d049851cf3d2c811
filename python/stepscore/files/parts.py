"""Hidden files in which outputs grow, and what is left of them by runs that were killed."""

from __future__ import annotations

import os
import re
import secrets
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":  # without such locks: what a killed run left stays
    import fcntl

_open_parts: set[Path] = set()
# Takes the path of an output, and what the system says of the file that is to have that name.
Announce = Callable[[str, os.stat_result], None]


class Part:
    """A hidden file beside the one that it is to become.

    It is locked while its run lives, so that another run of the same output tells it from one that
    was left behind.

    Attributes:
        descriptor: of the file.

    Raises:
        OSError: a folder that cannot be written to.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        _remove_left(target)
        # Nobody may read on the way what only some may read at the end.
        mode = 0o600 if target.exists() else 0o666
        while True:
            self._path = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
            self.descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
            _open_parts.add(self._path)
            # Another run may have taken it for one that was left, before it had its lock.
            if not lock(self.descriptor) or self._path.exists():
                return
            self.close()

    def deliver(self, announce: Announce | None = None) -> None:
        """Give it its name, and the permissions of the file that it replaces.

        Args:
            announce: is told the file before it has its name.
        """
        if self._target.exists():
            _copy_permissions(self._target, self.descriptor)
        os.fsync(self.descriptor)
        if announce is not None:
            announce(str(self._target), os.fstat(self.descriptor))
        os.replace(self._path, self._target)
        sync_folder(self._target.parent)

    def close(self) -> None:
        """Remove it, unless it has its name by now."""
        self._path.unlink(missing_ok=True)
        _open_parts.discard(self._path)
        os.close(self.descriptor)


def discard_parts() -> None:
    """Remove all parts that are being written: the process ends at once."""
    for path in list(_open_parts):
        path.unlink(missing_ok=True)


def _remove_left(target: Path) -> None:
    """Remove the parts of this output whose runs are dead."""
    name = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.part")
    with suppress(OSError):  # a folder that cannot be listed
        for found in target.parent.iterdir():
            if name.fullmatch(found.name) and found not in _open_parts:
                _remove_dead(found)


def _remove_dead(path: Path) -> None:
    with suppress(OSError):  # another's, or gone meanwhile
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        try:
            if lock(descriptor, wait=False):
                path.unlink()
        finally:
            os.close(descriptor)


def lock(descriptor: int, *, wait: bool = True) -> bool:
    """Lock an open file as long as it is open; False where that cannot be."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # a run that lives, or a file system without locks
        return False
    return True


def is_locked(descriptor: int) -> bool:
    """Lock an open file, unless another run has; without locks nobody has."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    return False


def _copy_permissions(source: Path, descriptor: int) -> None:
    """Give an open file the owner, the mode and the access list of another, as far as allowed."""
    if not hasattr(os, "fchmod"):
        return
    of, own = os.stat(source), os.fstat(descriptor)
    for owner in ((of.st_uid, of.st_gid), (-1, of.st_gid)):
        if (own.st_uid, own.st_gid) == (of.st_uid, of.st_gid):
            break
        with suppress(OSError):  # not the owner's, nor in the group
            os.fchown(descriptor, *owner)
            break
    os.fchmod(descriptor, stat.S_IMODE(of.st_mode))
    with suppress(OSError, AttributeError):  # no access list, or a system without
        for name in os.listxattr(source):
            os.setxattr(descriptor, name, os.getxattr(source, name))


def sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut, where the file system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
