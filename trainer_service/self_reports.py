"""Self-reports: what participants say of themselves, stored once, and what that teaches about single windows.

An answer about the last minute, given at t, labels the participant's windows whose middle lies in [t - 60 s, t). Where
two answers to the same question cover a window, the later one counts, so that a person can correct an answer. The rule
looks only at times, so it comes to the same whether the answer or the window arrives first.

A questionnaire speaks of two weeks: it is scored and stored, and labels no single window. Nor does a sentence in the
participant's own words, which is kept as it is.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert

from sentry_proto import limits
from sentry_proto.errors import InputError
from sentry_proto.questionnaires import QUESTIONNAIRES
from sentry_proto.tasks import Task
from sentry_proto.types import Label
from trainer_service import labels, schema

HOLDS_S = 60.0
"""Seconds before an answer about the last minute for which it holds."""

SOURCE = "self-report"
SENTENCE = "sentence"
"""Stands as the instrument of what is said in one's own words."""

MOST_WORDS = 1_000
"""Characters of a sentence."""


@dataclass(frozen=True)
class Answer:
    """What was said.

    Attributes:
        task: what it is about; empty for a sentence.
        value: one of the task's classes; for a questionnaire the level of its score; empty for a sentence.
        instrument: a questionnaire's name, `SENTENCE`, or None for an answer about the last minute.
        answers: points per item; with `score` only for a questionnaire.
        words: of a sentence.
    """

    task: str
    value: str
    instrument: str | None = None
    answers: list[int] | None = None
    score: int | None = None
    words: str = ""


@dataclass(frozen=True)
class SelfReport:
    """One answer of one participant.

    Attributes:
        report_id: made by the client, so that a repeated submission is stored once.
        participant: a pseudonym.
        created: Unix seconds at which the answer was given.
    """

    report_id: str
    participant: str
    created: float
    answer: Answer


def class_answer(task: str, value: str, tasks: Mapping[str, Task]) -> Answer:
    """An answer about the last minute.

    Raises:
        InputError: if the task or the class is not configured, or is asked with a questionnaire.
    """
    asked_by = next((q.name for q in QUESTIONNAIRES.values() if q.task == task), None)
    if asked_by:
        raise InputError(f"task {task} is reported with the instrument {asked_by}, not minute by minute")
    _check_class(task, value, tasks)
    return Answer(task, value)


def questionnaire_answer(instrument: str, answers: Sequence[int], tasks: Mapping[str, Task]) -> Answer:
    """A filled-in questionnaire, with its score and level.

    Raises:
        InputError: if there is no such instrument, its task is not configured, or the answers do not fit it.
    """
    questionnaire = QUESTIONNAIRES.get(instrument)
    if questionnaire is None:
        raise InputError(f"there is no instrument {instrument[:40]!r}; there are {', '.join(QUESTIONNAIRES)}")
    score = questionnaire.score(answers)
    level = questionnaire.level(score)
    _check_class(questionnaire.task, level, tasks)
    return Answer(questionnaire.task, level, instrument, list(answers), score)


def sentence(words: str) -> Answer:
    """Something in the participant's own words.

    Raises:
        InputError: if there are none, or too many.
    """
    said = words.strip()
    if not 1 <= len(said) <= MOST_WORDS:
        raise InputError(f"words must be 1 to {MOST_WORDS} characters")
    return Answer("", "", SENTENCE, words=said)


def check(report: SelfReport) -> None:
    """Check who says it and when.

    Raises:
        InputError: with what is wrong and what would be right.
    """
    check_name("report_id", report.report_id)
    check_name("participant", report.participant)
    if not math.isfinite(report.created):
        raise InputError("created must be a time in Unix seconds")


def check_name(what: str, text: str) -> None:
    """Check an id or a pseudonym.

    Raises:
        InputError: if it is empty, too long or not printable.
    """
    if not text.strip() or len(text) > limits.MAX_TEXT or not text.isprintable():
        raise InputError(f"{what} must be 1 to {limits.MAX_TEXT} printable characters, not {text[:40]!r}")


