"""Consent as data: who agreed to be recorded here, since when, until when, and to which text.

A person before a live source, and any person whose features leave the machine, needs a live record. A recording that
is only computed in memory needs none, and the puppet is nobody. Features are what a record covers; video is stored, and
stills are sent, only under one that says so.
"""

from __future__ import annotations

import fcntl
import json
import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from datetime import date, datetime
from datetime import time as clock_time
from pathlib import Path
from typing import Any

from sentry_proto.durable import give_to_owner, make_folders, write_durable
from sentry_proto.errors import ConsentMissing, InputError, StorageError
from sentry_proto.limits import MAX_TEXT

TEXT_VERSION = "2026-11"
"""Of the consent text in docs/consent.md."""

PUPPET_CONSENT = "puppet"
NOT_NEEDED = "not sent"

VIDEO, STILLS = EXTRAS = ("video", "stills")
"""What a person may agree to beyond features; fields of the record and options of `sentry-agent consent grant`."""

LAST_S = 253_402_214_400.0
"""The last day of the year 9999, which no consent outlives."""

CHECK_S = 0.5
"""A withdrawal ends a running recording within this time and a frame."""


@dataclass(frozen=True)
class Consent:
    """One record.

    Attributes:
        consent_id: travels with every window and alert.
        participant: a pseudonym.
        granted, until, withdrawn: Unix seconds; None while open.
        text_version: which text the person agreed to.
        video: whether the person agreed that pictures are stored, too.
        stills: whether small pictures with the face made unrecognisable may go to the trainer.
    """

    consent_id: str
    participant: str
    granted: float
    until: float | None
    withdrawn: float | None
    text_version: str
    video: bool = False  # records of earlier versions have no such field, and none of the next
    stills: bool = False

    def live(self, now: float) -> bool:
        """Whether it holds at `now`; a clock that was set back to before the grant does not end it."""
        return self.withdrawn is None and (self.until is None or now < self.until)

    def lacks(self, needed: Collection[str]) -> list[str]:
        """What it does not cover of what is needed, both of `EXTRAS`."""
        return [extra for extra in needed if not getattr(self, extra)]


