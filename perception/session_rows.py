"""`labels.csv` and `questionnaires.csv` of a session folder: rows that are written whole, one at a time.

A row counts once its line break is there. So the last line of a recording that was interrupted may be torn: it is no
row yet and is not read. In a session that was closed, a last line without a line break was written by hand: it counts.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from typing import Any, TypeVar

from sentry_proto.errors import LabelFileError
from sentry_proto.questionnaires import QUESTIONNAIRES
from sentry_proto.types import LABEL_SOURCES

RowType = TypeVar("RowType", "SessionLabel", "QuestionnaireResult")


@dataclass(frozen=True)
class SessionLabel:
    """What somebody says about a stretch of a session.

    Attributes:
        start, end: Unix seconds; the label holds from `start` on and before `end`.
        task: name of a task.
        value: a class of it.
        source: observer | self-report | import.
        rater: a pseudonym.
        confidence: in 0..1.
        created: Unix seconds at which it was given.
    """

    start: float
    end: float
    task: str
    value: str
    source: str
    rater: str
    confidence: float
    created: float


@dataclass(frozen=True)
class QuestionnaireResult:
    """One filled questionnaire.

    Attributes:
        created: Unix seconds at which it was filled.
        instrument: its name, as `phq8`.
        answers: one number per item.
        score: their sum by the instrument's rule.
        level: the class that the score falls in.
    """

    created: float
    instrument: str
    answers: tuple[int, ...]
    score: int
    level: str


LABEL_COLUMNS = tuple(field.name for field in fields(SessionLabel))
QUESTIONNAIRE_COLUMNS = tuple(field.name for field in fields(QuestionnaireResult))


def to_csv(rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV text, each with its line break.

    Raises:
        LabelFileError: a field has a line break or another control character, which would tear its row.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        cells = [str(cell) for cell in row]
        if any(not cell.isprintable() for cell in cells):
            raise LabelFileError(f"a field must be one line of printable text: {cells}")
        writer.writerow(cells)
    return text.getvalue()


def label_row(label: SessionLabel) -> tuple[object, ...]:
    """The label as a row of `LABEL_COLUMNS`."""
    return astuple(label)


def questionnaire_row(result: QuestionnaireResult) -> tuple[object, ...]:
    """The result as a row of `QUESTIONNAIRE_COLUMNS`, its answers parted by blanks."""
    answers = " ".join(str(answer) for answer in result.answers)
    return result.created, result.instrument, answers, result.score, result.level


def level_labels(results: Iterable[QuestionnaireResult], start: float, end: float, rater: str) -> list[SessionLabel]:
    """What questionnaires say about a session from `start` to `end`: one label each, of the instrument's task."""
    return [
        SessionLabel(
            start, end, QUESTIONNAIRES[result.instrument].task, result.level, "self-report", rater, 1.0, result.created
        )
        for result in results
        if result.instrument in QUESTIONNAIRES and start < end
    ]


def read_labels(data: bytes, *, interrupted: bool) -> Iterator[SessionLabel | LabelFileError]:
    """Each row of a `labels.csv`, or what is wrong with it.

    Raises:
        LabelFileError: a column is missing, or the file is not text.
    """
    return _read(data, LABEL_COLUMNS, _label, interrupted)


def read_questionnaires(data: bytes, *, interrupted: bool) -> Iterator[QuestionnaireResult | LabelFileError]:
    """Each row of a `questionnaires.csv`, or what is wrong with it.

    Raises:
        LabelFileError: a column is missing, or the file is not text.
    """
    return _read(data, QUESTIONNAIRE_COLUMNS, _result, interrupted)


def _read(
    data: bytes, columns: tuple[str, ...], parse: Callable[[dict[str, str]], RowType], interrupted: bool
) -> Iterator[RowType | LabelFileError]:
    if interrupted:
        data = data[: data.rfind(b"\n") + 1]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelFileError(f"it is not UTF-8 text: {error.reason} at byte {error.start}") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    try:
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
    except csv.Error as error:
        raise LabelFileError(f"its first line cannot be read: {error}") from error
    if text.strip("\r\n") and missing:
        raise LabelFileError(f"its first line must name the columns {','.join(columns)}; {missing[0]} is missing")
    return _rows(reader, columns, parse)


def _rows(
    reader: csv.DictReader[str], columns: tuple[str, ...], parse: Callable[[dict[str, str]], RowType]
) -> Iterator[RowType | LabelFileError]:
    row = 1
    while True:
        row += 1
        try:
            found: RowType | LabelFileError = parse(_cells(next(reader), columns))
        except StopIteration:
            return
        except (ValueError, csv.Error) as error:
            found = LabelFileError(f"row {row}: {error}")
        yield found


def _cells(entries: dict[str, Any], columns: tuple[str, ...]) -> dict[str, str]:
    if any(entries[name] is None for name in columns):
        raise ValueError(f"it has fewer than {len(columns)} fields")
    return {name: entries[name].strip() for name in columns}


def _label(entries: dict[str, str]) -> SessionLabel:
    numbers = {name: _number(name, entries[name]) for name in ("start", "end", "confidence", "created")}
    label = SessionLabel(**(entries | numbers))  # type: ignore[arg-type]  # the other columns are text
    if label.start >= label.end:
        raise ValueError(f"it ends at {entries['end']}, not after its start {entries['start']}")
    if not label.task or not label.value:
        raise ValueError("it names no task or no value")
    if label.source not in LABEL_SOURCES:
        raise ValueError(f"source must be one of {', '.join(LABEL_SOURCES)}, not {label.source!r}")
    if not 0 <= label.confidence <= 1:
        raise ValueError(f"confidence must be in 0..1, not {entries['confidence']}")
    return label


def _result(entries: dict[str, str]) -> QuestionnaireResult:
    if not entries["instrument"]:
        raise ValueError("it names no instrument")
    return QuestionnaireResult(
        created=_number("created", entries["created"]),
        instrument=entries["instrument"],
        answers=tuple(_whole("answers", answer) for answer in entries["answers"].split()),
        score=_whole("score", entries["score"]),
        level=entries["level"],
    )


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a number, not {text!r}")
    return value


def _whole(name: str, text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{name} must be whole numbers, not {text!r}")
    return int(text)
