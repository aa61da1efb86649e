"""The loop from frame to second and window: everything that happens to a frame happens here, in one thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from edge_agent.capture import Capture
from edge_agent.consent import Permit
from edge_agent.sources import Frame, Source
from edge_agent.state import State
from edge_agent.stats import SecondCounts, Timings
from perception.chain import FrameResult
from perception.fusion import MAX_GAP_S, Second
from perception.pipeline import FeaturePipeline
from perception.schedule import EVERY_FRAME, Schedule
from sentry_proto.errors import ConsentMissing, SentryError
from sentry_proto.json_log import fields
from sentry_proto.types import CameraState, FeatureWindow

log = logging.getLogger(__name__)

UNPLUGGED_S = 3.0
"""A live source without a frame for this long counts as unplugged."""

FROZEN_RESTART_S = 5.0
"""A live picture that stands still for this long has its device reopened."""


class Consumer:
    """What becomes of what the loop makes; called in the loop's thread. A consumer overrides what it cares for."""

    def frame(self, frame: Frame) -> None:
        """A frame came; what it completes is handed over afterwards."""

    def looked(self, frame: Frame, seen: FrameResult) -> None:
        """Perception has looked at this frame; what it completed is handed over next."""

    def seconds(self, seconds: list[Second]) -> None:
        """These seconds are complete, oldest first."""

    def window(self, window: FeatureWindow) -> None:
        """This window is complete."""

    def idle(self, now: float, silent_s: float) -> None:
        """A live source gave no frame just now, at Unix second `now`, and has given none for `silent_s` seconds."""

    def end_session(self) -> None:
        """The session is over, and all of it was handed over."""


class Loop:
    """Drives frames through perception and windows into a consumer.

    Args:
        source, capture: where frames come from.
        pipeline: frame to second and window.
        consumer: what becomes of them.
        state: kept up to date.
        permit: asked again and again whether the run may go on.
        duration: seconds of the source's clock after which the loop ends; None for no end.
        stop: ends the loop.
        schedule: which frames are used; told how the work on a live source goes. All are if None.
        passed: told, in monotonic seconds, that a frame went through everything.
        waits: told, in monotonic seconds, that none can: the source says that its device is gone.
    """

    def __init__(
        self,
        source: Source,
        capture: Capture,
        pipeline: FeaturePipeline,
        consumer: Consumer,
        state: State,
        permit: Permit,
        duration: float | None,
        stop: threading.Event,
        schedule: Schedule | None = None,
        passed: Callable[[float], None] = lambda now: None,
        waits: Callable[[float], None] = lambda now: None,
    ) -> None:
        self._schedule, self._passed, self._waits = schedule or Schedule(EVERY_FRAME), passed, waits
        self._skipped = 0
        self._source, self._capture, self._pipeline, self._consumer = source, capture, pipeline, consumer
        self._state, self._permit, self._duration, self._stop = state, permit, duration, stop
        self._begin: float | None = None
        self._seen = self._moving = time.monotonic()
        self.timings, self.seconds = Timings(), SecondCounts()
        self._wall_s = self._cpu_s = 0.0
        self._first_expression: float | None = None

    def run(self) -> None:
        """Work until the source ends, time is over, the consent ends or someone says stop.

        Raises:
            ConsentMissing: the consent ended; what was under way is forgotten.
            MediaError: the recording breaks off; what came before is worked out.
        """
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            self._work()
        except ConsentMissing:  # nothing more is made of what came last
            raise
        except SentryError:
            self._finish()
            raise
        else:
            self._finish()
        finally:
            self._wall_s, self._cpu_s = time.perf_counter() - wall, time.process_time() - cpu

    def _work(self) -> None:
        for frame in self._capture:
            now = time.monotonic()
            self._permit.check(now)
            if self._stop.is_set() or self._time_is_over(frame):
                break
            if frame is None:
                self._idle(now)
            elif self._schedule.admits(frame.time):
                self._frame(frame, now)
                self._worked(frame, now)
            else:
                self._skipped += 1

    def figures(self) -> dict[str, Any]:
        """What was done, for the report."""
        return {
            "frames_read": self._capture.read,
            "frames_scored": self._state.frames,
            "frames_dropped": self._capture.dropped + self._skipped,
            "load_level": self._schedule.level,
            "fps": round(self._state.frames / max(self._wall_s, 1e-9), 2),
            "stages": self.timings.summary(),
            "cpu_ms_per_frame": round(1000 * self._cpu_s / max(self._state.frames, 1), 2),
            "clock_rate": self._state.clock_rate,
            "seconds": self.seconds.total,
            "camera_states": dict(self.seconds.states),
            "face_seconds": self.seconds.face,
            "first_expression_at": self._first_expression,
        }

    def _time_is_over(self, frame: Frame | None) -> bool:
        t = frame.time if frame else time.time() if self._source.live else None
        if t is None:
            return False
        self._begin = t if self._begin is None else self._begin
        return self._duration is not None and t - self._begin >= self._duration

    def _frame(self, frame: Frame, now: float) -> None:
        state = self._state
        with self.timings.stage("frame"):
            self._consumer.frame(frame)
            if (frame.participant, frame.session) != (state.participant, state.session):
                self._begin_session(frame)
            elif frame.time - state.event_time > MAX_GAP_S:
                self.seconds.states[CameraState.UNPLUGGED.value] += int(frame.time - state.event_time)
            step = self._pipeline.feed(frame.image, frame.time)
            self._consumer.looked(frame, step.frame)
            self._take(step.seconds, step.windows)
        self.timings.add(step.frame.stage_ms)
        if self._first_expression is None and "expression" in step.frame.stage_ms:
            self._first_expression = time.time()
        self._seen = now
        state.frames += 1
        state.event_time, state.clock_rate = frame.time, self._source.clock_rate
        state.camera = step.frame.camera_state
        state.rate.add(now)
        self._watch_frozen(now)

    def _worked(self, frame: Frame, began: float) -> None:
        now = time.monotonic()
        self._passed(now)
        if self._source.live:
            self.timings.add({"capture_to_feature": 1000 * (time.time() - frame.time)})
            level = self._schedule.level
            self._schedule.worked(now, now - began, now - self._capture.arrived)
            if self._schedule.level != level:
                self._tell_level(self._schedule.level, level)

    def _tell_level(self, level: int, before: int) -> None:
        told = fields(load_level=level, participant=self._state.participant)
        log.info("what is given up for want of time: level %d, after %d", level, before, extra=told)

    def _begin_session(self, frame: Frame) -> None:
        self._take(*self._pipeline.start_session(frame.participant, frame.session))
        self._consumer.end_session()
        self._state.participant, self._state.session = frame.participant, frame.session

    def _take(self, seconds: list[Second], windows: list[FeatureWindow]) -> None:
        for second in seconds:
            self.seconds.add(second)
        if seconds:
            self._consumer.seconds(seconds)
        for window in windows:
            with self.timings.stage("window"):
                self._consumer.window(window)

    def _idle(self, now: float) -> None:
        silent_s = now - self._seen
        if silent_s > UNPLUGGED_S:
            self._state.camera = CameraState.UNPLUGGED
        self._consumer.idle(time.time(), silent_s)
        if self._capture.heard_of_loss():
            self._waits(now)

    def _watch_frozen(self, now: float) -> None:
        if self._state.camera is not CameraState.FROZEN:
            self._moving = now
        elif now - self._moving > FROZEN_RESTART_S:
            self._moving = now
            self._capture.restart()

    def _finish(self) -> None:
        self._take(*self._pipeline.finish())
        self._consumer.end_session()
