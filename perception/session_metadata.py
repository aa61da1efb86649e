"""`session.json`: what a session folder says about itself."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sentry_proto.errors import InputError, StorageError
from sentry_proto.tasks import DEFAULT_TASKS, Task, tasks_from_json, tasks_to_json

FORMAT = 1
"""Version of the session folder; docs/session-format.md describes it."""

FILE = "session.json"


@dataclass(frozen=True)
class SessionMetadata:
    """One session. Of a lab's own clip only the first two need to be known.

    Attributes:
        session_id: unique among all sessions.
        participant: a pseudonym.
        started: Unix seconds of the first frame's second; 0 for a clip of unknown date, whose labels then count
            seconds from its beginning.
        ended: Unix seconds; None while recording, after a recording that was interrupted, and where nobody knows.
        purpose: what the session was recorded for; one of `PURPOSES`, or empty if nobody said.
        consent_id: the record that it was made under.
        source: where the frames came from.
        fps: the most frames a second that were asked for; None for all that came.
        layout_id: of the features; empty without any.
        software: version that wrote the folder.
        models: file name -> SHA-256 of the perception models.
        video: name of a file in the folder; None without one.
        video_started: Unix seconds of the video's first frame; None without one.
        tasks: those that the labels are for.
    """

    session_id: str
    participant: str
    started: float = 0.0
    ended: float | None = None
    purpose: str = ""
    consent_id: str = ""
    source: str = ""
    fps: float | None = None
    layout_id: str = ""
    software: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    video: str | None = None
    video_started: float | None = None
    tasks: tuple[Task, ...] = DEFAULT_TASKS

    def to_json(self) -> str:
        """One JSON object."""
        fields = asdict(self) | {"tasks": tasks_to_json(self.tasks)}
        return json.dumps({"format": FORMAT} | fields, indent=1) + "\n"


def load_metadata(path: Path) -> SessionMetadata:
    """Read a `session.json`.

    Raises:
        InputError: it is absent, is no JSON, has another format version, or a field is wrong.
        StorageError: it cannot be read.
    """
    try:
        entries = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"{path.parent} is no session folder: it has no {path.name}") from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # json and its encoding alike
        raise InputError(f"{path} is not JSON: {error}") from error
    if not isinstance(entries, dict):
        raise InputError(f"{path} must hold one JSON object")
    if entries.get("format") != FORMAT:
        raise InputError(f"{path} has format {entries.get('format')!r}; this version reads format {FORMAT}")
    try:
        return _checked(entries)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def check_folder_name(name: str, value: str) -> None:
    """Refuse a text that cannot be one step of a path.

    Raises:
        InputError: it is empty, leads elsewhere, or holds a slash or a control character.
    """
    if not value.isprintable() or value in ("", ".", "..") or set(value) & set("/\\"):
        raise InputError(f"{name} must be a name without slashes, not {value!r}")


def _checked(entries: dict[str, Any]) -> SessionMetadata:
    models = entries.get("models", {})
    tasks = entries.get("tasks")
    if not isinstance(models, dict) or not isinstance(tasks, list | None):
        raise InputError("models must be an object and tasks a list")
    return SessionMetadata(
        session_id=_name(entries, "session_id"),
        participant=_name(entries, "participant"),
        started=_number(entries, "started") or 0.0,
        ended=_number(entries, "ended"),
        purpose=_text(entries, "purpose"),
        consent_id=_text(entries, "consent_id"),
        source=_text(entries, "source"),
        fps=_number(entries, "fps"),
        layout_id=_text(entries, "layout_id"),
        software=_text(entries, "software"),
        models={str(name): str(digest) for name, digest in models.items()},
        video=_name(entries, "video") if entries.get("video") is not None else None,
        video_started=_number(entries, "video_started"),
        tasks=DEFAULT_TASKS if tasks is None else tasks_from_json(tasks),
    )


def _text(entries: dict[str, Any], name: str) -> str:
    value = entries.get(name, "")
    if not isinstance(value, str):
        raise InputError(f"{name} must be text, not {value!r}")
    return value


def _name(entries: dict[str, Any], name: str) -> str:
    value = _text(entries, name)
    check_folder_name(name, value)
    return value


def _number(entries: dict[str, Any], name: str) -> float | None:
    value = entries.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{name} must be a number, not {value!r}")
    return float(value)