class ConsentBook:
    """All records of this machine, in one file that is reread whenever it changes.

    Raises:
        StorageError: if the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int] | None = None
        self._records: tuple[Consent, ...] = ()

    @property
    def records(self) -> tuple[Consent, ...]:
        """Every record ever made, oldest first."""
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp != self._stamp:
                self._records = tuple(map(_consent, json.loads(self.path.read_text())))
                self._stamp = stamp
        except FileNotFoundError:
            self._stamp, self._records = None, ()
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise StorageError(f"the consent records {self.path} cannot be read: {error}") from error
        return self._records

    def grant(
        self,
        participant: str,
        until: float | None,
        now: float,
        *,
        video: bool = False,
        stills: bool = False,
        text_version: str = TEXT_VERSION,
    ) -> Consent:
        """Record a consent to the text of that version; it takes the place of the participant's earlier one."""
        check_participant(participant)
        if until is not None and until <= now:
            raise InputError("a consent must last beyond now")
        record = Consent(uuid.uuid4().hex, participant, now, until, None, text_version, video, stills)
        with self._alone():
            self._save([*self.records, record])
        return record

    def withdraw(self, participant: str, now: float) -> int:
        """End all of a participant's live records; returns how many there were."""
        with self._alone():
            ended = [record for record in self.records if record.participant == participant and record.live(now)]
            if ended:
                self._save([replace(r, withdrawn=now) if r in ended else r for r in self.records])
        return len(ended)

    def live(self, participant: str, now: float) -> Consent | None:
        """The participant's newest record that holds at `now`."""
        found = [record for record in self.records if record.participant == participant and record.live(now)]
        return found[-1] if found else None

    def require(self, participant: str, now: float, needed: Collection[str] = ()) -> Consent:
        """The live record of a participant.

        Args:
            participant: a pseudonym.
            now: Unix seconds.
            needed: what it must cover beyond features, of `EXTRAS`.

        Raises:
            ConsentMissing: if there is none, or it does not cover what is needed.
        """
        record = self.live(participant, now)
        options = "".join(f" --{extra}" for extra in needed)
        command = f"sentry-agent consent grant --participant {participant} --data-dir {self.path.parent}{options}"
        if record is None:
            raise ConsentMissing(
                f"{participant} has no live consent record here; once the person has agreed, run: {command}"
            )
        for extra in record.lacks(needed):
            raise ConsentMissing(
                f"the consent of {participant} does not cover {extra}; once the person has agreed to that, run: "
                f"{command}"
            )
        return record

    def withdrawn_ids(self) -> frozenset[str]:
        """Records under which nothing may be sent any longer."""
        return frozenset(record.consent_id for record in self.records if record.withdrawn is not None)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process changes the records meanwhile: a grant must not write over a withdrawal."""
        lock = self.path.with_name(".consent.lock")
        try:
            make_folders(self.path.parent, 0o700)
            with lock.open("a") as file:
                give_to_owner(lock)
                fcntl.flock(file, fcntl.LOCK_EX)
                self._stamp = None
                yield
        except OSError as error:
            raise StorageError(f"the consent records {self.path} cannot be changed: {error.strerror}") from error

    def _save(self, records: list[Consent]) -> None:
        text = json.dumps([asdict(record) for record in records], indent=1)
        write_durable(self.path, text.encode())


def _consent(entry: Mapping[str, Any]) -> Consent:
    """A stored record; what a later version has added to it covers nothing that this one does."""
    record = Consent(**{field.name: entry[field.name] for field in fields(Consent) if field.name in entry})
    texts = (record.consent_id, record.participant, record.text_version)
    times = [t for t in (record.granted, record.until, record.withdrawn) if t is not None]
    fine = all(isinstance(text, str) for text in texts) and all(isinstance(t, (int, float)) for t in times)
    if not fine or record.granted is None or not all(0 <= t < LAST_S for t in times):
        raise ValueError("a record says something else than who agreed, when and to what")
    return record


def check_participant(name: str) -> None:
    """Refuse a pseudonym that cannot travel.

    Raises:
        InputError: if it is empty, too long, or holds control characters.
    """
    if not 0 < len(name) <= MAX_TEXT or not name.isprintable() or name.strip() != name:
        raise InputError(f"a participant is named by 1 to {MAX_TEXT} printable characters, not {name!r}")


def end_of_day(text: str) -> float:
    """The Unix second at which a day, given as YYYY-MM-DD in local time, is over.

    Raises:
        InputError: if it is no such date.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"a date is given as YYYY-MM-DD, not {text!r}") from error
    return datetime.combine(day, clock_time.max).timestamp()


def describe(record: Consent, now: float) -> str:
    """One line about a record."""
    state = "live" if record.live(now) else "withdrawn" if record.withdrawn is not None else "expired"
    until = "open end" if record.until is None else f"until {_day(record.until)}"
    scope = ", ".join(("features", *(extra for extra in EXTRAS if getattr(record, extra))))
    return f"{record.participant}  {state}  granted {_day(record.granted)}, {until}  {scope}  {record.consent_id}"


def _day(t: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(t))


class Permit:
    """Whether this run may go on.

    Args:
        book: this machine's records.
        participant: whose consent is needed; None where nobody's is.
        otherwise: the consent id of records that need none.
        needed: what the consent must cover beyond features, of `EXTRAS`.

    Attributes:
        consent_id: for the records of this run.

    Raises:
        ConsentMissing: there is no live record, or none that covers this.
    """

    def __init__(
        self, book: ConsentBook, participant: str | None, otherwise: str, needed: Collection[str] = ()
    ) -> None:
        self._book, self._participant, self._needed = book, participant, needed
        self.consent_id = book.require(participant, time.time(), needed).consent_id if participant else otherwise
        self._checked = time.monotonic()

    def check(self, now: float) -> None:
        """Look again, at most every `CHECK_S`; `now` in monotonic seconds.

        Raises:
            ConsentMissing: the consent was withdrawn or has run out.
        """
        if self._participant is None or now - self._checked < CHECK_S:
            return
        self._checked = now
        record = self._book.live(self._participant, time.time())
        if record is None or record.lacks(self._needed):
            raise ConsentMissing(
                f"the consent of {self._participant} was withdrawn or has run out: recording has stopped"
            )
