"""`sentry-keys`: make a trainer's keys, enrol lab machines, revoke them, and replace what is old or stolen."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from sentry_proto.errors import InputError, SentryError
from sentry_proto.keys import AGENT, ROLES, AllowList
from sentry_proto.pipes import unread
from sentry_proto.software import SOFTWARE
from trainer_service import ceremony, expiries, journal, keyring
from trainer_service.audit import Entry
from trainer_service.ceremony import Offline
from trainer_service.keyring import Home
from trainer_service.offline_keys import Custody

Commands = Any
"""What `add_subparsers` returns; its class is private."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments, Home(arguments.dir), datetime.now(UTC))
        sys.stdout.flush()
    except BrokenPipeError:
        return unread()
    except SentryError as error:
        print(f"sentry-keys: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"sentry-keys: {error.filename}: {error.strerror}", file=sys.stderr)
        return 3
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sentry-keys", description=__doc__)
    parser.add_argument("--version", action="version", version=f"%(prog)s {SOFTWARE}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--dir", type=Path, default=keyring.default_home(), help="the trainer's folder (%(default)s)")
    commands = parser.add_subparsers(dest="command", required=True)
    init = commands.add_parser("init", parents=[common], help="make all keys of a new trainer")
    init.add_argument("--host", default="127.0.0.1", help="under which agents reach the trainer (%(default)s)")
    init.add_argument("--port", type=int, default=keyring.DEFAULT_PORT, help="the first of three (%(default)s)")
    _add_custody(init)
    init.set_defaults(run=_init)
    enroll = commands.add_parser("enroll", parents=[common], help="write the key file that one machine needs")
    enroll.add_argument("name")
    enroll.add_argument("--out", type=Path, help="where to write it (NAME.key)")
    enroll.add_argument("--role", choices=ROLES, default=AGENT)
    enroll.set_defaults(run=_enroll)
    revoke = commands.add_parser("revoke", parents=[common], help="let a machine in no more")
    revoke.add_argument("name")
    revoke.set_defaults(run=_revoke)
    approve = commands.add_parser("approve", parents=[common], help="let agents see faces with another model")
    approve.add_argument("model", type=Path, nargs="?", help="an ONNX file; nothing for the model that Sentry ships")
    approve.set_defaults(run=_approve)
    _add_offline(approve)
    rotate = commands.add_parser("rotate", help="replace keys that are old or were stolen")
    _add_rotate(rotate.add_subparsers(dest="what", required=True), common)
    for name, run, words in (
        ("list", _list, "show who is enrolled"),
        ("expiry", _expiry, "show until when what is signed is valid"),
    ):
        shown = commands.add_parser(name, parents=[common], help=words)
        shown.add_argument("--json", action="store_true", help="as JSON")
        shown.set_defaults(run=run)
    return parser


def _add_rotate(kinds: Commands, common: argparse.ArgumentParser) -> None:
    agent = kinds.add_parser("agent", parents=[common], help="give one machine a new key file; its old one ends")
    agent.add_argument("name")
    agent.add_argument("--out", type=Path, help="where to write it (NAME.key)")
    agent.set_defaults(run=_rotate_agent)
    trainer = kinds.add_parser("trainer", parents=[common], help="give the trainer a new key, and all a new key file")
    trainer.add_argument("--out", type=Path, required=True, help="folder for the new key files")
    trainer.set_defaults(run=_rotate_trainer)
    online = kinds.add_parser("online", parents=[common], help="replace the keys that sign what is published")
    online.add_argument("roles", nargs="*", metavar="ROLE", help=f"{', '.join(keyring.ONLINE)} (all)")
    online.set_defaults(run=_rotate_online)
    root = kinds.add_parser("root", parents=[common], help="replace the offline keys")
    root.add_argument("--out", type=Path, required=True, help="folder for the new offline keys")
    _add_custody(root)
    root.set_defaults(run=_rotate_root)
    for parser in (online, root):
        _add_offline(parser)


def _add_offline(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--offline", type=Path, action="append", help="folder with a custodian's keys; may be repeated (DIR/offline)"
    )


def _add_custody(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root-keys", type=int, default=1, help="how many people keep offline keys (%(default)s)")
    parser.add_argument("--threshold", type=int, default=1, help="how many of them must agree (%(default)s)")
    parser.add_argument("--encrypt", action="store_true", help="encrypt the offline keys; asks for each passphrase")


def _init(arguments: argparse.Namespace, home: Home, now: datetime) -> None:
    keyring.init(home.folder, arguments.host, arguments.port, now, _custody(arguments))
    _note(home, now, "init", arguments.host)
    print(f"The trainer's keys are in {home.folder}. {_lock_away(home.offline, arguments.root_keys)}")


def _enroll(arguments: argparse.Namespace, home: Home, now: datetime) -> None:
    out = arguments.out or Path(f"{arguments.name}.key")
    keyring.enroll(home, arguments.name, out, arguments.role, now)
    _note(home, now, "enroll", arguments.name, arguments.role)
    print(f"{arguments.name} is enrolled. Copy {out} to that machine; it is secret.")


def _revoke(arguments: argparse.Namespace, home: Home, now: datetime) -> None:
    keyring.revoke(home, arguments.name, now)
    _note(home, now, "revoke", arguments.name)
    print(f"{arguments.name} is revoked; a running trainer lets it in no more within 5 s.")


def _approve(arguments: argparse.Namespace, home: Home, now: datetime) -> None:
    digest = ceremony.approve(home, arguments.model, _offline(arguments, home), now)
    _note(home, now, "approve", f"expression model {digest[:12]}" if digest else "the shipped expression model")
    what = f"The expression model {digest[:12]} is approved" if digest else "The shipped expression model is in force"
    print(f"{what}. Start the trainer; each agent fetches it by itself and uses it from its next start on.")


def _rotate_agent(arguments: argparse.Namespace, home: Home, now: datetime) -> None:
    out = arguments.out or Path(f"{arguments.name}.key")
    keyring.rotate(home, arguments.name, out, now)
    _note(home, now, "rotate", arguments.name)
    print(f"{arguments.name}'s old key ends within 5 s. Copy {out} to that machine and restart its agent.")


def _rotate_trainer(arguments: argparse.Namespace, home: Home, now: datetime) -> None:
    made = keyring.rotate_server(home, arguments.out, now)
    _note(home, now, "rotate", "the trainer's key")
    print(f"The trainer has a new key; {home.control_key} is new, too. Start the trainer, and the dashboard anew.")
    for path in made:
        print(f"Copy {path} to its machine and restart what uses it; until then it spools and is refused.")


def _rotate_online(arguments: argparse.Namespace, home: Home, now: datetime) -> None:
    roles = arguments.roles or keyring.ONLINE
    if unknown := set(roles) - set(keyring.ONLINE):
        raise InputError(f"there is no online key {', '.join(sorted(unknown))}; there are {', '.join(keyring.ONLINE)}")
    ceremony.rotate_online(home, roles, _offline(arguments, home), now)
    _note(home, now, "rotate", "online keys", ", ".join(roles))
    print(f"New keys for {', '.join(roles)}. Start the trainer; agents learn of it by themselves.")


def _rotate_root(arguments: argparse.Namespace, home: Home, now: datetime) -> None:
    ceremony.rotate_offline(home, _offline(arguments, home), arguments.out, _custody(arguments), now)
    _note(home, now, "rotate", "offline keys")
    print(f"The offline keys are new; destroy the old ones. {_lock_away(arguments.out, arguments.root_keys)}")
    print("Start the trainer; agents learn of it by themselves.")


def _list(arguments: argparse.Namespace, home: Home, now: datetime) -> None:
    keyring.load_server_key(home)
    entries = sorted(AllowList(home.enrolled).entries.items())
    if arguments.json:
        print(json.dumps([{"name": name, **entry} for name, entry in entries], indent=1))
        return
    for name, entry in entries:
        state = f"revoked {entry['revoked']}" if entry["revoked"] else f"enrolled {entry['enrolled']}"
        print(f"{name:24} {entry['role']:8} {state}")


def _expiry(arguments: argparse.Namespace, home: Home, now: datetime) -> None:
    keyring.load_server_key(home)
    rows = expiries.of(home)
    if arguments.json:
        print(json.dumps([row.as_json(now) for row in rows], indent=1))
        return
    for row in rows:
        print(row.words(now))


def _note(home: Home, now: datetime, action: str, target: str, details: str = "") -> None:
    """Write down what was done, for the audit log."""
    journal.write(home.journal, Entry(now.timestamp(), journal.somebody(), action, target, None, details))


def _custody(arguments: argparse.Namespace) -> Custody:
    return Custody(arguments.root_keys, arguments.threshold, _new_passphrase if arguments.encrypt else None)


def _offline(arguments: argparse.Namespace, home: Home) -> Offline:
    return Offline(arguments.offline or [home.offline], cache(_passphrase))  # nobody types the same one twice


def _lock_away(folder: Path, custodians: int) -> str:
    if custodians == 1:
        return f"Move {folder} to a safe place off this machine."
    return f"Move each of {folder}/1 to {folder}/{custodians} to a medium of its own, off this machine."


def _new_passphrase(folder: Path) -> bytes:
    first = _read(f"New passphrase for {folder}: ")
    if first != _read("The same again: "):
        raise InputError("the two passphrases differ")
    return first


def _passphrase(folder: Path) -> bytes:
    return _read(f"Passphrase of {folder}: ")


def _read(question: str) -> bytes:
    """One line: hidden at a terminal, or of what is piped in."""
    line = getpass.getpass(question) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    return line.encode()


if __name__ == "__main__":
    sys.exit(main())
