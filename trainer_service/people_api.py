"""The control API's methods on people: who is in the study, what is held of one, export, consent and erasure."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from sentry_proto.errors import InputError, RequestRefused
from trainer_service import erasure, health, people_data, retention, schema
from trainer_service.fleet import Fleet
from trainer_service.requests import Answering
from trainer_service.views import checked_limit

Json = dict[str, Any]

CONSENTS = ("given", "withdrawn")
DAY_S = 86_400


class PeopleApi(Answering):
    """Part of `ControlApi`."""

    _fleet: Fleet
    _folder: Path | None

    def participants(self) -> list[Json]:
        """Everybody of whom there is anything."""
        with self._store.read() as connection:
            return people_data.overview(connection)

    def person(self, participant: str) -> Json:
        """What is held of one participant, and which versions know of them."""
        with self._store.read() as connection:
            found = people_data.person(connection, participant)
        return {**found, "recorded_by": self._fleet.watching(participant, time.monotonic())}

    def person_rows(self, participant: str, kind: str, after: int = 0, limit: int = 100) -> Json:
        """Rows of a participant, for a file."""
        checked_limit(limit)
        if kind not in people_data.KINDS:
            raise InputError(f"kind must be one of {', '.join(people_data.KINDS)}, not {kind[:40]!r}")
        self._note_reading("export", participant)
        with self._store.read() as connection:
            return people_data.rows(connection, participant, kind, after, limit)

    def note_consent(self, participant: str, state: str) -> Json:
        """Write down that a consent was withdrawn, or that there is one again."""
        if state not in CONSENTS:
            raise InputError(f"state must be one of {', '.join(CONSENTS)}, not {state[:40]!r}")
        table = schema.withdrawals
        with self._store.write() as connection:
            connection.execute(table.delete().where(table.c.participant == participant))
            if state == "withdrawn":
                connection.execute(table.insert(), {"participant": participant, "time": time.time()})
            self._note(connection, "note_consent", "", participant, state)
        return {"participant": participant, "state": state}

    def erase(self, participant: str, confirm: str) -> Json:
        """Erase a participant."""
        if confirm != participant:
            raise InputError("what was typed to confirm is not the participant's name; nothing was erased")
        recorded_by = self._fleet.watching(participant, time.monotonic())
        if recorded_by:
            raise RequestRefused(f"{', '.join(recorded_by)} is recording this participant: end that first")
        with self._store.write() as connection:
            done = erasure.erase(connection, participant, time.time())
            rows = sum(done["counts"].values())
            known = ", ".join(str(entry["version"]) for entry in done["versions"]) or "none"
            self._note(connection, "erase", "", erasure.ERASED, f"{rows} rows; versions that know of them: {known}")
        self._fleet.forget(participant)
        self._store.scrub()
        self._after_erasure()
        return {**done, "copies": self._copies()}

    def _after_erasure(self) -> None:
        """Labels are gone."""
        raise NotImplementedError

    def _copies(self) -> list[str]:
        """Copies of the database from before upgrades, which an erasure does not reach."""
        found = sorted((self._folder / "copies").glob("*.copy")) if self._folder else []
        return [str(path) for path in found]

    def erasures(self, limit: int = 100) -> list[Json]:
        """When somebody was erased, and which versions knew of them."""
        with self._store.read() as connection:
            return erasure.latest(connection, checked_limit(limit))

    def system(self) -> Json:
        """The trainer's disk, database and signatures."""
        return health.describe(self._folder, self._store.database)

    def study(self) -> Json:
        """What the study has decided beside its tasks."""
        return self._study.describe()

    def expired(self, days: float) -> Json:
        """What a retention of so many days would delete now."""
        if not days > 0:
            raise InputError(f"days must be more than 0, not {days}")
        with self._store.read() as connection:
            return retention.expired(connection, time.time() - days * DAY_S)