def put(connection: Connection, report: SelfReport, now: float) -> bool:
    """Store a checked report and label what it covers; False if it is known already, which changes nothing."""
    row = {
        "report_id": report.report_id,
        "participant": report.participant,
        "created": report.created,
        **vars(report.answer),
        "received": now,
    }
    statement = insert(schema.self_reports).on_conflict_do_nothing(index_elements=["report_id"])
    if not connection.execute(statement, row).rowcount:
        return False
    _label(connection, _BY_REPORT, {"report_id": report.report_id}, now)
    return True


def label_windows(connection: Connection, window_ids: Sequence[str], now: float) -> int:
    """Label windows that have just been stored by what was said already; returns how many labels they got."""
    return _label(connection, _OF_WINDOWS, {"window_ids": list(window_ids)}, now) if window_ids else 0


def newest(connection: Connection, participant: str) -> dict[str, float]:
    """When this participant last answered each question: a task, a questionnaire or a sentence -> Unix seconds."""
    table = schema.self_reports.c
    question = func.coalesce(table.instrument, table.task)
    chosen = select(question, func.max(table.created)).where(table.participant == participant).group_by(question)
    return {row[0]: row[1] for row in connection.execute(chosen)}


def results(connection: Connection, participant: str) -> dict[str, dict[str, Any]]:
    """What this participant's newest questionnaires came to, by instrument."""
    table = schema.self_reports.c
    chosen = (
        select(table.instrument, table.score, table.value)
        .where(table.participant == participant, table.score.is_not(None))
        .order_by(table.created)
    )
    return {row.instrument: result(row.score, row.value) for row in connection.execute(chosen)}


def result(score: int, level: str) -> dict[str, Any]:
    """A score and its level, as a participant sees them if the study shows them."""
    return {"score": score, "level": level}


def listed(connection: Connection, participant: str | None, before: int | None, limit: int) -> list[dict[str, Any]]:
    """The newest reports (of one participant; stored before a row), newest first."""
    table = schema.self_reports.c
    conditions = [
        *([table.participant == participant] if participant is not None else []),
        *([table.row < before] if before is not None else []),
    ]
    columns = [column for column in table if column.name != "received"]
    chosen = select(*columns).where(*conditions).order_by(table.row.desc()).limit(limit)
    return [dict(row._mapping) for row in connection.execute(chosen)]


def _check_class(name: str, value: str, tasks: Mapping[str, Task]) -> None:
    if name not in tasks:
        raise InputError(f"task {name[:40]!r} is not configured; known are {', '.join(tasks)}")
    if value not in tasks[name].classes:
        raise InputError(f"task {name} has no class {value[:40]!r}; it has {', '.join(tasks[name].classes)}")


def _label(connection: Connection, covered: Select[Any], which: Mapping[str, Any], now: float) -> int:
    """Label every window that a report covers, among those that are asked for; returns how many were new."""
    said = [_as_label(row) for row in connection.execute(covered, which).all()]
    return sum(labels.put(connection, label, now) for label in said)


def _covered(only: ColumnElement[bool]) -> Select[Any]:
    """Pairs of a window and the report that counts for it."""
    window, report, later = schema.windows.c, schema.self_reports.c, schema.self_reports.alias("later").c
    middle = (window.start + window.end) / 2
    pair = (report.participant == window.participant) & (report.created > middle)
    corrected = select(later.row).where(
        later.participant == report.participant,
        later.task == report.task,
        later.instrument.is_(None),
        later.created > report.created,
        later.created <= middle + HOLDS_S,
    )
    return (
        select(report.report_id, report.participant, report.task, report.value, report.created, window.window_id)
        .join_from(schema.self_reports, schema.windows, pair & (report.created <= middle + HOLDS_S))
        .where(only, report.instrument.is_(None), ~corrected.correlate(schema.windows, schema.self_reports).exists())
        .order_by(window.row)
    )


_BY_REPORT = _covered(schema.self_reports.c.report_id == bindparam("report_id"))
_OF_WINDOWS = _covered(schema.windows.c.window_id.in_(bindparam("window_ids", expanding=True)))
"""Put together once: every batch of windows that is stored asks."""


def _as_label(row: Any) -> Label:
    """A label whose id is made of report and window, so that labelling twice stores it once."""
    label_id = hashlib.sha256(f"{row.report_id}\x1f{row.window_id}".encode()).hexdigest()[:32]
    return Label(label_id, row.window_id, row.task, row.value, SOURCE, row.participant, created=row.created)
