"""Sheets that tests of labelling send around."""

from __future__ import annotations

from sentry_proto.tasks import FALSE_ALARM, TRUE_ALARM
from training.active_learning.sheets import CURVES, Sheet


def sheet(number: int = 1, **changes: object) -> Sheet:
    """Half a minute of one person; the face was away for the last six seconds."""
    seen = {curve.name: [0.01 * t + 0.1 * i for t in range(24)] + [None] * 6 for i, curve in enumerate(CURVES)}
    fields: dict[str, object] = {
        "window_id": f"{number:032x}",
        "task": "stress",
        "classes": ("calm", "mildly stressed", "stressed"),
        "verdicts": (TRUE_ALARM, FALSE_ALARM) if number % 3 == 0 else (),
        "reason": ("audit", "uncertain", "alert")[(number - 1) % 3],
        "participant": f"P{number:02d}",
        "session": "s0001",
        "agent": "lab-1",
        "start": 1_750_000_000.0 + 60 * number,
        "end": 1_750_000_030.0 + 60 * number,
        "camera_states": "o" * 24 + "n" * 6,
        "curves": seen,
    }
    return Sheet(**{**fields, **changes})  # type: ignore[arg-type]
