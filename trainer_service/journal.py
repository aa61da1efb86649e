"""What commands have changed that had only the trainer's folder, until the trainer takes it into its audit log.

    sentry-keys, sentry-trainer restore --write--> journal.jsonl --take_in, by the running trainer--> audit log

A line is never changed, and one that is in the audit log already is not taken in again, so a trainer that is killed
half-way loses and doubles nothing. The file stays, as the commands' own record.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import select

from sentry_proto.errors import StorageError
from trainer_service import audit, schema
from trainer_service.audit import Entry
from trainer_service.roles import Actor, Role
from trainer_service.store import Store

log = logging.getLogger(__name__)


def somebody() -> Actor:
    """Who types a command at the trainer's machine, as far as the system knows."""
    try:
        return Actor(f"user {getpass.getuser()}", Role.KEY)
    except (KeyError, OSError):  # a container's user may have no name
        return Actor(f"user {os.getuid()}", Role.KEY)


def write(file: Path, entry: Entry) -> None:
    """Append an entry; it is on the disk when this returns.

    Raises:
        StorageError: if it cannot be written.
    """
    line = {**vars(entry), "actor": entry.actor.name}
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "wb") as out:
            fcntl.flock(out, fcntl.LOCK_EX)
            out.write(json.dumps(line).encode() + b"\n")
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        raise StorageError(f"done, but it could not be written to {file}: {error.strerror}") from error


def read(file: Path) -> Iterator[Entry]:
    """The entries of a file, oldest first; a line that is none is passed over, with a word in the log."""
    try:
        lines = file.read_bytes().splitlines()
    except FileNotFoundError:
        return
    for number, line in enumerate(lines, 1):
        try:
            yield _entry(json.loads(line))
        except (ValueError, TypeError, KeyError):
            log.warning("%s: line %d is no entry", file, number)


def _entry(found: dict[str, Any]) -> Entry:
    words = {name: str(found[name]) for name in ("action", "target", "details")}
    return Entry(time=float(found["time"]), actor=Actor(str(found["actor"]), Role.KEY), participant=None, **words)


def take_in(store: Store, file: Path) -> int:
    """Bring what is new into the audit log; returns how many entries that were.

    Raises:
        StorageError: if the store or the file cannot be used.
    """
    try:
        entries = list(read(file))
    except OSError as error:
        raise StorageError(f"cannot read {file}: {error.strerror}") from error
    if not entries:
        return 0
    table = schema.audit.c
    columns = (table.time, table.actor, table.action, table.target)
    with store.write() as connection:
        first = min(entry.time for entry in entries)
        known = {tuple(row) for row in connection.execute(select(*columns).where(table.time >= first))}
        fresh = [one for one in entries if (one.time, one.actor.name, one.action, one.target) not in known]
        for entry in fresh:
            audit.put(connection, entry)
    return len(fresh)
