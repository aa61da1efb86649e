"""Models and decisions: what was published, and why or why not.

A publication is written down before it happens (status `pending`, with its decisions) and settled after it, so that
a trainer that was killed in between knows at its next start what became of it: the update repository decides.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from sentry_proto.errors import InputError
from trainer_service import schema
from trainer_service.jobs import THRESHOLD

log = logging.getLogger(__name__)

PENDING = "pending"
CANARY = "canary"
CURRENT = "current"
SUPERSEDED = "superseded"
ROLLED_BACK = "rolled back"

BY_CANARY = "canary"

PUBLISHED = "published"
REFUSED = "refused"
WAITING = "waiting"

LATELY = 500
"""Labels; see `labelled_lately`."""


@dataclass(frozen=True)
class Model:
    """A bundle with its number.

    Attributes:
        parent: the version whose heads it started from; 0 for none.
        tasks: names of the live tasks.
        metrics: task name -> what the gate measured.
    """

    version: int
    parent: int
    created: float
    tasks: tuple[str, ...]
    metrics: Mapping[str, Mapping[str, Any]]
    bundle: bytes


@dataclass(frozen=True)
class Decision:
    """What the learner decided about one task.

    Attributes:
        trigger: `labels`, `time`, `drift`, `by hand`, `rollback`, `online error`, `threshold`, `canary` or
            `restore`.
        verdict: `published`, `canary` (offered to canaries only), `refused` or `waiting`.
        candidate: the version that the candidate has or would have had; None if there was no candidate.
        parent: the version that was live before.
        version: what was published, None for nothing.
        labels, people: how many it rests on.
        last_label: row of the newest label that was known then.
    """

    time: float
    trigger: str
    task: str
    verdict: str
    reason: str
    candidate: int | None
    parent: int
    version: int | None
    labels: int
    people: int
    metrics: Mapping[str, Any]
    last_label: int


def highest_version(connection: Connection) -> int:
    """The highest number that a model has; 0 for none."""
    return connection.scalar(select(func.max(schema.models.c.version))) or 0


def bundle_of(connection: Connection, version: int) -> bytes:
    """A published bundle.

    Raises:
        InputError: if there is no such version.
    """
    bundle: bytes | None = connection.scalar(select(schema.models.c.bundle).where(schema.models.c.version == version))
    if bundle is None:
        raise InputError(f"there is no model version {version}")
    return bundle


def parent_of(connection: Connection, version: int) -> int:
    """The version that this one started from; 0 for none."""
    return connection.scalar(select(schema.models.c.parent).where(schema.models.c.version == version)) or 0


def live_tasks(connection: Connection, version: int) -> tuple[str, ...]:
    """Names of the tasks that have a head in this version."""
    return tuple(connection.scalar(select(schema.models.c.tasks).where(schema.models.c.version == version)) or ())


def applied_threshold(connection: Connection, version: int, task: str) -> float | None:
    """The alert threshold that was applied by hand to this version of a task; None for the task file's."""
    metrics = connection.scalar(select(schema.models.c.metrics).where(schema.models.c.version == version)) or {}
    threshold: float | None = metrics.get(task, {}).get(THRESHOLD)
    return threshold


def announce(connection: Connection, model: Model) -> None:
    """Write down a model that is about to be published."""
    connection.execute(schema.models.insert(), {**vars(model), "tasks": list(model.tasks), "status": PENDING})


def record(connection: Connection, decisions: Iterable[Decision]) -> None:
    """Write down decisions; those of an announced model go away with it if it is never published."""
    rows = [vars(decision) for decision in decisions]
    if rows:
        connection.execute(schema.decisions.insert(), rows)
    for row in rows:
        log.info("decision on %s: %s (%s): %s", row["task"], row["verdict"], row["trigger"], row["reason"])


def settle(connection: Connection, live: int, now: float, tried: int = 0) -> None:
    """Bring all statuses in line with what the update repository offers.

    Args:
        connection: that may write.
        live: the version for all agents.
        now: Unix seconds.
        tried: the version for canaries; 0 for none.
    """
    models = schema.models
    pending, on_trial = models.c.status == PENDING, models.c.status == CANARY
    parent = connection.scalar(select(models.c.parent).where(pending | on_trial, models.c.version == live))
    if parent is not None:
        before = select(models.c.version).where(models.c.status == CURRENT)
        went_back = connection.scalar(before) not in (None, parent)
        connection.execute(
            update(models).where(models.c.status == CURRENT).values(status=ROLLED_BACK if went_back else SUPERSEDED)
        )
        connection.execute(update(models).where(models.c.version == live).values(status=CURRENT, live_since=now))
    connection.execute(update(models).where(pending, models.c.version == tried).values(status=CANARY))
    connection.execute(update(models).where(on_trial, models.c.version != tried).values(status=ROLLED_BACK))
    connection.execute(delete(models).where(pending))
    passed = schema.decisions.c.trigger == BY_CANARY  # written down, but the trainer was killed before it was done
    connection.execute(delete(schema.decisions).where(passed, schema.decisions.c.version == tried))


def labelled_lately(connection: Connection) -> dict[str, int]:
    """Agent -> how many of the newest `LATELY` labels are about its windows."""
    label, window = schema.labels.c, schema.windows.c
    newest = select(label.window_id).order_by(label.row.desc()).limit(LATELY).subquery()
    counted = (
        select(window.agent, func.count().label("labels"))
        .join_from(newest, schema.windows, newest.c.window_id == window.window_id)
        .group_by(window.agent)
    )
    return {row.agent: row.labels for row in connection.execute(counted)}


def last_label_seen(connection: Connection, task: str) -> int:
    """Row of the newest label that the last decision on this task knew."""
    table = schema.decisions.c
    return connection.scalar(select(func.max(table.last_label)).where(table.task == task)) or 0


def last_run(connection: Connection, task: str) -> float | None:
    """When a candidate for this task was last fitted, in Unix seconds."""
    table = schema.decisions.c
    fitted = (table.task == task) & (table.verdict != WAITING) & (table.labels > 0)
    when: float | None = connection.scalar(select(func.max(table.time)).where(fitted))
    return when


def learned_in(connection: Connection, version: int) -> tuple[str, ...]:
    """The tasks for which this version brought a candidate of its own, and not an older head once more."""
    table = schema.decisions.c
    fitted = (table.version == version) & table.verdict.in_((PUBLISHED, CANARY)) & (table.labels > 0)
    return tuple(connection.scalars(select(table.task).where(fitted)))
