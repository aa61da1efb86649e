"""Draws the puppet: the portrait that ships with scikit-image, warped by the script.

The portrait is NASA's photograph of the astronaut Eileen Collins (public domain), `skimage.data.astronaut()`. Only the
head is warped, by Gaussian displacement fields around a few landmarks; posture is an affine map of the whole picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_agent.puppet.script import Motion, Person, motion
from sentry_proto.errors import MissingDependency

Image = NDArray[np.uint8]
Point = tuple[float, float]

HEIGHT, WIDTH = 480, 640
ENLARGED = WIDTH / 512

# Found once with MediaPipe's FaceLandmarker in the 512 x 512 portrait; left and right are the picture's.
EYES: tuple[Point, Point] = ((203.8, 101.5), (246.6, 103.0))
EYE_CORNERS: tuple[tuple[Point, Point], ...] = (((195.3, 100.6), (213.6, 103.6)), ((236.4, 104.9), (255.3, 103.8)))
UPPER_LIDS: tuple[Point, Point] = ((203.5, 93.3), (247.0, 95.7))
LOWER_LIDS: tuple[Point, Point] = ((204.2, 105.7), (246.0, 108.0))
BROWS: tuple[Point, Point] = ((201.0, 90.0), (250.0, 92.0))
INNER_BROWS: tuple[Point, Point] = ((215.5, 94.0), (235.2, 95.0))
MOUTH_CORNERS: tuple[Point, Point] = ((202.3, 139.2), (244.5, 140.6))
LOWER_LIP: Point = (223.0, 151.0)
CHIN: Point = (221.4, 175.0)
NOSE: Point = (223.5, 124.0)
HEAD: Point = (224.0, 112.0)
EYE_DISTANCE = 42.8

HEAD_BOX = (130, 0, 320, 215)
"""Left, top, right and bottom of what is warped, in the portrait."""

SKIN = (146, 174, 202)
LASHES = (50, 65, 95)
"""Colours of the closing lids, blue, green, red, as they are beside the eyes."""

LASH_WIDTH = 2

NOISE_LEVEL = 2.0
"""Standard deviation of the sensor noise, in grey levels."""


def _portrait() -> Image:
    try:
        from skimage import data  # noqa: PLC0415 - only the demo extra brings it
    except ImportError as error:
        raise MissingDependency(
            "the puppet needs scikit-image; install it with: pip install 'sentry-lab[demo]'"
        ) from error
    picture: Image = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)
    return picture


@dataclass(frozen=True)
class _Push:
    """A Gaussian push: content near `at` moves along (x, y) by the strength that `Fields.maps` is given."""

    at: Point
    x: float
    y: float
    spread: float  # in eye distances


def _pushes() -> dict[str, list[_Push]]:
    """For each degree of freedom, the pushes that a strength of 1 eye distance means."""
    left, right = MOUTH_CORNERS
    return {
        "mouth_corners": [_Push(left, 0, 1, 0.24), _Push(right, 0, 1, 0.24)],
        "mouth_press": [_Push(left, 1, 0, 0.24), _Push(right, -1, 0, 0.24)],
        "jaw": [_Push(LOWER_LIP, 0, 1, 0.22), _Push(CHIN, 0, 1, 0.45)],
        "brows": [_Push(point, 0, -1, 0.25) for point in BROWS],
        "frown": [
            *(_Push(point, 0, 1, 0.2) for point in INNER_BROWS),
            _Push(INNER_BROWS[0], 0.6, 0, 0.2),
            _Push(INNER_BROWS[1], -0.6, 0, 0.2),
        ],
        "gaze_x": [_Push(point, 1, 0, 0.09) for point in EYES],
        "gaze_y": [_Push(point, 0, 1, 0.09) for point in EYES],
        "yaw": [_Push(NOSE, 0.25, 0, 0.65)],
        "pitch": [_Push(NOSE, 0, 0.22, 0.65)],
        "head_y": [_Push(HEAD, 0, 1, 1.1)],
    }


class _Fields:
    """The displacement fields of all degrees of freedom over the head box, ready to be added up."""

    def __init__(self) -> None:
        left, top, right, bottom = (round(ENLARGED * edge) for edge in HEAD_BOX)
        self.box = (slice(top, bottom), slice(left, right))
        y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
        self._origin = np.stack([x - left, y - top])
        self.names = tuple(_pushes())
        fields = np.stack([self._field(pushes, x, y) for pushes in _pushes().values()])
        self._fields = (fields * self._fade(x, y)).reshape(len(fields), -1)

    @staticmethod
    def _field(pushes: list[_Push], x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float32]:
        """float32 [2, h, w]: where to look for what comes to stand here, for a strength of 1."""
        field = np.zeros((2, *x.shape), np.float32)
        unit = ENLARGED * EYE_DISTANCE
        for push in pushes:
            squared = (x - ENLARGED * push.at[0]) ** 2 + (y - ENLARGED * push.at[1]) ** 2
            bump = unit * np.exp(-squared / (2 * (push.spread * unit) ** 2))
            field[0] -= push.x * bump
            field[1] -= push.y * bump
        return field

    @staticmethod
    def _fade(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float32]:
        """1 inside, 0 at the box's left, right and bottom edge, so that the warped head joins the picture."""
        inside = np.minimum(np.minimum(x - x.min(), x.max() - x), y.max() - y)
        faded: NDArray[np.float32] = np.clip(inside / 40, 0, 1).astype(np.float32)
        return faded

    def maps(self, strengths: Motion) -> NDArray[np.float32]:
        """float32 [2, h, w]: the source position of each pixel of the head box."""
        amounts = np.array([getattr(strengths, name) for name in self.names], np.float32)
        moved: NDArray[np.float32] = self._origin + (amounts @ self._fields).reshape(self._origin.shape)
        return moved


