"""`sentry-keys`: make a trainer's keys, enrol lab machines, revoke them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from sentry_proto.errors import SentryError
from sentry_proto.keys import AGENT, ROLES, AllowList
from sentry_proto.pipes import unread
from trainer_service import keyring
from trainer_service.keyring import Home


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        _COMMANDS[arguments.command](arguments)
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
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--dir", type=Path, default=keyring.default_home(), help="the trainer's folder (%(default)s)")
    commands = parser.add_subparsers(dest="command", required=True)
    init = commands.add_parser("init", parents=[common], help="make all keys of a new trainer")
    init.add_argument("--host", default="127.0.0.1", help="under which agents reach the trainer (%(default)s)")
    init.add_argument("--port", type=int, default=keyring.DEFAULT_PORT, help="the first of three (%(default)s)")
    enroll = commands.add_parser("enroll", parents=[common], help="write the key file that one machine needs")
    enroll.add_argument("name")
    enroll.add_argument("--out", type=Path, help="where to write it (NAME.key)")
    enroll.add_argument("--role", choices=ROLES, default=AGENT)
    revoke = commands.add_parser("revoke", parents=[common], help="let a machine in no more")
    revoke.add_argument("name")
    commands.add_parser("list", parents=[common], help="show who is enrolled")
    return parser


def _init(arguments: argparse.Namespace) -> None:
    home = keyring.init(arguments.dir, arguments.host, arguments.port, datetime.now(UTC))
    print(f"The trainer's keys are in {home.folder}. Move {home.offline} to a safe place off this machine.")


def _enroll(arguments: argparse.Namespace) -> None:
    out = arguments.out or Path(f"{arguments.name}.key")
    keyring.enroll(Home(arguments.dir), arguments.name, out, arguments.role, datetime.now(UTC))
    print(f"{arguments.name} is enrolled. Copy {out} to that machine; it is secret.")


def _revoke(arguments: argparse.Namespace) -> None:
    keyring.revoke(Home(arguments.dir), arguments.name, datetime.now(UTC))
    print(f"{arguments.name} is revoked; a running trainer lets it in no more within 5 s.")


def _list(arguments: argparse.Namespace) -> None:
    home = Home(arguments.dir)
    keyring.load_server_key(home)
    for name, entry in sorted(AllowList(home.enrolled).entries.items()):
        state = f"revoked {entry['revoked']}" if entry["revoked"] else f"enrolled {entry['enrolled']}"
        print(f"{name:24} {entry['role']:8} {state}")


_COMMANDS = {"init": _init, "enroll": _enroll, "revoke": _revoke, "list": _list}

if __name__ == "__main__":
    sys.exit(main())
