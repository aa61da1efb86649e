"""``sentry-train sessions``: look through recorded sessions, and put exported self-reports into them."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sentry_proto.errors import InputError
from sentry_proto.tasks import load_tasks
from training.datasets.label_import import add_labels
from training.datasets.session_check import Balance, Inventory, SessionReport, check_sessions


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    parser = commands.add_parser("sessions", help="look through recorded sessions, or add labels to them")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser("check", help="what is there, and what is wrong with it; exit status 1 if anything is")
    check.add_argument("root", type=Path, help="folder of the sessions, as custom_sessions")
    check.add_argument("--tasks", type=Path, help="task file (TOML); default: the tasks that each session names")
    check.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    check.add_argument("--picture", type=Path, metavar="FILE.png", help="draw the label balance of each person")
    check.set_defaults(command=_check)
    merge = actions.add_parser("add-labels", help="put the file of `sentry-trainer reports export` into the sessions")
    merge.add_argument("root", type=Path, help="folder of the sessions")
    merge.add_argument("file", type=Path, help="the CSV file")
    merge.add_argument("--json", action="store_true", help="one JSON object instead of text")
    merge.set_defaults(command=_add_labels)


def _check(options: argparse.Namespace) -> int:
    tasks = load_tasks(options.tasks) if options.tasks else None
    inventory = check_sessions(options.root, time.time(), tasks)
    if options.json:
        print(json.dumps(_as_json(inventory)))
    else:
        _print(inventory)
    if options.picture:
        from training.commands.session_picture import draw_balance  # noqa: PLC0415 - matplotlib takes a second to load

        draw_balance(inventory.people(), options.picture)
    return 1 if inventory.problems else 0


def _as_json(inventory: Inventory) -> dict[str, object]:
    return {
        "sessions": [asdict(session) for session in inventory.sessions],
        "people": inventory.people(),
        "problems": inventory.problems,
        "notes": inventory.notes,
    }


def _print(inventory: Inventory) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("session", no_wrap=True)
    for name in ("length", "face", "pose"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("labelled")
    table.add_column("problems", justify="right")
    for session in inventory.sessions:
        table.add_row(*_row(session))
    console.print(table)
    for session in inventory.sessions:
        for problem in session.problems:
            console.print(f"{session.place}: {problem}", markup=False, soft_wrap=True)
    for note in inventory.notes:
        console.print(note, markup=False, soft_wrap=True)
    people = len(inventory.people())
    console.print(f"sessions: {len(inventory.sessions)}, people: {people}, problems: {inventory.problems}")


def _row(session: SessionReport) -> tuple[str, ...]:
    seen = [f"{session.coverage[name]:.0%}" if session.coverage else "" for name in ("face", "pose")]
    return (session.place, _clock(session.seconds), *seen, _labels(session.balance), str(len(session.problems) or ""))


def _labels(balance: Balance) -> str:
    return "\n".join(
        f"{task}: {', '.join(f'{name} {_clock(seconds)}' for name, seconds in classes.items() if seconds)}"
        for task, classes in balance.items()
    )


def _clock(seconds: int) -> str:
    return f"{seconds // 60}:{seconds % 60:02}"


def _add_labels(options: argparse.Namespace) -> int:
    try:
        text = options.file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {options.file}: {error}") from error
    merge = add_labels(options.root, text, time.time())
    if options.json:
        print(json.dumps(asdict(merge)))
        return 0
    print(f"labels added: {sum(merge.added.values())}, to sessions: {len(merge.added)}, there already: {merge.known}")
    for line in merge.unmatched.lines():
        print(line)
    return 0
