"""Keys never appear: what an error of a model, a server or a library says is masked here.

An error may hold the headers of a request, its URL or the environment, and its text goes to
journals, results and terminals. Every such text passes `masked` first.
"""

from __future__ import annotations

import os
import re
from urllib.parse import quote

MASK = "***"

_NAMES = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD)$", re.IGNORECASE)  # of variables
_LEAST = 8  # characters that hide what they are; shorter ones are masked as whole words alone
_WORD = r"(?<![A-Za-z0-9_-])(?:%s)(?![A-Za-z0-9_-])"
# What looks like a key, whosever it is: (pattern, what stands for it).
_PATTERNS = (
    (re.compile(r"(?<=://)[^/\s@]+@"), f"{MASK}@"),  # user and password of a URL
    (
        re.compile(
            r"(?i)([?&](?:[a-z_-]*key|[a-z_-]*token|auth|secret|password|sig|signature)=)[^&\s'\"#]+"
        ),
        rf"\g<1>{MASK}",
    ),
    (re.compile(r"(?i)\b(bearer[\s:]+)(?=[^\s'\",]*[\d._-])[^\s'\",]{4,}"), rf"\g<1>{MASK}"),
    (re.compile(r"(?i)\b(basic\s+)[a-z0-9+/]{16,}={0,2}"), rf"\g<1>{MASK}"),
    (
        re.compile(
            r"(?i)((?:\b(?:x-)?api[-_]?key|\bauthorization|\bpassword|\bsecret)\b['\"]?"
            r"(?:\s*=\s*b?['\"]?|\s*[:,]\s*b?['\"]))(?!\*)[^\s'\"&,;)]{3,}"
        ),
        rf"\g<1>{MASK}",
    ),
    (re.compile(r"(?i)(\b(?:x-)?api-key:\s+)[^\s'\",;]{3,}"), rf"\g<1>{MASK}"),
    (re.compile(r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{6,}"), MASK),
    (re.compile(r"\b(?:hf|gsk|xai|ghp|gho|ghs|github_pat)_[A-Za-z0-9_]{16,}"), MASK),
    (re.compile(r"\b(?:AIza[A-Za-z0-9_-]{20,}|AKIA[A-Z0-9]{12,})"), MASK),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)?"), MASK),  # a JWT
)
_remembered: set[str] = set()


def remember(key: str) -> None:
    """Mask this key too, from now on."""
    if key:
        _remembered.add(key)


def masked(text: str) -> str:
    """Give the text without keys.

    Masked are the keys that policies were made with, the values of variables of the environment
    whose names end in KEY, TOKEN, SECRET or PASSWORD, user names and passwords in URLs, and what
    looks like a key or the header that carries one. Half of a surrogate pair, which no file could
    hold, becomes an escape.
    """
    secrets = {*_remembered, *(v for k, v in os.environ.items() if _NAMES.search(k))}
    # The longest first: a key may begin another.
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _LEAST or secret in _remembered:
            text = _without(text, secret)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text.encode("utf-8", "backslashreplace").decode()


def described(error: BaseException) -> str:
    """Give an error as ``Type: what it says``, or its type alone, without keys."""
    name, text = type(error).__name__, text_of(error)
    return f"{name}: {text}" if text else name


def text_of(error: BaseException) -> str:
    """Give what an error says, without keys; nothing where it cannot say it."""
    try:
        return masked(str(error))
    except Exception:  # an error may come from anybody's class
        return ""


def _without(text: str, secret: str) -> str:
    """Mask a key as it is, as a literal of Python has it, and as a URL has it."""
    forms = {secret, repr(secret)[1:-1], quote(secret, safe="")}
    for form in sorted(forms, key=len, reverse=True):
        if len(form) >= _LEAST:
            text = text.replace(form, MASK)
        elif form in text:
            text = re.sub(_WORD % re.escape(form), MASK, text)
    return text
