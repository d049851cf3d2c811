"""Who may ask: keys, as a header or as the beginning of a path, and no pages of other hosts."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from starlette.types import Scope

from stepscore.credentials import remember
from stepscore.errors import Argument, InputError
from stepscore.server.errors import ForbiddenError, UnauthorizedError

# What a key is made of: it may stand in a path, and is long enough not to be guessed.
_KEY = re.compile(r"[A-Za-z0-9._~-]{16,256}")
# Asked by what watches a server, and telling nothing but whether it is there; and the page, which
# has nothing of this server in it, and into which the key is typed.
OPEN_PATHS = frozenset({"/health", "/"})
PREFIX = "/k/"


class Keys:
    """The keys that a server takes; without any, everybody may ask.

    Args:
        keys: at least 16 characters each, which may stand in a path.

    Raises:
        InputError: a key that is none.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._keys: list[bytes] = []
        for number, key in enumerate(keys, 1):
            if not _KEY.fullmatch(key):
                raise InputError(
                    "keys of 16 to 256 letters, digits and . _ ~ -",
                    got=f"{len(key)} characters as key {number}",
                    advice="make one with python -c 'import secrets; "
                    "print(secrets.token_urlsafe(32))'",
                    argument="api_key_file",
                )
            remember(key)
            self._keys.append(key.encode())

    def __bool__(self) -> bool:
        return bool(self._keys)

    def check(self, scope: Scope) -> None:
        """Refuse a request without a key that is known.

        Args:
            scope: of ASGI, after `without_prefix`.

        Raises:
            UnauthorizedError: it has none, or another.
        """
        if not self._keys or scope["path"] in OPEN_PATHS:
            return
        given = scope.get("stepscore.key") or _in_headers(scope["headers"])
        # All of them, each in a time that does not depend on where it differs.
        known = [hmac.compare_digest(key, given or b"") for key in self._keys]
        if not any(known):
            raise UnauthorizedError(
                "a key of this server",
                got="none" if given is None else "another one",
                advice='send the header "Authorization: Bearer KEY" or "X-API-Key: KEY", or put '
                "/k/KEY in front of the path",
            )


def keys_in(path: str | Path) -> Sequence[str]:
    """Read keys from a file: one a line; empty lines and those that begin with # are left out.

    Raises:
        InputError: a file that cannot be read, or holds no key.
    """
    argument = Argument("api_key_file")
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise InputError("a file of keys", got=reason, argument=argument) from error
    keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not keys:
        raise InputError("at least one key, a line each", got="none", argument=argument)
    return keys


def without_prefix(scope: Scope) -> None:
    """Take a key that stands in front of a path, ``/k/KEY/...``, out of it.

    The path that is left is all that anybody sees, so that the key comes into no log.
    """
    if not scope["path"].startswith(PREFIX):
        return
    key, slash, rest = scope["path"].removeprefix(PREFIX).partition("/")
    scope["stepscore.key"] = key.encode("utf-8", "replace")
    scope["path"] = slash + rest or "/"
    raw = scope.get("raw_path")
    if raw is not None:
        _, slash_byte, rest_bytes = raw.removeprefix(PREFIX.encode()).partition(b"/")
        scope["raw_path"] = slash_byte + rest_bytes or b"/"


def check_origin(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Refuse what a page of another host asks in somebody's browser.

    Raises:
        ForbiddenError: an Origin that is another host than the one that is asked.
    """
    found = dict(headers)
    origin = found.get(b"origin")
    if origin is None:
        return
    try:
        asking = urlsplit(origin.decode("latin-1")).netloc
    except ValueError:
        asking = ""
    if asking != found.get(b"host", b"").decode("latin-1"):
        raise ForbiddenError(
            "a request of a program, or of a page of this server",
            got="one of the page of another host",
            advice="ask from a program",
        )


def _in_headers(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    for name, value in headers:
        if name == b"x-api-key":
            return value
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip()
    return None
