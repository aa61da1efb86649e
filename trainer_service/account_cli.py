"""`sentry-trainer accounts`: who may use the dashboard, kept by a technician who holds a control key."""

from __future__ import annotations

import argparse
import getpass
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sentry_proto.errors import InputError
from trainer_service.roles import OF_ACCOUNTS


def add_commands(commands: Any, client: argparse.ArgumentParser) -> None:
    """The parsers of the four commands."""
    actions = commands.add_parser("accounts", help="who may use the dashboard").add_subparsers(
        dest="action", required=True
    )
    add = actions.add_parser("add", parents=[client], help="make an account; asks for its password")
    add.add_argument("--role", choices=OF_ACCOUNTS, default="viewer", help="what it may do (%(default)s)")
    add.add_argument("--email", help="vouched for by the identity provider of the dashboard; then without password")
    remove = actions.add_parser("remove", parents=[client], help="remove an account and sign it out")
    password = actions.add_parser("password", parents=[client], help="give an account another password")
    for action in (add, remove, password):
        action.add_argument("name", help="letters, digits and . _ -")
    for action in (add, password):
        action.add_argument("--password-stdin", action="store_true", help="read the password from the standard input")
    actions.add_parser("list", parents=[client], help="all accounts")


def answer(arguments: argparse.Namespace, call: Callable[..., Any]) -> Any:
    """Do one of the commands by the control API."""
    if arguments.action == "list":
        return call("accounts")
    if arguments.action == "remove":
        return call("remove_account", name=arguments.name)
    if arguments.action == "password":
        return call("set_password", name=arguments.name, password=_password(arguments))
    made = {"name": arguments.name, "role": arguments.role}
    if arguments.email is not None:
        made["email"] = arguments.email
    if arguments.email is None or arguments.password_stdin:
        made["password"] = _password(arguments)
    return call("add_account", **made)


def words(done: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> str:
    """What is printed."""
    if not isinstance(done, Mapping):
        return "\n".join(map(_line, done)) or "none yet: sentry-trainer accounts add NAME --role admin"
    if "removed" in done:
        return f"the account {done['removed']} is gone, and whoever used it is signed out"
    return f"{done['name']} can sign in" + (f" as {done['role']}" if "role" in done else " with the new password")


def _line(account: Mapping[str, Any]) -> str:
    since = time.strftime("%Y-%m-%d", time.localtime(account["created"]))
    return f"{account['name']:20} {account['role']:8} since {since}  {account['email'] or ''}".rstrip()


def _password(arguments: argparse.Namespace) -> str:
    if arguments.password_stdin:
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass(f"Password for {arguments.name}: ")
    if getpass.getpass("Once more: ") != first:
        raise InputError("the two passwords differ; nothing was changed")
    return first
