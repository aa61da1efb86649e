"""Records that tests of every package send around."""

from __future__ import annotations

import numpy as np

from sentry_proto.layout import N_MODALITIES, N_SECOND
from sentry_proto.types import (
    Alert,
    Baseline,
    FeatureWindow,
    Heartbeat,
    Prediction,
    ScoredCount,
    Stratum,
    Window,
)


def window(
    window_id: str = "0" * 31 + "1",
    *,
    participant: str = "P01",
    seconds: int = 30,
    start: float = 1_750_000_000.0,
    seed: int = 0,
    stratum: Stratum = Stratum.UNCERTAIN,
    inclusion_probability: float = 0.5,
    model_version: int = 0,
    predictions: tuple[Prediction, ...] = (),
    consent_id: str = "consent-1",
    audit_probability: float = 0.0,
) -> Window:
    """A window of seeded noise that is well within every limit."""
    random = np.random.default_rng(seed)
    baseline = Baseline(
        centre=random.normal(size=N_SECOND).astype(np.float32),
        scale=random.uniform(0.1, 1, N_SECOND).astype(np.float32),
        seconds=60,
    )
    features = FeatureWindow(
        participant=participant,
        session="s0001",
        start=start,
        end=start + seconds,
        values=random.normal(size=(seconds, N_SECOND)).astype(np.float32),
        coverage=np.ones((seconds, N_MODALITIES), np.float32),
        baseline=baseline,
        camera_states="o" * seconds,
    )
    return Window(
        window_id, features, stratum, inclusion_probability, model_version, predictions, consent_id, audit_probability
    )


def prediction(task: str = "stress", alerting: bool = False) -> Prediction:
    """A prediction of a three-class task."""
    return Prediction(task, (0.5, 0.25, 0.25), 1.0, 0.125, alerting)


def alert(alert_id: str = "a" * 32, end: float | None = None) -> Alert:
    """An alert on `window()`."""
    return Alert(
        alert_id=alert_id,
        participant="P01",
        session="s0001",
        task="stress",
        start=1_750_000_030.0,
        end=end,
        probability=0.75,
        threshold=0.5,
        model_version=1,
        window_id="0" * 31 + "1",
        consent_id="consent-1",
    )


def heartbeat(**changes: object) -> Heartbeat:
    """A heartbeat of a healthy agent."""
    fields: dict[str, object] = {
        "time": 1_750_000_000.0,
        "stream": "b" * 32,
        "model_version": 1,
        "update_state": "current",
        "camera_state": "ok",
        "fps": 29.5,
        "participant": "P01",
        "session": "s0001",
        "clock_rate": 1.0,
        "event_time": 1_750_000_000.0,
        "sent": 10,
        "acked": 7,
        "spooled": 2,
        "dropped": 1,
        "software": "0.1.0",
        "frames": 300,
        "counts": (ScoredCount(1, "P01", "stress", False, 12),),
    }
    return Heartbeat(**{**fields, **changes})  # type: ignore[arg-type]
