"""Windows for human labelling, as files that people and other tools can work on.

| format | for | what comes back |
|---|---|---|
| CSV | spreadsheets: mean, lowest and highest of each curve | the same file with `value` and `rater` filled in |
| JSON Lines | the labelling page, scripts: curves second by second | the page's answers, or filled-in lines |
| Label Studio tasks | Label Studio: a TimeSeries with Choices | its JSON export |

`answer_files` reads what comes back. Label Studio's formats: https://labelstud.io/guide/task_format.html and
https://labelstud.io/tags/timeseries.html; its TimeSeries draws what is missing as 0 (its issue 695), so gaps are
bridged by the last value that was seen, and a channel `seen` says where.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from itertools import groupby
from typing import Any
from xml.sax.saxutils import quoteattr

from sentry_proto.errors import InputError, LabelFileError
from sentry_proto.types import CAMERA_STATES
from training.active_learning.sheets import CURVES, Series, Sheet, summary

Json = dict[str, Any]

CHOICE, OBJECT = "label", "curves"
"""Names of the answer and of what is answered about, in Label Studio."""

_TEXT = ("window_id", "task", "reason", "participant", "session", "agent", "camera_states", "purpose")
_IN_FILES = tuple(field.name for field in fields(Sheet) if field.name not in {"model_version", "odds", "stills"})
_NEEDED = tuple(name for name in _IN_FILES if name != "purpose")
_LETTERS = {letter: str(state) for state, letter in CAMERA_STATES.items()}

CSV_COLUMNS = (
    "window_id", "task", "choices", "value", "rater", "confidence", "participant", "session", "agent", "start_local",
    "end_local", "reason", "purpose", "camera",
    *(f"{curve.name}_{what}" for curve in CURVES for what in ("mean", "lowest", "highest")),
)  # fmt: skip
LINE_FIELDS = (*_IN_FILES, "start_local", "end_local", "value", "rater", "confidence")


def to_csv(sheets: Sequence[Sheet]) -> str:
    """One row a window; `value` and `rater` are to be filled in, with one of the `choices`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, restval="", lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for sheet in sheets:
        writer.writerow({**vars(sheet), **_when(sheet), **_in_words(sheet), **_figures(sheet)})
    return text.getvalue()


def to_lines(sheets: Sequence[Sheet]) -> str:
    """One JSON object a line: the whole sheet, and `value` and `rater` to be filled in."""
    blank = {"value": "", "rater": ""}
    lines = ({**{name: getattr(sheet, name) for name in _IN_FILES}, **_when(sheet), **blank} for sheet in sheets)
    return "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)


def to_label_studio(sheets: Sequence[Sheet]) -> str:
    """A list of Label Studio tasks; a project that imports it needs the `label_studio_config` of the same sheets."""
    return json.dumps([{"data": _task_data(sheet)} for sheet in sheets], indent=1, allow_nan=False) + "\n"


def label_studio_config(sheets: Sequence[Sheet]) -> str:
    """The labelling interface (XML) of a Label Studio project for these sheets, which are all for one task."""
    choices = list(dict.fromkeys(value for sheet in sheets for value in (*sheet.classes, *sheet.verdicts)))
    task = sheets[0].task if sheets else "state"
    channels = [
        *(f"    <Channel column={quoteattr(curve.name)} legend={quoteattr(_legend(curve.name))}/>" for curve in CURVES),
        '    <Channel column="seen" legend="share of the curves that was seen (0: lines are only held)"/>',
    ]
    keys = [f' hotkey="{number}"' if number <= 9 else "" for number in range(1, len(choices) + 1)]
    return "\n".join(
        [
            "<View>",
            f"  <Header value={quoteattr(f'Which {task} do you see?')}/>",
            '  <Text name="about" value="$about"/>',
            f'  <TimeSeries name="{OBJECT}" value="${OBJECT}" valueType="json" timeColumn="second">',
            *channels,
            "  </TimeSeries>",
            f'  <Choices name="{CHOICE}" toName="{OBJECT}" choice="single" required="true" showInline="true">',
            *(f"    <Choice value={quoteattr(v)}{key}/>" for v, key in zip(choices, keys, strict=True)),
            "  </Choices>",
            "</View>",
            "",
        ]
    )


FORMATS: Mapping[str, Callable[[Sequence[Sheet]], str]] = {
    "csv": to_csv,
    "jsonl": to_lines,
    "labelstudio": to_label_studio,
}


