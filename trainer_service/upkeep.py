"""`sentry-trainer backup`, `restore` and `retention`: what a technician does to a trainer's data."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sentry_proto.errors import InputError
from trainer_service import backup, housekeeping, journal, keyring, retention
from trainer_service.audit import Entry
from trainer_service.database import Database
from trainer_service.keyring import Home
from trainer_service.store import Store

DAY_S = 86_400


def add_database(parser: argparse.ArgumentParser) -> None:
    """The option that names a database other than the file in the folder."""
    parser.add_argument("--database", metavar="URL", help="postgresql://user:password@host/name (a file in DIR)")


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """The parsers of the three commands."""
    back_up = commands.add_parser("backup", parents=[common], help="copy a trainer, which may be running, to one file")
    back_up.add_argument("file", type=Path, help="to write")
    back_up.add_argument("--with-keys", action="store_true", help="with the trainer's secret keys (see SECURITY.md)")
    restore = commands.add_parser("restore", parents=[common], help="make a trainer from a backup")
    restore.add_argument("file", type=Path, help="a backup")
    restore.add_argument("--revoke", metavar="NAME", action="append", default=[], help="let this key in no more")
    restore.add_argument("--yes", action="store_true", help="let all others in that are enrolled in the backup")
    remove = commands.add_parser("retention", parents=[common], help="delete what is older than the study's limit")
    remove.add_argument("--days", type=float, required=True, help="the limit, counted from the arrival")
    remove.add_argument("--dry-run", action="store_true", help="say only what would go")
    for parser in (back_up, restore, remove):
        add_database(parser)


def run(arguments: argparse.Namespace) -> None:
    """Do one of the commands and say what was done."""
    home = Home(arguments.dir)
    print(COMMANDS[arguments.command](arguments, home, arguments.database or home.database))


def _back_up(arguments: argparse.Namespace, home: Home, database: Database) -> str:
    size = backup.back_up(home, database, arguments.file, datetime.now(UTC), secrets=arguments.with_keys)
    keys = (
        "it holds the trainer's secret keys: guard it like the trainer itself"
        if arguments.with_keys
        else "it holds no secret key: a restore also needs your copy of trainer.key, control.key and online/"
    )
    return f"wrote {arguments.file}, {size / 1e6:.1f} MB; {keys}"


def _restore(arguments: argparse.Namespace, home: Home, database: Database) -> str:
    found = backup.restore(
        arguments.file, home, database, datetime.now(UTC), lambda enrolled: _admit(arguments, enrolled)
    )
    details = f"what was there at {found.taken}"
    journal.write(home.journal, Entry(time.time(), journal.somebody(), "restore", arguments.file.name, None, details))
    return f"restored what was there at {found.taken}: {found.files} files; start it with: sentry-trainer serve"


def _admit(arguments: argparse.Namespace, enrolled: Mapping[str, str]) -> list[str]:
    """Say whom the backup lets in, and have that confirmed: a key that was revoked since is among them."""
    names: list[str] = arguments.revoke
    print("this backup lets in, also whom you have revoked since it was made:")
    print("\n".join(f"  {name} ({words})" for name, words in enrolled.items() if name not in names) or "  nobody")
    if arguments.yes:
        return names
    if not sys.stdin.isatty():
        raise InputError("nothing was restored: repeat it with --yes, and with --revoke NAME for each to be kept out")
    if input("let these in? [y/N] ").strip().lower() not in ("y", "yes"):
        raise InputError("nothing was restored: name those to be kept out with --revoke NAME")
    return names


def _retention(arguments: argparse.Namespace, home: Home, database: Database) -> str:
    if not arguments.days > 0:
        raise InputError(f"--days must be more than 0, not {arguments.days}")
    keyring.load_server_key(home)
    store = Store(database, home.folder / "copies")
    now = time.time()
    try:
        if arguments.dry_run:
            with store.read() as connection:
                found = retention.expired(connection, now - arguments.days * DAY_S)
                return f"would delete {retention.words(found)}"
        done = housekeeping.remove_expired(store, arguments.days, now, journal.somebody())
        return f"deleted {retention.words(done)}"
    finally:
        store.close()


COMMANDS: Mapping[str, Callable[[argparse.Namespace, Home, Database], str]] = {
    "backup": _back_up,
    "restore": _restore,
    "retention": _retention,
}
