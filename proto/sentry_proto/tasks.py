"""What the state heads estimate: tasks, their classes and their alert rules, from configuration.

A task file is TOML, one table a task:

    [stress]
    kind = "ordinal"                       # binary | ordinal | multiclass
    classes = ["calm", "mildly stressed", "stressed"]
    [stress.alert]
    classes = ["stressed"]                 # the event: the summed probability of these classes
    threshold = 0.6                        # raise at or above
    release = 0.4                          # fall silent below (hysteresis)
    duration_s = 10                        # at or above for this long before an alert is raised
    cooldown_s = 60                        # after an alert has ended, raise no other for this long
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sentry_proto.errors import InputError
from sentry_proto.limits import MAX_CLASSES, MAX_TASKS
from sentry_proto.toml_file import read_toml

KINDS = ("binary", "ordinal", "multiclass")
TRUE_ALARM = "true alarm"
FALSE_ALARM = "false alarm"
"""A verdict says whether the event was there, not which class it was."""


@dataclass(frozen=True)
class AlertRule:
    """When a task raises an alert; see the module's example for the meaning of each field."""

    classes: tuple[str, ...]
    threshold: float = 0.6
    release: float = 0.4
    duration_s: float = 10.0
    cooldown_s: float = 60.0


@dataclass(frozen=True)
class Task:
    """One thing that is estimated.

    Attributes:
        name: unique among the tasks.
        kind: one of `KINDS`; the classes of an ordinal task are in ascending order.
        classes: at least two names.
        alert: None for a task that never raises an alert.
    """

    name: str
    kind: str
    classes: tuple[str, ...]
    alert: AlertRule | None = None

    def allowed(self, value: str) -> frozenset[str]:
        """The classes that a label leaves possible: one for a class name, several for a verdict.

        Raises:
            InputError: if the task knows no such value.
        """
        if value in self.classes:
            return frozenset({value})
        if self.alert and value == TRUE_ALARM:
            return frozenset(self.alert.classes)
        if self.alert and value == FALSE_ALARM:
            return frozenset(self.classes) - frozenset(self.alert.classes)
        verdicts = [TRUE_ALARM, FALSE_ALARM] if self.alert else []
        raise InputError(f"task {self.name} knows no value {value!r}; it takes {', '.join([*self.classes, *verdicts])}")

    def with_threshold(self, threshold: float) -> Task:
        """The same task that alerts from another probability on, and falls silent below it at the latest.

        Raises:
            InputError: if the task raises no alerts, or the threshold does not lie in (0, 1].
        """
        if self.alert is None:
            raise InputError(f"task {self.name} raises no alerts")
        if not 0 < threshold <= 1:
            raise InputError(f"an alert threshold must be above 0 and at most 1, not {threshold}")
        return replace(self, alert=replace(self.alert, threshold=threshold, release=min(self.alert.release, threshold)))

    def is_event(self, value: str) -> bool | None:
        """Whether a label says that the event was there; None for a task without an alert rule."""
        return self.allowed(value) <= frozenset(self.alert.classes) if self.alert else None


STRESS = Task("stress", "ordinal", ("calm", "mildly stressed", "stressed"), AlertRule(("stressed",)))
FOCUS = Task("focus", "ordinal", ("1", "2", "3", "4", "5"), AlertRule(("1", "2"), duration_s=20.0))
ANXIETY = Task("anxiety", "ordinal", ("minimal", "mild", "moderate", "severe"))
DEPRESSION = Task("depression", "ordinal", ("minimal", "mild", "moderate", "moderately severe", "severe"))

DEFAULT_TASKS: tuple[Task, ...] = (STRESS, FOCUS, ANXIETY, DEPRESSION)


def tasks_to_json(tasks: tuple[Task, ...]) -> list[dict[str, Any]]:
    """Tasks as plain JSON values, for bundles and the control socket."""
    return [asdict(task) for task in tasks]


def tasks_from_json(entries: list[dict[str, Any]]) -> tuple[Task, ...]:
    """Inverse of `tasks_to_json`.

    Raises:
        InputError: if they describe an impossible task, or no tasks at all.
    """
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise InputError("tasks must be a list of objects with name, kind and classes")
    return _checked([_task(str(entry.get("name", "")), entry) for entry in entries])


def load_tasks(path: Path) -> tuple[Task, ...]:
    """Read a task file.

    Raises:
        InputError: if the file is missing, is not TOML, or describes an impossible task.
    """
    table = read_toml(path, "task file")
    return _checked([_task(name, entry) for name, entry in table.items()])


def _task(name: str, entry: object) -> Task:
    if not isinstance(entry, Mapping):
        raise InputError(f"task {name!r} must be a table with kind and classes")
    if not isinstance(entry.get("classes", ()), list | tuple):
        raise InputError(f"task {name}: classes must be a list of names")
    classes = tuple(str(c) for c in entry.get("classes", ()))
    task = Task(name, str(entry.get("kind", "")), classes, _rule(name, entry.get("alert")))
    if task.kind not in KINDS:
        raise InputError(f"task {name}: kind must be one of {', '.join(KINDS)}, not {task.kind!r}")
    if not 2 <= len(set(classes)) == len(classes) <= MAX_CLASSES:
        raise InputError(f"task {name}: classes must be 2 to {MAX_CLASSES} different names")
    if task.kind == "binary" and len(classes) != 2:
        raise InputError(f"task {name}: a binary task has exactly two classes, not {len(classes)}")
    if task.alert and not set(task.alert.classes) < set(classes):
        raise InputError(f"task {name}: the alert classes must be some, not all, of {', '.join(classes)}")
    return task


def _rule(name: str, entry: object) -> AlertRule | None:
    if entry is None:
        return None
    if not isinstance(entry, Mapping) or not entry.get("classes"):
        raise InputError(f"task {name}: the alert rule must name its classes")
    try:
        numbers = {key: float(value) for key, value in entry.items() if key != "classes"}
        rule = AlertRule(tuple(str(c) for c in entry["classes"]), **numbers)
    except (TypeError, ValueError) as error:
        raise InputError(f"task {name}: wrong alert rule: {error}") from error
    times = (rule.duration_s, rule.cooldown_s)
    if not 0 < rule.release <= rule.threshold <= 1 or not all(0 <= seconds < math.inf for seconds in times):
        raise InputError(
            f"task {name}: an alert rule needs 0 < release <= threshold <= 1 and finite times of 0 s or more"
        )
    return rule


def _checked(tasks: list[Task]) -> tuple[Task, ...]:
    if not 1 <= len({task.name for task in tasks}) == len(tasks) <= MAX_TASKS or not all(t.name for t in tasks):
        raise InputError(f"there must be 1 to {MAX_TASKS} tasks with different names")
    return tuple(tasks)
