"""Backup and restore of a trainer: one file, taken while it runs.

    manifest.json    format, when, which database, whether keys are in it, SHA-256 of every member
    database         a copy of the store (`trainer_service.copies`)
    enrolled.json    the allow-list: public keys
    repository/      what agents fetch: signed, public
    trainer.key, control.key, online/    only if asked for: whoever has them can pose as the trainer and sign heads

The offline keys are in no backup. They stay on their own medium, because with them a thief may change who signs.

Agents refuse metadata and heads that are older than what they have seen. So a restore signs the old state again with
numbers far above any that could have been published since the backup, and the trainer's next version is above too.

Keys that were revoked since the backup stand in its list as enrolled. So a restore names all that it would let in, and
asks whom not.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sentry_proto.durable import make_folders, sync_folder, write_durable
from sentry_proto.errors import InputError, StorageError
from trainer_service import keyring
from trainer_service.copies import copy_database, restore_database
from trainer_service.database import Database
from trainer_service.keyring import Home
from trainer_service.publisher import CANARY, TIMESTAMP, Publisher

FORMAT = 1
LEAP = 1_000_000
"""By how much a restore raises the numbers of the metadata: a publication every second for eleven days."""

VERSIONS_LEAP = 1_000
"""By how much it raises the number of the next version: a publication every minute and a half for a day."""

Admit = Callable[[dict[str, str]], Collection[str]]
"""Told who is enrolled in the backup, each with role and day, it says whose key is not to be let in any more."""

ATTEMPTS = 5
DATABASE, MANIFEST = "database", "manifest.json"
SECRETS = ("trainer.key", "control.key", "online/heads.pem", "online/snapshot.pem", "online/timestamp.pem")


@dataclass(frozen=True)
class Restored:
    """What a backup held.

    Attributes:
        taken: when it was made, in ISO 8601.
        files: how many files were written.
    """

    taken: str
    files: int


def back_up(home: Home, database: Database, out: Path, now: datetime, *, secrets: bool = False) -> int:
    """Write a backup of a trainer that may be running; returns its size in bytes.

    Raises:
        KeyFileError: if the folder holds no trainer.
        StorageError: if something cannot be read or written.
    """
    keyring.load_server_key(home)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
            copy = Path(folder) / DATABASE
            members = _consistent(home, database, copy)
            if secrets:
                members |= {name: (home.folder / name).read_bytes() for name in SECRETS}
            whole = Path(folder) / "whole"
            _write(whole, members, copy, now, isinstance(database, str))
            whole.replace(out)
        sync_folder(out.parent)
        return out.stat().st_size
    except OSError as error:
        raise StorageError(f"cannot write the backup {out}: {error.strerror}") from error


def _consistent(home: Home, database: Database, copy: Path) -> dict[str, bytes]:
    """Copy the database, and return the files that go with it: nothing was published between the two."""
    for _ in range(ATTEMPTS):
        before = _timestamps(home)
        members = dict(_public(home))
        copy_database(database, copy)
        if _timestamps(home) == before:
            return members
    raise StorageError("the trainer publishes all the time; try again in a minute")


def _timestamps(home: Home) -> list[bytes]:
    """What all agents are offered, and what canaries are: every publication, and every step of a trial, changes one."""
    places = (home.repository / folder / TIMESTAMP for folder in ("metadata", CANARY))
    return [path.read_bytes() for path in places if path.exists()]


def _public(home: Home) -> Iterator[tuple[str, bytes]]:
    for path in (home.enrolled, *sorted(home.repository.rglob("*"))):
        if path.is_file():
            try:
                yield str(path.relative_to(home.folder)), path.read_bytes()
            except FileNotFoundError:  # an old state that was pruned in this moment
                continue


def _write(out: Path, members: dict[str, bytes], copy: Path, now: datetime, postgresql: bool) -> None:
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
    hashes[DATABASE] = _hash(copy)
    manifest = {
        "sentry_backup": FORMAT,
        "taken": now.astimezone(UTC).isoformat(timespec="seconds"),
        "database": "postgresql" if postgresql else "sqlite",
        "files": hashes,
    }
    handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in {MANIFEST: json.dumps(manifest, indent=1).encode(), **members}.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(data), 0o600, int(now.timestamp())
            archive.addfile(entry, io.BytesIO(data))
        archive.add(copy, DATABASE)
        file.flush()
        os.fsync(file.fileno())


def restore(file: Path, home: Home, database: Database, now: datetime, admit: Admit = lambda enrolled: ()) -> Restored:
    """Put a backup into a folder that holds no trainer, only its keys, or what an interrupted restore has left.

    Everything is checked before anything is written; the database comes last, and until then no trainer starts there.

    Raises:
        InputError: if the file is no backup, is damaged, belongs to the other kind of database, the keys are neither
            in it nor in the folder, or `admit` refuses.
        StorageError: if something is there already or cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="sentry-restore-") as folder:
        manifest = _unpack(file, Path(folder))
        kind = "postgresql" if isinstance(database, str) else "sqlite"
        if manifest["database"] != kind:
            raise InputError(f"{file} holds a {manifest['database']} database: restore it with the same --database")
        again = home.restoring.exists()
        if not again and (home.repository.exists() or home.enrolled.exists()):
            raise StorageError(
                f"{home.folder} holds a trainer already; restore into an empty folder, then exchange them"
            )
        names = [name for name in manifest["files"] if name != DATABASE]
        missing = [name for name in SECRETS if name not in names and not (home.folder / name).exists()]
        if missing:
            raise InputError(
                f"the backup holds no keys: put {', '.join(missing)} into {home.folder} from where you keep them first"
            )
        enrolled = _admitted(Path(folder) / home.enrolled.name, admit, now)
        make_folders(home.folder, 0o700)
        write_durable(home.restoring, b"")
        for name in names:
            write_durable(home.folder / name, (Path(folder) / name).read_bytes())
        write_durable(home.enrolled, enrolled)
        _outbid(home, now)
        if again and isinstance(database, Path):
            database.unlink(missing_ok=True)
        restore_database(Path(folder) / DATABASE, database)
    home.restoring.unlink()
    sync_folder(home.folder)
    return Restored(str(manifest["taken"]), len(names) + 1)


