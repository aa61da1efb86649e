"""The feature layout: what one frame and one second are made of, by name, unit and order.

A frame yields one value per `FRAME_FEATURES` entry, or NaN where its modality was not seen. A second yields one
value per `SECOND_FEATURES` entry: each frame feature under each of its aggregates. Everything that touches
features (extraction, wire, store, heads) reads this table; `LAYOUT_ID` changes with it, and the two ends of a
connection compare the ids before they exchange a single window.

Angles are in degrees, posture in shoulder widths, so that the distance to the camera does not matter. Blendshapes are
MediaPipe's ARKit-style coefficients, left and right averaged where the face has both.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

LAYOUT_VERSION = 1

MODALITIES: tuple[str, ...] = ("face", "emotion", "pose", "hands", "quality")
"""Order of the coverage columns of a second and a window; hands leave the picture while the shoulders stay."""

EMOTIONS: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""Class order of the expression model."""

BLENDSHAPES: tuple[str, ...] = (
    "browDown", "browInnerUp", "browOuterUp", "cheekPuff", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookUp",
    "eyeSquint", "eyeWide", "jawForward", "jawOpen", "mouthClose", "mouthDimple", "mouthFrown", "mouthFunnel",
    "mouthLowerDown", "mouthPress", "mouthPucker", "mouthRollLower", "mouthRollUpper", "mouthShrugLower",
    "mouthShrugUpper", "mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer",
)  # fmt: skip
"""MediaPipe category names without their Left/Right suffix."""

LEVEL = ("mean",)
LEVEL_SPREAD = ("mean", "spread")
LEVEL_SPREAD_RANGE = ("mean", "spread", "range")
EVENTS = ("count",)


@dataclass(frozen=True)
class FrameFeature:
    """One value that a frame yields.

    Attributes:
        name: unique, snake case, prefixed by its modality where the name alone would be unclear.
        modality: one of `MODALITIES`; the value is missing whenever that modality was not seen.
        unit: of the value.
        low, high: the range that values are clipped to.
        aggregates: how the frames of a second become one value each: `mean`; `spread` (standard deviation); `range`
            (maximum minus minimum); `count` (events per second: rising edges of an indicator that is 0 or 1).
    """

    name: str
    modality: str
    unit: str
    low: float
    high: float
    aggregates: tuple[str, ...]


@dataclass(frozen=True)
class SecondFeature:
    """One value of the per-second vector: a frame feature under one aggregate."""

    name: str
    source: str
    aggregate: str
    modality: str
    unit: str
    low: float
    high: float


def _face() -> list[FrameFeature]:
    angles = [
        FrameFeature(f"head_{axis}", "face", "deg", -90, 90, LEVEL_SPREAD_RANGE) for axis in ("yaw", "pitch", "roll")
    ]
    return [
        *angles,
        FrameFeature("eye_aspect_ratio", "face", "1", 0, 1, LEVEL_SPREAD),
        FrameFeature("blink", "face", "1", 0, 1, EVENTS),
        FrameFeature("eyes_closed", "face", "1", 0, 1, LEVEL),
        FrameFeature("gaze_x", "face", "1", -1, 1, LEVEL_SPREAD),
        FrameFeature("gaze_y", "face", "1", -1, 1, LEVEL_SPREAD),
        FrameFeature("mouth_opening", "face", "1", 0, 2, LEVEL_SPREAD),
        FrameFeature("brow_height", "face", "1", 0, 2, LEVEL_SPREAD),
        FrameFeature("smile_asymmetry", "face", "1", -1, 1, LEVEL),
        FrameFeature("head_speed", "face", "deg/s", 0, 500, LEVEL),
        FrameFeature("face_size", "face", "px", 0, 2_000, LEVEL),
        *[FrameFeature(f"blendshape_{name}", "face", "1", 0, 1, LEVEL_SPREAD) for name in BLENDSHAPES],
    ]


def _emotion() -> list[FrameFeature]:
    return [
        *[FrameFeature(f"emotion_{name}", "emotion", "probability", 0, 1, LEVEL_SPREAD) for name in EMOTIONS],
        FrameFeature("emotion_entropy", "emotion", "nat", 0, 2, LEVEL),
    ]


def _pose() -> list[FrameFeature]:
    widths = "shoulder widths"
    return [
        FrameFeature("shoulder_tilt", "pose", "deg", -90, 90, LEVEL_SPREAD_RANGE),
        FrameFeature("forward_lean", "pose", widths, -3, 3, LEVEL_SPREAD),
        FrameFeature("slouch", "pose", widths, -3, 3, LEVEL_SPREAD),
        FrameFeature("head_drop", "pose", widths, -3, 3, LEVEL_SPREAD),
        FrameFeature("head_offset", "pose", widths, -3, 3, LEVEL_SPREAD),
        FrameFeature("movement_energy", "pose", f"{widths}/s", 0, 20, LEVEL_SPREAD),
    ]


def _hands() -> list[FrameFeature]:
    widths = "shoulder widths"
    return [
        FrameFeature("hand_face_distance", "hands", widths, 0, 5, LEVEL_SPREAD),
        FrameFeature("openness", "hands", widths, 0, 5, LEVEL_SPREAD),
    ]


def _quality() -> list[FrameFeature]:
    return [
        FrameFeature("brightness", "quality", "1", 0, 1, LEVEL),
        FrameFeature("contrast", "quality", "1", 0, 1, LEVEL),
        FrameFeature("sharpness", "quality", "log variance of Laplacian", -10, 15, LEVEL),
        FrameFeature("faces", "quality", "count", 0, 10, LEVEL),
    ]


def _aggregated(feature: FrameFeature, aggregate: str) -> SecondFeature:
    low, high, unit = feature.low, feature.high, feature.unit
    if aggregate in ("spread", "range"):
        low, high = 0.0, feature.high - feature.low
    elif aggregate == "count":
        low, high, unit = 0.0, 30.0, "events/s"
    return SecondFeature(f"{feature.name}_{aggregate}", feature.name, aggregate, feature.modality, unit, low, high)


FRAME_FEATURES: tuple[FrameFeature, ...] = (*_face(), *_emotion(), *_pose(), *_hands(), *_quality())
SECOND_FEATURES: tuple[SecondFeature, ...] = tuple(
    _aggregated(feature, aggregate) for feature in FRAME_FEATURES for aggregate in feature.aggregates
)

FRAME_INDEX: dict[str, int] = {feature.name: i for i, feature in enumerate(FRAME_FEATURES)}
SECOND_INDEX: dict[str, int] = {feature.name: i for i, feature in enumerate(SECOND_FEATURES)}
MODALITY_INDEX: dict[str, int] = {name: i for i, name in enumerate(MODALITIES)}

N_FRAME = len(FRAME_FEATURES)
N_SECOND = len(SECOND_FEATURES)
N_MODALITIES = len(MODALITIES)


def layout_id() -> str:
    """Twelve hex digits that change whenever a name, order, unit, range or aggregate of a second does."""
    table = "\n".join(repr(feature) for feature in SECOND_FEATURES)
    return hashlib.sha256(f"{LAYOUT_VERSION}\n{table}".encode()).hexdigest()[:12]


LAYOUT_ID = layout_id()
