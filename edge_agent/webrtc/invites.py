"""Join links: who may come in, once each.

    open       made by the operator, until it expires            consent -> used
    used       the browser that used it comes back by a secret   stop, withdrawal -> over
    over       nobody comes back

A link's token and the secret are 192 random bits each. Only their SHA-256 digests are on the disk, so the file lets
nobody in. A link is used up by the consent, not by looking at the page: whoever opens it twice before has done no harm.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from edge_agent.consent import check_participant
from edge_agent.folder import make_folder
from sentry_proto.durable import write_durable
from sentry_proto.errors import RequestRefused, StorageError

TOKEN_BYTES = 24
KEPT = 1_000
"""Newest links that are kept on file."""


class LinkRefused(RequestRefused):
    """A link lets nobody in; `reason` is `unknown`, `expired`, `used` or `over`."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"this link is {reason}")
        self.reason = reason


@dataclass(frozen=True)
class Invite:
    """One link.

    Attributes:
        token: SHA-256 of what stands in the link, in hexadecimal; it also names the invitation.
        participant: a pseudonym.
        expires: Unix second after which it opens nothing.
        used: when the participant agreed; None while open.
        secret: SHA-256 of what the browser that used it comes back with; empty while open.
        over: when it ended for good; None before.
    """

    token: str
    participant: str
    expires: float
    used: float | None = None
    secret: str = ""
    over: float | None = None


class InviteBook:
    """All links of this machine in one file, shared by the server and the command that makes them.

    Every method may raise StorageError where the file is damaged or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def issue(self, participant: str, now: float, valid_s: float) -> str:
        """Make a link that holds for `valid_s` seconds from `now`; returns its token.

        Raises:
            InputError: the pseudonym cannot travel.
        """
        check_participant(participant)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        with self._changing() as invites:
            invites.append(Invite(digest(token), participant, now + valid_s))
        return token

    def look(self, token: str, now: float) -> Invite:
        """The open invitation behind a token; looking does not use it up.

        Raises:
            LinkRefused: it opens nothing.
        """
        return _open(self._read(), token, now)

    def use(self, token: str, now: float) -> tuple[Invite, str]:
        """Use an open invitation up; returns it, and the secret by which the same browser comes back.

        Raises:
            LinkRefused: it opens nothing, or somebody was faster.
        """
        secret = secrets.token_urlsafe(TOKEN_BYTES)
        with self._changing() as invites:
            found = _open(invites, token, now)
            used = replace(found, used=now, secret=digest(secret))
            invites[invites.index(found)] = used
        return used, secret

    def come_back(self, secret: str) -> Invite:
        """The used invitation behind a browser's secret.

        Raises:
            LinkRefused: there is none, or it is over.
        """
        wanted = digest(secret)
        found = next((invite for invite in self._read() if invite.secret == wanted), None)
        if found is None:
            raise LinkRefused("unknown")
        if found.over is not None:
            raise LinkRefused("over")
        return found

    def end(self, token_digest: str, now: float) -> None:
        """Nobody comes back by this invitation any more."""
        with self._changing() as invites:
            invites[:] = [replace(i, over=now) if i.token == token_digest and i.over is None else i for i in invites]

    def _read(self) -> list[Invite]:
        try:
            return [Invite(**entry) for entry in json.loads(self._path.read_text())]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            raise StorageError(f"the join links {self._path} cannot be read: {error}") from error

    @contextmanager
    def _changing(self) -> Iterator[list[Invite]]:
        """All invitations, to be changed in place by one process at a time."""
        make_folder(self._path.parent)
        try:
            lock = self._path.with_suffix(".lock").open("a")
        except OSError as error:
            raise StorageError(f"cannot change the join links {self._path}: {error.strerror}") from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            invites = self._read()
            yield invites
            write_durable(self._path, json.dumps([asdict(invite) for invite in invites[-KEPT:]], indent=1).encode())


def digest(secret: str) -> str:
    """What is kept of a secret: SHA-256 in hexadecimal; its 192 random bits need no salt."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _open(invites: list[Invite], token: str, now: float) -> Invite:
    wanted = digest(token)
    found = next((invite for invite in invites if invite.token == wanted), None)
    if found is None:
        raise LinkRefused("unknown")
    if found.used is not None:
        raise LinkRefused("used")
    if now >= found.expires:
        raise LinkRefused("expired")
    return found
