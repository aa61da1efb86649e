"""Answers that come back from people: CSV, JSON Lines or Label Studio's JSON export, told apart by how they begin.

CSV and JSON Lines have one answer a row, with `window_id`, `task`, `value` and `rater`, and if wanted `source`,
`confidence`, `label_id` and `created` (Unix seconds); what an exported file says beside that is passed over, anything
else is refused, since a misspelt name must not lose what stands under it. Label Studio's export is a list of tasks with
annotations; who gave one is `label-studio-N`, N being the number of the user there.

Rows without a value are not answered yet. The same answer twice counts once; two different answers of one rater about
one window and task are a contradiction, and somebody has to say which one holds. Everything that is wrong with a file
is found before anything is said, so that it can be mended in one go.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sentry_proto.errors import InputError, LabelFileError
from sentry_proto.types import Label
from training.active_learning.labelling_files import CHOICE, CSV_COLUMNS, LINE_FIELDS

REQUIRED = ("window_id", "task", "value", "rater")
OPTIONAL = ("source", "confidence", "label_id", "created")
SAID_AT_MOST = 8
"""Rows named in one sentence."""

WRONG_AT_MOST = 1_000
"""A file with so many wrong rows is no label file, and is not read on."""


@dataclass
class AnswerFile:
    """What was found in a file.

    Attributes:
        unit: what its rows are called.
        answers: with the number of their row; not checked against tasks and windows.
        unanswered: rows without a value.
        wrong: reasons by the number of their row.
    """

    unit: str
    answers: list[tuple[int, Label]] = field(default_factory=list)
    unanswered: int = 0
    wrong: dict[int, str] = field(default_factory=dict)

    def raise_if_wrong(self) -> None:
        """Name every row that is wrong, up to `SAID_AT_MOST`.

        Raises:
            LabelFileError: if there is any.
        """
        if not self.wrong:
            return
        said = [f"{self.unit} {number}: {reason}" for number, reason in sorted(self.wrong.items())]
        least = "at least " if len(said) == WRONG_AT_MOST else ""
        more = f"; and {least}{len(said) - SAID_AT_MOST} more" if len(said) > SAID_AT_MOST else ""
        raise LabelFileError("; ".join(said[:SAID_AT_MOST]) + more)


def read_answers(text: str, now: float, rater: str = "") -> AnswerFile:
    """Read a file of answers.

    Args:
        text: of the file.
        now: Unix seconds, for answers that do not say when they were given.
        rater: for those that do not say whose they are.

    Raises:
        LabelFileError: if it is no such file at all.
    """
    text = text.removeprefix("\ufeff")
    begin = text.lstrip()[:1]
    if begin == "[":
        return _collect("task", _label_studio(text), now, rater)
    return _collect("row", _lines(text) if begin == "{" else _csv(text), now, rater)


Row = Mapping[str, Any] | InputError


def _collect(unit: str, rows: Iterable[tuple[int, Row]], now: float, rater: str) -> AnswerFile:
    found = AnswerFile(unit)
    given: dict[tuple[str, str, str], tuple[int, str]] = {}
    for number, row in rows:
        try:
            label = _label(row, now, rater)
        except InputError as error:
            found.wrong.setdefault(number, str(error))
            if len(found.wrong) == WRONG_AT_MOST:
                break
            continue
        if label is None:
            found.unanswered += 1
            continue
        first, value = given.setdefault((label.window_id, label.task, label.rater), (number, label.value))
        if value == label.value:
            found.answers.append((number, label))
        else:
            found.wrong[number] = f"{label.rater} has said {value!r} about this window already, in {unit} {first}"
    return found


def _label(row: Row, now: float, rater: str) -> Label | None:
    """None if it is not answered."""
    if isinstance(row, InputError):
        raise row
    said = {name: _text(name, row.get(name)) for name in (*REQUIRED, "source", "label_id")}
    if not said["value"]:
        return None
    said["rater"] = said["rater"] or rater
    return Label(
        label_id=said["label_id"] or _id_of([said[name] for name in REQUIRED]),
        window_id=said["window_id"],
        task=said["task"],
        value=said["value"],
        source=said["source"] or "import",
        rater=said["rater"],
        confidence=_number("confidence", row.get("confidence"), 1.0),
        created=_number("created", row.get("created"), now),
    )


def _text(name: str, value: object) -> str:
    if value is None or isinstance(value, bool | list | dict):
        if value is None:
            return ""
        raise InputError(f"{name} must be text")
    return str(value).strip()


def _number(name: str, value: object, default: float) -> float:
    text = _text(name, value)
    try:
        return float(text) if text else default
    except ValueError as error:
        raise InputError(f"{name} {text!r} is no number") from error


def _id_of(said: list[str]) -> str:
    """An id made of what the label says, so that importing a file twice stores it once."""
    return hashlib.sha256("\x1f".join(said).encode()).hexdigest()[:32]


def _csv(text: str) -> Iterator[tuple[int, Row]]:
    """Row numbers are line numbers; the header is row 1. Spreadsheets of many countries separate by semicolons."""
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    reader = csv.DictReader(io.StringIO(text), strict=True, delimiter=separator)
    try:
        header = list(reader.fieldnames or ())
        _check_header(header)
        for row in reader:
            whole = None not in row and None not in row.values()
            yield reader.line_num, row if whole else InputError(f"it must have {len(header)} fields")
    except csv.Error as error:
        raise LabelFileError(f"row {reader.reader.line_num}: {error}") from error


def _check_header(names: list[str]) -> None:
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise LabelFileError(f"row 1: the header must name {', '.join(REQUIRED)}; missing: {', '.join(missing)}")
    unknown = [name for name in names if name not in {*REQUIRED, *OPTIONAL, *CSV_COLUMNS}]
    if unknown or len(set(names)) < len(names):
        raise LabelFileError(f"row 1: unknown or repeated columns: {', '.join(unknown or names)}")


def _lines(text: str) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, _line(line)


def _line(line: str) -> Row:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        return InputError(f"it is no JSON: {error}")
    if not isinstance(entry, dict):
        return InputError("it must be a JSON object")
    unknown = sorted(set(entry) - {*REQUIRED, *OPTIONAL, *LINE_FIELDS})
    return InputError(f"unknown fields: {', '.join(unknown)}") if unknown else entry


def _label_studio(text: str) -> Iterator[tuple[int, Row]]:
    """Annotations of each task, numbered by the task's place in the list; a task without any is one unanswered row."""
    try:
        tasks = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LabelFileError(f"the file begins as a Label Studio export but is no JSON: {error}") from error
    for number, task in enumerate(tasks, 1):
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict) or "window_id" not in task["data"]:
            yield number, InputError("it is no exported window; export from Label Studio as JSON, not as JSON-MIN")
            continue
        annotations = task.get("annotations") or []
        if not isinstance(annotations, list) or not all(isinstance(given, dict) for given in annotations):
            yield number, InputError("its annotations must be a list of objects")
            continue
        for given in annotations or [{}]:
            yield number, _annotation(task["data"], given)