def read_sheets(text: str) -> list[Sheet]:
    """The sheets of a JSON Lines file.

    Raises:
        LabelFileError: naming the first line that is none, and why.
    """
    sheets = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if line.strip():
            try:
                sheets.append(_sheet(json.loads(line)))
            except (ValueError, RecursionError, InputError) as error:
                raise LabelFileError(f"row {number}: this is no window exported as JSON Lines: {error}") from error
    if not sheets:
        raise LabelFileError("there is no window in this file")
    return sheets


def _sheet(entry: object) -> Sheet:
    if not isinstance(entry, dict) or not set(_NEEDED) <= set(entry):
        raise InputError(f"it must be an object with {', '.join(_NEEDED)}")
    chosen = {"purpose": "", **{name: entry[name] for name in _IN_FILES if name in entry}}
    if not all(isinstance(chosen[name], str) for name in _TEXT):
        raise InputError(f"{', '.join(_TEXT)} must be text")
    for name in ("classes", "verdicts"):
        if not isinstance(chosen[name], list) or not all(isinstance(value, str) for value in chosen[name]):
            raise InputError(f"{name} must be a list of words")
        chosen[name] = tuple(chosen[name])
    if not chosen["classes"] or not all(_is_number(chosen[name]) for name in ("start", "end")):
        raise InputError("it must name classes, and start and end in Unix seconds")
    curves = chosen["curves"]
    if not isinstance(curves, dict) or not all(_is_series(curves.get(c.name), chosen["camera_states"]) for c in CURVES):
        raise InputError("every curve must have one number or null for each letter of camera_states")
    return Sheet(**chosen)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_series(values: object, camera_states: str) -> bool:
    return (
        isinstance(values, list)
        and len(values) == len(camera_states)
        and all(value is None or _is_number(value) for value in values)
    )


def _when(sheet: Sheet) -> Json:
    """Start and end with the offset of this machine's time zone, as ISO 8601."""
    return {
        f"{name}_local": datetime.fromtimestamp(time).astimezone().isoformat(timespec="seconds")
        for name, time in (("start", sheet.start), ("end", sheet.end))
    }


def _in_words(sheet: Sheet) -> Json:
    stretches = ((_LETTERS.get(letter, "unknown"), len(list(run))) for letter, run in groupby(sheet.camera_states))
    return {
        "choices": " | ".join((*sheet.classes, *sheet.verdicts)),
        "camera": ", ".join(f"{state} {seconds} s" for state, seconds in stretches),
    }


def _figures(sheet: Sheet) -> Json:
    found: Json = {}
    for curve in CURVES:
        for what, value in zip(("mean", "lowest", "highest"), summary(sheet.curves[curve.name]) or (), strict=False):
            found[f"{curve.name}_{what}"] = round(value, 3)
    return found


def _task_data(sheet: Sheet) -> Json:
    seconds = range(len(sheet.camera_states))
    seen = [sum(values[t] is not None for values in sheet.curves.values()) / len(CURVES) for t in seconds]
    words = _in_words(sheet)
    never = [_legend(curve.name) for curve in CURVES if summary(sheet.curves[curve.name]) is None]
    start, length = _when(sheet)["start_local"], sheet.end - sheet.start
    about = (
        f"{sheet.participant}, session {sheet.session}, {start}, {length:.0f} s; "
        f"camera: {words['camera']}; never seen: {', '.join(never) or 'nothing'}"
    )
    return {
        "window_id": sheet.window_id,
        "task": sheet.task,
        "about": about,
        "participant": sheet.participant,
        "session": sheet.session,
        "agent": sheet.agent,
        "reason": sheet.reason,
        "purpose": sheet.purpose,
        **_when(sheet),
        OBJECT: {
            "second": [t + 0.5 for t in seconds],
            **{curve.name: _held(sheet.curves[curve.name]) for curve in CURVES},
            "seen": [round(share, 2) for share in seen],
        },
    }


def _held(values: Series) -> list[float]:
    """Gaps filled with the last value seen, before the first with the first; 0 where nothing ever was."""
    last = next((value for value in values if value is not None), 0.0)
    return [last := value if value is not None else last for value in values]


def _legend(name: str) -> str:
    curve = next(curve for curve in CURVES if curve.name == name)
    return curve.panel if curve.panel.split(",")[0].lower() == curve.line else f"{curve.panel}: {curve.line}"