def _admitted(path: Path, admit: Admit, now: datetime) -> bytes:
    """The allow-list without those who are not to be let in."""
    entries = json.loads(path.read_bytes())
    named = {name: f"{e['role']}, enrolled {e['enrolled'][:10]}" for name, e in entries.items() if e["revoked"] is None}
    for name in admit(named):
        if name not in named:
            raise InputError(f"nobody is enrolled under the name {name!r} in this backup")
        entries[name]["revoked"] = now.astimezone(UTC).isoformat(timespec="seconds")
    return json.dumps(entries, indent=1).encode()


def _outbid(home: Home, now: datetime) -> None:
    """Sign what was offered again, above all that agents can have seen since."""
    publisher = Publisher(home.repository, keyring.load_online_signers(home))
    floor = max(publisher.current_version(), publisher.tried_version(), publisher.floor()) + VERSIONS_LEAP
    publisher.renew(now, LEAP, floor)


def _unpack(file: Path, folder: Path) -> dict[str, Any]:
    """The members in a folder, each as the manifest says; returns the manifest."""
    try:
        with tarfile.open(file) as archive:
            archive.extractall(folder, filter="data")
            members = set(archive.getnames())
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        if manifest["sentry_backup"] != FORMAT:
            raise InputError(f"{file} has a format that this version does not know")
        for name, expected in manifest["files"].items():
            if name not in members:  # and so not outside the folder either
                raise InputError(f"{file} is damaged: {name} is missing")
            if _hash(folder / name) != expected:
                raise InputError(f"{file} is damaged: {name} is not what was written")
    except FileNotFoundError as error:
        raise InputError(f"cannot read {file}: no such file, or not a whole backup") from error
    except (tarfile.TarError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{file} is no backup of a trainer, or is damaged ({error})") from error
    return manifest


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