def _annotation(data: Mapping[str, Any], given: Mapping[str, Any]) -> Row:
    try:
        value = "" if given.get("was_cancelled") else _choice(given.get("result") or [])
        rater = _user(given.get("completed_by")) if value else ""
        created = _unix(given.get("updated_at") or given.get("created_at")) if value else None
    except InputError as error:
        return error
    return {
        "window_id": data["window_id"],
        "task": data.get("task"),
        "value": value,
        "rater": rater,
        "created": created,
    }


def _choice(result: object) -> str:
    """The one choice of an annotation; empty if nothing was chosen."""
    regions = result if isinstance(result, list) else [None]
    values = [
        region.get("value") for region in regions if isinstance(region, dict) and region.get("from_name") == CHOICE
    ]
    chosen = [choice for value in values if isinstance(value, dict) for choice in value.get("choices") or ()]
    if len(chosen) > 1 or len(values) < len(regions):
        raise InputError(f"an annotation must hold one choice of {CHOICE!r} and nothing else")
    return str(chosen[0]) if chosen else ""


def _user(completed_by: object) -> str:
    number = completed_by.get("id") if isinstance(completed_by, dict) else completed_by
    return f"label-studio-{number}" if isinstance(number, int | str) and number != "" else ""


def _unix(moment: object) -> float | None:
    if moment is None:
        return None
    try:
        return datetime.fromisoformat(str(moment)).timestamp()
    except ValueError as error:
        raise InputError(f"{moment!r} is no time") from error
