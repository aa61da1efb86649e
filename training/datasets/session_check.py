"""What recorded sessions hold, and everything about them that is suspicious.

A problem is something that somebody should look at before training: it is wrong, or it will be left out. A note is true
of the whole collection and wrong of no session: only one person, only one class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np

from perception.session_features import PARQUET, STREAM, Seconds
from perception.session_folder import SessionFolder, find_sessions
from perception.session_rows import QuestionnaireResult, SessionLabel
from perception.video import VideoFile
from perception.window import LENGTH_S
from sentry_proto.errors import InputError, SentryError
from sentry_proto.layout import MODALITIES
from sentry_proto.questionnaires import QUESTIONNAIRES
from sentry_proto.tasks import Task
from training.datasets.session_labels import Times, label_seconds, sift
from training.datasets.session_windows import blind
from training.datasets.sessions import BLOCK, place

SLACK_S = 5.0
"""Clocks and hands are not exact: less than this is no trouble."""

FORM_TASKS = {form.task for form in QUESTIONNAIRES.values()}
"""A questionnaire may be filled before the session that its level holds for."""

Balance = dict[str, dict[str, int]]
"""Task -> class -> seconds that are labelled so."""


@dataclass
class SessionReport:
    """One session folder.

    Attributes:
        place: `<participant>/<session>`, as the folders are named.
        participant, session: as `session.json` says; empty if it cannot be read.
        start, end: Unix seconds of the first second and after the last; None without seconds or a date.
        seconds: how many there are.
        coverage: mean share of a second in which each modality was seen; empty without features.
        balance: labelled seconds.
        problems: sentences.
    """

    place: str
    participant: str = ""
    session: str = ""
    start: float | None = None
    end: float | None = None
    seconds: int = 0
    coverage: dict[str, float] = field(default_factory=dict)
    balance: Balance = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@dataclass
class Inventory:
    """All sessions below a folder.

    Attributes:
        sessions: in the order of their folders' names.
        notes: what is true of them all together.
    """

    sessions: list[SessionReport]
    notes: list[str]

    @property
    def problems(self) -> int:
        """How many there are in all."""
        return sum(len(session.problems) for session in self.sessions)

    def people(self) -> dict[str, Balance]:
        """Labelled seconds of each person, over all of their sessions."""
        found: dict[str, Balance] = {}
        for session in self.sessions:
            balance = found.setdefault(session.participant, {}) if session.participant else {}
            for task, classes in session.balance.items():
                for name, seconds in classes.items():
                    balance.setdefault(task, {}).setdefault(name, 0)
                    balance[task][name] += seconds
        return dict(sorted(found.items()))


def check_sessions(root: Path, now: float, tasks: Sequence[Task] | None = None) -> Inventory:
    """Look at every session folder below `root`.

    Args:
        root: as `custom_sessions`.
        now: Unix seconds.
        tasks: that labels are judged by; those that each session names if None.

    Raises:
        InputError: there is not one session folder.
    """
    reports = [_check(path, now, tasks) for path in find_sessions(root)]
    known = {report.place for report in reports}
    for path in sorted(root.glob("*/*/")):
        if place(path) not in known and not path.name.startswith(".") and not path.parent.name.startswith("."):
            reports.append(SessionReport(place(path), problems=["it has no session.json"]))
    if not reports:
        raise InputError(f"there is no session folder below {root}")
    _compare(reports)
    return Inventory(reports, list(_notes(reports)))


def _check(path: Path, now: float, tasks: Sequence[Task] | None) -> SessionReport:
    report = SessionReport(place(path))
    try:
        folder = SessionFolder.open(path)
    except SentryError as error:
        report.problems.append(str(error))
        return report
    report.participant, report.session = folder.metadata.participant, folder.metadata.session_id
    report.problems += _files(folder)
    starts = _starts(folder, report)
    report.seconds = len(starts)
    if len(starts):
        report.problems += _times(starts, folder, now)
        dated = folder.metadata.started > 0
        report.start, report.end = (float(starts[0]), float(starts[-1] + 1)) if dated else (None, None)
    _labels(folder, starts, tasks, report)
    return report


# ---- one session


def _files(folder: SessionFolder) -> Iterator[str]:
    metadata = folder.metadata
    if (folder.path.parent.name, folder.path.name) != (metadata.participant, metadata.session_id):
        yield f"session.json says that it is {metadata.participant}/{metadata.session_id}"
    if folder.interrupted:
        yield "its recording was never closed: it was interrupted, or is still running"
    elif all((folder.path / name).exists() for name in (PARQUET, STREAM)):
        yield f"it has both {PARQUET} and {STREAM}: it was interrupted while it was closed"
    if metadata.video and folder.video is None:
        yield f"its video {metadata.video} is missing"
    if folder.features is None and folder.video is None:
        yield "it has neither features nor a video"


def _starts(folder: SessionFolder, report: SessionReport) -> Times:
    """The session's seconds, from its features or, roughly, from its video."""
    try:
        if folder.features is not None:
            seconds = folder.seconds()
            report.problems += _features(seconds)
            report.coverage = (
                dict(zip(MODALITIES, seconds.coverage.mean(0).tolist(), strict=True)) if len(seconds) else {}
            )
            return seconds.start
        if folder.video is not None:
            metadata = folder.metadata
            begin = metadata.started if metadata.video_started is None else metadata.video_started
            with VideoFile(folder.video) as video:
                return int(begin) + np.arange(round(video.frames / video.fps), dtype=np.int64)
    except SentryError as error:
        report.problems.append(str(error))
    return np.zeros(0, np.int64)


