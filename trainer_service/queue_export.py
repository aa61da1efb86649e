"""Windows from the review queue for people to label elsewhere: `sentry-trainer queue export`.

What leaves is a `Sheet`: curves that a person can read, never the whole vector. Nothing leaves of a participant who is
left out by name, and where the agents' consent records are given, nothing that was made under a consent which has been
withdrawn, has run out, or is in none of them. The trainer itself takes no window without a consent, but withdrawals
are recorded where people are met: at the agents.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sentry_proto.durable import write_durable
from sentry_proto.errors import InputError
from sentry_proto.tasks import tasks_from_json
from training.active_learning.labelling_files import FORMATS, label_studio_config
from training.active_learning.sheets import Sheet, sheet_of

POOL = 1_000
"""Queued windows that are looked through."""

PUPPET_CONSENT = "puppet"
"""The acted puppet is nobody, and its windows need no record."""


@dataclass(frozen=True)
class Wanted:
    """What to export.

    Attributes:
        task: its name.
        count: at most so many windows.
        rater: skip what this rater has labelled; empty: skip what anybody has.
        without: participants of whom nothing leaves.
        consents: ids that may leave; None if no records were given.
    """

    task: str
    count: int
    rater: str = ""
    without: Collection[str] = ()
    consents: Collection[str] | None = None


def fetch(call: Callable[..., Any], wanted: Wanted) -> tuple[list[Sheet], int]:
    """The first windows of the queue that may leave, and how many were held back for want of consent.

    Raises:
        SentryError: if the trainer cannot be asked, or knows no such task.
    """
    if not 1 <= wanted.count <= POOL:
        raise InputError(f"--count must be between 1 and {POOL}, not {wanted.count}")
    tasks = tasks_from_json(call("status")["tasks"])
    queue = call("queue", task=wanted.task, rater=wanted.rater, limit=POOL)
    asked = [window for window in queue if wanted.rater or not _labelled(window, wanted.task)]
    allowed = [window for window in asked if _may_leave(window, wanted)]
    task = next(task for task in tasks if task.name == wanted.task)
    chosen = (call("window", window_id=window["window_id"]) for window in allowed[: wanted.count])
    purpose = call("study")["purpose"]
    return [replace(sheet_of(window, task, tasks), purpose=purpose) for window in chosen], len(asked) - len(allowed)


def write(sheets: Sequence[Sheet], kind: str, path: Path) -> list[Path]:
    """Write one of `FORMATS`; returns the files: for Label Studio also the project's labelling interface."""
    write_durable(path, FORMATS[kind](sheets).encode())
    if kind != "labelstudio":
        return [path]
    interface = path.with_suffix(".xml")
    write_durable(interface, label_studio_config(sheets).encode())
    return [path, interface]


def live_consents(paths: Sequence[Path], now: float) -> frozenset[str]:
    """Ids of the consents that hold at `now`, from the `consent.json` of agents.

    Raises:
        InputError: if a file is none.
    """
    live: set[str] = set()
    for path in paths:
        try:
            records = json.loads(path.read_text(encoding="utf-8"))
            live |= {
                record["consent_id"]
                for record in records
                if record["withdrawn"] is None and (record["until"] is None or now < record["until"])
            }
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"{path} holds no consent records as an agent keeps them in consent.json") from error
    return frozenset(live)


def _labelled(window: Mapping[str, Any], task: str) -> bool:
    return any(label["task"] == task for label in window["labels"])


def _may_leave(window: Mapping[str, Any], wanted: Wanted) -> bool:
    if window["participant"] in wanted.without:
        return False
    return wanted.consents is None or window["consent_id"] in {*wanted.consents, PUPPET_CONSENT}
