"""Which models look at which frame, and what is given up first where the machine is too slow. Pure.

Why these rates
    A blink takes 0.1 s, and so the face is looked at in every frame. Posture changes over tenths of a second and
    MediaPipe smooths it besides; an expression that is seen by others lasts half a second and more. With 10 looks a
    second, a second's means lie off those of every frame by 0.05 of their spread within a recording for expression, 0.3
    for posture and 0.8 for hands, which are fast (docs/edge.md). Between two looks the values stay as they were, for at
    most `HOLD_S`. A model that has nothing to hold looks at once.

What is given up, in this order (`LEVELS`)
    1. half of the looks at the expression; 2. half of those at the body; 3. every frame beyond 15 a second; 4. every
    frame beyond 10 a second, and half of what is left of the other looks.

When
    A machine is too slow where the work takes more than `FULL` of the time; or where it takes `EASY` of it, and more
    than one frame in twenty has been here for longer than `LATE_S` when its features are known. What a network or a
    camera delays is not counted: no look that is given up would make it better. One level is given up after each
    `SPAN_S` of that. One is taken back after `PATIENCE` spans in which the work took less than `EASY` of the time;
    where that proves too early, the patience doubles, up to `MOST_PATIENCE`.
"""

from __future__ import annotations

from dataclasses import dataclass

from perception.temporal import CLOCK_GRAIN_S

HOLD_S = 0.5
"""As long as a frame may stand for the time around it in `perception.fusion`."""

SPAN_S = 1.0
FULL, EASY = 0.85, 0.6
LATE_S, LATE_SHARE = 0.045, 0.05
PATIENCE, MOST_PATIENCE = 5, 80


@dataclass(frozen=True)
class Rates:
    """How many times a second each model looks at most; None for every frame. A frame without `face` is not used."""

    face: float | None = None
    pose: float | None = None
    expression: float | None = None


EVERY_FRAME = (Rates(),)
LEVELS = (
    Rates(None, 10, 10),
    Rates(None, 10, 5),
    Rates(None, 5, 5),
    Rates(15, 5, 5),
    Rates(10, 2.5, 2.5),
)


@dataclass(frozen=True)
class Plan:
    """Which models are due to look at a frame besides the face's."""

    pose: bool
    expression: bool


class Beat:
    """Is due `rate` times a second, the first time `phase` intervals after the first frame; None: always."""

    def __init__(self, rate: float | None, phase: float = 0.0) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._phase = phase
        self._due: float | None = None

    def due(self, t: float) -> bool:
        """Whether it is due at `t` seconds, which it then was."""
        if self._due is None or t < self._due - 2 * self._interval - CLOCK_GRAIN_S:  # the first, or set back
            self._due = t + self._phase * self._interval
        if t < self._due - CLOCK_GRAIN_S:
            return False
        self._due = max(self._due, t - self._interval) + self._interval
        return True


class Load:
    """Tells from how the work goes which level is right.

    Args:
        levels: how many there are.

    Attributes:
        level: the present one; 0 gives nothing up.
    """

    def __init__(self, levels: int) -> None:
        self.level, self._last = 0, levels - 1
        self._patience, self._calm = PATIENCE, 0
        self._on_trial = False  # a level was taken back, and has not lasted yet
        self._start: float | None = None

    def worked(self, now: float, spent_s: float, here_s: float) -> None:
        """A frame's features are known at `now` seconds, after `spent_s` of work, `here_s` after it arrived."""
        if self._start is None or now < self._start:
            self._begin(now)
            return
        self._busy += spent_s
        self._frames += 1
        self._late += here_s > LATE_S
        if now - self._start >= SPAN_S:
            self._judge(self._busy / (now - self._start), self._late / self._frames)
            self._begin(now)

    def _begin(self, now: float) -> None:
        self._start, self._busy, self._frames, self._late = now, 0.0, 0, 0

    def _judge(self, busy: float, late: float) -> None:
        if busy > FULL or (busy >= EASY and late > LATE_SHARE):
            self._patience = min(2 * self._patience, MOST_PATIENCE) if self._on_trial else self._patience
            self._on_trial, self._calm = False, 0
            self.level = min(self.level + 1, self._last)
        elif busy >= EASY:
            self._calm = 0
        elif self._calm + 1 < self._patience:
            self._calm += 1
        else:
            self._patience = PATIENCE if self.level == 0 else self._patience
            self._on_trial, self._calm = self.level > 0, 0
            self.level = max(0, self.level - 1)


class Schedule:
    """Which models look at which frame of one camera.

    Args:
        levels: rates by load, the first without any; a single one never changes.
    """

    def __init__(self, levels: tuple[Rates, ...] = LEVELS) -> None:
        self._levels = levels
        self._load = Load(len(levels))
        self._set_beats()

    def _set_beats(self) -> None:
        rates = self._levels[self._load.level]
        self._face, self._pose = Beat(rates.face), Beat(rates.pose)
        self._expression = Beat(rates.expression, phase=0.5)  # so that the two seldom fall on the same frame

    @property
    def level(self) -> int:
        """How much is given up, 0 for nothing."""
        return self._load.level

    def admits(self, t: float) -> bool:
        """Whether a frame captured at `t` seconds is to be used at all; ask once for each."""
        return self._face.due(t)

    def plan(self, t: float) -> Plan:
        """Which models are due at a frame that is used; ask once for each."""
        return Plan(self._pose.due(t), self._expression.due(t))

    def worked(self, now: float, spent_s: float, here_s: float) -> None:
        """How the work on a live frame went; see `Load.worked`."""
        before = self._load.level
        self._load.worked(now, spent_s, here_s)
        if self._load.level != before:
            self._set_beats()