def _features(seconds: Seconds) -> Iterator[str]:
    if len(seconds) < LENGTH_S:
        yield f"it has {len(seconds)} seconds, fewer than the {LENGTH_S} of a window"
    if wrong := blind(seconds):
        yield f"seconds of a modality with a value that is no number or out of its range: {wrong}"
    if len(seconds) and not (seconds.coverage[:, : MODALITIES.index("quality")] > 0).any():
        yield "nobody was seen in it"


def _times(starts: Times, folder: SessionFolder, now: float) -> Iterator[str]:
    steps = np.diff(starts)
    if gaps := int((steps > 1).sum()):
        yield f"gaps: {gaps}, with {int((steps[steps > 1] - 1).sum())} seconds missing"
    if backwards := int((steps < 1).sum()):
        yield f"places where time goes backwards or stands still: {backwards}"
    metadata = folder.metadata
    if metadata.started > 0 and abs(starts[0] - metadata.started) > SLACK_S:
        yield f"its first second is {starts[0] - metadata.started:+.0f} s from the start that session.json gives"
    if metadata.ended is not None and abs(starts[-1] + 1 - metadata.ended) > SLACK_S:
        yield f"its last second is {starts[-1] + 1 - metadata.ended:+.0f} s from the end that session.json gives"
    if starts.max() > now + SLACK_S:
        yield "it lies in the future: a clock was wrong"


def _labels(folder: SessionFolder, starts: Times, tasks: Sequence[Task] | None, report: SessionReport) -> None:
    tasks = folder.metadata.tasks if tasks is None else tasks
    try:
        labels = folder.labels(report.problems)
        report.problems += _answers(folder.questionnaires(report.problems))
    except SentryError as error:
        report.problems.append(str(error))
        return
    usable, problems = sift(labels, tasks, starts, {BLOCK})
    report.problems += [f"labels: {problem} ({count} x)" for problem, count in Counter(problems).items()]
    report.problems += _rows(labels)
    if len(starts):
        report.problems += _reach(usable, starts)
    for task in tasks:
        allowed = label_seconds(usable, task, starts)
        exact = allowed.sum(1) == 1
        if exact.any():
            counts = allowed[exact].sum(0).tolist()
            report.balance[task.name] = dict(zip(task.classes, counts, strict=True))


def _rows(labels: Sequence[SessionLabel]) -> Iterator[str]:
    """Rows that say the same, or that one rater gave of the same time."""
    if copies := len(labels) - len(set(labels)):
        yield f"label rows that stand there more than once: {copies}"
    ordered = sorted(set(labels), key=lambda label: (label.task, label.rater, label.start, label.end))
    for (task, rater), own in groupby(ordered, key=lambda label: (label.task, label.rater)):
        overlaps = sum(after.start < before.end for before, after in pairwise(own))
        if overlaps:
            yield f"labels of {task} by {rater} that overlap: {overlaps}; of each second the one given last counts"
    prompts = [label for label in labels if label.task not in FORM_TASKS]
    if early := sum(0 < label.created < label.start for label in prompts):
        yield f"labels that were given before the time that they speak of: {early}"


def _reach(labels: Sequence[SessionLabel], starts: Times) -> Iterator[str]:
    first, last = starts.min() - SLACK_S, starts.max() + 1 + SLACK_S
    if beyond := sum(label.start < first or label.end > last for label in labels):
        yield f"labels that reach beyond the recording: {beyond}"


def _answers(results: Sequence[QuestionnaireResult]) -> Iterator[str]:
    for result in results:
        form = QUESTIONNAIRES.get(result.instrument)
        try:
            if form is not None and form.score(result.answers) != result.score:
                yield f"the answers to {form.title} do not add up to its score of {result.score}"
        except InputError as error:
            yield str(error)


# ---- all sessions


def _compare(reports: Sequence[SessionReport]) -> None:
    """Find sessions that cannot both be right."""
    counts = Counter(report.session for report in reports if report.session)
    for report in reports:
        if counts[report.session] > 1:
            report.problems.append(f"{counts[report.session]} sessions have the id {report.session}")
    dated = [report for report in reports if report.start is not None]
    for _, own in groupby(sorted(dated, key=_begin), key=lambda report: report.participant):
        for before, after in pairwise(own):
            if (after.start or 0) < (before.end or 0):
                after.problems.append(f"it overlaps with {before.place}, though nobody can be in two places")


def _begin(report: SessionReport) -> tuple[str, float]:
    return report.participant, report.start or 0.0


def _notes(reports: Sequence[SessionReport]) -> Iterator[str]:
    people = {report.participant for report in reports if report.participant}
    if len(people) == 1:
        yield f"All sessions are of one person, {people.pop()}: nothing can be said about people not seen in training."
    totals: dict[str, Counter[str]] = {}
    for report in reports:
        for task, classes in report.balance.items():
            totals.setdefault(task, Counter()).update(classes)
    if not totals:
        yield "No second has a label."
    for task, counts in totals.items():
        found = [name for name, seconds in counts.items() if seconds]
        if len(found) == 1:
            yield f"All labels of {task} say {found[0]}: there is nothing to tell apart."
