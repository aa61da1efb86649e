"""Small trees of session folders for the tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from perception.extract import to_table, write_parquet
from perception.fusion import Second, absent
from perception.session_features import PARQUET
from perception.session_metadata import FILE, SessionMetadata
from perception.session_rows import QuestionnaireResult, SessionLabel
from perception.session_writer import SessionWriter
from sentry_proto.layout import N_MODALITIES, N_SECOND, SECOND_FEATURES
from sentry_proto.types import CameraState

BEGIN = 1_790_000_000
"""Unix seconds; a multiple of 5."""

LOW = np.array([feature.low for feature in SECOND_FEATURES])
SPAN = np.array([feature.high for feature in SECOND_FEATURES]) - LOW


def label(
    start: float, end: float, value: str, task: str = "stress", rater: str = "R1", created: float = 0.0
) -> SessionLabel:
    """A label of seconds counted from `BEGIN`."""
    return SessionLabel(BEGIN + start, BEGIN + end, task, value, "observer", rater, 1.0, created or BEGIN + end)


def make_seconds(count: int, start: int = BEGIN, seed: int = 0) -> list[Second]:
    """Consecutive seconds of one person who is seen all the time."""
    generator = np.random.default_rng(seed)
    centre = generator.uniform(0.3, 0.7, N_SECOND)
    rows = LOW + SPAN * np.clip(generator.normal(centre, 0.05, (count, N_SECOND)), 0, 1)
    seen = np.ones(N_MODALITIES, np.float32)
    return [Second(start + i, row.astype(np.float32), seen, CameraState.OK, 30) for i, row in enumerate(rows)]


def write_session(
    root: Path,
    participant: str = "P01",
    session: str = "s1",
    seconds: int | Sequence[Second] = 120,
    labels: Sequence[SessionLabel] = (),
    questionnaires: Sequence[QuestionnaireResult] = (),
    *,
    start: int = BEGIN,
    closed: bool = True,
    **metadata: Any,
) -> Path:
    """Write one session folder as the agent does; returns its path.

    Args:
        root: of the tree.
        participant, session: whose.
        seconds: the seconds themselves, or how many of `make_seconds`.
        labels, questionnaires: of the session.
        start: Unix seconds of the first second.
        closed: otherwise the recording looks interrupted.
        metadata: further fields of `session.json`.
    """
    described = replace(SessionMetadata(session, participant, started=start), **metadata)
    seed = sum(map(ord, participant + session))
    recorded = make_seconds(seconds, start, seed) if isinstance(seconds, int) else list(seconds)
    writer = SessionWriter(root, described)
    for one in labels:
        writer.add_label(one)
    for result in questionnaires:
        writer.add_questionnaire(result)
    if not closed:
        writer.add_seconds(recorded)  # slow: each second is forced to the disk
        return writer.path
    writer.close()
    write_parquet(to_table(recorded or [absent(0)]).slice(0, len(recorded)), writer.path / PARQUET)
    ended = recorded[-1].start + 1.0 if recorded else float(start)
    (writer.path / FILE).write_text(replace(writer.metadata, ended=metadata.get("ended", ended)).to_json())
    return writer.path
