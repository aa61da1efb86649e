"""What a rater gets to see of a window: a few curves, when and of whom, and what may be answered.

Only what is needed to judge leaves the trainer: the sums of the few features that a person can read, second by second,
and never the window's whole vector or its baseline. The model's own estimate is no part of a sheet that is written to a
file: raters who see it agree with it. Neither are stills, which were agreed to for raters at the trainer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sentry_proto.tasks import FALSE_ALARM, TRUE_ALARM, Task

Series = Sequence[float | None]


@dataclass(frozen=True)
class Curve:
    """One line: its name in files, the panel it is drawn in and its name there, and the features whose sum it shows."""

    name: str
    panel: str
    line: str
    features: tuple[str, ...]


CURVES: tuple[Curve, ...] = (
    Curve("smile", "Smile", "mouth corners up", ("blendshape_mouthSmile_mean",)),
    Curve("brow_lowered", "Brow", "lowered", ("blendshape_browDown_mean",)),
    Curve("brow_raised", "Brow", "raised", ("blendshape_browInnerUp_mean",)),
    Curve("head_speed", "Head motion, deg/s", "speed", ("head_speed_mean",)),
    Curve("slouch", "Slouch, shoulder widths", "slouch", ("slouch_mean",)),
    Curve("happy", "Expression, probability", "happy", ("emotion_happy_mean",)),
    Curve(
        "unpleasant",
        "Expression, probability",
        "angry, disgust, fear or sad",
        tuple(f"emotion_{name}_mean" for name in ("angry", "disgust", "fear", "sad")),
    ),
)


@dataclass(frozen=True)
class Odds:
    """What the model says about one task; entropies in nats."""

    task: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    entropy: float
    mutual_information: float


@dataclass(frozen=True)
class Sheet:
    """One window as a rater sees it, for one task.

    Attributes:
        classes: what may be answered.
        verdicts: what may be answered, too, if the task's own alert was on; empty if it was not.
        reason: the stratum that sent the window; empty if the rater must not know.
        start, end: Unix seconds.
        camera_states: one letter a second, see `sentry_proto.types.CAMERA_STATES`.
        curves: by the names in `CURVES`, one value per second, None where it was not seen.
        purpose: that the study declares; empty if it declares none, and on a page.
        model_version, odds: what the model says; not in a file.
        stills: Unix seconds and base64 of a JPEG; not in a file.
    """

    window_id: str
    task: str
    classes: tuple[str, ...]
    verdicts: tuple[str, ...]
    reason: str
    participant: str
    session: str
    agent: str
    start: float
    end: float
    camera_states: str
    curves: Mapping[str, Series]
    purpose: str = ""
    model_version: int | None = None
    odds: tuple[Odds, ...] = ()
    stills: tuple[tuple[float, str], ...] = ()

    def blinded(self) -> Sheet:
        """The same without what the model made of it: estimate, reason, and the question that gives an alert away."""
        return replace(self, verdicts=(), reason="", model_version=None, odds=())


def sheet_of(window: Mapping[str, Any], task: Task, tasks: Sequence[Task]) -> Sheet:
    """From a window as the control API shows it (docs/control-api.md, `window`)."""
    alerted = any(said["task"] == task.name and said["alerting"] for said in window["predictions"])
    classes = {known.name: known.classes for known in tasks}
    return Sheet(
        task=task.name,
        classes=task.classes,
        verdicts=(TRUE_ALARM, FALSE_ALARM) if task.alert is not None and alerted else (),
        reason=window["stratum"],
        curves={curve.name: series(window["features"], curve) for curve in CURVES},
        odds=tuple(
            Odds(p["task"], classes[p["task"]], tuple(p["probabilities"]), p["entropy"], p["mutual_information"])
            for p in window["predictions"]
            if len(classes.get(p["task"], ())) == len(p["probabilities"])
        ),
        stills=tuple((still["time"], still["jpeg"]) for still in window["stills"]),
        **{name: window[name] for name in _AS_IT_IS},
    )


_AS_IT_IS = (
    "window_id", "participant", "session", "agent", "start", "end", "camera_states", "model_version",
)  # fmt: skip


def series(features: Mapping[str, Any], curve: Curve) -> list[float | None]:
    """The curve's value in each second; None in a second in which a part of it was not seen."""
    columns = [features["names"].index(name) for name in curve.features if name in features["names"]]
    if len(columns) < len(curve.features):
        return [None] * len(features["values"])
    parts = [[second[column] for column in columns] for second in features["values"]]
    return [None if None in values else round(sum(values), 5) for values in parts]


def summary(values: Series) -> tuple[float, float, float] | None:
    """Mean, lowest and highest of what was seen; None if nothing was."""
    seen = [value for value in values if value is not None]
    return (float(np.mean(seen)), min(seen), max(seen)) if seen else None
