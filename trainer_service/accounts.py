"""Accounts of those who use the dashboard, and who of them is signed in.

    name and password --sign_in--> token --who--> name and role, until it runs out, sign_out, or the account is gone

The token is 256 random bits; only its hash is stored, so that a copy of the database lets nobody in.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, select, update

from sentry_proto.errors import InputError, NotSignedIn
from trainer_service import passwords, schema
from trainer_service.roles import OF_ACCOUNTS, Actor, Role

LASTS_S = 12 * 3_600.0
"""A working day; then one signs in again."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")

Json = dict[str, Any]


def add(connection: Connection, name: str, role: str, password: str | None, email: str | None, now: float) -> None:
    """Make an account that signs in with a password, with an identity provider that vouches for an e-mail, or both.

    Raises:
        InputError: with what is wrong and what would be right.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"an account is named by 1 to 64 letters, digits and . _ -, not {name[:40]!r}")
    if role not in OF_ACCOUNTS:
        raise InputError(f"role must be one of {', '.join(OF_ACCOUNTS)}, not {role[:40]!r}")
    if email is not None and not _EMAIL.fullmatch(email):
        raise InputError(f"{email[:40]!r} is no e-mail address")
    if password is None and email is None:
        raise InputError("an account needs a password or an e-mail address")
    if password is not None:
        passwords.check(password)
    table = schema.accounts.c
    if connection.execute(select(table.name).where(table.name == name)).first():
        raise InputError(f"there is an account {name} already")
    if email is not None and connection.execute(select(table.name).where(table.email == email.lower())).first():
        raise InputError("another account has this e-mail address")
    row = {
        "name": name,
        "role": role,
        "password": passwords.hashed(password) if password is not None else None,
        "email": email.lower() if email is not None else None,
        "created": now,
    }
    connection.execute(schema.accounts.insert(), row)


def remove(connection: Connection, name: str) -> None:
    """Remove an account; whoever is signed in with it is signed out.

    Raises:
        InputError: if there is none of this name, or it is the last admin's.
    """
    table = schema.accounts
    role = connection.scalar(select(table.c.role).where(table.c.name == name))
    if role is None:
        raise _nobody(name)
    others = select(func.count()).select_from(table).where(table.c.role == Role.ADMIN.word, table.c.name != name)
    if role == Role.ADMIN.word and not connection.scalar(others):
        raise InputError(f"{name} is the only admin; add another one first")
    connection.execute(delete(table).where(table.c.name == name))


def set_password(connection: Connection, name: str, password: str) -> None:
    """Give an account another password; whoever is signed in with it is signed out.

    Raises:
        InputError: if there is no such account, or the password is too short.
    """
    passwords.check(password)
    changed = update(schema.accounts).where(schema.accounts.c.name == name)
    if not connection.execute(changed.values(password=passwords.hashed(password))).rowcount:
        raise _nobody(name)
    connection.execute(delete(schema.sign_ins).where(schema.sign_ins.c.name == name))


def listed(connection: Connection) -> list[Json]:
    """All accounts by name, without passwords."""
    table = schema.accounts.c
    chosen = select(table.name, table.role, table.email, table.created).order_by(table.name)
    return [dict(row._mapping) for row in connection.execute(chosen)]


def password_of(connection: Connection, name: str) -> str | None:
    """What is kept of an account's password."""
    return connection.scalar(select(schema.accounts.c.password).where(schema.accounts.c.name == name))


def with_email(connection: Connection, email: str) -> str | None:
    """Whose e-mail address this is."""
    return connection.scalar(select(schema.accounts.c.name).where(schema.accounts.c.email == email.lower()))


def begin(connection: Connection, name: str, now: float) -> Json:
    """Sign an account in; what the browser needs to know."""
    token, until = secrets.token_urlsafe(32), now + LASTS_S
    connection.execute(delete(schema.sign_ins).where(schema.sign_ins.c.until <= now))
    connection.execute(schema.sign_ins.insert(), {"digest": _digest(token), "name": name, "until": until})
    return {"token": token, "name": name, "role": who(connection, token, now).role.word, "until": until}


def end(connection: Connection, token: str) -> bool:
    """Sign out; False for a token of nobody."""
    return connection.execute(delete(schema.sign_ins).where(_is(token))).rowcount > 0


def who(connection: Connection, token: str, now: float) -> Actor:
    """Whose token it is.

    Raises:
        NotSignedIn: if it is nobody's any more.
    """
    account, held = schema.accounts.c, schema.sign_ins.c
    chosen = select(account.name, account.role).join_from(schema.sign_ins, schema.accounts, account.name == held.name)
    found = connection.execute(chosen.where(_is(token), held.until > now)).first()
    if found is None:
        raise NotSignedIn("you are not signed in any more; please sign in again")
    return Actor(found.name, Role[found.role.upper()], token)


def _is(token: str) -> ColumnElement[bool]:
    return schema.sign_ins.c.digest == _digest(token)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _nobody(name: str) -> InputError:
    return InputError(f"there is no account {name[:40]!r}")
