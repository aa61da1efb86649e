"""Links by which participants answer for themselves, without an account.

    make --> token, in the address of one participant's page --who--> that participant, until a new one is made, it is
             revoked, or the participant is erased

The token is 256 random bits; only its hash is stored, as of a sign-in. So nobody can make one who cannot write to the
store, one that was revoked is refused from then on, and a copy of the database lets nobody in.
"""

from __future__ import annotations

import hashlib
import secrets

from sqlalchemy import Connection, delete, select

from sentry_proto.errors import NotAllowed
from trainer_service import schema
from trainer_service.roles import Actor, Role

PREFIX = "link-"
"""Tells it from the token of a sign-in."""


def make(connection: Connection, participant: str, now: float) -> str:
    """The token of a new link; one that this participant had before ends."""
    revoke(connection, participant)
    token = PREFIX + secrets.token_urlsafe(32)
    connection.execute(schema.links.insert(), {"participant": participant, "digest": _digest(token), "created": now})
    return token


def revoke(connection: Connection, participant: str) -> bool:
    """End the participant's link; False if there is none."""
    return connection.execute(delete(schema.links).where(schema.links.c.participant == participant)).rowcount > 0


def who(connection: Connection, token: str) -> Actor:
    """Whose link it is.

    Raises:
        NotAllowed: if it is nobody's any more.
    """
    participant = connection.scalar(select(schema.links.c.participant).where(schema.links.c.digest == _digest(token)))
    if participant is None:
        raise NotAllowed("this link is not valid any more; please ask the people who run the study for a new one")
    return Actor("", Role.PARTICIPANT, participant=participant)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
