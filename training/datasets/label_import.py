"""Self-reports that the trainer has exported, put into the sessions that they speak of.

    prompt           belongs to the session of its participant in which it was answered, or up to a minute after its
                     end; it holds from the answer before it, at most a minute, up to the answer
    questionnaire    belongs to the session of its participant in or nearest to which it was filled, at most a quarter
                     of an hour away; its level holds for all of that session

A report that is there already, the same task by the same rater at the same time, is not added again: a file may be read
any number of times.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from perception.session_features import STREAM
from perception.session_folder import LABELS, QUESTIONNAIRES, SessionFolder
from perception.session_rows import (
    LABEL_COLUMNS,
    QUESTIONNAIRE_COLUMNS,
    QuestionnaireResult,
    SessionLabel,
    label_row,
    questionnaire_row,
    to_csv,
)
from sentry_proto.durable import write_durable
from sentry_proto.errors import InputError, LabelFileError, SentryError
from sentry_proto.types import LABEL_SOURCES
from training.datasets.exclusions import Exclusions
from training.datasets.session_labels import PROMPT_S, prompt_stretches
from training.datasets.sessions import open_sessions, place

COLUMNS = (
    "created", "participant", "task", "value", "rater", "source", "confidence", "instrument", "score", "answers",
)  # fmt: skip
SENTENCE = "sentence"
"""Stands as the instrument of what a participant said in the own words, which is no label."""

QUESTIONNAIRE_REACH_S = 900.0
RUNNING_S = 60.0
"""A recording that grew so short a time ago is still running, and its files are its own."""


@dataclass(frozen=True)
class Report:
    """One row of the file; `instrument` is empty for a prompt."""

    row: int
    created: float
    participant: str
    task: str
    value: str
    rater: str
    source: str
    confidence: float
    instrument: str
    score: int
    answers: tuple[int, ...]

    @property
    def reach(self) -> tuple[float, float]:
        """How long before a session's start and after its end it may have been given."""
        return (QUESTIONNAIRE_REACH_S, QUESTIONNAIRE_REACH_S) if self.instrument else (0.0, PROMPT_S)


@dataclass
class Merge:
    """What an import did.

    Attributes:
        added: session -> labels added.
        known: reports that were there already.
        unmatched: the others, and why.
    """

    added: dict[str, int] = field(default_factory=dict)
    known: int = 0
    unmatched: Exclusions = field(default_factory=Exclusions)


@dataclass(frozen=True)
class _Session:
    """A session that labels may be added to; from `start` to `end` in Unix seconds."""

    folder: SessionFolder
    start: float
    end: float

    def distance(self, t: float) -> float:
        """Seconds between a time and the session; 0 inside."""
        return max(self.start - t, t - self.end, 0.0)

    def takes(self, report: Report) -> bool:
        """Whether a report may belong to it."""
        before, after = report.reach
        mine = report.participant == self.folder.metadata.participant
        return mine and self.start - before <= report.created <= self.end + after


def add_labels(root: Path, text: str, now: float) -> Merge:
    """Put all reports of a file into the sessions below a folder.

    Args:
        root: as `custom_sessions`.
        text: of the CSV file.
        now: Unix seconds.

    Raises:
        LabelFileError: naming the first bad row; then nothing is added.
        InputError: there is no session.
        StorageError: a session cannot be written; those before it have their labels.
    """
    reports, merge = list(parse(text)), Merge()
    sessions = list(_sessions(root, now, merge.unmatched))
    chosen: dict[Path, list[Report]] = {}
    for report in reports:
        matching = [session for session in sessions if session.takes(report)]
        if not matching:
            merge.unmatched.add(f"reports: {report.participant} has no session at that time", f"row {report.row}")
            continue
        nearest = min(matching, key=lambda session: session.distance(report.created))
        chosen.setdefault(nearest.folder.path, []).append(report)
    for session in sessions:
        if own := chosen.get(session.folder.path):
            _merge(session, own, merge)
    return merge


def _sessions(root: Path, now: float, unmatched: Exclusions) -> Iterator[_Session]:
    for folder in open_sessions(root, unmatched):
        stream = folder.path / STREAM
        if folder.interrupted and now - stream.stat().st_mtime < RUNNING_S:
            unmatched.add("sessions: still being recorded", place(folder.path))
            continue
        try:
            start, end = _extent(folder)
        except SentryError as error:
            unmatched.add(f"sessions: {error}", place(folder.path))
            continue
        yield _Session(folder, start, end)


