"""Passwords: kept as scrypt hashes (RFC 7914) with the costs beside them, so that these may rise later.

    scrypt$N$r$p$salt$hash      salt and hash in base64

The costs are those that OWASP's Password Storage Cheat Sheet names for 32 MiB a hash. Length is the only rule: NIST SP
800-63B advises against rules of composition.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

from sentry_proto.errors import InputError
from sentry_proto.limits import MAX_TEXT

LEAST_LENGTH = 10
N, R, P = 1 << 15, 8, 3
_MEMORY = 128 * R * (N + P) + (1 << 20)


def check(password: str) -> None:
    """Refuse what is too easily guessed.

    Raises:
        InputError: with what would do.
    """
    if not LEAST_LENGTH <= len(password) <= MAX_TEXT:
        raise InputError(f"a password has {LEAST_LENGTH} to {MAX_TEXT} characters; a few words in a row are a good one")


def hashed(password: str) -> str:
    """What is kept of a password."""
    salt = os.urandom(16)
    return "$".join(["scrypt", str(N), str(R), str(P), _text(salt), _text(_scrypt(password, salt, N, R, P))])


def matches(password: str, kept: str | None) -> bool:
    """Whether it is the password; takes as long where nothing is kept, so that nobody learns which accounts exist."""
    if kept is None:
        matches(password, _NOBODYS)
        return False
    _, n, r, p, salt, expected = kept.split("$")
    found = _scrypt(password, base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(found, base64.b64decode(expected))


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MEMORY, dklen=32)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


_NOBODYS = "$".join(["scrypt", str(N), str(R), str(P), _text(bytes(16)), _text(bytes(32))])
