"""The control API's methods on accounts, signing in and the audit log."""

from __future__ import annotations

import time
from typing import Any

from sentry_proto.errors import RequestRefused
from trainer_service import accounts, audit, passwords, schema
from trainer_service.requests import Answering
from trainer_service.throttle import Throttle
from trainer_service.views import checked_limit

Json = dict[str, Any]


class AccountApi(Answering):
    """Part of `ControlApi`."""

    _throttle: Throttle

    def whoami(self) -> Json:
        """Who asks, as what, and whether there is anybody who could sign in."""
        with self._store.read() as connection:
            known = bool(accounts.listed(connection))
        return {"name": self._actor.name, "role": self._actor.role.word, "accounts": known}

    def sign_in(self, name: str, password: str) -> Json:
        """Begin to act as an account."""
        asked = name.strip()[:64]
        self._throttle.check(asked, time.monotonic())
        with self._store.read() as connection:
            kept = accounts.password_of(connection, asked)
        if not passwords.matches(password, kept):
            self._throttle.failed(asked, time.monotonic())
            with self._store.write() as connection:
                self._note(connection, "sign_in", asked if kept else "", details="failed")
            raise RequestRefused("the name or the password is wrong")
        self._throttle.succeeded(asked)
        return self._begin(asked)

    def vouched_sign_in(self, email: str) -> Json:
        """Begin to act as the account of an e-mail address that an identity provider has vouched for."""
        with self._store.read() as connection:
            name = accounts.with_email(connection, email)
        if name is None:
            raise RequestRefused(f"there is no account for {email[:100]!r}; an admin adds it")
        return self._begin(name)

    def _begin(self, name: str) -> Json:
        now = time.time()
        with self._store.write() as connection:
            begun = accounts.begin(connection, name, now)
            self._actor = accounts.who(connection, begun["token"], now)
            self._note(connection, "sign_in", name)
        return begun

    def sign_out(self) -> Json:
        """End acting as an account."""
        if not self._actor.token:
            return {"signed_out": False}
        with self._store.write() as connection:
            self._note(connection, "sign_out", self._actor.name)
            return {"signed_out": accounts.end(connection, self._actor.token)}

    def accounts(self) -> list[Json]:
        """All accounts."""
        with self._store.read() as connection:
            return accounts.listed(connection)

    def add_account(self, name: str, role: str, password: str | None = None, email: str | None = None) -> Json:
        """Make an account."""
        with self._store.write() as connection:
            accounts.add(connection, name, role, password, email, time.time())
            self._note(connection, "add_account", name, details=role)
        return {"name": name, "role": role}

    def remove_account(self, name: str) -> Json:
        """Remove an account."""
        with self._store.write() as connection:
            accounts.remove(connection, name)
            self._note(connection, "remove_account", name)
        return {"removed": name}

    def set_password(self, name: str, password: str) -> Json:
        """Give an account another password."""
        with self._store.write() as connection:
            accounts.set_password(connection, name, password)
            self._note(connection, "set_password", name)
        return {"name": name}

    def audit_log(
        self,
        actor: str | None = None,
        action: str | None = None,
        participant: str | None = None,
        since: float | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Json]:
        """Who changed what, newest first."""
        table = schema.audit.c
        named = {table.actor: actor, table.action: action, table.participant: participant}
        where = [
            *(column == value for column, value in named.items() if value is not None),
            *([table.time >= since] if since is not None else []),
            *([table.row < before] if before is not None else []),
        ]
        with self._store.read() as connection:
            return audit.listed(connection, where, checked_limit(limit))