def _extent(folder: SessionFolder) -> tuple[float, float]:
    if folder.features is None:
        metadata = folder.metadata
        if not metadata.started or metadata.ended is None:
            raise InputError("it has no features, and session.json does not say from when to when it was")
        return metadata.started, metadata.ended
    starts = folder.seconds().start
    if not len(starts):
        raise InputError("it has no seconds")
    return float(starts[0]), float(starts[-1] + 1)


def _merge(session: _Session, reports: Sequence[Report], merge: Merge) -> None:
    folder = session.folder
    there = {(label.task, label.rater, label.created) for label in folder.labels([])}
    filled = {(result.instrument, result.created) for result in folder.questionnaires([])}
    tasks = {task.name: task for task in folder.metadata.tasks}
    labels, results = [], []
    for report, (start, end) in _stretches(session, reports):
        if (report.task, report.rater, report.created) in there:
            merge.known += 1
            continue
        problem = _problem(report, tasks, start, end)
        if problem:
            merge.unmatched.add(f"reports: {problem}", f"row {report.row}")
            continue
        there.add((report.task, report.rater, report.created))
        labels.append(
            SessionLabel(
                start, end, report.task, report.value, report.source, report.rater, report.confidence, report.created
            )
        )
        if report.instrument and (report.instrument, report.created) not in filled:
            results.append(
                QuestionnaireResult(report.created, report.instrument, report.answers, report.score, report.value)
            )
    if labels:
        _append(folder, QUESTIONNAIRES, QUESTIONNAIRE_COLUMNS, map(questionnaire_row, results))
        _append(folder, LABELS, LABEL_COLUMNS, map(label_row, labels))
        merge.added[place(folder.path)] = len(labels)


def _problem(report: Report, tasks: dict[str, Any], start: float, end: float) -> str:
    if report.task not in tasks:
        return f"the session knows no task {report.task}"
    try:
        tasks[report.task].allowed(report.value)
    except InputError as error:
        return str(error)
    return "" if start < end else "nothing of the session lies before it"


def _stretches(session: _Session, reports: Sequence[Report]) -> Iterator[tuple[Report, tuple[float, float]]]:
    """What each report of a session speaks of, within the session."""
    ordered = sorted(reports, key=lambda report: (report.task, report.rater, report.created))
    for _, group in groupby(ordered, key=lambda report: (report.task, report.rater)):
        own = list(group)
        for report, (start, end) in zip(own, prompt_stretches([one.created for one in own]), strict=True):
            whole = (session.start, session.end)
            yield report, whole if report.instrument else (max(start, session.start), min(end, session.end))


def _append(folder: SessionFolder, name: str, columns: tuple[str, ...], rows: Iterable[Iterable[object]]) -> None:
    """Add rows to one of the folder's CSV files, which is whole before and after."""
    path = folder.path / name
    data = path.read_bytes() if path.exists() else b""
    if folder.interrupted:
        data = data[: data.rfind(b"\n") + 1]
    if not data.strip():
        data = to_csv([columns]).encode()
    elif not data.endswith(b"\n"):
        data += b"\n"
    header = next(csv.reader(io.StringIO(data.decode("utf-8-sig")), skipinitialspace=True))
    cells = [dict(zip(columns, row, strict=True)) for row in rows]
    write_durable(path, data + to_csv([[row.get(name, "") for name in header] for row in cells]).encode())


# ---- the file


def parse(text: str) -> Iterator[Report]:
    """The rows of a file as `sentry-trainer reports export` writes it, oldest first.

    Raises:
        LabelFileError: naming the first bad row.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    try:
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise LabelFileError(f"row 1: the header must name {', '.join(COLUMNS)}; {missing[0]} is missing")
        for row in reader:
            if row["instrument"] != SENTENCE:
                yield _report(reader.line_num, row)
    except (ValueError, csv.Error) as error:
        raise LabelFileError(f"row {reader.line_num}: {error}") from error


def _report(number: int, row: dict[str, str]) -> Report:
    if None in row or None in row.values():
        raise ValueError("it has too few or too many fields")
    created, confidence = float(row["created"]), float(row["confidence"])
    if not math.isfinite(created) or not 0 <= confidence <= 1:
        raise ValueError("created must be Unix seconds, and confidence must lie in 0..1")
    if row["source"] not in LABEL_SOURCES:
        raise ValueError(f"source must be one of {', '.join(LABEL_SOURCES)}, not {row['source']!r}")
    if not all(row[name] and row[name].isprintable() for name in ("participant", "task", "value", "rater")):
        raise ValueError("participant, task, value and rater must be printable text")
    return Report(
        row=number,
        created=created,
        confidence=confidence,
        score=int(row["score"] or 0),
        answers=tuple(int(answer) for answer in row["answers"].split()),
        **{name: row[name] for name in ("participant", "task", "value", "rater", "source", "instrument")},
    )