class Puppet:
    """Draws frames; keeps what is the same in all frames of a person.

    Raises:
        MissingDependency: scikit-image is not installed.
    """

    def __init__(self) -> None:
        enlarged = cv2.resize(_portrait(), (WIDTH, WIDTH), interpolation=cv2.INTER_CUBIC)
        self._base: Image = enlarged[: HEIGHT + 60].copy()
        self._fields = _Fields()
        random = np.random.default_rng(7)
        self._noise = random.normal(0, NOISE_LEVEL, (HEIGHT + 64, WIDTH + 64, 3)).round().astype(np.int8)

    def render(self, person: Person, t: float) -> Image:
        """The person at `t` seconds of their own time: uint8 [480, 640, 3] in BGR order."""
        now = motion(person, t)
        picture = self._base.copy()
        _close_lids(picture, now.lids)
        maps = self._fields.maps(now)
        head = picture[self._fields.box]
        picture[self._fields.box] = cv2.remap(head, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        frame = cv2.warpAffine(
            picture, _posture(person, now), (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        if person.mirror:
            frame = cv2.flip(frame, 1)
        return self._with_noise(cv2.LUT(frame, _tone(person, now.light)), t)

    def _with_noise(self, frame: Image, t: float) -> Image:
        top, left = np.random.default_rng(round(1000 * t)).integers(0, 64, 2)
        noise = self._noise[top : top + HEIGHT, left : left + WIDTH]
        noisy: Image = cv2.add(frame, noise, dtype=cv2.CV_8U)
        return noisy


def _arc(first: Point, middle: Point, last: Point) -> NDArray[np.float64]:
    """float64 [9, 2]: the parabola through three points, in the enlarged portrait."""
    at = np.linspace(0, 1, 9)[:, None]
    ends = (1 - at) * first + at * np.array(last)
    bulge = np.array(middle) - (np.array(first) + np.array(last)) / 2
    line: NDArray[np.float64] = ENLARGED * (ends + 4 * at * (1 - at) * bulge)
    return line


def _close_lids(picture: Image, closure: float) -> None:
    """Draw the upper lids down over the eyes; a warp would drag the brows along."""
    if closure < 0.05:
        return
    subpixel = 4
    for corners, upper, lower in zip(EYE_CORNERS, UPPER_LIDS, LOWER_LIDS, strict=True):
        top = _arc(corners[0], upper, corners[1])
        edge = (1 - closure) * top + closure * _arc(corners[0], lower, corners[1])
        lid = np.concatenate([top, edge[::-1]])
        points, lashes = ((2**subpixel * line).round().astype(np.int32) for line in (lid, edge))
        cv2.fillPoly(picture, [points], SKIN, cv2.LINE_AA, subpixel)
        cv2.polylines(picture, [lashes], False, LASHES, LASH_WIDTH, cv2.LINE_AA, subpixel)


def _posture(person: Person, now: Motion) -> NDArray[np.float64]:
    """The affine map of roll, zoom, shift and the person's width, about the chest."""
    centre = (ENLARGED * HEAD[0], ENLARGED * 230)
    matrix = cv2.getRotationMatrix2D(centre, now.roll_deg, person.scale * now.zoom)
    matrix[0] *= person.width
    unit = ENLARGED * EYE_DISTANCE
    matrix[0, 2] += (WIDTH / 2 - centre[0] * person.width) + now.shift_x * unit
    matrix[1, 2] += 10 + now.shift_y * unit
    return np.asarray(matrix, np.float64)


def _tone(person: Person, light: float) -> Image:
    """The tone curve of each channel: uint8 [256, 1, 3]."""
    curve = 255 * light * (np.arange(256) / 255) ** person.gamma
    table: Image = np.clip(curve[:, None, None] * np.array(person.gain), 0, 255).astype(np.uint8)
    return table
