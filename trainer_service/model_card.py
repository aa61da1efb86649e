"""The card of a published version: what it rests on, how it was judged, what it does in use, and what it is not.

After Mitchell et al. (2019), "Model Cards for Model Reporting", FAT* '19. It names no participant and no rater.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from sentry_proto.errors import InputError
from sentry_proto.tasks import Task
from trainer_service import schema
from trainer_service.jobs import THRESHOLD
from training.evaluation.label_free import SHARES

RATES = {
    "false_positive_rate": "False-positive rate",
    "miss_rate": "Miss rate",
    "false_discovery_share": "False-discovery share",
    "false_alarms_per_hour": "False alarms",
}
_FIGURES = {"balanced_accuracy": "Balanced accuracy", "brier": "Brier score", "ece": "Expected calibration error"}

LIMITS = (
    "It estimates states of people for research. It is no diagnosis and no medical device, and nothing about a single "
    "person should be decided by it.",
    "It has learned from the people of this study, before these cameras; how well it reads others was not measured.",
    "The figures of the gate are means over the people held out, and a single person may be read much worse.",
    "It abstains in a person's first minute, while no face is seen, and for tasks that are not in the list above.",
    "Rates in use rest on the windows that raters have judged; where these are too few, the card says so and gives no "
    "number.",
    "Inferring emotions of staff or students is prohibited in the EU outside medical and safety reasons (AI Act, "
    "art. 5(1)(f)).",
)


def card(
    connection: Connection,
    tasks: Mapping[str, Task],
    version: int,
    rates: Sequence[Mapping[str, Any]],
    purpose: str,
) -> str:
    """The card in Markdown.

    Args:
        connection: to the store.
        tasks: those that are configured, by name.
        version: a published one.
        rates: of this version, as `rates.describe` gives them.
        purpose: that the study declares; empty if it declares none.

    Raises:
        InputError: if there is no such version.
    """
    table = schema.models.c
    columns = [table[name] for name in ("version", "parent", "created", "status", "tasks", "metrics")]
    model = connection.execute(select(*columns).where(table.version == version)).first()
    if model is None:
        raise InputError(f"there is no version {version}")
    decision = schema.decisions.c
    chosen = select(schema.decisions).where(decision.version == version).order_by(decision.row)
    decisions = connection.execute(chosen).all()
    overall = {row["task"]: row for row in rates if row["model_version"] is None}
    parts = [
        _head(model, purpose),
        *(_task(name, tasks.get(name), model.metrics.get(name, {}), decisions) for name in model.tasks),
        _in_use([name for name in model.tasks if name in overall], overall),
        "## Limits\n\n" + "\n".join(f"* {words}" for words in LIMITS),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(model: Row[Any], purpose: str) -> str:
    made = datetime.fromtimestamp(model.created, UTC).strftime("%Y-%m-%d %H:%M UTC")
    parent = f"version {model.parent}" if model.parent else "none"
    rows = [("Published", made), ("State", model.status), ("Starts from", parent), ("Tasks", ", ".join(model.tasks))]
    rows += [("Declared purpose of the study", purpose)] if purpose else []
    return f"# Heads, version {model.version}\n\n" + _table(("", ""), rows)


def _task(name: str, task: Task | None, found: Mapping[str, Any], decisions: Sequence[Row[Any]]) -> str:
    return "\n\n".join(
        [
            f"## {name.capitalize()}",
            _about(task, found),
            _data([decision for decision in decisions if decision.task == name]),
            _judged(found),
        ]
    )


def _about(task: Task | None, found: Mapping[str, Any]) -> str:
    if task is None:
        return "This task is not configured any more."
    classes = f"{task.kind.capitalize()}: {', '.join(task.classes)}."
    if task.alert is None:
        return f"{classes} It raises no alerts."
    threshold = found.get(THRESHOLD, task.alert.threshold)
    by_hand = " (applied by hand)" if THRESHOLD in found else ""
    return (
        f"{classes} It alerts on {' or '.join(task.alert.classes)} from a probability of {threshold:g}{by_hand} that "
        f"lasts {task.alert.duration_s:g} s."
    )


def _data(decisions: Sequence[Row[Any]]) -> str:
    """What it rests on and why it was published, which is the same sentence as in the list of decisions."""
    if not decisions:
        return "The head was taken over from the version that this one starts from."
    return "\n\n".join(
        (f"Learned from {one.labels} labels of {one.people} people. " if one.labels else "")
        + f"Verdict of the gate: {one.verdict} ({one.trigger}). {one.reason}."
        for one in decisions
    )


def _judged(found: Mapping[str, Any]) -> str:
    rows = [
        (title, f"{found[name]:.3f}", _of(found.get("incumbent"), name))
        for name, title in _FIGURES.items()
        if name in found
    ]
    if not rows:
        return "It was not measured."
    held = f"{found.get('n', 0)} windows of {found.get('people', 0)} people whom no version has learned from"
    gain = ""
    if "interval" in found:
        low, high = found["interval"]
        gain = (
            f"\n\nImprovement in Brier score: {found['improvement']:+.3f} "
            f"({found['level']:.0%} interval {low:+.3f} to {high:+.3f})."
        )
    return f"Held out: {held}.\n\n" + _table(("", "This version", "The one before, on the same windows"), rows) + gain


def _of(incumbent: Mapping[str, Any] | None, name: str) -> str:
    return f"{incumbent[name]:.3f}" if incumbent and name in incumbent else "-"


def _in_use(names: Sequence[str], overall: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [(name, title, *_rate(rate, overall[name][rate])) for name in names for rate, title in RATES.items()]
    heads = ("Task", "Rate", "Estimate", "95 % interval", "n")
    return "## In use\n\n" + (_table(heads, rows) if rows else "No task of it raises alerts.")


def _rate(name: str, rate: Mapping[str, Any]) -> tuple[str, str, str]:
    if rate["value"] is None:
        return "-", str(rate["words"]), str(rate["n"])
    value, low, high = (_quantity(name, rate[part]) for part in ("value", "low", "high"))
    return value, f"{low} to {high}", str(rate["n"])


def _quantity(name: str, value: float) -> str:
    return f"{100 * value:.1f} %" if name in SHARES else f"{value:.1f} per hour"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
